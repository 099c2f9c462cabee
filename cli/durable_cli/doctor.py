"""Has the state looked over, mends what is safe when asked to, and makes text or JSON of what was found.

Stopped, every file is looked at under the lock; a running emulator looks at the contents of its objects itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING, Final, cast

from durable.errors import DurableError, UserInputError
from durable.limits import CHECKUP_FINDINGS_MAX
from durable_cli.console import Ink, printable
from durable_cli.objects.finding import require_state
from durable_cli.project import Project, with_state
from durable_cli.report import shown_path

if TYPE_CHECKING:
    from durable.storage.checkup import Finding
    from durable.storage.layout import StateLayout
    from durable_cli.client import Client

SHOWN_OF_A_KIND_MAX: Final = 10
"""Findings of one kind that are shown in full; --json has all that are kept."""
OBJECTS_LEFT: Final = "what lies around the objects' files was not looked at: an emulator has them open"

Progress = Callable[[int, int], None]


@dataclass
class Report:
    """What a checkup found. `findings` are kept up to a bound, the counts are of all."""

    is_running: bool
    findings: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    objects: int = 0
    classes: int = 0
    problems: int = 0
    mended: int = 0
    fixable: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])

    def add(self, finding: dict[str, object]) -> None:
        self.kinds[str(finding["kind"])] += 1
        if finding["mended"]:
            self.mended += 1
        else:
            self.problems += bool(finding["problem"])
            self.fixable += bool(finding["fixable"])
        if len(self.findings) < CHECKUP_FINDINGS_MAX:
            self.findings.append(finding)

    def to_json(self) -> dict[str, object]:
        return {
            "running": self.is_running, "classes": self.classes, "objects": self.objects, "problems": self.problems,
            "mended": self.mended, "fixable": self.fixable, "findings": self.findings,
            "truncated": self.kinds.total() > len(self.findings),
        }  # fmt: skip


def check(project: Project, *, fix: bool, on_progress: Progress) -> Report:
    """Look at everything. Raises StateInUseError, and UserInputError for `fix` while an emulator runs."""
    require_state(project)

    def on_emulator(client: Client) -> Report:
        if fix:
            raise UserInputError(
                "an emulator runs here, and nothing is mended under its hands",
                fix="stop it (Ctrl+C where it runs), then durable doctor --fix; or leave --fix out",
            )
        return _through_emulator(client, on_progress)

    return with_state(
        project,
        "durable doctor",
        on_files=lambda layout: _on_files(layout, fix=fix, on_progress=on_progress),
        on_emulator=on_emulator,
    )


def _on_files(layout: StateLayout, *, fix: bool, on_progress: Progress) -> Report:
    # Imported here: apsw is not needed when an emulator runs.
    from durable.storage.checkup import Checkup

    report = Report(is_running=False)
    checkup = Checkup(layout, on_progress=on_progress)
    for finding in checkup.findings():
        report.add(_treated(finding, fix=fix))
    report.objects, report.classes = checkup.objects, checkup.classes
    return report


def _treated(finding: Finding, *, fix: bool) -> dict[str, object]:
    """The finding for programs, after what is safe was done about it."""
    is_mended, kept, failure = False, None, ""
    if fix:
        try:
            if finding.mend is not None:
                finding.mend()
                is_mended = True
            elif finding.keep is not None:
                kept = finding.keep() or None
        except (DurableError, OSError) as error:
            failure = str(error)
    subject = finding.subject
    return {
        "kind": finding.kind, "problem": finding.is_problem, "class": subject.class_name,
        "environment": subject.environment, "name": subject.name, "id": subject.id, "file": finding.file,
        "what": finding.what, "meaning": finding.meaning, "remedy": finding.remedy,
        "fixable": finding.mend is not None, "mended": is_mended, "kept": kept, "failure": failure,
    }  # fmt: skip


def _through_emulator(client: Client, on_progress: Progress) -> Report:
    report = Report(is_running=True)
    classes = cast("list[str]", client.post("/__durable/checkup", {})["classes"])
    report.classes = len(classes)
    total = 0
    for class_name in classes:
        after: object = None
        is_first = True
        while is_first or after is not None:
            page = client.post("/__durable/checkup", {"class": class_name, "after": after})
            if is_first:
                total += cast("int", page["total"])
            is_first = False
            for finding in cast("list[dict[str, object]]", page["findings"]):
                report.add(finding)
            report.objects += cast("int", page["objects"])
            on_progress(report.objects, max(total, report.objects))
            after = page["next"]
    return report


# --- words ------------------------------------------------------------------------------------------------------------
def report_text(report: Report, ink: Ink, width: int = 0) -> str:
    """Findings with what they mean, the same kind side by side; empty when there are none.

    `width` is the terminal's, 0 for lines of any length.
    """
    return "\n".join(_lines(report, ink, width))


def summary_text(report: Report) -> str:
    """`looked at 12 objects of 2 classes: 1 problem, 2 mended`"""
    looked = f"looked at {_counted(report.objects, 'object')} of {_counted(report.classes, 'class', 'classes')}"
    found = _counted(report.problems, "problem") if report.problems else "all is well"
    text = f"{looked}: {found}" + (f", {report.mended} mended" if report.mended else "")
    if report.fixable:
        text += f"; durable doctor --fix mends {report.fixable}"
    return text + (f"\n{OBJECTS_LEFT}; stop it, and durable doctor looks at everything" if report.is_running else "")


def _lines(report: Report, ink: Ink, width: int) -> Iterator[str]:
    for kind in dict.fromkeys(str(finding["kind"]) for finding in report.findings):
        same = [finding for finding in report.findings if finding["kind"] == kind]
        for finding in same[:SHOWN_OF_A_KIND_MAX]:
            yield from _finding_lines(finding, ink, width)
        more = report.kinds[kind] - min(len(same), SHOWN_OF_A_KIND_MAX)
        if more:
            yield f"… and {more} more of this kind ({kind}); --json has them"


def _finding_lines(finding: dict[str, object], ink: Ink, width: int) -> Iterator[str]:
    word = "mended" if finding["mended"] else kind_word(finding)
    style = "green" if finding["mended"] else "red" if finding["problem"] else "yellow"
    yield f"{ink.paint(word + ':', style, 'bold')} {_subject(finding)}".rstrip()
    parts = [("found:", finding["what"])]
    if not finding["mended"]:
        parts += [("means:", finding["meaning"]), ("to do:", finding["remedy"])]
    if finding["kept"]:
        parts.append(("kept:", f"a copy in {shown_path(str(finding['kept']))}"))
    if finding["failure"]:
        parts.append(("failed:", finding["failure"]))
    if finding["file"]:
        yield f"  file:   {printable(shown_path(str(finding['file'])))}"
    for label, text in parts:
        first, *rest = wrap(_plain(text), max(width - 11, 40), break_on_hyphens=False) if width else [_plain(text)]
        yield f"  {ink.paint(label, 'bold')}{' ' * (8 - len(label))}{first}"
        yield from (" " * 10 + line for line in rest)


def kind_word(finding: dict[str, object]) -> str:
    return "problem" if finding["problem"] else "note"


def _subject(finding: dict[str, object]) -> str:
    if finding["class"] is None:
        return "the state"
    which = f'"{finding["name"]}"' if finding["name"] is not None else str(finding["id"] or "")
    environment = f" [{finding['environment']}]" if finding["environment"] else ""
    return printable(f"{finding['class']}{environment} {which}".rstrip(), length_max=120)


def _plain(text: object) -> str:
    return printable(str(text), length_max=500)


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"

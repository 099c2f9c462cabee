"""Secrets that no report may show: found in whatever form they were written, and replaced by `«API_KEY»`.

Knows names and values, not where they come from or who reads the report. Only failures pay for it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, urlsplit

import msgspec

from durable.limits import SECRET_CHARACTERS_MIN, SECRETS_HIDDEN_MAX
from durable.wire.messages import ErrorReport, Frame, RelatedError

_ANYWHERE_CHARACTERS = 8
"""Shorter values are replaced only where they stand alone: inside other words they would be found by chance."""
_LINE_CHARACTERS = 16
"""Lines of a key of several lines that are hidden one by one."""
_TELLING = frozenset(["SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "APIKEY", "CREDENTIALS"])
_TELLING_LAST = frozenset(["KEY", "PASS", "PWD", "DSN", "CREDENTIAL"])
_TELLING_NOTHING = frozenset(["PUBLIC", "PRIMARY", "FOREIGN", "UNIQUE", "SORT", "PARTITION", "CACHE", "ROW"])
"""Before "KEY": not that kind of key."""
_CUT = "…"
_FOLDERS = frozenset(["PWD", "OLDPWD"])
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NO_SECRETS = frozenset(["true", "false", "none", "null"])


def looks_secret(name: str) -> bool:
    """Whether a variable or a parameter of this name holds a secret, as far as a name can say."""
    words = [word.upper() for word in _WORDS.findall(name)]
    if not words or name in _FOLDERS:
        return False
    last = words[-2] if len(words) > 1 and words[-1].isdigit() else words[-1]
    if not _TELLING.isdisjoint(words):
        return True
    return last in _TELLING_LAST and len(words) > 1 and _TELLING_NOTHING.isdisjoint(words)


class Redaction:
    """What it has learnt stays hidden: code that is being replaced may still fail with the value that was."""

    def __init__(self) -> None:
        self._forms: dict[str, str] = {}
        self._alone: dict[str, tuple[str, re.Pattern[str]]] = {}
        self._longest = 0
        self._pending: list[tuple[Mapping[str, object], frozenset[str]]] = []

    def learn(self, variables: Mapping[str, object], secrets: Iterable[str] = ()) -> None:
        """Hide those of `variables` that are named in `secrets`, or that look like secrets, from now on."""
        # Not looked at before something fails: whoever starts is in a hurry.
        self._pending.append((variables, frozenset(secrets)))

    @property
    def longest(self) -> int:
        """Characters of the longest form: a text that is cut keeps so many more until it was looked through."""
        self._take_in()
        return self._longest

    def _take_in(self) -> None:
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        for variables, secrets in pending:
            named = {name: value for name, value in variables.items() if name in secrets and isinstance(value, str)}
            for name, value in (_telling(variables) | named).items():
                for part in (value.strip(), *_parts(value)):
                    self._add(name, part)
        # The longest first: one secret may be the beginning of another.
        self._forms = dict(sorted(self._forms.items(), key=lambda item: -len(item[0]))[:SECRETS_HIDDEN_MAX])
        self._longest = max(map(len, (*self._forms, *self._alone)), default=0)

    def _add(self, name: str, value: str) -> None:
        if len(value) < SECRET_CHARACTERS_MIN or value.lower() in _NO_SECRETS:
            return
        if len(value) < _ANYWHERE_CHARACTERS:
            self._alone[value] = f"«{name}»", re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")
            return
        for form in _forms(value):
            self._forms.setdefault(form, f"«{name}»")

    def text(self, text: str) -> str:
        """`text` without secrets."""
        self._take_in()
        for form, marker in self._forms.items():
            if form in text:
                text = text.replace(form, marker)
        for value, (marker, pattern) in self._alone.items():
            if value in text:
                text = pattern.sub(lambda _, marker=marker: marker, text)  # type: ignore[misc]
        return self._cut_text(text) if text.endswith(_CUT) else text

    def _cut_text(self, text: str) -> str:
        """A text that was cut before it came here may end with the beginning of a secret."""
        kept = text.removesuffix(_CUT)
        end = kept[-self._longest :]
        for form, marker in self._forms.items():
            if form[:SECRET_CHARACTERS_MIN] not in end:
                continue
            for length in range(min(len(form) - 1, len(end)), SECRET_CHARACTERS_MIN - 1, -1):
                if end.endswith(form[:length]):
                    return f"{kept[:-length]}{marker}{_CUT}"
        return text

    def holds(self, text: str) -> bool:
        """Whether there is anything to hide."""
        self._take_in()
        return any(form in text for form in self._forms) or any(value in text for value in self._alone)

    def report(self, report: ErrorReport) -> ErrorReport:
        """The report for human eyes: nothing in it says what a secret is."""
        # Most reports hold none, and one look at all of their texts is cheaper than one at each.
        if not self.holds("\0".join(_texts(report))):
            return report
        hide, sql = self.text, report.sql
        return msgspec.structs.replace(
            report,
            message=hide(report.message),
            args=b"",
            frames=self._frames(report.frames),
            label=hide(report.label),
            arguments=hide(report.arguments),
            notes=[hide(note) for note in report.notes],
            sql=sql and msgspec.structs.replace(sql, text=hide(sql.text)),
            related=[self._related(error) for error in report.related],
        )

    def _related(self, error: RelatedError) -> RelatedError:
        return msgspec.structs.replace(
            error,
            message=self.text(error.message),
            frames=self._frames(error.frames),
            notes=[self.text(note) for note in error.notes],
        )

    def _frames(self, frames: list[Frame]) -> list[Frame]:
        return [self._frame(frame) for frame in frames]

    def _frame(self, frame: Frame) -> Frame:
        context = self.text(frame.context)
        same = context == frame.context
        return msgspec.structs.replace(
            frame,
            source=self.text(frame.source),
            context=context,
            column=frame.column if same else 0,
            end_column=frame.end_column if same else 0,
            place=self.text(frame.place),
        )


def _texts(report: ErrorReport) -> Iterable[str]:
    yield from (report.message, report.label, report.arguments, *report.notes)
    if report.sql is not None:
        yield report.sql.text
    yield from _frame_texts(report.frames)
    for error in report.related:
        yield from (error.message, *error.notes, *_frame_texts(error.frames))


def _frame_texts(frames: list[Frame]) -> Iterable[str]:
    for frame in frames:
        yield from (frame.source, frame.context, frame.place)


def _parts(value: str) -> Iterable[str]:
    """What is secret by itself: the lines of a key in PEM, the password in an address."""
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _LINE_CHARACTERS and not line.startswith("-----"))
    try:
        password = urlsplit(value).password
    except ValueError:
        return
    if password is not None:
        yield password


def _forms(value: str) -> Iterable[str]:
    """`value` as programs print it: as it is, in a repr, in JSON, in an address, in base64 and in hex."""
    data = value.encode(errors="backslashreplace")
    forms = dict.fromkeys([value, repr(value)[1:-1], repr(data)[2:-1], json.dumps(value)[1:-1]])
    forms |= dict.fromkeys([quote(data, safe=""), quote(data), quote_plus(data), data.hex(), data.hex().upper()])
    for shift in range(3):
        # Base64 turns three bytes into four characters, so it depends on where in them the value begins, as it does
        # behind the user's name in a header of Basic authentication. Characters that hold other bits too are left out.
        encoded = base64.b64encode(bytes(shift) + data).decode()
        whole = encoded[(0, 2, 3)[shift] : (shift + len(data)) * 8 // 6]
        forms |= dict.fromkeys([whole, whole.translate({0x2B: "-", 0x2F: "_"})])
    return forms


def _telling(variables: Mapping[str, object]) -> dict[str, str]:
    """Those whose names look secret; what merely names a file is none."""
    return {
        name: value
        for name, value in variables.items()
        if isinstance(value, str) and len(value) >= _ANYWHERE_CHARACTERS and looks_secret(name)
        if not os.path.exists(value)
    }

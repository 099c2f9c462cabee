"""`durable objects export|import|snapshot|diff`: whole objects and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from durable_cli.commands.object_words import (
    AnyClassArgument,
    ClassArgument,
    IdentityOption,
    NameArgument,
    ReplaceOption,
    optional_target,
    target_of,
)
from durable_cli.options import JsonOption, Place, with_place

if TYPE_CHECKING:
    from durable_cli.data.door import DataDoor
    from durable_cli.data.exporting import Exported
    from durable_cli.data.image_diff import ImageDiff
    from durable_cli.data.importing import Imported
    from durable_cli.data.snapshots import Snapshot
    from durable_cli.objects.finding import Target
    from durable_cli.project import Project

DIFFERENCES_SHOWN: Final = 20
"""Of each table, and of the keys; all are counted."""

LabelOption = Annotated[
    str | None, typer.Option("--label", metavar="L", show_default=False, help="What to call it. Default: the time.")
]


def add_to(app: typer.Typer) -> None:
    """Make the commands of this file commands of `app`."""
    app.command()(export)
    app.command("import")(import_)
    app.command()(snapshot)
    app.command()(diff)


@with_place
def export(
    place: Place,
    class_word: ClassArgument,
    name: NameArgument = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE|DIR", show_default=False, help="Where to; else standard output."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="sqlite|sql|jsonl", show_default=False,
            help="A SQLite file, an SQL script, or JSON Lines with keys and values. Default: by the ending of FILE, "
            "else sqlite with -o and jsonl without.",
        ),
    ] = None,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Write an object, or every object of a class, to a file or a folder.

    Works with the emulator running and stopped, and wakes nobody: each object is written as it is between two of its
    turns. A whole class is one file of JSON Lines, or a folder with a file per object. Put -- before names that begin
    with a dash.

    Example: durable objects export Counter home -o home.jsonl
    """
    from durable.errors import UserInputError
    from durable_cli import console
    from durable_cli.data.door import with_door
    from durable_cli.data.exporting import chosen_format, export_class, export_object
    from durable_cli.data.progress import progress
    from durable_cli.data.workplace import workplace
    from durable_cli.moments import shown_bytes
    from durable_cli.report import shown_path

    target = optional_target(class_word, name, identity, "durable objects export CLASS NAME -o FILE")
    if json and output is None:
        raise UserInputError("--json tells what was written, and the export itself goes there", fix="-o FILE")
    chosen = chosen_format(form, output, of_class=target is None)
    path = output.expanduser().absolute() if output is not None else None
    project = place.open()

    def work(door: DataDoor) -> Exported:
        with workplace(project) as folder, progress() as phase:
            if target is not None:
                return export_object(door, target, path, chosen, folder)
            return export_class(door, class_word, project.config.environment, path, chosen, folder, phase("export"))

    exported = with_door(project, "durable objects export", work)
    if exported.path is None:
        return
    if json:
        document = {"path": str(exported.path), "format": chosen, "objects": exported.objects, "bytes": exported.bytes}
        console.put_json(document)
    else:
        objects = f"{exported.objects} object{'s' * (exported.objects != 1)}"
        what = str(target) if target is not None else f"{objects} of {console.printable(class_word)}"
        console.say(f"{what} written to {shown_path(exported.path)} ({shown_bytes(exported.bytes)}, {chosen})")


@with_place
def import_(
    place: Place,
    class_word: ClassArgument,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME] FILE", help="What was exported: a SQLite file, an SQL script, JSON Lines, or a folder."
        ),
    ],
    replace: ReplaceOption = False,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Give an object, or every object of a file, the state that a file holds.

    Works with the emulator running and stopped. Wakes nobody; an object in memory that is replaced is reset. What a
    file is, is found by its content. SQL may do what the object's own SQL may do, and nothing else. Put -- before names
    that begin with a dash.

    Example: durable objects import Counter home home.jsonl --replace
    """
    from durable_cli import console
    from durable_cli.data.door import with_door
    from durable_cli.data.importing import import_objects
    from durable_cli.data.progress import progress
    from durable_cli.data.snapshot_restoring import tell_undo
    from durable_cli.data.workplace import workplace
    from durable_cli.moments import shown_bytes

    name, file = _name_and_file(words)
    target = optional_target(class_word, name, identity, "durable objects import CLASS NAME FILE")
    project = place.open()
    source = file.expanduser().absolute()

    def work(door: DataDoor) -> Imported:
        with workplace(project) as folder, progress() as phase:
            return import_objects(door, class_word, target, source, folder, replace=replace, told=phase("import"))

    imported = with_door(project, "durable objects import", work)
    if json:
        console.put_json(imported.to_json() | (imported.last if target is not None else {}))
    elif target is not None:
        state = "made" if imported.created else "replaced"
        console.say(f"{target} is {state} from {console.printable(str(file))} ({shown_bytes(imported.last['bytes'])})")
        tell_undo(target, imported.last)
    else:
        console.say(imported.counted())


@with_place
def snapshot(
    place: Place,
    class_word: AnyClassArgument = None,
    name: NameArgument = None,
    label: LabelOption = None,
    listing: Annotated[bool, typer.Option("--list", help="Show the snapshots there are, of CLASS or of all.")] = False,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Keep a copy of an object, or of every object of a class, in .durable/snapshots.

    Works with the emulator running and stopped, and wakes nobody: each object is copied as it is between two of its
    turns. durable objects restore CLASS [NAME] --snapshot L brings it back. Put -- before names that begin with a dash.

    Example: durable objects snapshot Counter home --label before
    """
    from durable.errors import UserInputError
    from durable_cli import console
    from durable_cli.data.snapshots import kept
    from durable_cli.moments import shown_bytes

    usage = "durable objects snapshot CLASS NAME, or durable objects snapshot --list"
    project = place.open()
    if listing:
        if name is not None or identity is not None or label is not None:
            raise UserInputError("--list takes no object and no label", fix=usage)
        bindings = {binding.name: binding.class_name for binding in project.config.bindings}
        found = kept(project, bindings.get(class_word, class_word) if class_word is not None else None)
        if json:
            console.put_json([each.to_json() for each in found])
        else:
            _print_snapshots(found)
        return
    if class_word is None:
        raise UserInputError("of what? Its CLASS is missing", fix=usage)
    taken = _take(project, class_word, optional_target(class_word, name, identity, usage), label)
    if json:
        console.put_json(taken.to_json())
        return
    objects = f"{taken.objects} object{'s' * (taken.objects != 1)}"
    console.say(f"snapshot {taken.label}: {objects} of {taken.class_name}, {shown_bytes(taken.bytes)}")


@with_place
def diff(
    place: Place,
    class_word: ClassArgument,
    name: NameArgument = None,
    other: Annotated[
        str | None, typer.Argument(metavar="OTHER", show_default=False, help="Another object of the class.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--snapshot", metavar="L", show_default=False, help="The object as this snapshot has it."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=0, max=10_000, help="Differences shown of each table.")
    ] = DIFFERENCES_SHOWN,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Show what differs between two objects of a class, or between a snapshot and the object as it is now.

    Schema, rows by their primary key (or rowid), keys, alarm: a plus is what the second has and the first has not.
    Works with the emulator running and stopped, and wakes nobody. Exits 0 whether they differ or not. Put -- before
    names that begin with a dash.

    Example: durable objects diff Counter home --snapshot before
    """
    from durable.errors import UserInputError
    from durable_cli import console
    from durable_cli.data.diff_text import diff_text
    from durable_cli.objects.finding import Target

    usage = "durable objects diff CLASS NAME OTHER, or durable objects diff CLASS NAME --snapshot L"
    if identity is not None and name is not None and other is None:
        name, other = None, name
    target = target_of(class_word, name, identity, usage)
    if (other is None) == (label is None):
        raise UserInputError("compare it with what? Either OTHER or --snapshot L is needed", fix=usage)
    project = place.open()
    second = Target(class_word, name=other) if other is not None else None
    found = _differences(project, target, second, label, limit)
    if json:
        console.put_json(found.to_json(), ascii_only=False)
    elif found.is_same:
        console.say("no differences")
    else:
        console.put_data(diff_text(found, console.stdout_ink()))


def _differences(project: Project, target: Target, second: Target | None, label: str | None, limit: int) -> ImageDiff:
    from durable_cli.data.door import with_door
    from durable_cli.data.image_diff import diff_images
    from durable_cli.data.snapshots import entry_of, find
    from durable_cli.data.workplace import workplace

    def work(door: DataDoor) -> ImageDiff:
        with workplace(project) as folder:
            now = folder / "now.sqlite"
            door.copy(target, now)
            if second is not None:
                other = folder / "other.sqlite"
                door.copy(second, other)
                return diff_images(now, other, shown_max=limit)
            kept = find(door, project, target.class_word, label or "")
            return diff_images(entry_of(kept, door, target).path, now, shown_max=limit)

    return with_door(project, "durable objects diff", work)


def _take(project: Project, class_word: str, target: Target | None, label: str | None) -> Snapshot:
    import time

    from durable_cli.data.door import with_door
    from durable_cli.data.progress import progress
    from durable_cli.data.snapshots import take
    from durable_cli.data.workplace import workplace

    def work(door: DataDoor) -> Snapshot:
        with workplace(project) as folder, progress() as phase:
            now_ms = time.time_ns() // 1_000_000
            return take(door, project, class_word, target, label, now_ms, folder, phase("snapshot"))

    return with_door(project, "durable objects snapshot", work)


def _print_snapshots(found: Sequence[Snapshot]) -> None:
    from durable_cli import console
    from durable_cli.moments import shown_bytes, shown_moment

    width = max((len(each.label) for each in found), default=0)
    for each in found:
        objects = f"{each.objects} object{'s' * (each.objects != 1)}"
        what = f'{each.class_name} "{each.name}"' if each.name is not None else f"{each.class_name}, {objects}"
        line = f"{each.label:<{width}}  {shown_moment(each.created_ms)[:19]}  {shown_bytes(each.bytes):>8}  {what}"
        console.put_data(console.printable(line))
    if not found:
        console.say("There are no snapshots.")


def _name_and_file(words: list[str]) -> tuple[str | None, Path]:
    from durable.errors import UserInputError

    match words:
        case [file]:
            return None, Path(file)
        case [name, file]:
            return name, Path(file)
        case _:
            raise UserInputError(
                f"{len(words)} words after the class, and only NAME and FILE are known",
                fix="durable objects import CLASS NAME FILE",
            )

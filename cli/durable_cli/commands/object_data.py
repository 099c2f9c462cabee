"""`durable objects delete|copy|seed|reset`: whole objects made and unmade."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from durable_cli.commands import object_files
from durable_cli.commands.object_words import (
    AnyClassArgument,
    ClassArgument,
    IdentityOption,
    NameArgument,
    ReplaceOption,
    YesOption,
    confirm,
    target_of,
)
from durable_cli.options import JsonOption, Place, with_place

if TYPE_CHECKING:
    from durable_cli.data.deleting import ResetClass
    from durable_cli.data.door import Answer, DataDoor
    from durable_cli.data.importing import Imported
    from durable_cli.project import Project


def add_to(app: typer.Typer) -> None:
    """Make the commands of this file and of `object_files` commands of `app`."""
    for command in (delete, copy, seed, reset):
        app.command()(command)
    object_files.add_to(app)


@with_place
def delete(
    place: Place,
    class_word: ClassArgument,
    name: NameArgument = None,
    identity: IdentityOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every object of CLASS.")] = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Delete an object, or every object of a class: tables, keys and alarm.

    Works with the emulator running and stopped. Wakes nobody; an object in memory is reset and its web sockets are
    closed. What its history holds stays for its days, and the command that undoes the deletion is shown. Put -- before
    names that begin with a dash.

    Example: durable objects delete Counter home --yes
    """
    from durable.errors import UserInputError
    from durable_cli import console
    from durable_cli.data.door import with_door
    from durable_cli.data.snapshot_restoring import tell_undo

    usage = "durable objects delete CLASS NAME, or durable objects delete CLASS --all"
    if everything:
        if name is not None or identity is not None:
            raise UserInputError("either one object is deleted, or all of them are", fix=usage)
        _delete_all(place.open(), class_word, yes=yes, as_json=json)
        return
    target = target_of(class_word, name, identity, usage)
    project = place.open()
    confirm(f"{target} will be deleted.", name if name is not None else str(identity), yes=yes)
    answer = with_door(project, "durable objects delete", lambda door: door.delete(target))
    if json:
        console.put_json(answer)
    else:
        console.say(f"{target} is deleted")
        tell_undo(target, answer)


@with_place
def copy(
    place: Place,
    class_word: ClassArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The object that is copied.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name of the copy.")],
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Copy an object to a new name: tables, keys and alarm, as they are between two of its turns.

    Works with the emulator running and stopped, and wakes nobody; the copy's alarm will, when it is due. Put -- before
    names that begin with a dash.

    Example: durable objects copy Counter home home-2
    """
    from durable.errors import UserInputError
    from durable_cli import console
    from durable_cli.data.door import with_door
    from durable_cli.data.snapshot_restoring import tell_undo
    from durable_cli.data.workplace import workplace
    from durable_cli.moments import shown_bytes
    from durable_cli.objects.finding import Target

    project = place.open()
    source, target = Target(class_word, name=name), Target(class_word, name=new)
    if name == new:
        raise UserInputError("an object cannot be copied to its own name", fix="durable objects snapshot keeps a copy")

    def work(door: DataDoor) -> Answer:
        if door.find(target).is_known and not replace:
            raise UserInputError(f"{target} exists, and nothing was changed", fix="--replace takes its place")
        with workplace(project) as folder:
            image = folder / "image.sqlite"
            door.copy(source, image)
            return door.replace(target, image, create=True)

    answer = with_door(project, "durable objects copy", work)
    if json:
        console.put_json(answer)
        return
    console.say(f"{target} is a copy of {source} ({shown_bytes(answer['bytes'])})")
    tell_undo(target, answer)


@with_place
def seed(
    place: Place,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines, or TOML with [[objects]].")],
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Make the objects of a seed file, with the keys, tables and alarms it gives them.

    A line of it: {"class": "Counter", "name": "home", "kv": {"n": 1}, "sql": ["CREATE TABLE t (a)"], "alarm": "in 10m"}

    Works with the emulator running and stopped, and wakes nobody; alarms do, when they are due. With --replace, doing
    it twice leads to the same state.

    Example: durable objects seed seed.jsonl --replace
    """
    import time

    from durable_cli import console
    from durable_cli.data.door import with_door
    from durable_cli.data.progress import progress
    from durable_cli.data.seeding import seed_objects
    from durable_cli.data.workplace import workplace

    project = place.open()

    def work(door: DataDoor) -> Imported:
        with workplace(project) as folder, progress() as phase:
            now_ms = time.time_ns() // 1_000_000
            return seed_objects(door, file, folder, now_ms, replace=replace, told=phase("seed"))

    imported = with_door(project, "durable objects seed", work)
    if json:
        console.put_json(imported.to_json())
    else:
        console.say(imported.counted())


@with_place
def reset(
    place: Place,
    class_word: AnyClassArgument = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Delete every object, or every object of CLASS, after a snapshot of them.

    Works with the emulator running and stopped. Wakes nobody; objects in memory are reset and their web sockets are
    closed. The command that brings everything back is shown.

    Example: durable objects reset Counter --yes
    """
    import time

    from durable_cli import console
    from durable_cli.data.deleting import reset_class
    from durable_cli.data.door import with_door
    from durable_cli.data.progress import progress
    from durable_cli.data.workplace import workplace
    from durable_cli.objects.finding import Target

    project = place.open()
    whose = console.printable(class_word) if class_word is not None else "every class"
    confirm(f"Every object of {whose} will be deleted.", class_word if class_word is not None else "all", yes=yes)

    def work(door: DataDoor) -> list[ResetClass]:
        words = door.class_names() if class_word is None else [door.find(Target(class_word, name="")).class_name]
        now_ms = time.time_ns() // 1_000_000
        with workplace(project) as folder, progress() as phase:
            copied, deleted = phase("copy"), phase("delete")
            return [reset_class(door, project, each, now_ms, folder, copied, deleted) for each in words]

    done = with_door(project, "durable objects reset", work)
    if json:
        console.put_json([_reset_json(each) for each in done])
        return
    for each in done:
        if each.snapshot is None:
            console.say(f"{each.class_name} had no objects")
        else:
            console.say(f"{each.deleted} object{'s' * (each.deleted != 1)} of {each.class_name} deleted")
            console.say(f"to undo this: durable objects restore {each.class_name} --snapshot {each.snapshot.label}")


def _reset_json(each: ResetClass) -> dict[str, Any]:
    return {
        "class": each.class_name,
        "deleted": each.deleted,
        "snapshot": each.snapshot.label if each.snapshot is not None else None,
    }


def _delete_all(project: Project, class_word: str, *, yes: bool, as_json: bool) -> None:
    from durable_cli import console
    from durable_cli.data.deleting import delete_all
    from durable_cli.data.door import with_door
    from durable_cli.data.progress import progress

    confirm(f"Every object of {console.printable(class_word)} will be deleted.", class_word, yes=yes)
    with progress() as phase:
        deleted = with_door(
            project, "durable objects delete", lambda door: delete_all(door, class_word, phase("delete"))
        )
    if as_json:
        console.put_json({"deleted": deleted})
    else:
        word = console.printable(class_word)
        console.say(f"{deleted} object{'s' * (deleted != 1)} of {word} deleted")
        if deleted and project.config.dev.pitr_days:
            console.say(f"to bring one back: durable objects restore {word} NAME shows to when it can be")

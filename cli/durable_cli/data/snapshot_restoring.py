"""`durable objects restore --snapshot`: one object of a snapshot, or every one, brought back and told."""

from __future__ import annotations

from durable_cli import console
from durable_cli.data.door import Answer, DataDoor, with_door
from durable_cli.data.importing import Imported, import_objects
from durable_cli.data.progress import progress
from durable_cli.data.snapshots import find, restore_object
from durable_cli.data.workplace import workplace
from durable_cli.moments import shown_bytes
from durable_cli.objects.finding import Target
from durable_cli.project import Project


def restore_snapshot(project: Project, class_word: str, target: Target | None, label: str, *, as_json: bool) -> None:
    """`target` None: every object of the snapshot; others stay as they are.

    Raises NotFoundError for a label or an object that is not there.
    """
    if target is None:
        _restore_all(project, class_word, label, as_json=as_json)
        return
    answer = with_door(project, "durable objects restore", lambda door: restore_object(door, project, target, label))
    if as_json:
        console.put_json({"snapshot": label, **answer})
        return
    console.say(f"{target} is as it was in the snapshot {label} ({shown_bytes(answer['bytes'])})")
    tell_undo(target, answer)


def _restore_all(project: Project, class_word: str, label: str, *, as_json: bool) -> None:
    def work(door: DataDoor) -> Imported:
        folder = find(door, project, class_word, label)
        with workplace(project) as place, progress() as phase:
            return import_objects(door, class_word, None, folder, place, replace=True, told=phase("restore"))

    imported = with_door(project, "durable objects restore", work)
    if as_json:
        console.put_json({"snapshot": label, **imported.to_json()})
    else:
        objects = f"{imported.count} object{'s' * (imported.count != 1)}"
        console.say(f"{objects} of {class_word} as in the snapshot {label}; {imported.created} of them were not there")


def tell_undo(target: Target, answer: Answer) -> None:
    """How to get back what the door has replaced or deleted, if that is possible."""
    undo = answer["undo"]
    if isinstance(undo, str):
        console.say(f"to undo this: {target.command('durable objects restore', '--at', undo)}")
    elif answer.get("created") is not True:
        console.say("this cannot be undone: no history is kept (pitr_days = 0)")

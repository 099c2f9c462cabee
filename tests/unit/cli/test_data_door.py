"""The data door onto files: copies, replacements and deletions, with their rows of the index, alarms and crashes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from durable import failpoints
from durable.clock import SystemClock
from durable.errors import NotFoundError, StorageError, UserInputError
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.object_image import copy_image
from durable.storage.state_db import StateDatabase
from durable_cli.client import Client
from durable_cli.data import door as door_module
from durable_cli.data.door import DataDoor, each_in_parallel, with_door
from durable_cli.data.listing_types import ListQuery
from durable_cli.emulator_address import NotRunningError, RunningEmulator
from durable_cli.objects.finding import Target
from durable_cli.project import load_project

HOME = Target("Counter", "home")
NEW = Target("COUNTERS", "new")
MADE_MS = 1_769_860_800_000
ALARM_MS = 4_000_000_000_000
CRASHES = ("replace.built", "door.row_made", "restore.decided", "restore.draft_renamed", "restore.finished")


class Stored:
    """Objects of class Counter in the state beside `project`."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.layout = StateLayout(project / ".durable" / "state")
        with StateDatabase(self.layout.state_file) as state:
            self.key = state.namespaces(None)[0].key
        self.layout.ensure_namespace(self.key)

    def id(self, name: str) -> str:
        return id_from_name(self.key, name)

    def path(self, name: str) -> Path:
        return self.layout.object_file(self.key, self.id(name))

    def store(self, path: Path) -> ActorStore:
        return ActorStore(path, clock=SystemClock(), on_first_write=lambda: None, keep_days=30)

    def make(self, name: str, alarm_ms: int | None = None, **values: Any) -> None:
        store = self.store(self.path(name))
        store.kv.put_many(values)
        if alarm_ms is not None:
            store.alarm.set(alarm_ms)
        store.commit()
        store.recovery.note_commit()
        store.close()
        self._put(IndexRow(self.path(name).stem, name, MADE_MS, MADE_MS, alarm_ms))

    def lose(self, name: str) -> None:
        """All files of an object that is in the index."""
        path = self.path(name)
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        shutil.rmtree(path.with_suffix(".history"), ignore_errors=True)

    def _put(self, row: IndexRow) -> None:
        index = NamespaceIndex(self.layout.index_file(self.key))
        index.put_many([row])
        index.close()

    def row(self, name: str) -> IndexRow | None:
        index = NamespaceIndex(self.layout.index_file(self.key))
        try:
            return index.get(self.path(name).stem)
        finally:
            index.close()

    def values(self, name: str) -> dict[str, Any] | None:
        path = self.path(name)
        if not path.exists() and not Path(f"{path}-restoring").exists():
            return None
        store = self.store(path)
        try:
            return store.kv.list()
        finally:
            store.close()

    def image(self, alarm_ms: int | None = None, **values: Any) -> Path:
        source = self.project / "source" / ("cd" * 32 + ".sqlite")
        store = ActorStore(source, clock=SystemClock(), on_first_write=lambda: None)
        store.kv.put_many(values)
        if alarm_ms is not None:
            store.alarm.set(alarm_ms)
        store.commit()
        copy_image(store, self.project / "image")
        store.close()
        shutil.rmtree(source.parent)
        return self.project / "image"


@pytest.fixture
def stored(typed, project: Path) -> Stored:
    assert typed("migrate").code == 0
    stored = Stored(project)
    stored.make("home", n=1)
    return stored


def through_door(work: Callable[[DataDoor], Any]) -> Any:
    return with_door(load_project(None, None, None), "a test", work)


def test_finding_tells_who_is_meant_and_makes_nobody(stored: Stored) -> None:
    before = sorted(stored.layout.state.rglob("*"))

    by_id = Target("Counter", id=stored.id("home"))
    found = through_door(lambda door: [door.find(HOME), door.find(NEW), door.find(by_id)])

    assert [(each.name, each.is_known, each.id) for each in found] == [
        ("home", True, stored.id("home")), ("new", False, stored.id("new")), ("home", True, stored.id("home")),
    ]  # fmt: skip
    assert {(each.class_name, each.namespace) for each in found} == {("Counter", stored.key)}
    assert sorted(stored.layout.state.rglob("*")) == before
    with pytest.raises(NotFoundError, match='no class or binding "Counters"'):
        through_door(lambda door: door.find(Target("Counters", "home")))
    with pytest.raises(UserInputError, match="64 hex digits"):
        through_door(lambda door: door.find(Target("Counter", id="xyz")))


def test_a_copy_can_replace_its_object_and_make_another(stored: Stored, project: Path) -> None:
    def work(door: DataDoor) -> Any:
        size = door.copy(HOME, project / "copy")
        return size, door.replace(NEW, project / "copy", create=True), door.class_names(), door.is_running

    size, answer, names, is_running = through_door(work)

    assert size == (project / "copy").stat().st_size
    assert answer == {"undo": None, "bytes": size, "alarm_ms": None, "created": True}
    assert (names, is_running) == (["Counter"], False)
    assert stored.values("new") == {"n": 1}
    row = stored.row("new")
    assert row is not None
    assert (row.name, row.alarm_ms) == ("new", None)
    assert [each.name for each in through_door(lambda door: door.list(ListQuery("Counter"))).objects] == ["home", "new"]


def test_a_replaced_object_keeps_its_row_and_has_the_alarm_of_the_image(stored: Stored) -> None:
    image = stored.image(ALARM_MS, n=2)
    answer = through_door(lambda door: door.replace(HOME, image, create=False))
    assert (answer["alarm_ms"], answer["created"]) == (ALARM_MS, False)
    assert stored.values("home") == {"n": 2}
    row = stored.row("home")
    assert row is not None
    assert (row.name, row.created_ms, row.alarm_ms) == ("home", MADE_MS, ALARM_MS)

    image = stored.image(None, n=3)
    through_door(lambda door: door.replace(HOME, image, create=False))
    row = stored.row("home")
    assert row is not None
    assert row.alarm_ms is None


def test_what_was_replaced_or_deleted_can_be_brought_back(typed, stored: Stored) -> None:
    image = stored.image(None, n=2)
    replaced = through_door(lambda door: door.replace(HOME, image, create=True))
    deleted = through_door(lambda door: door.delete(HOME))
    assert stored.values("home") is None
    assert stored.row("home") is None

    assert typed("objects", "restore", "Counter", "home", "--at", deleted["undo"]).code == 0
    assert stored.values("home") == {"n": 2}
    assert stored.row("home") is not None
    assert typed("objects", "restore", "Counter", "home", "--at", replaced["undo"]).code == 0
    assert stored.values("home") == {"n": 1}


def test_without_history_nothing_brings_it_back(stored: Stored, project: Path) -> None:
    (project / "durable.toml").write_text((project / "durable.toml").read_text() + "\n[dev]\npitr_days = 0\n")
    image = stored.image(None, n=2)
    answer = through_door(lambda door: (door.replace(HOME, image, create=False), door.delete(HOME)))
    assert [each["undo"] for each in answer] == [None, None]
    assert stored.values("home") is None


def test_an_object_that_is_not_there_is_neither_copied_nor_replaced_nor_deleted(stored: Stored, project: Path) -> None:
    image = stored.image(None, n=2)
    before = sorted(stored.layout.state.rglob("*"))
    for work in (
        lambda door: door.copy(NEW, project / "copy"),
        lambda door: door.replace(NEW, image, create=False),
        lambda door: door.delete(NEW),
    ):
        with pytest.raises(NotFoundError, match='no such object: COUNTERS "new"') as caught:
            through_door(work)
        assert caught.value.fix == "COUNTERS has home."
    assert sorted(stored.layout.state.rglob("*")) == before
    assert not (project / "copy").exists()


def test_a_file_that_is_no_image_makes_nobody(stored: Stored, project: Path) -> None:
    (project / "text").write_text("no database")

    def attempt(target: Target) -> None:
        with pytest.raises(UserInputError, match="does not begin like a database"):
            through_door(lambda door: door.replace(target, project / "text", create=True))

    attempt(HOME)
    attempt(NEW)
    assert stored.values("home") == {"n": 1}
    assert stored.row("new") is None
    assert not [path for path in stored.layout.state.rglob("*") if path.name.startswith(stored.id("new"))]


def test_an_object_whose_file_is_lost_can_be_replaced_and_deleted(stored: Stored) -> None:
    image = stored.image(None, n=2)
    stored.lose("home")
    with pytest.raises(StorageError, match="is missing, although its object was stored in it"):
        through_door(lambda door: door.copy(HOME, stored.project / "copy"))
    through_door(lambda door: door.replace(HOME, image, create=False))
    assert stored.values("home") == {"n": 2}
    stored.lose("home")
    assert through_door(lambda door: door.delete(HOME)) == {"undo": None}
    assert stored.row("home") is None


def test_many_objects_are_moved_at_once_and_each_answers_for_itself(stored: Stored) -> None:
    image = stored.image(ALARM_MS, n=2)
    targets = [Target("Counter", f"o{number}") for number in range(40)]

    def work(door: DataDoor) -> list[tuple[Target, Any]]:
        made = list(each_in_parallel(lambda target: door.replace(target, image, create=True), targets))
        assert all(isinstance(answer, dict) and answer["created"] for _, answer in made)
        return list(each_in_parallel(door.delete, [*targets[:30], NEW]))

    gone = through_door(work)

    assert [target for target, _ in gone] == [*targets[:30], NEW]
    assert [type(answer) for _, answer in gone] == [dict] * 30 + [NotFoundError]
    assert [stored.values(f"o{number}") for number in (0, 29, 30, 39)] == [None, None, {"n": 2}, {"n": 2}]
    listed = through_door(lambda door: door.list(ListQuery("Counter")))
    assert len(listed.objects) == 11
    assert all(each.alarm_ms == ALARM_MS for each in listed.objects if each.name != "home")


def test_whoever_stops_early_ends_the_rest(stored: Stored) -> None:
    begun: list[int] = []
    answers = each_in_parallel(begun.append, range(1000))
    next(answers)
    answers.close()
    assert len(begun) < 100


class _Leaving(Client):
    """An emulator that answers once and is gone then."""

    def __init__(self) -> None:
        super().__init__(RunningEmulator(1, "http://127.0.0.1:1", "token"))
        self.asked = 0

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        self.asked += 1
        if self.asked > 1:
            raise NotRunningError("no emulator answers")
        return {"undo": None}


def test_an_emulator_that_goes_away_ends_the_command_which_is_not_done_again_on_files(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, calls = _Leaving(), list[int]()

    def as_running(project: Any, what: str, *, on_emulator: Callable[[Client], Any], **_: Any) -> Any:
        return on_emulator(client)

    def work(door: DataDoor) -> None:
        calls.append(1)
        door.delete(HOME)
        door.delete(NEW)

    monkeypatch.setattr(door_module, "with_state", as_running)
    with pytest.raises(UserInputError, match="the emulator went away") as caught:
        through_door(work)
    assert not isinstance(caught.value, NotRunningError)
    assert calls == [1]


class _Killed(BaseException):
    pass


def killed(point: str, work: Callable[[DataDoor], Any]) -> None:
    def die() -> None:
        raise _Killed

    with failpoints.arm(point, die), pytest.raises(_Killed):
        through_door(work)


@pytest.mark.parametrize("point", CRASHES)
def test_a_crash_in_making_an_object_leaves_it_whole_or_nothing_stored(stored: Stored, point: str) -> None:
    image = stored.image(ALARM_MS, n=2)
    killed(point, lambda door: door.replace(NEW, image, create=True))

    decided = CRASHES.index(point) >= CRASHES.index("restore.decided")
    left = stored.values("new")
    assert left == {"n": 2} if decided else not left
    if decided:
        row = stored.row("new")
        assert row is not None
        assert row.alarm_ms == ALARM_MS
    # Whatever was left, the same again succeeds.
    answer = through_door(lambda door: door.replace(NEW, image, create=True))
    assert answer["created"] is not decided
    assert stored.values("new") == {"n": 2}


@pytest.mark.parametrize("point", ["replace.built", "restore.decided", "restore.draft_renamed", "door.emptied"])
def test_a_crash_in_deleting_an_object_leaves_it_whole_or_nothing_stored(stored: Stored, point: str) -> None:
    killed(point, lambda door: door.delete(HOME))
    assert stored.values("home") == ({"n": 1} if point == "replace.built" else {})
    through_door(lambda door: door.delete(HOME))
    assert (stored.values("home"), stored.row("home")) == (None, None)

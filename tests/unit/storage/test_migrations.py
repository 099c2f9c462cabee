"""Configured migrations against recorded state."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.config import Location, Migration, RenamedClass, TransferredClass
from durable.errors import MigrationError
from durable.storage import migrations
from durable.storage.layout import StateLayout, is_namespace_key
from durable.storage.migration_plan import CreateClass, DeleteClass, MigrationPlan, RenameClass, Step
from durable.storage.migrations import apply_plan, finish_deletions, plan
from durable.storage.state_db import NamespaceRow, StateDatabase


def entry(
    tag: str,
    *,
    new: tuple[str, ...] = (),
    legacy: tuple[str, ...] = (),
    renamed: tuple[tuple[str, str], ...] = (),
    deleted: tuple[str, ...] = (),
    transferred: tuple[TransferredClass, ...] = (),
    line: int = 1,
) -> Migration:
    renames = tuple(RenamedClass(source, target) for source, target in renamed)
    return Migration(tag, new, legacy, renames, deleted, transferred, Location("durable.toml", line, 7))


def existing(*names: str, sqlite: bool = True) -> list[NamespaceRow]:
    return [NamespaceRow(f"{name}-00000000", name, sqlite, None, 0) for name in names]


def steps(made: MigrationPlan) -> list[Step]:
    return list(made.steps())


# --- planning ---------------------------------------------------------------------------------------------------------
def test_from_nothing_every_entry_is_planned_in_order() -> None:
    made = plan([entry("v1", new=("A", "B")), entry("v2", renamed=(("A", "C"),)), entry("v3", deleted=("B",))], [], [])
    assert [migration.tag for migration in made.migrations] == ["v1", "v2", "v3"]
    assert steps(made) == [CreateClass("A", True), CreateClass("B", True), RenameClass("A", "C"), DeleteClass("B")]
    assert (made.applied, made.only_adds, made.destructive, made.is_empty) == ((), False, True, False)


def test_only_what_comes_after_the_applied_entries_is_planned() -> None:
    made = plan([entry("v1", new=("A",)), entry("v2", legacy=("B",))], ["v1"], existing("A"))
    assert steps(made) == [CreateClass("B", False)]
    assert (made.applied, made.only_adds, made.destructive) == (("v1",), True, False)


def test_nothing_to_do_is_an_empty_plan() -> None:
    made = plan([entry("v1", new=("A",))], ["v1"], existing("A"))
    assert (made.is_empty, made.only_adds, made.destructive) == (True, True, False)
    assert (made.describe(), made.to_json()) == ([], [])


def test_an_edited_entry_that_is_applied_changes_nothing() -> None:
    assert plan([entry("v1", new=("A", "Added"))], ["v1"], existing("A")).is_empty


def test_within_an_entry_deletions_come_first_then_renames_then_new_classes() -> None:
    made = plan([entry("v1", new=("A",), legacy=("D",), renamed=(("A", "B"),), deleted=("B",))], [], existing("A", "B"))
    assert steps(made) == [DeleteClass("B"), RenameClass("A", "B"), CreateClass("D", False), CreateClass("A", True)]


def test_a_plan_is_readable_by_people_and_by_programs() -> None:
    made = plan(
        [entry("v1", new=("A",)), entry("v2"), entry("v3", renamed=(("A", "B"),)), entry("v4", deleted=("B",))], [], []
    )
    assert made.describe() == [
        "v1: create class A",
        "v2: nothing to do",
        "v3: rename class A to B, with its objects and their data",
        "v4: delete class B with all its objects; their data moves to the folder deleted",
    ]
    assert made.to_json() == [
        {"tag": "v1", "steps": [{"step": "create_class", "class": "A", "sqlite": True}]},
        {"tag": "v2", "steps": []},
        {"tag": "v3", "steps": [{"step": "rename_class", "from": "A", "to": "B"}]},
        {"tag": "v4", "steps": [{"step": "delete_class", "class": "B"}]},
    ]


@pytest.mark.parametrize(
    ("configured", "applied", "classes", "message", "fix"),
    [
        pytest.param(
            [entry("v1"), entry("rename-rooms")],
            ["v1", "rename-room"],
            [],
            'the migration "rename-room" was applied to this state, but the configuration no longer has it. '
            'An applied entry stays in the file, with its tag. Did you mean "rename-rooms"?',
            "put the entry back, or use a fresh state with --persist-to DIR",
            id="unknown applied tag",
        ),
        pytest.param(
            [],
            ["v1"],
            [],
            'the migration "v1" was applied to this state, but the configuration no longer has it. '
            "An applied entry stays in the file, with its tag.",
            "put the entry back, or use a fresh state with --persist-to DIR",
            id="all entries gone",
        ),
        pytest.param(
            [entry("v2", line=3), entry("v1", line=5)],
            ["v1", "v2"],
            [],
            'durable.toml:3:7: the migration "v1" was applied before "v2", and now stands behind it',
            "bring the entries back into the order they were applied in",
            id="reordered",
        ),
        pytest.param(
            [entry("v1", line=1), entry("v1b", line=3), entry("v2", line=5)],
            ["v1", "v2"],
            [],
            'durable.toml:3:7: the new migration "v1b" stands before "v2", which is already applied',
            'move "v1b" to the end',
            id="inserted",
        ),
        pytest.param(
            [entry("v1", renamed=(("Rooms", "Hall"),))],
            [],
            ["Room", "User"],
            'durable.toml:1:7: migration "v1" renames Rooms, but there is no such class. Did you mean "Room"?',
            "the classes that exist at this point: Room, User",
            id="rename of a missing class",
        ),
        pytest.param(
            [entry("v1", renamed=(("A", "B"),))],
            [],
            ["A", "B"],
            'durable.toml:1:7: migration "v1" renames A to B, but B exists already; its objects would be in the way',
            "take B out of the new classes of an entry that is not applied yet, or delete it first",
            id="rename onto a class",
        ),
        pytest.param(
            [entry("v1", new=("B",)), entry("v2", renamed=(("A", "B"),), line=4)],
            [],
            ["A"],
            'durable.toml:4:7: migration "v2" renames A to B, but B exists already (created by "v1"); '
            "its objects would be in the way",
            "take B out of the new classes of an entry that is not applied yet, or delete it first",
            id="rename onto a class created before",
        ),
        pytest.param(
            [entry("v1", deleted=("Xyz",))],
            [],
            [],
            'durable.toml:1:7: migration "v1" deletes Xyz, but there is no such class.',
            "the classes that exist at this point: none",
            id="deletion of a missing class",
        ),
        pytest.param(
            [entry("v1", new=("A",))],
            [],
            ["A"],
            'durable.toml:1:7: migration "v1" creates A, which exists already',
            "take A out of new_sqlite_classes",
            id="new of an existing class",
        ),
        pytest.param(
            [entry("v1", renamed=(("A", "B"),)), entry("v2", new=("B",))],
            [],
            ["A"],
            'durable.toml:1:7: migration "v2" creates B, which exists already (renamed from A by "v1")',
            "take B out of new_sqlite_classes",
            id="new of a renamed class",
        ),
        pytest.param(
            [entry("v1", legacy=("A",))],
            [],
            ["A"],
            'durable.toml:1:7: migration "v1" creates A, which exists already; '
            "a class cannot be changed from one kind of storage to the other",
            "delete A in one entry and create it in the next; its data does not come along",
            id="change of the kind of storage",
        ),
        pytest.param(
            [entry("v1", transferred=(TransferredClass("Log", "audit", "AuditLog"),), line=9)],
            [],
            [],
            'durable.toml:9:7: migration "v1" transfers Log from the worker audit; '
            "transfers between workers come with a later version",
            "take transferred_classes out of it; a new AuditLog starts without data",
            id="transfer",
        ),
    ],
)
def test_what_cannot_be_applied_is_refused_with_its_place(
    configured: list[Migration], applied: list[str], classes: list[str], message: str, fix: str
) -> None:
    with pytest.raises(MigrationError) as caught:
        plan(configured, applied, existing(*classes))
    assert str(caught.value) == message
    assert caught.value.fix == fix


def test_an_applied_transfer_is_history_and_in_nobodys_way() -> None:
    assert plan([entry("v1", transferred=(TransferredClass("A", "b", "C"),))], ["v1"], []).is_empty


# --- applying ---------------------------------------------------------------------------------------------------------
class State:
    """A state directory with its database, on a clock and a random source of the test's."""

    def __init__(self, state: Path) -> None:
        self.layout = StateLayout(state)
        self.layout.ensure()
        self.database = StateDatabase(self.layout.state_file)
        self.clock = ManualClock()
        self.random = random.Random(1)

    def plan(self, *entries: Migration, environment: str | None = None) -> MigrationPlan:
        return plan(entries, self.database.applied_tags(environment), self.database.namespaces(environment))

    def apply(self, *entries: Migration, environment: str | None = None) -> None:
        apply_plan(
            self.plan(*entries, environment=environment),
            self.database,
            self.layout,
            environment=environment,
            clock=self.clock,
            source=self.random,
        )

    def key(self, class_name: str) -> str:
        return next(row.key for row in self.database.namespaces(None) if row.class_name == class_name)

    def store(self, class_name: str, text: str) -> Path:
        file = self.layout.object_file(self.key(class_name), "ab" * 32)
        self.layout.ensure_object_folder(self.key(class_name), "ab" * 32)
        file.write_text(text)
        return file


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(tmp_path / "state")
    yield made
    made.database.close()


V1 = entry("v1", new=("Room", "User"))
V2 = entry("v2", renamed=(("Room", "ChatRoom"),))
V3 = entry("v3", deleted=("ChatRoom",))


def test_a_namespace_key_is_the_class_name_and_twelve_random_digits(state: State) -> None:
    state.apply(V1)
    key = state.key("Room")
    assert is_namespace_key(key)
    assert key.startswith("Room-")
    assert len(key) == len("Room-") + 12
    assert key.removeprefix("Room-") != state.key("User").removeprefix("User-")


def test_applying_twice_does_nothing_the_second_time(state: State) -> None:
    state.apply(V1)
    before = state.database.namespaces(None)
    state.apply(V1)
    assert state.database.namespaces(None) == before
    assert state.database.applied_tags(None) == ["v1"]


def test_a_renamed_class_keeps_its_files_where_they_are(state: State) -> None:
    state.apply(V1)
    key, file = state.key("Room"), state.store("Room", "data")
    state.apply(V1, V2)
    assert state.key("ChatRoom") == key
    assert file.read_text() == "data"


def test_the_data_of_a_deleted_class_is_put_aside_with_the_time(state: State, tmp_path: Path) -> None:
    state.apply(V1)
    file = state.store("Room", "data")
    key = state.key("Room")
    state.apply(V1, V2, V3)
    aside = tmp_path / "deleted" / f"{key}-20231114T221320Z"
    assert (aside / "ab" / file.name).read_text() == "data"
    assert not (tmp_path / "state" / key).exists()
    assert [row.class_name for row in state.database.namespaces(None)] == ["User"]
    assert state.database.unmoved_deletions() == []


def test_a_deleted_class_that_never_had_an_object_leaves_nothing_aside(state: State, tmp_path: Path) -> None:
    state.apply(V1, V2, V3)
    assert not (tmp_path / "deleted").exists()
    assert state.database.unmoved_deletions() == []


def test_a_class_that_is_created_anew_starts_in_a_new_folder(state: State) -> None:
    state.apply(V1)
    first = state.key("User")
    state.apply(V1, entry("v2", deleted=("User",)), entry("v3", new=("User",)))
    assert state.key("User") != first


def test_environments_are_migrated_apart(state: State) -> None:
    state.apply(V1)
    state.apply(V1, V2, environment="staging")
    assert state.database.applied_tags(None) == ["v1"]
    assert state.database.applied_tags("staging") == ["v1", "v2"]


def test_a_crash_between_the_record_and_the_move_is_finished_at_the_next_start(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.apply(V1, V2)
    state.store("ChatRoom", "data")
    key = state.key("ChatRoom")

    def die(source: object, target: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rename", die)
        state.apply(V1, V2, V3)
    assert (tmp_path / "state" / key).exists()
    state.database.close()

    state.database = StateDatabase(state.layout.state_file)
    assert state.database.applied_tags(None) == ["v1", "v2", "v3"]
    aside = tmp_path / "deleted" / f"{key}-20231114T221320Z"
    state.clock.advance(3600)
    assert finish_deletions(state.database, state.layout) == [aside]
    assert (aside / "ab" / f"{'ab' * 32}.sqlite").read_text() == "data"
    assert finish_deletions(state.database, state.layout) == []


def test_a_crash_between_the_move_and_its_record_is_finished_too(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.apply(V1, V2)
    state.store("ChatRoom", "data")

    def die(database: StateDatabase, key: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StateDatabase, "mark_moved", die)
        state.apply(V1, V2, V3)
    assert finish_deletions(state.database, state.layout) == []
    assert state.database.unmoved_deletions() == []
    assert len(list((tmp_path / "deleted").iterdir())) == 1


def test_the_next_apply_finishes_what_an_earlier_one_left(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.apply(V1, V2)
    state.store("ChatRoom", "data")
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "finish_deletions", lambda *_: [])
        state.apply(V1, V2, V3)
    assert not (tmp_path / "deleted").exists()
    state.apply(V1, V2, V3, entry("v4", new=("More",)))
    assert len(list((tmp_path / "deleted").iterdir())) == 1


@pytest.mark.parametrize("dies_at", ["nowhere", "copying", "naming", "removing"])
def test_a_state_on_another_file_system_is_copied_and_only_then_removed(
    dies_at: str, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.apply(V1, V2)
    file = state.store("ChatRoom", "data")
    key, rename = state.key("ChatRoom"), os.rename
    source, aside = tmp_path / "state" / key, tmp_path / "deleted" / f"{key}-20231114T221320Z"

    def across(old: Path, new: Path) -> None:
        if old == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(old, new)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def die_naming(old: Path, new: Path) -> None:
        across(old, new)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", across)
    if dies_at == "nowhere":
        state.apply(V1, V2, V3)
    else:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            module, name, replacement = {
                "copying": (shutil, "copyfile", die),
                "naming": (os, "rename", die_naming),
                "removing": (shutil, "rmtree", die),
            }[dies_at]
            patch.setattr(module, name, replacement)
            state.apply(V1, V2, V3)
        assert file.read_text() == "data"
    finish_deletions(state.database, state.layout)
    assert not source.exists()
    assert list((tmp_path / "deleted").iterdir()) == [aside]
    assert (aside / "ab" / file.name).read_text() == "data"

"""Configured migrations against recorded state."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from durable import config
from durable.clock import ManualClock
from durable.config import Location, Migration, RenamedClass, TransferredClass
from durable.errors import MigrationError
from durable.storage.class_life import applying
from durable.storage.class_life.applying import apply_plan, finish
from durable.storage.class_life.declared import declared_by, digest_of
from durable.storage.class_life.donors import donors_of
from durable.storage.class_life.planning import pending_of
from durable.storage.class_life.planning import plan as plan_of
from durable.storage.class_life.transfer import Donor
from durable.storage.layout import StateLayout, is_namespace_key
from durable.storage.migration_plan import CreateClass, DeleteClass, MigrationPlan, RenameClass, Step, TransferClass
from durable.storage.state_db import AppliedMigration, NamespaceRow, StateDatabase


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


def plan(
    configured: Sequence[Migration],
    applied: Sequence[str | Migration],
    namespaces: Sequence[NamespaceRow],
) -> MigrationPlan:
    """`applied` are entries as they were, or the tags of those that nobody edited since."""
    by_tag = {each.tag: each for each in configured}
    return plan_of(configured, [recorded(each, by_tag) for each in applied], namespaces)


def recorded(each: str | Migration, configured: Mapping[str, Migration]) -> AppliedMigration:
    then = configured.get(each, entry(each)) if isinstance(each, str) else each
    declared = declared_by(then)
    return AppliedMigration(then.tag, 0, 0, [], declared, digest_of(declared))


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


def test_another_order_of_classes_in_an_applied_entry_is_no_change() -> None:
    assert plan([entry("v1", new=("B", "A"))], [entry("v1", new=("A", "B"))], existing("A", "B")).is_empty


def test_an_applied_entry_that_was_edited_is_explained_and_never_applied_again() -> None:
    with pytest.raises(MigrationError) as caught:
        plan([entry("v1", new=("A", "Added")), entry("v2", line=5)], [entry("v1", new=("A",))], existing("A"))
    assert str(caught.value) == (
        'durable.toml:1:7: the migration "v1" was edited after it was applied: '
        'new_sqlite_classes had ["A"] and has ["A", "Added"] now. An applied entry is never applied again'
    )
    assert caught.value.fix == (
        'put it back as it was, and add:\n[[migrations]]\ntag = "v3"\nnew_sqlite_classes = ["Added"]'
    )


def test_an_applied_entry_that_lost_something_is_to_be_put_back() -> None:
    then = entry("v2", renamed=(("A", "B"),), deleted=("C",))
    with pytest.raises(MigrationError) as caught:
        plan([entry("v2", renamed=(("A", "B"),))], [then], existing("B"))
    assert 'deleted_classes had ["C"] and has nothing now' in str(caught.value)
    assert caught.value.fix == "put it back as it was"


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
            ["AuditLog"],
            'durable.toml:9:7: migration "v1" transfers Log from the worker audit to AuditLog, but AuditLog exists '
            "already; its objects would be in the way",
            "take AuditLog out of the new classes of an entry that is not applied yet, or delete it first",
            id="transfer onto a class",
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
        applied = self.database.applied_migrations(environment)
        return plan_of(entries, applied, self.database.namespaces(environment))

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
    assert state.database.unfinished_moves() == []


def test_a_deleted_class_that_never_had_an_object_leaves_nothing_aside(state: State, tmp_path: Path) -> None:
    state.apply(V1, V2, V3)
    assert not (tmp_path / "deleted").exists()
    assert state.database.unfinished_moves() == []


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
    assert finish(state.database, state.layout) == [aside]
    assert (aside / "ab" / f"{'ab' * 32}.sqlite").read_text() == "data"
    assert finish(state.database, state.layout) == []


def test_a_crash_between_the_move_and_its_record_is_finished_too(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.apply(V1, V2)
    state.store("ChatRoom", "data")

    def die(database: StateDatabase, move: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StateDatabase, "finish_move", die)
        state.apply(V1, V2, V3)
    assert finish(state.database, state.layout) == []
    assert state.database.unfinished_moves() == []
    assert len(list((tmp_path / "deleted").iterdir())) == 1


def test_the_next_apply_finishes_what_an_earlier_one_left(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.apply(V1, V2)
    state.store("ChatRoom", "data")
    with monkeypatch.context() as patch:
        patch.setattr(applying, "finish_moves", lambda *_: [])
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
    finish(state.database, state.layout)
    assert not source.exists()
    assert list((tmp_path / "deleted").iterdir()) == [aside]
    assert (aside / "ab" / file.name).read_text() == "data"


# --- from elsewhere ---------------------------------------------------------------------------------------------------
def project(folder: Path, text: str) -> config.Config:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").touch()
    (folder / "durable.toml").write_text('main = "main.py"\n' + text)
    return config.load(folder / "durable.toml")


def test_an_environment_gives_its_class_to_another_without_leaving_the_state(state: State, tmp_path: Path) -> None:
    found = project(tmp_path / "app", 'name = "app"\n[env.staging]\nvars = {}\n')
    state.apply(entry("v1", new=("Log",)), environment="staging")
    (row,) = state.database.namespaces("staging")
    moved = entry("v1", transferred=(TransferredClass("Log", "app-staging", "Diary"),))
    find_donor = donors_of(found, state.layout.state, None)
    apply_plan(
        state.plan(moved), state.database, state.layout, environment=None, clock=state.clock, source=state.random,
        find_donor=find_donor,
    )  # fmt: skip
    assert state.database.namespaces("staging") == []
    assert state.database.namespaces(None) == [NamespaceRow(row.key, "Diary", True, None, row.created_ms)]
    assert (state.database.unfinished_moves(), state.database.unfinished_runs()) == ([], [])


def test_the_project_of_another_worker_is_found_beside_this_one_or_where_it_is_said_to_be(tmp_path: Path) -> None:
    found = project(tmp_path / "app", 'name = "app"\n')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "durable.toml").write_text("main = \n")
    project(tmp_path / "audit", 'name = "audit"\n[env.prod]\nvars = {}\n')
    project(tmp_path / "far" / "away", 'name = "login"\n')
    own = tmp_path / "app" / ".durable" / "state"

    def look(script: str, folder: Path | None = None) -> Donor:
        return donors_of(found, own, folder)(TransferClass("Log", script, "Log"))

    assert look("audit") == Donor(tmp_path / "audit" / ".durable" / "state", None)
    assert look("audit-prod") == Donor(tmp_path / "audit" / ".durable" / "state", "prod")
    assert look("login", tmp_path / "far" / "away") == Donor(tmp_path / "far" / "away" / ".durable" / "state", None)
    with pytest.raises(MigrationError) as caught:
        look("login")
    assert "it is not known where the worker login keeps its objects" in str(caught.value)
    with pytest.raises(MigrationError) as caught:
        look("login", tmp_path / "audit")
    assert str(caught.value) == (
        f"{tmp_path / 'audit'} is not the project of the worker login; its workers are audit, audit-prod"
    )
    with pytest.raises(MigrationError) as caught:
        look("app")
    assert str(caught.value) == "Log is to come from the worker app, which is this one"


def test_a_class_that_the_other_worker_does_not_have_is_refused_with_those_that_it_has(
    state: State, tmp_path: Path
) -> None:
    other = State(tmp_path / "other")
    other.apply(V1)
    other.database.close()
    moved = entry("v1", transferred=(TransferredClass("Log", "audit", "Log"),))
    with pytest.raises(MigrationError) as caught:
        apply_plan(
            state.plan(moved), state.database, state.layout, environment=None, clock=state.clock,
            source=state.random, find_donor=lambda _: Donor(other.layout.state, None),
        )  # fmt: skip
    assert str(caught.value) == f"the worker audit has no class Log in {other.layout.state}"
    assert caught.value.fix == "its classes: Room, User"
    assert state.database.applied_tags(None) == []


def test_a_class_may_go_and_come_back_between_two_states(state: State, tmp_path: Path) -> None:
    other = State(tmp_path / "other")
    state.apply(V1)
    state.store("Room", "data")
    key = state.key("Room")

    def take(into: State, source: State, tag: str, *before: Migration) -> None:
        source.database.close()
        moved = entry(tag, transferred=(TransferredClass("Room", "there", "Room"),))
        apply_plan(
            into.plan(*before, moved), into.database, into.layout, environment=None, clock=into.clock,
            source=into.random, find_donor=lambda _: Donor(source.layout.state, None),
        )  # fmt: skip
        source.database = StateDatabase(source.layout.state_file)

    take(other, state, "v1")
    assert other.key("Room") == key
    assert [row.class_name for row in state.database.namespaces(None)] == ["User"]
    take(state, other, "v2", V1)
    assert state.key("Room") == key
    assert state.layout.object_file(key, "ab" * 32).read_text() == "data"
    assert other.database.namespaces(None) == []
    other.database.close()


def test_what_the_configuration_cannot_mean_quotes_its_line(state: State, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = project(tmp_path, '[[migrations]]\ntag = "v1"\nrenamed_classes = [{ from = "Rome", to = "Hall" }]\n')
    with pytest.raises(MigrationError) as caught:
        pending_of(found, state.database)
    assert str(caught.value) == (
        'durable.toml:4:29: migration "v1" renames Rome, but there is no such class.\n'
        '    renamed_classes = [{ from = "Rome", to = "Hall" }]\n'
        "                                ^"
    )

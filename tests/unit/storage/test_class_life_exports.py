"""`exports` against recorded state: what is done, what is passed over, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable import config
from durable.config import Config
from durable.errors import MigrationError
from durable.storage.class_life.exported import plan_exports
from durable.storage.class_life.planning import pending_of
from durable.storage.migration_plan import CreateClass, DeleteClass, MigrationPlan, RenameClass, TransferClass
from durable.storage.state_db import NamespaceRow, StateDatabase

SQLITE = 'type = "durable-object", storage = "sqlite"'


def configured(folder: Path, *lines: str) -> Config:
    (folder / "main.py").touch()
    text = 'main = "main.py"\n[exports]\n' + "\n".join(f"{line}" for line in lines) + "\n"
    (folder / "durable.toml").write_text(text)
    return config.load(folder / "durable.toml")


def planned(found: Config, *existing: str, sqlite: bool = True) -> MigrationPlan:
    rows = [NamespaceRow(f"{name}-00000000", name, sqlite, None, 0) for name in existing]
    return plan_exports(found, [], rows)


def test_what_is_declared_and_missing_is_made_and_no_tag_is_recorded(tmp_path: Path) -> None:
    found = configured(tmp_path, f"Room = {{ {SQLITE} }}", 'Log = { type = "durable-object", storage = "legacy-kv" }')
    plan = planned(found)
    assert list(plan.steps()) == [CreateClass("Room", True), CreateClass("Log", False)]
    assert (plan.only_adds, plan.describe()) == (True, ["exports: create class Room", "exports: create class Log"])
    with StateDatabase(tmp_path / "state.sqlite") as state:
        keys = iter(["Room-00000001", "Log-00000002"])
        state.apply(None, plan, now_ms=1, make_key=lambda _: next(keys))
        assert state.applied_tags(None) == []
        assert pending_of(found, state).is_empty


def test_tombstones_of_what_is_gone_are_passed_over(tmp_path: Path) -> None:
    found = configured(
        tmp_path,
        f"Room = {{ {SQLITE} }}",
        'Old = { type = "durable-object", state = "renamed", renamed_to = "Room" }',
        'Gone = { type = "durable-object", state = "deleted" }',
        'Left = { type = "durable-object", state = "transferred", transferred_to = "audit" }',
    )
    assert planned(found, "Room").is_empty
    assert planned(found, "Room", "Left").is_empty  # the other worker has not come for it yet


def test_deletions_renames_transfers_and_new_classes_in_that_order(tmp_path: Path) -> None:
    found = configured(
        tmp_path,
        f"New = {{ {SQLITE} }}",
        'Here = { type = "durable-object", state = "expecting-transfer", storage = "sqlite", transfer_from = "far" }',
        'B = { type = "durable-object", state = "renamed", renamed_to = "C" }',
        'A = { type = "durable-object", state = "renamed", renamed_to = "B2" }',
        f"B2 = {{ {SQLITE} }}",
        f"C = {{ {SQLITE} }}",
        'Gone = { type = "durable-object", state = "deleted" }',
    )
    assert list(planned(found, "A", "B", "Gone").steps()) == [
        DeleteClass("Gone"),
        RenameClass("B", "C"),
        RenameClass("A", "B2"),
        TransferClass("Here", "far", "Here", True),
        CreateClass("New", True),
    ]


@pytest.mark.parametrize(
    ("lines", "existing", "message", "fix"),
    [
        (
            [f"Rooms = {{ {SQLITE} }}"],
            ["Room"],
            'durable.toml:3:1: the class Room exists, and exports says nothing of it. Did you mean "Rooms"?',
            'declare it, or say what became of it: state = "deleted", or state = "renamed" for Room',
        ),
        (
            ['Room = { type = "durable-object", storage = "legacy-kv" }'],
            ["Room"],
            'durable.toml:3:1: Room is stored as "sqlite", and exports declares "legacy-kv"; '
            "a class cannot be changed from one kind of storage to the other",
            'storage = "sqlite", or delete Room first; its data does not come along',
        ),
        (
            ['Old = { type = "durable-object", state = "renamed", renamed_to = "Room" }'],
            ["Old"],
            "durable.toml:3:1: exports renames Old to Room, and does not declare Room",
            'add Room: type "durable-object", storage "sqlite"',
        ),
        (
            [
                'Old = { type = "durable-object", state = "renamed", renamed_to = "Room" }',
                f"Room = {{ {SQLITE} }}",
            ],
            ["Old", "Room"],
            "durable.toml:3:1: exports renames Old to Room, but Room exists already; its objects would be in the way",
            "delete Room first, or keep both classes",
        ),
    ],
)
def test_what_does_not_fit_the_state_is_refused_with_its_line(
    lines: list[str], existing: list[str], message: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MigrationError) as caught:
        planned(configured(tmp_path, *lines), *existing)
    assert str(caught.value) == f"{message}\n    {lines[0]}\n    ^"
    assert caught.value.fix == fix

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import StateInUseError
from durable.storage.layout import StateLayout
from durable.storage.lock import StateLock
from durable.storage.state_db import StateDatabase
from durable_cli import client

RENAME = """
[[migrations]]
tag = "v2"
renamed_classes = [{ from = "Counter", to = "Tally" }]
"""


def classes(project: Path) -> list[str]:
    with StateDatabase(StateLayout(project / ".durable" / "state").state_file) as state:
        return [row.class_name for row in state.namespaces(None)]


def test_apply_does_what_is_pending_and_then_nothing(typed, project: Path) -> None:
    first = typed("migrate")
    assert (first.code, first.out, first.err) == (0, "v1: create class Counter\n", "Applied v1.\n")
    second = typed("migrate", "apply")
    assert (second.code, second.out, second.err) == (0, "", "Nothing to do: v1 is applied.\n")
    assert classes(project) == ["Counter"]


@pytest.mark.parametrize("words", [("migrate", "status"), ("migrate", "--dry-run")])
def test_looking_changes_nothing_not_even_the_state_directory(typed, project: Path, words: tuple[str, ...]) -> None:
    result = typed(*words)
    assert (result.code, result.out) == (0, "v1: create class Counter\n")
    assert result.err == "Pending: v1. durable migrate applies it.\n"
    assert not (project / ".durable").exists()


def test_a_later_entry_is_applied_alone(typed, project: Path) -> None:
    typed("migrate")
    config = project / "durable.toml"
    config.write_text(config.read_text().replace('"Counter"', '"Tally"', 1) + RENAME)
    result = typed("migrate")
    assert result.out == "v2: rename class Counter to Tally, with its objects and their data\n"
    assert result.err == "Applied v2.\n"
    assert typed("migrate").err == "Nothing to do: v1, v2 are applied.\n"
    assert classes(project) == ["Tally"]


def test_json_is_one_document(typed, project: Path) -> None:
    pending = json.loads(typed("migrate", "status", "--json").out)
    step = {"step": "create_class", "class": "Counter", "sqlite": True}
    assert pending == {
        "environment": None,
        "applied": [],
        "steps": [{"tag": "v1", "steps": [step]}],
        "dry_run": True,
    }
    done = typed("migrate", "--json")
    assert json.loads(done.out)["applied"] == ["v1"]
    assert done.err == ""


def test_an_entry_that_cannot_be_applied_exits_with_2(typed, project: Path) -> None:
    typed("migrate")
    config = project / "durable.toml"
    config.write_text(config.read_text().replace('tag = "v1"', 'tag = "first"'))
    result = typed("migrate")
    assert result.code == 2
    assert 'the migration "v1" was applied to this state' in result.err


def test_a_state_that_somebody_holds_exits_with_4(typed, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_cli.project.IN_USE_TRIES", 1)
    with StateLock.acquire(project / ".durable" / "state", what="durable dev"):
        result = typed("migrate")
    assert result.code == 4
    assert "is in use by pid " in result.err
    assert "(durable dev, since " in result.err


def test_a_tool_that_waited_for_what_a_killed_emulator_left_does_not_wait_again(
    typed, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setattr("durable.storage.lock.LOCK_HOLDER_ENDS_SECONDS_MAX", 0.0)
    monkeypatch.setattr("durable_cli.project.IN_USE_PAUSE_SECONDS", 3600.0)
    with StateLock.acquire(project / ".durable" / "state", what="durable dev"):
        lock_file = project / ".durable" / "state" / ".lock"
        lock_file.write_text(json.dumps({**json.loads(lock_file.read_text()), "pid": ended.pid}))
        result = typed("migrate")
    assert result.code == 4
    assert "which has ended; a process that it started still runs" in result.err


def test_a_running_emulator_is_asked(typed, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder of the lock has left its address; what it answers is printed as if done here."""
    asked = []
    step = {"step": "create_class", "class": "Counter", "sqlite": True}

    def post(self: client.Client, path: str, body: dict[str, object]) -> dict[str, object]:
        asked.append((path, body))
        return {"applied": ["v1"], "steps": [{"tag": "v1", "steps": [step]}]}

    monkeypatch.setattr(client.Client, "post", post)
    monkeypatch.setattr(client.Client, "get", lambda *_: {"environment": None})
    with StateLock.acquire(project / ".durable" / "state", what="durable dev"):
        (project / ".durable" / "run").mkdir()
        address = {"pid": os.getpid(), "url": "http://127.0.0.1:1", "token": "t", "started_ms": 0}
        (project / ".durable" / "run" / "emulator.json").write_text(json.dumps(address))
        result = typed("migrate")
    assert asked == [("/__durable/migrate", {"dry_run": False})]
    assert (result.code, result.out, result.err) == (0, "v1: create class Counter\n", "Applied v1.\n")


def test_an_address_that_another_emulator_left_gets_no_token(
    typed, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_cli.project.IN_USE_TRIES", 1)
    monkeypatch.setattr(client.Client, "post", lambda *_: pytest.fail("the token was sent"))
    with StateLock.acquire(project / ".durable" / "state", what="durable dev"):
        (project / ".durable" / "run").mkdir()
        address = {"pid": 1, "url": "http://127.0.0.1:1", "token": "t", "started_ms": 0}
        (project / ".durable" / "run" / "emulator.json").write_text(json.dumps(address))
        assert typed("migrate").code == 4


def test_the_lock_is_free_afterwards(typed, project: Path) -> None:
    typed("migrate")
    try:
        StateLock.acquire(project / ".durable" / "state", what="test").release()
    except StateInUseError:
        pytest.fail("the lock was kept")


def test_persist_to_replaces_the_folder(typed, project: Path) -> None:
    assert typed("migrate", "--persist-to", "elsewhere").code == 0
    assert (project / "elsewhere" / "state" / "state.sqlite").is_file()
    assert not (project / ".durable").exists()


def test_environments_have_migrations_of_their_own(typed, project: Path) -> None:
    config = project / "durable.toml"
    binding = '[[env.staging.durable_objects.bindings]]\nname = "COUNTERS"\nclass_name = "Counter"\n'
    config.write_text(config.read_text() + "\n" + binding)
    typed("migrate")
    assert typed("migrate", "--env", "staging").out == "v1: create class Counter\n"
    unknown = typed("migrate", "--env", "production")
    assert unknown.code == 2
    assert 'there is no environment "production"' in unknown.err


def test_a_half_done_deletion_is_finished(typed, project: Path) -> None:
    from durable.config import Location
    from durable.storage.migration_plan import DeleteClass, MigrationPlan, PlannedMigration

    typed("migrate")
    layout = StateLayout(project / ".durable" / "state")
    with StateDatabase(layout.state_file) as state:
        key = state.namespaces(None)[0].key
        layout.ensure_namespace(key)
        location = Location("durable.toml", 1, 1)
        plan = MigrationPlan(
            ("v1",), (PlannedMigration("v2", (DeleteClass("Counter"),), location, {"deleted_classes": ["Counter"]}),)
        )
        state.apply(None, plan, now_ms=ManualClock().wall_ms(), make_key=str)
    config = project / "durable.toml"
    text = config.read_text().replace('[[durable_objects.bindings]]\nname = "COUNTERS"\nclass_name = "Counter"\n', "")
    config.write_text(text + '\n[[migrations]]\ntag = "v2"\ndeleted_classes = ["Counter"]\n')
    assert typed("migrate").err == "Nothing to do: v1, v2 are applied.\n"
    assert not layout.namespace_folder(key).exists()
    assert list(layout.deleted_folder.iterdir())


def test_an_emulator_of_another_environment_is_not_asked(typed, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.Client, "get", lambda *_: {"environment": "staging"})
    monkeypatch.setattr(client.Client, "post", lambda *_: pytest.fail("the wrong environment was asked"))
    with StateLock.acquire(project / ".durable" / "state", what="durable dev"):
        (project / ".durable" / "run").mkdir()
        address = {"pid": os.getpid(), "url": "http://127.0.0.1:1", "token": "t", "started_ms": 0}
        (project / ".durable" / "run" / "emulator.json").write_text(json.dumps(address))
        result = typed("migrate")
    assert result.code == 2
    assert result.err == (
        "error: the running emulator serves the environment staging, and none was asked for\n"
        "  fix: add --env staging, or stop it\n"
    )

"""`durable doctor` on files: what it says, what it ends with, what it mends; every fault: tests/unit/storage."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.lock import StateLock
from durable.storage.state_db import StateDatabase

START_MS = 1_769_860_800_000


class Stored:
    """A class Counter whose objects the test makes."""

    def __init__(self, project: Path) -> None:
        self.layout = StateLayout(project / ".durable" / "state")
        with StateDatabase(self.layout.state_file) as state:
            self.key = state.namespaces(None)[0].key
        self.layout.ensure_namespace(self.key)

    def path(self, name: str) -> Path:
        return self.layout.object_file(self.key, id_from_name(self.key, name))

    def make(self, *names: str, is_indexed: bool = True) -> None:
        for name in names:
            store = ActorStore(self.path(name), clock=ManualClock(START_MS), on_first_write=lambda: None)
            store.kv.put("n", 1)
            store.commit()
            store.close()
        self.index(*(names if is_indexed else ()))

    def index(self, *names: str) -> None:
        rows = [IndexRow(self.path(name).stem, name, START_MS, START_MS, None) for name in names]
        index = NamespaceIndex(self.layout.index_file(self.key))
        index.put_many(rows)
        index.close()


@pytest.fixture
def stored(typed, project: Path) -> Stored:
    assert typed("migrate").code == 0
    return Stored(project)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_what_is_well_is_said_in_one_line(typed, stored: Stored, count: int) -> None:
    stored.make(*(f"n{number}" for number in range(count)))

    result = typed("doctor")

    objects = f"{count} object{'s' * (count != 1)}"
    assert (result.code, result.out) == (0, "")
    assert result.err == f"looked at {objects} of 1 class: all is well\n"


def test_without_state_it_says_what_to_do_and_makes_no_folder(typed, project: Path) -> None:
    result = typed("doctor")

    assert (result.code, result.out) == (3, "")
    assert "nothing is stored yet" in result.err
    assert not (project / ".durable").exists()


def test_a_problem_is_told_with_what_it_means_and_what_to_do_and_the_command_ends_with_2(typed, stored: Stored) -> None:
    stored.make("home", "away")
    os.truncate(stored.path("home"), 0)

    result = typed("doctor")

    assert result.code == 2
    lines = result.out.splitlines()
    assert lines[0] == 'problem: Counter "home"'
    assert lines[1].endswith(f"{stored.path('home').name}")
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["file", "found", "means", "to do"]
    assert result.err == "looked at 2 objects of 1 class: 1 problem\n"


def test_fix_mends_what_is_safe_and_a_second_look_finds_nothing(typed, stored: Stored) -> None:
    stored.make("home", is_indexed=False)
    Path(f"{stored.path('home')}.new").touch(mode=0o600)

    assert typed("doctor").err.endswith("1 problem; durable doctor --fix mends 2\n")
    result = typed("doctor", "--fix")

    assert result.code == 0
    assert result.err == "looked at 1 object of 1 class: all is well, 2 mended\n"
    assert result.out.count("mended: Counter ") == 2
    assert typed("doctor").err == "looked at 1 object of 1 class: all is well\n"


def test_fix_keeps_a_copy_of_what_it_cannot_mend_and_says_where(typed, stored: Stored) -> None:
    stored.make("home")
    stored.path("home").write_bytes(b"rubbish" * 100)

    result = typed("doctor", "--fix")

    assert result.code == 2
    kept = next(line.split("a copy in ")[1] for line in result.out.splitlines() if line.strip().startswith("kept:"))
    assert Path(kept, stored.path("home").name).read_bytes() == b"rubbish" * 100
    assert stored.path("home").read_bytes() == b"rubbish" * 100


def test_json_is_one_document_with_every_finding(typed, stored: Stored) -> None:
    stored.make("home")
    stored.path("home").write_bytes(b"rubbish" * 100)

    result = typed("doctor", "--json")

    document = json.loads(result.out)
    [finding] = document.pop("findings")
    assert document == {
        "running": False, "classes": 1, "objects": 1, "problems": 1, "mended": 0, "fixable": 0, "truncated": False,
    }  # fmt: skip
    assert (finding["kind"], finding["class"], finding["name"]) == ("damaged", "Counter", "home")
    assert (finding["id"], finding["file"]) == (stored.path("home").stem, str(stored.path("home")))


def test_many_findings_of_one_kind_are_shown_in_part_and_counted(typed, stored: Stored) -> None:
    stored.make(*(f"n{number}" for number in range(15)), is_indexed=False)

    result = typed("doctor")

    assert result.out.count("problem: Counter ") == 10
    assert result.out.endswith("… and 5 more of this kind (unlisted); --json has them\n")
    assert "15 problems" in result.err


def test_more_findings_than_are_kept_are_counted_and_mended(
    typed, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_cli.doctor.CHECKUP_FINDINGS_MAX", 3)
    stored.make(*(f"n{number}" for number in range(5)), is_indexed=False)

    document = json.loads(typed("doctor", "--fix", "--json").out)

    assert (len(document["findings"]), document["truncated"], document["mended"]) == (3, True, 5)
    assert typed("doctor").code == 0


def test_control_characters_in_names_do_not_reach_the_terminal(typed, stored: Stored) -> None:
    stored.make("\x1b[2J\u202e")
    os.truncate(stored.path("\x1b[2J\u202e"), 0)
    (stored.path("\x1b[2J\u202e").parent / "\x1b]0;title\x07").touch(mode=0o600)

    result = typed("doctor")

    assert "\x1b" not in result.out + result.err
    assert "\u202e" not in result.out
    assert '"\\x1b[2J\\u202e"' in result.out


def test_what_cannot_be_mended_because_of_the_machine_is_told_and_stays_a_problem(
    typed, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.make("home")
    draft = Path(f"{stored.path('home')}.new")
    draft.touch(mode=0o600)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    result = typed("doctor", "--fix")

    assert "failed: " in result.out
    assert "Permission denied" in result.out
    assert draft.exists()


def test_a_lock_that_another_process_holds_ends_it_with_4_and_the_pid(
    typed, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_cli.project.IN_USE_TRIES", 1)
    with StateLock.acquire(stored.layout.state, what="a test"):
        result = typed("doctor")

    assert result.code == 4
    assert f"pid {os.getpid()} (a test" in result.err


@pytest.mark.parametrize("lose", [lambda path: path.write_bytes(b"rubbish" * 100), Path.unlink])
def test_what_it_says_to_do_about_a_damaged_object_with_history_brings_it_back(
    typed, stored: Stored, lose: Callable[[Path], object]
) -> None:
    path = stored.path("home")
    clock = ManualClock(START_MS)
    store = ActorStore(path, clock=clock, on_first_write=lambda: None, keep_days=30)
    for number in range(3):
        store.kv.put("n", number)
        store.commit()
        store.recovery.note_commit()
        clock.advance(60)
    store.close()
    stored.index("home")
    restored = typed("objects", "restore", "Counter", "home", "--at", "2026-01-31T12:00:30Z", "--json")
    lose(path)

    [finding] = json.loads(typed("doctor", "--json").out)["findings"]
    assert "move both away, and put back an earlier state from its history" in finding["remedy"]
    command = finding["remedy"].split("durable ")[1].split(";")[0].split()
    for part in ("", "-wal"):
        if Path(f"{path}{part}").exists():
            os.rename(f"{path}{part}", path.parents[4] / f"away{part}")
    again = typed(*[json.loads(restored.out)["undo"] if word == "TIME" else word for word in command])

    assert again.code == 0, again.err
    assert typed("doctor").code == 0
    store = ActorStore(path, clock=clock, on_first_write=lambda: None, keep_days=30)
    assert store.kv.get("n") == 2
    store.close()

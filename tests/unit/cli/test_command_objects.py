"""`durable objects restore` on files; the running emulator is asked in the acceptance tests."""

from __future__ import annotations

import json
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
    """Objects of class Counter with a few commits, a minute apart."""

    def __init__(self, project: Path) -> None:
        self.layout = StateLayout(project / ".durable" / "state")
        with StateDatabase(self.layout.state_file) as state:
            self.key = state.namespaces(None)[0].key
        self.layout.ensure_namespace(self.key)
        self.clock = ManualClock(START_MS)
        self.marks: list[str] = []

    def path(self, name: str) -> Path:
        return self.layout.object_file(self.key, id_from_name(self.key, name))

    def store(self, name: str, keep_days: int = 30) -> ActorStore:
        return ActorStore(self.path(name), clock=self.clock, on_first_write=lambda: None, keep_days=keep_days)

    def make(self, name: str, keep_days: int = 30) -> None:
        store = self.store(name, keep_days)
        for number in range(3):
            store.kv.put("n", number)
            store.alarm.set(START_MS + 10_000_000 * (3 - number))
            store.commit()
            store.recovery.note_commit()
            if keep_days:
                self.marks.append(store.recovery.bookmark())
            self.clock.advance(60)
        alarm = store.alarm.get()
        store.close()
        index = NamespaceIndex(self.layout.index_file(self.key))
        index.put_many([IndexRow(self.path(name).stem, name, START_MS, START_MS, alarm)])
        index.close()

    def value(self, name: str) -> int:
        store = self.store(name)
        try:
            return store.kv.get("n")
        finally:
            store.close()

    def row(self, name: str) -> IndexRow | None:
        index = NamespaceIndex(self.layout.index_file(self.key))
        try:
            return index.get(self.path(name).stem)
        finally:
            index.close()


@pytest.fixture
def stored(typed, project: Path) -> Stored:
    assert typed("migrate").code == 0
    stored = Stored(project)
    stored.make("home")
    return stored


def test_an_object_goes_back_to_a_moment_and_forth_again(typed, stored: Stored) -> None:
    result = typed("objects", "restore", "Counter", "home", "--at", "2026-01-31T12:01:30Z")
    assert (result.code, result.out) == (0, "")
    assert 'Counter "home" is as it was at 2026-01-31' in result.err
    assert stored.value("home") == 1
    row = stored.row("home")
    assert row is not None
    assert (row.name, row.created_ms, row.alarm_ms) == ("home", START_MS, START_MS + 20_000_000)

    undo = result.err.splitlines()[1].removeprefix("to undo this: durable ").split()
    assert typed(*undo).code == 0
    assert stored.value("home") == 2


def test_a_bookmark_and_the_binding_and_the_id_and_json(typed, stored: Stored) -> None:
    result = typed(
        "objects", "restore", "COUNTERS", "--id", stored.path("home").stem, "--at", stored.marks[0], "--json"
    )
    answer = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert (answer["restored"], answer["moment_ms"]) == (stored.marks[0], START_MS)
    assert answer["bytes"] == stored.path("home").stat().st_size
    assert stored.value("home") == 0


def test_without_at_it_tells_what_can_be_restored_and_changes_nothing(typed, stored: Stored) -> None:
    result = typed("objects", "restore", "Counter", "home")
    assert (result.code, result.err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert list(rows) == ["oldest", "newest", "bookmark", "history"]
    assert rows["bookmark"] == stored.marks[-1]
    assert rows["history"].endswith(" in 1 segment")
    reach = json.loads(typed("objects", "restore", "Counter", "home", "--json").out)
    assert (reach["oldest_ms"], reach["newest_ms"]) == (START_MS, START_MS + 120_000)
    assert stored.value("home") == 2


def test_a_name_that_begins_with_a_dash_can_be_restored_and_the_undo_line_works(typed, stored: Stored) -> None:
    stored.make("-dash")
    result = typed("objects", "restore", "--at", stored.marks[3], "--", "Counter", "-dash")
    assert result.code == 0
    assert stored.value("-dash") == 0
    undo = result.err.splitlines()[1].removeprefix("to undo this: durable ").split()
    assert undo[:3] == ["objects", "restore", "--at"]
    assert typed(*undo).code == 0
    assert stored.value("-dash") == 2


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("Counter", "hoem", "--at", "-10m"), 3, 'no such object: Counter "hoem"'),
        (("Conuter", "home", "--at", "-10m"), 3, 'there is no class or binding "Conuter"'),
        (("Counter", "--at", "-10m"), 2, "which object? Its NAME is missing"),
        (("Counter", "home", "--id", "ab" * 32), 2, "named by either NAME or --id"),
        (("Counter", "--id", "xyz"), 2, "--id with the 64 digits"),
        (("Counter", "home", "--at", "yesterday"), 2, '--at "yesterday": not a moment and not a bookmark'),
        (
            ("Counter", "home", "--at", "2020-01-01"),
            2,
            "is older than the history of the object, which begins at 2026-",
        ),
        (("Counter", "home", "--at", "2100-01-01"), 2, "is in the future: now it is"),
        (("Counter", "home", "--at", f"0-0-0-{'0' * 32}"), 2, "a bookmark looks like 00000007-"),
        (("Counter", "home", "--at", f"00000000-00000001-00000000-{'0' * 32}"), 2, "belongs to another object"),
        (("Counter", "home", "--persist-to", "elsewhere"), 3, "nothing is stored yet"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_touched(
    typed, stored: Stored, words: tuple[str, ...], code: int, sentence: str
) -> None:
    result = typed("objects", "restore", *words)

    assert (result.code, result.out) == (code, "")
    assert sentence in result.err
    assert "fix: " in result.err
    assert "Traceback" not in result.err
    assert stored.value("home") == 2


def test_an_object_without_history_says_how_to_have_one(typed, stored: Stored, project: Path) -> None:
    with (project / "durable.toml").open("a") as config:
        config.write("\n[dev]\npitr_days = 0\n")

    result = typed("objects", "restore", "Counter", "home", "--at", "-10m")

    assert result.code == 2
    assert "point-in-time recovery is off: pitr_days is 0 in [dev]" in result.err


def test_a_state_directory_that_is_in_use_is_left_alone(typed, stored: Stored, project: Path) -> None:
    with StateLock.acquire(project / ".durable" / "state", what="somebody"):
        result = typed("objects", "restore", "Counter", "home", "--at", stored.marks[0])
    assert result.code == 4
    assert stored.value("home") == 2


def test_what_sql_writes_into_a_stopped_object_can_be_undone(typed, stored: Stored) -> None:
    store = stored.store("home")
    store.sql.exec("CREATE TABLE t (a)")
    store.commit()
    store.close()
    before = json.loads(typed("objects", "restore", "Counter", "home", "--json").out)["bookmark"]
    assert typed("sql", "Counter", "home", "INSERT INTO t VALUES (1)", "--write").code == 0
    assert json.loads(typed("sql", "Counter", "home", "SELECT count(*) AS n FROM t", "--json").out) == [{"n": 1}]
    assert typed("objects", "restore", "Counter", "home", "--at", before).code == 0

    assert json.loads(typed("sql", "Counter", "home", "SELECT count(*) AS n FROM t", "--json").out) == [{"n": 0}]


def test_history_goes_with_its_objects_when_a_class_is_renamed_or_deleted(typed, stored: Stored, project: Path) -> None:
    store = stored.store("home")
    store.kv.put("n", 3)
    store.commit()
    assert store.checkpoint()
    store.close()
    history = stored.path("home").with_suffix(".history")
    config = project / "durable.toml"
    text = config.read_text().replace('class_name = "Counter"', 'class_name = "Tally"')
    config.write_text(text + '\n[[migrations]]\ntag = "v2"\nrenamed_classes = [{ from = "Counter", to = "Tally" }]\n')
    assert typed("migrate").code == 0
    assert typed("objects", "restore", "Tally", "home", "--at", stored.marks[1]).code == 0
    assert stored.value("home") == 1
    names = {path.name for path in history.iterdir()}
    text = config.read_text().replace('[[durable_objects.bindings]]\nname = "COUNTERS"\nclass_name = "Tally"\n', "")
    config.write_text(text + '\n[[migrations]]\ntag = "v3"\ndeleted_classes = ["Tally"]\n')
    assert typed("migrate").code == 0

    assert not history.exists()
    aside = list((project / ".durable" / "deleted").rglob(history.name))
    assert [{path.name for path in each.iterdir()} for each in aside] == [names]
    assert typed("objects", "restore", "Tally", "home", "--at", stored.marks[1]).code == 3

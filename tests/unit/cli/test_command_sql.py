from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import UserInputError
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.lock import StateLock
from durable.storage.state_db import StateDatabase
from durable_cli import client
from durable_cli.commands.sql import parse_words
from durable_cli.objects import Target

NAMES = ("home", "about", "it's; DROP TABLE hits --", 'a"b]', "-dash", "sp ace", "été")


@pytest.fixture
def stored(typed, project: Path) -> dict[str, str]:
    """Objects of class Counter, each with one row; their ids by name."""
    assert typed("migrate").code == 0
    layout = StateLayout(project / ".durable" / "state")
    with StateDatabase(layout.state_file) as state:
        key = state.namespaces(None)[0].key
    layout.ensure_namespace(key)
    index = NamespaceIndex(layout.index_file(key))
    ids = {name: id_from_name(key, name) for name in NAMES}
    for name, identity in ids.items():
        layout.ensure_object_folder(key, identity)
        store = ActorStore(layout.object_file(key, identity), clock=ManualClock(), on_first_write=lambda: None)
        store.sql.exec("CREATE TABLE hits(page TEXT PRIMARY KEY, n INTEGER, raw BLOB)")
        store.sql.exec("INSERT INTO hits VALUES(?, 3, x'00ff')", name)
        store.commit()
        store.close()
        index.put_many([IndexRow(identity, name, 0, 0, None)])
    index.close()
    return ids


def files_of(project: Path) -> set[Path]:
    return {path for path in (project / ".durable").rglob("*.sqlite") if path.name != "state.sqlite"}


def test_rows_are_a_table(typed, stored) -> None:
    result = typed("sql", "Counter", "home", "SELECT * FROM hits")
    assert (result.code, result.err) == (0, "")
    assert [line.split() for line in result.out.splitlines()[::2]] == [["page", "n", "raw"], ["home", "3", "x'00ff'"]]


def test_the_binding_names_the_class_too(typed, stored) -> None:
    assert "home" in typed("sql", "COUNTERS", "home", "SELECT page FROM hits").out


def test_json_is_one_document(typed, stored) -> None:
    result = typed("sql", "Counter", "home", "SELECT * FROM hits", "--json")
    assert json.loads(result.out) == [{"page": "home", "n": 3, "raw": {"$bytes": "AP8="}}]
    assert result.err == ""
    assert json.loads(typed("sql", "Counter", "home", "SELECT 1 WHERE 0", "--json").out) == []


def test_csv_is_csv(typed, stored) -> None:
    result = typed("sql", "Counter", "sp ace", "SELECT * FROM hits", "--csv")
    assert list(csv.reader(io.StringIO(result.out))) == [["page", "n", "raw"], ["sp ace", "3", "x'00ff'"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_only_a_name(typed, stored, name: str) -> None:
    result = typed("sql", "Counter", "--json", "--", name, "SELECT page FROM hits")
    assert json.loads(result.out) == [{"page": name}]


def test_the_id_finds_the_object_as_well(typed, stored) -> None:
    result = typed("sql", "Counter", "SELECT page FROM hits", "--id", stored["about"].upper(), "--json")
    assert json.loads(result.out) == [{"page": "about"}]


def test_nothing_changes_without_write(typed, stored) -> None:
    result = typed("sql", "Counter", "home", "UPDATE hits SET n = 9")
    assert result.code == 2
    assert "fix: add --write to change data" in result.err
    assert json.loads(typed("sql", "Counter", "home", "SELECT n FROM hits", "--json").out) == [{"n": 3}]


def test_with_write_it_stays(typed, stored) -> None:
    result = typed("sql", "Counter", "home", "UPDATE hits SET n = 9", "--write")
    assert (result.code, result.out, result.err) == (0, "", "1 row written\n")
    assert json.loads(typed("sql", "Counter", "home", "SELECT n FROM hits", "--json").out) == [{"n": 9}]


def test_a_mistake_in_sql_shows_the_place(typed, stored) -> None:
    result = typed("sql", "Counter", "home", "SELECT page\nFROM hits\nWERE n = 3")
    assert result.code == 2
    assert result.err.startswith('error: near "n": syntax error at offset')
    assert "\n    WERE n = 3\n         ^\n" in result.err
    assert "Traceback" not in result.err


def test_an_object_that_does_not_exist_is_not_created(typed, stored, project: Path) -> None:
    before = files_of(project)
    result = typed("sql", "Counter", "hoem", "SELECT 1")
    assert result.code == 3
    assert 'error: no such object: Counter "hoem"' in result.err
    assert 'Did you mean "home"?' in result.err
    assert files_of(project) == before


def test_a_class_that_does_not_exist_suggests_one_that_does(typed, stored) -> None:
    result = typed("sql", "Conuter", "home", "SELECT 1")
    assert result.code == 3
    assert result.err == (
        'error: there is no class or binding "Conuter"\n  fix: Did you mean "Counter"? There are Counter, COUNTERS.\n'
    )


def test_sql_in_the_place_of_the_name_is_recognised(typed, stored) -> None:
    result = typed("sql", "Counter", "SELECT * FROM hits", "--json", "--file", os.devnull)
    assert result.code == 3
    assert "the first word after the class is the object's name" in result.err


@pytest.mark.parametrize("identity", ["12", "x" * 64, "0" * 64, "../../state"])
def test_an_id_that_is_none_is_refused(typed, stored, identity: str) -> None:
    result = typed("sql", "Counter", "SELECT 1", "--id", identity)
    assert result.code == 2
    assert "Durable Object ID" in result.err


def test_before_anything_is_stored_it_says_so_and_makes_nothing(typed, project: Path) -> None:
    result = typed("sql", "Counter", "home", "SELECT 1")
    assert result.code == 3
    assert "error: nothing is stored yet" in result.err
    assert not (project / ".durable").exists()


def test_a_class_without_objects_says_so(typed, project: Path) -> None:
    typed("migrate")
    result = typed("sql", "Counter", "home", "SELECT 1")
    assert result.code == 3
    assert 'no such object: Counter "home"' in result.err
    assert files_of(project) == set()


def test_the_platforms_tables_stay_hidden(typed, stored) -> None:
    assert typed("sql", "Counter", "home", "SELECT * FROM _cf_METADATA", "--write").code == 2


@pytest.mark.parametrize("statement", ["ATTACH 'x' AS y", "VACUUM INTO 'x'", "SELECT load_extension('x')"])
def test_what_leaves_the_object_is_refused_even_with_write(typed, stored, project: Path, statement: str) -> None:
    assert typed("sql", "Counter", "home", statement, "--write").code == 2
    assert not (project / "x").exists()


def test_sql_from_a_file_and_from_standard_input(typed, stored, project: Path, monkeypatch) -> None:
    (project / "query.sql").write_text("SELECT n FROM hits", encoding="utf-8-sig")
    assert json.loads(typed("sql", "Counter", "home", "--file", "query.sql", "--json").out) == [{"n": 3}]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"SELECT page FROM hits")))
    assert json.loads(typed("sql", "Counter", "home", "--file", "-", "--json").out) == [{"page": "home"}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("home",), "without a terminal SQL has to be given"),
        ((), "which object? Its NAME is missing"),
        (("home", "SELECT 1", "--json", "--csv"), "--json and --csv exclude each other"),
        (("home", "SELECT 1", "--file", "x"), "SQL is given twice"),
        (("home", "SELECT 1", "--id", "0"), "with --id there is no NAME"),
        (("home", "SELECT 1", "more"), "Got unexpected extra argument"),
        (("home", "--file", "nowhere.sql"), "nowhere.sql: no such file or directory"),
    ],
)
def test_words_that_make_no_sense_exit_with_2(typed, stored, words: tuple[str, ...], message: str) -> None:
    result = typed("sql", "Counter", *words)
    assert result.code == 2
    assert f"error: {message}" in result.err


def test_a_file_that_is_no_text_is_said(typed, stored, project: Path) -> None:
    (project / "query.sql").write_bytes(b"\xff\xfe")
    assert "is not UTF-8: byte 0" in typed("sql", "Counter", "home", "--file", "query.sql").err


def test_more_rows_than_a_table_shows_are_counted(typed, stored, monkeypatch) -> None:
    monkeypatch.setattr("durable_cli.commands.sql.TABLE_ROWS_MAX", 2)
    result = typed("sql", "Counter", "home", "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")
    assert "there are more than these 2 rows" in result.err
    assert len(result.out.splitlines()) == 4


def test_no_rows_is_said(typed, stored) -> None:
    assert typed("sql", "Counter", "home", "SELECT 1 WHERE 0").err == "no rows\n"


def test_a_file_that_is_no_database_is_named(typed, stored, project: Path) -> None:
    victim = next(path for path in files_of(project) if path.name.startswith(stored["home"]))
    victim.write_bytes(b"this is not a database" * 100)
    victim.with_name(victim.name + "-wal").unlink(missing_ok=True)  # it would hold every page
    result = typed("sql", "Counter", "home", "SELECT 1")
    assert result.code == 2
    assert victim.name in result.err
    assert "Traceback" not in result.err


def test_a_running_emulator_is_asked(typed, stored, project: Path, monkeypatch) -> None:
    asked = []

    def post(self: client.Client, path: str, body: dict[str, object]) -> dict[str, object]:
        asked.append((path, body))
        return {"columns": ["n"], "rows": [[3]], "truncated": False, "rows_written": 0}

    monkeypatch.setattr(client.Client, "post", post)
    monkeypatch.setattr(client.Client, "get", lambda *_: {"environment": None})
    with StateLock.acquire(project / ".durable" / "state", what="durable dev"):
        (project / ".durable" / "run").mkdir()
        address = {"pid": os.getpid(), "url": "http://127.0.0.1:1", "token": "t", "started_ms": 0}
        (project / ".durable" / "run" / "emulator.json").write_text(json.dumps(address))
        result = typed("sql", "COUNTERS", "home", "SELECT n FROM hits", "--json")
    assert json.loads(result.out) == [{"n": 3}]
    assert asked == [
        (
            "/__durable/sql",
            {
                "class": "COUNTERS",
                "name": "home",
                "id": None,
                "sql": "SELECT n FROM hits",
                "write": False,
                "rows_max": 10_000,
            },
        )
    ]


def test_the_first_word_is_the_name_unless_an_id_is_given() -> None:
    assert parse_words("C", ["a", "SELECT 1"], None) == (Target("C", name="a"), "SELECT 1")
    assert parse_words("C", ["a"], None) == (Target("C", name="a"), None)
    assert parse_words("C", ["SELECT 1"], "ff") == (Target("C", id="ff"), "SELECT 1")
    assert parse_words("C", [], "ff") == (Target("C", id="ff"), None)
    with pytest.raises(UserInputError):
        parse_words("C", [], None)

from __future__ import annotations

import csv
import io
import json
import os
import shlex
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
from durable_cli.objects.finding import Target

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
        return {"results": [{"columns": ["n"], "rows": [[3]], "truncated": False, "rows_written": 0}]}

    monkeypatch.setattr(client.Client, "post", post)
    monkeypatch.setattr(client.Client, "get", lambda *_: {"environment": None})
    with StateLock.acquire(project / ".durable" / "state", what="durable dev"):
        (project / ".durable" / "run").mkdir()
        address = {"pid": os.getpid(), "url": "http://127.0.0.1:1", "token": "t", "started_ms": 0}
        (project / ".durable" / "run" / "emulator.json").write_text(json.dumps(address))
        result = typed("sql", "COUNTERS", "home", "SELECT n FROM hits WHERE n > ?", "-p", "2", "--json")
    assert json.loads(result.out) == [{"n": 3}]
    assert asked == [
        (
            "/__durable/sql",
            {
                "class": "COUNTERS",
                "name": "home",
                "id": None,
                "sql": "SELECT n FROM hits WHERE n > ?",
                "parameters": [2],
                "write": False,
                "rows_max": 10_000,
            },
        )
    ]


def test_a_table_may_be_asked_for_and_lines_too(typed, stored) -> None:
    assert typed("sql", "Counter", "home", "SELECT n FROM hits", "--table").out.split() == ["n", "─", "3"]
    assert typed("sql", "Counter", "home", "SELECT page, n FROM hits", "--line").out == "page = home\n   n = 3\n"
    assert typed("sql", "Counter", "home", "SELECT 1 WHERE 0", "--line").err == "no rows\n"


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (("SELECT ? AS v", "-p", "3"), [{"v": 3}]),
        (("SELECT ? AS v", "--parameter", "it's; DROP TABLE hits"), [{"v": "it's; DROP TABLE hits"}]),
        (("SELECT ? AS v, ? AS w", "-p", "null", "-p", '{"$bytes": "AP8="}'), [{"v": None, "w": {"$bytes": "AP8="}}]),
        (("SELECT :n AS v", "-p", "n=home"), [{"v": "home"}]),
        (("SELECT ? AS v, ? AS w", "-p", "-5", "--parameter=-x"), [{"v": -5, "w": "-x"}]),
        (("SELECT page FROM hits WHERE page = ?", "-p", "home"), [{"page": "home"}]),
    ],
)
def test_values_are_given_beside_the_sql(typed, stored, words: tuple[str, ...], rows: list[object]) -> None:
    result = typed("sql", "Counter", "home", *words, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == rows


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("SELECT ?",), "the SQL has 1 parameter, but got 0 values\n  fix: give a value for each ? with -p VALUE"),
        (("SELECT 1", "-p", "1"), "the SQL has 0 parameters, but got 1 value"),
        (("SELECT :n", "-p", "m=1"), "the SQL has :n, and no value was given for it; there are :m"),
        (("SELECT ?, :n", "-p", "1", "-p", "n=1"), "-p 1 has no name, and others have one"),
        (("SELECT :n", "-p", "n=1", "-p", "n=2"), "-p n=… is given twice"),
        (("SELECT ?", "-p", "9" * 30), "binding 1 is an int beyond SQLite's INTEGER"),
    ],
)
def test_values_that_do_not_fit_exit_with_2(typed, stored, words: tuple[str, ...], said: str) -> None:
    result = typed("sql", "Counter", "home", *words)
    assert (result.code, result.out) == (2, "")
    assert f"error: {said}" in result.err


TWO = "SELECT n FROM hits; SELECT 1 AS one, NULL AS none"


def test_every_statement_shows_its_rows(typed, stored) -> None:
    assert json.loads(typed("sql", "Counter", "home", TWO, "--json").out) == [[{"n": 3}], [{"one": 1, "none": None}]]
    assert typed("sql", "Counter", "home", TWO, "--csv").out == "n\n3\n\none,none\n1,\n"
    assert typed("sql", "Counter", "home", TWO, "--line").out == "n = 3\n\n one = 1\nnone = NULL\n"
    assert [line.split() for line in typed("sql", "Counter", "home", TWO).out.splitlines()[2:5]] == [
        ["3"],
        [],
        ["one", "none"],
    ]


def test_statements_without_rows_leave_the_document_as_it_is(typed, stored) -> None:
    script = "UPDATE hits SET n = n + 1; UPDATE hits SET n = n * 2; SELECT n FROM hits"
    result = typed("sql", "Counter", "home", script, "--write", "--json")
    assert json.loads(result.out) == [{"n": 8}]
    assert result.err == "2 rows written\n"
    nothing = typed("sql", "Counter", "home", "CREATE TABLE other (a)", "--write", "--json")
    assert (nothing.out, nothing.err) == ("[]\n", "done\n")


def test_a_script_is_written_whole_or_not_at_all(typed, stored) -> None:
    result = typed("sql", "Counter", "home", "DELETE FROM hits; INSERT INTO hits VALUES ('a', 1); SELEC", "--write")
    assert (result.code, result.out) == (2, "")
    assert json.loads(typed("sql", "Counter", "home", "SELECT page FROM hits", "--json").out) == [{"page": "home"}]


def test_whatever_was_written_is_durable_before_it_is_said(typed, stored, monkeypatch) -> None:
    made_durable: list[object] = []
    monkeypatch.setattr("durable_cli.sql.one_object._make_durable", made_durable.append)
    typed("sql", "Counter", "home", "SELECT 1", "--write")
    assert len(made_durable) == 0
    typed("sql", "Counter", "home", "CREATE TABLE other (a)", "--write")
    assert len(made_durable) == 1
    typed("sql", "Counter", "home", "UPDATE hits SET n = 4", "--write")
    assert len(made_durable) == 2


def test_the_place_of_a_mistake_is_found_in_the_second_statement_too(typed, stored) -> None:
    result = typed("sql", "Counter", "home", "SELECT 'é';\nSELECT nope FROM hits")
    assert "\n    SELECT nope FROM hits\n           ^\n" in result.err


def test_rows_that_are_too_large_are_told_apart_from_too_many(typed, stored) -> None:
    large = "SELECT hex(zeroblob(900000)) FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12]')"
    result = typed("sql", "Counter", "home", large, "--csv")
    assert "… there is more than these 9 rows: one look returns at most 16 MiB; select fewer columns" in result.err
    assert result.code == 0
    two = typed("sql", "Counter", "home", f"SELECT 1; {large}", "--json")
    assert two.err.startswith("result 2: … there is more than these 9 rows")


def test_a_query_that_takes_too_long_says_so(typed, stored, monkeypatch) -> None:
    monkeypatch.setattr("durable_cli.sql.one_object.INSPECT_SECONDS_MAX", 0.0)
    result = typed("sql", "Counter", "home", "SELECT n FROM hits")
    assert result.code == 2
    assert result.err.startswith("error: the query took longer than 0 seconds and was stopped\n  fix: narrow it")


def test_keys_are_shown_decoded(typed, stored, project: Path) -> None:
    path = next(path for path in files_of(project) if path.name.startswith(stored["home"]))
    store = ActorStore(path, clock=ManualClock(), on_first_write=lambda: None)
    store.kv.put("cart", {"apples": 3, "evil": "\x1b[2J"})
    store.commit()
    store.close()
    result = typed("sql", "Counter", "home", "SELECT key, type, value FROM kv", "--line")
    assert result.out == '  key = cart\n type = dict\nvalue = {"apples": 3, "evil": "\\u001b[2J"}\n'
    assert typed("sql", "Counter", "about", "SELECT * FROM kv", "--json").out == "[]\n"


def test_keys_are_not_written_through_what_shows_them(typed, stored) -> None:
    result = typed("sql", "Counter", "home", "DELETE FROM kv", "--write")
    assert result.code == 2
    assert result.err.endswith("  fix: kv only shows what is stored; keys are written by the object's own code\n")


EVIL = "\x1b]0;evil\x07\x1b[2J\x9b31m\u202e"


@pytest.mark.parametrize("form", ["--table", "--line", "--json", "--csv"])
def test_what_would_drive_the_terminal_never_reaches_it(typed, stored, monkeypatch, form: str) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    for words in (("SELECT ? AS v", "-p", EVIL), (f'SELECT 1 AS "{EVIL}"',), (f'SELECT "{EVIL}" FROM nowhere',)):
        result = typed("sql", "Counter", "home", *words, form)
        for character in EVIL:
            assert character.isprintable() or character not in result.out + result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--all",), "with --all SQL has to be given"),
        (("home", "SELECT 1", "--all"), "--all means every object: there is no NAME and no --id"),
        (("SELECT 1", "--all", "--id", "0"), "--all means every object"),
        (("SELECT 1", "--all", "--write"), "--all only reads"),
        (("home", "SELECT 1", "--where-name", "a*"), "--where-name and --reduce are for many objects"),
        (("home", "SELECT 1", "--reduce", "SELECT 1"), "--where-name and --reduce are for many objects"),
        (("home", "SELECT 1", "--line", "--table", "--csv"), "--csv and --table and --line exclude each other"),
    ],
)
def test_options_that_exclude_each_other_exit_with_2(typed, stored, words: tuple[str, ...], message: str) -> None:
    result = typed("sql", "Counter", *words)
    assert result.code == 2
    assert f"error: {message}" in result.err


def test_the_example_of_the_help_does_what_it_says(typed, stored) -> None:
    [example] = [line for line in typed("sql", "--help").out.splitlines() if "Example: durable " in line]
    result = typed(*shlex.split(example.partition("durable ")[2]), "--json")
    assert json.loads(result.out) == [{"page": "home", "n": 3, "raw": {"$bytes": "AP8="}}]


def test_the_first_word_is_the_name_unless_an_id_is_given() -> None:
    assert parse_words("C", ["a", "SELECT 1"], None) == (Target("C", name="a"), "SELECT 1")
    assert parse_words("C", ["a"], None) == (Target("C", name="a"), None)
    assert parse_words("C", ["SELECT 1"], "ff") == (Target("C", id="ff"), "SELECT 1")
    assert parse_words("C", [], "ff") == (Target("C", id="ff"), None)
    with pytest.raises(UserInputError):
        parse_words("C", [], None)

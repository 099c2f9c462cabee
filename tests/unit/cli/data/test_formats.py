"""Images as JSON Lines and as SQL scripts, and back."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable.errors import SqlError, StorageError, UserInputError
from durable.values import encode
from durable_cli.data.image_contents import Key, Migration, Part, Row, Table, parts_of
from durable_cli.data.image_draft import ImageDraft
from durable_cli.data.json_lines import ObjectBegins, ObjectEnds, events_of, head, lines_of
from durable_cli.data.sql_dump import literal, parts_of_script, script_of
from tests.unit.cli.data.images import ALARM_MS, alarm, keys, make_image, rows, seen

BEGINS = ObjectBegins("ChatRoom", "general", "0" * 64)
VALUES: dict[str, Any] = {
    "none": None, "truth": True, "number": 7, "large": -(10**40), "half": 0.5, "endless": math.inf,
    "text": "naïve \u2028 \x1b[31m 漢", "bytes": b"\x00\xff", "array": bytearray(b"ab"), "list": [1, [None, "a"]],
    "tuple": (1, ("a",)), "set": {1, 2}, "frozen": frozenset({b"x"}), "dict": {"a": {"b": 1}},
    "any keys": {1: "a", (2, 3): "b", None: {}}, "looks like a tag": {"$bytes": "no"},
    "moment": datetime(2026, 1, 31, 12, tzinfo=UTC),
    "fold": datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "plain moment": datetime(2026, 1, 31, 12, 0, 0, 5), "day": date(2026, 1, 31), "hour": time(1, 2, 3),
    "span": timedelta(days=-1, microseconds=5), "uuid": UUID(int=5), "decimal": Decimal("1.50"),
    "it's a key;\n": "quoted", "": "empty",
}  # fmt: skip
SCHEMA = (
    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, body, twice AS (id * 2))",
    "CREATE TABLE loose (a, b)",
    "CREATE TABLE pairs (a TEXT, b INTEGER, c, PRIMARY KEY (b, a)) WITHOUT ROWID",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES later (id))",
    "CREATE TABLE later (id INTEGER PRIMARY KEY)",
    'CREATE TABLE "odd "" name" ("select", "new\nline")',
    "CREATE INDEX by_body ON messages (body) -- with a comment",
    "CREATE VIEW shouted AS SELECT upper(body) AS body FROM messages WHERE id = 5 -- to the end",
    "CREATE TRIGGER grow AFTER INSERT ON messages BEGIN INSERT INTO loose VALUES (new.id, 'by; trigger'); END",
    "CREATE VIRTUAL TABLE found USING fts5(body)",
    "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)",
)
DATA = (
    "INSERT INTO messages (id, body) VALUES (5, 'it''s; fine\n'), (9, x'00ff'), (10, NULL), (11, 1e300), (12, -9e999)",
    "INSERT INTO messages (body) VALUES (CAST(x'610062' AS TEXT)), (-9223372036854775808), (0.1), (1.0), ('1')",
    "DELETE FROM messages WHERE id = 17",
    "INSERT INTO loose (rowid, a) VALUES (77, 'seventy-seven')",
    "INSERT INTO pairs VALUES ('x', 2, 'c'), ('y', 1, 'd')",
    "INSERT INTO later VALUES (1)",
    "INSERT INTO child VALUES (1, 1)",
    """INSERT INTO "odd "" name" VALUES (1, 'two')""",
    "INSERT INTO found (rowid, body) VALUES (3, 'a needle in hay')",
    "INSERT INTO boxes VALUES (1, 0.5, 2.25)",
)


def as_json_lines(image: Path) -> Iterator[bytes]:
    return (line.encode() for line in (head(), *lines_of(BEGINS, parts_of(image))))


def parts_of_json_lines(lines: Iterable[bytes]) -> Iterator[Part]:
    begins, *parts, _ = events_of(lines, "a.jsonl")
    assert begins == BEGINS
    return iter(parts)  # type: ignore[arg-type]


def as_script(image: Path) -> Iterator[bytes]:
    # As a file is read: line by line.
    return iter("".join(script_of(parts_of(image))).encode().splitlines(keepends=True))


def parts_of_sql(lines: Iterable[bytes]) -> Iterator[Part]:
    return (part for _, part in parts_of_script(lines, "a.sql"))


FORMATS = pytest.mark.parametrize(
    ("write", "read"), [(as_json_lines, parts_of_json_lines), (as_script, parts_of_sql)], ids=["jsonl", "sql"]
)
Write = Callable[[Path], Iterator[bytes]]
Read = Callable[[Iterable[bytes]], Iterator[Part]]


def rebuilt(path: Path, parts: Iterable[Part]) -> Path:
    with ImageDraft(path) as draft:
        for part in parts:
            draft.add(part)
        image = draft.finish()
    assert not Path(f"{image}-wal").exists()
    return image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_image(tmp_path / "image.sqlite", *SCHEMA, *DATA, keys=VALUES, alarm_ms=ALARM_MS)


@FORMATS
def test_everything_of_an_object_survives(tmp_path: Path, image: Path, write: Write, read: Read) -> None:
    again = rebuilt(tmp_path / "again.sqlite", read(write(image)))

    for query in (
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name",
        "SELECT *, typeof(body) FROM messages", "SELECT rowid, * FROM loose", "SELECT * FROM pairs",
        'SELECT * FROM "odd "" name"', "SELECT * FROM sqlite_sequence", "SELECT body FROM shouted",
        "SELECT rowid, body FROM found WHERE found MATCH 'needle'", "SELECT * FROM boxes WHERE x1 > 2",
        "SELECT * FROM child",
    ):  # fmt: skip
        assert rows(again, query) == rows(image, query), query
    assert keys(again) == VALUES
    assert {key: type(value) for key, value in keys(again).items()} == {k: type(v) for k, v in VALUES.items()}
    assert keys(again)["fold"].fold == 1
    assert alarm(again) == ALARM_MS
    seen(again, lambda store: store.sql.exec("INSERT INTO messages (body) VALUES ('next')"))


@FORMATS
def test_migrations_and_values_that_cannot_be_read_survive(tmp_path: Path, write: Write, read: Read) -> None:
    with ImageDraft(tmp_path / "image.sqlite") as draft:
        draft.put_encoded("damaged", b"\x07not a value")
        draft.put("whole", 1)
        draft.add(Migration(1, "0001_it's.sql", "9f86", 1_769_860_800_000))
        image = draft.finish()

    again = rebuilt(tmp_path / "again.sqlite", read(write(image)))

    assert list(parts_of(again)) == list(parts_of(image))
    assert Key("damaged", b"\x07not a value") in list(parts_of(again))
    assert seen(again, lambda store: store.schema.checksums()) == ("9f86",)


@FORMATS
def test_an_object_that_stores_keys_alone_is_one(tmp_path: Path, write: Write, read: Read) -> None:
    image = make_image(tmp_path / "image.sqlite", keys={"n": 1})

    assert keys(rebuilt(tmp_path / "again.sqlite", read(write(image)))) == {"n": 1}


def test_a_script_is_read_by_sqlite_itself(tmp_path: Path, image: Path) -> None:
    script = "".join(script_of(parts_of(image)))

    database = sqlite3.connect(":memory:")
    database.executescript(script)

    assert database.execute("SELECT count(*) FROM messages").fetchone() == (9,)
    assert database.execute("SELECT count(*) FROM _cf_KV").fetchone() == (len(VALUES),)
    database.close()


def test_a_dump_of_another_program_is_read(tmp_path: Path) -> None:
    lines = b"""\xef\xbb\xbf-- made by hand
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT); /* two on a line */ CREATE TABLE u (a);
INSERT INTO t VALUES(1,'semicolon;
on two lines');
INSERT INTO _cf_KV VALUES('n',X'0105');
COMMIT;
INSERT INTO u VALUES (1)""".splitlines(keepends=True)

    made = rebuilt(tmp_path / "made.sqlite", parts_of_sql(lines))

    assert rows(made, "SELECT * FROM t") == [(1, "semicolon;\non two lines")]
    assert rows(made, "SELECT * FROM u") == [(1,)]
    assert keys(made) == {"n": 5}


HOSTILE = [
    ("ATTACH 'elsewhere.sqlite' AS other", "ATTACH is not available"),
    ("CREATE TABLE _cf_secret (a)", "names that begin with _cf_ belong to the platform"),
    ("CREATE TABLE a (b); ALTER TABLE a RENAME TO _cf_b", "names that begin with _cf_ belong to the platform"),
    ("INSERT INTO _cf_KV VALUES ('n', x'01' || x'05')", "names that begin with _cf_ belong to the platform"),
    ("DROP TABLE _cf_METADATA", "names that begin with _cf_ belong to the platform"),
    ("PRAGMA writable_schema=ON", "is not available to an object"),
    ("SELECT load_extension('x')", "not authorized"),
    ("SELECT writefile('x', 'y')", "no such function"),
    ("VACUUM INTO 'elsewhere.sqlite'", "VACUUM"),
    ("CREATE VIRTUAL TABLE v USING csv(filename='/etc/passwd')", "virtual tables can be made with"),
    ("CREATE TEMP TABLE t (a)", "temporary tables are not available"),
    ("COMMIT; CREATE TABLE t (a)", "BEGIN, COMMIT"),
    ("SELEC 1", "syntax error"),
]


@pytest.mark.parametrize(("statement", "sentence"), HOSTILE)
def test_sql_from_outside_may_do_what_an_objects_own_may(tmp_path: Path, statement: str, sentence: str) -> None:
    image = make_image(tmp_path / "image.sqlite", "CREATE TABLE mine (a)", keys={"n": 1}, alarm_ms=ALARM_MS)
    script = [*as_script(image), f"{statement};\n".encode()]
    lines = [*as_json_lines(image)]
    lines.insert(-1, json.dumps({"sql": statement}).encode())
    for parts in (parts_of_sql(script), parts_of_json_lines(lines)):
        with pytest.raises(SqlError, match=re.escape(sentence)):
            rebuilt(tmp_path / "made.sqlite", parts)
    assert not (tmp_path / "elsewhere.sqlite").exists()


@pytest.mark.parametrize("table", ["_cf_KV", "_CF_kv", "sqlite_schema", "sqlite_dbpage"])
def test_rows_from_outside_reach_no_table_that_is_not_the_users(tmp_path: Path, table: str) -> None:
    make: list[Part] = [Key("n", encode(1)), Table(table, ("key",)), Row(("x",))]
    with pytest.raises(SqlError):
        rebuilt(tmp_path / "made.sqlite", make)


WRONG_LINES = [
    (b"nonsense\n", "a.jsonl:2: not JSON"),
    (b"[1]\n", "a.jsonl:2: expected an object of JSON"),
    (b'{"row": [1]}\n', 'a.jsonl:2: expected {"object": …} here'),
    (b'{"object": {"class": "A"}}\n', 'a.jsonl:2: expected {"object": {"class"'),
    (b'{"durable": "objects", "version": 2}\n', "a.jsonl:2: the file has format 2, and this durable reads up to 1"),
    (b'{"durable": "cake"}\n', "a.jsonl:2: not a file of objects"),
]
WRONG_PARTS = [
    (b'{"key": "n", "value": {"$cake": 1}}', 'a.jsonl:2: {"$cake": …} is not a value'),
    (b'{"key": "n", "value": {"$bytes": "?"}}', 'a.jsonl:2: {"$bytes": …} holds no such value'),
    (b'{"key": "n", "encoded": "?"}', "a.jsonl:2: "),
    (b'{"key": "n", "value": {"$uuid": 1}}', "a.jsonl:2: "),
    (b'{"key": "n"}', "a.jsonl:2: key means nothing here"),
    (b'{"row": [[1]]}', "a.jsonl:2: a row cannot hold a list"),
    (b'{"row": [true]}', "a.jsonl:2: a row cannot hold a bool"),
    (b'{"alarm_ms": "soon"}', "a.jsonl:2: alarm_ms means nothing here"),
    (b'{"end": {"rows": 1, "keys": 0}}', "a.jsonl:2: 0 rows and 0 keys came"),
    (b"", "a.jsonl:2: the object before was cut off"),
]


@pytest.mark.parametrize(("line", "sentence"), WRONG_LINES)
def test_a_line_that_is_wrong_is_named(line: bytes, sentence: str) -> None:
    with pytest.raises(UserInputError) as raised:
        list(events_of([head().encode(), line], "a.jsonl"))
    assert str(raised.value).startswith(sentence)


@pytest.mark.parametrize(("line", "sentence"), WRONG_PARTS)
def test_a_part_that_is_wrong_is_named(line: bytes, sentence: str) -> None:
    begins = b'{"object": {"class": "A", "name": null, "id": "0"}}\n'
    with pytest.raises(UserInputError) as raised:
        list(events_of([begins, line], "a.jsonl"))
    assert str(raised.value).startswith(sentence)


def test_a_script_that_is_cut_off_or_no_text_is_refused() -> None:
    with pytest.raises(UserInputError, match=r"a.sql:2: the last statement is cut off"):
        list(parts_of_sql([b"CREATE TABLE t (a);\n", b"INSERT INTO t VALUES ('begun"]))
    with pytest.raises(UserInputError, match=r"a.sql:1: not UTF-8: byte 1"):
        list(parts_of_sql([b"-\xff\n"]))


def test_what_only_a_copy_of_the_file_holds_is_refused(tmp_path: Path) -> None:
    contentless = make_image(tmp_path / "a.sqlite", "CREATE VIRTUAL TABLE f USING fts5(body, content='')")
    with pytest.raises(UserInputError, match="contentless"):
        list(parts_of(contentless))
    other = make_image(tmp_path / "b.sqlite", "CREATE TABLE t (a)", "INSERT INTO t VALUES (CAST(x'ff' AS TEXT))")
    with pytest.raises(UserInputError, match="not UTF-8"):
        list(parts_of(other))


def test_the_largest_value_goes_through_both_formats(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.sqlite", "CREATE TABLE t (a)", "INSERT INTO t VALUES (zeroblob(2000000))")
    for number, (write, read) in enumerate(((as_json_lines, parts_of_json_lines), (as_script, parts_of_sql))):
        again = rebuilt(tmp_path / f"{number}.sqlite", read(write(image)))
        assert rows(again, "SELECT length(a), a = zeroblob(2000000) FROM t") == [(2000000, 1)]


NAMES = st.sampled_from(["t", "_cf_KV", "a", "sqlite_schema", "\ud800", "", '"', "\0"])
ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), NAMES,
        st.sampled_from([2**63, -(2**70), "CREATE TABLE t (a)", "SELECT 1;", "DROP TABLE t", "PRAGMA x", "AP8="]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["a", "$bytes", "$int", "$dict", "$set", "$datetime", "zone", "$uuid", "$timedelta"]),
            inner, max_size=2,
        ),
    ),
    max_leaves=6,
)  # fmt: skip
LINES = st.one_of(
    st.fixed_dictionaries({"row": st.lists(ANYTHING, max_size=2)}),
    st.fixed_dictionaries({"key": NAMES, "value": ANYTHING}),
    st.fixed_dictionaries({"key": NAMES, "encoded": st.sampled_from(["AQU=", "?", "AP8="])}),
    st.fixed_dictionaries({"table": NAMES, "columns": st.lists(NAMES, max_size=2)}),
    st.fixed_dictionaries({"sql": st.one_of(NAMES, st.sampled_from(["CREATE TABLE t (a)", "SELECT 1", "BEGIN"]))}),
    st.fixed_dictionaries({"migration": st.tuples(st.integers(), NAMES, NAMES, st.integers())}),
    st.fixed_dictionaries({"alarm_ms": ANYTHING}),
    ANYTHING,
)


@settings(deadline=None, max_examples=150)
@given(st.lists(LINES, max_size=6))
def test_whatever_a_file_says_the_mistake_is_the_files(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Any]
) -> None:
    begins = b'{"object": {"class": "A", "name": null, "id": "0"}}'
    path = tmp_path_factory.mktemp("fuzz") / "a.sqlite"
    with contextlib.suppress(UserInputError, StorageError, TypeError), ImageDraft(path) as draft:
        for event in events_of([begins, *(json.dumps(document).encode() for document in documents)], "a.jsonl"):
            if not isinstance(event, (ObjectBegins, ObjectEnds)):
                draft.add(event)


SQL_VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(SQL_VALUES, min_size=1, max_size=5))
def test_literals_mean_the_value(values: list[Any]) -> None:
    # The SQLite that imports: older ones may miss the last digit of a float.
    database: Any = apsw.Connection(":memory:")
    found = database.execute(f"SELECT {', '.join(map(literal, values))}").fetchone()
    database.close()
    assert [(type(a), a) for a in found] == [(type(b), b) for b in values]


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SQL_VALUES, max_size=10), st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5))
def test_any_rows_and_keys_go_through_both_formats(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], entries: dict[str, str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    parts: list[Part] = [Table("t", ("a",)), *(Row((value,)) for value in values)]
    with ImageDraft(folder / "a.sqlite") as draft:
        draft.run("CREATE TABLE t (a)")
        for part in parts:
            draft.add(part)
        for key, value in entries.items():
            draft.put(key, value)
        image = draft.finish()
    expected = list(parts_of(image))
    assert list(parts_of(rebuilt(folder / "b.sqlite", parts_of_json_lines(as_json_lines(image))))) == expected
    assert list(parts_of(rebuilt(folder / "c.sqlite", parts_of_sql(as_script(image))))) == expected

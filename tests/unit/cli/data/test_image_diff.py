"""What differs between two images, as facts and as lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from durable.errors import StorageCorruptError
from durable_cli.console import Ink
from durable_cli.data.diff_text import diff_text
from durable_cli.data.image_diff import ImageDiff, diff_images
from tests.unit.cli.data.images import ALARM_MS, make_image

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, body COLLATE NOCASE, n)"


def diffed(folder: Path, before: tuple[str, ...], after: tuple[str, ...], shown_max: int = 20) -> ImageDiff:
    first = make_image(folder / "before.sqlite", *before)
    return diff_images(first, make_image(folder / "after.sqlite", *after), shown_max=shown_max)


def lines(diff: ImageDiff) -> list[str]:
    return diff_text(diff, Ink(colour=False)).splitlines()


def test_an_image_is_the_same_as_itself(tmp_path: Path) -> None:
    image = make_image(
        tmp_path / "a.sqlite", TABLE, "INSERT INTO t VALUES (1, 'a', 2)", keys={"k": 1}, alarm_ms=ALARM_MS
    )

    diff = diff_images(image, image, shown_max=20)

    assert diff.is_same
    assert lines(diff) == []
    assert diff.to_json()["same"] is True


def test_rows_are_told_apart_by_their_primary_key(tmp_path: Path) -> None:
    diff = diffed(
        tmp_path,
        (TABLE, "INSERT INTO t VALUES (1, 'gone', 1), (2, 'same', 1), (3, 'a', 1), (4, 'b', NULL)"),
        (TABLE, "INSERT INTO t VALUES (2, 'same', 1), (3, 'A', 1), (4, 'b', x'00'), (5, 'new', 1.0)"),
    )

    assert not diff.is_same
    assert lines(diff) == [
        "table t: 1 added, 1 removed, 2 changed",
        '  - id 1, body "gone", n 1',
        '  + id 5, body "new", n 1.0',
        '  ~ id 3: body "a" → "A"',
        '  ~ id 4: n null → {"$bytes": "AA=="}',
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [("1", "1.0"), ("1", "'1'"), ("NULL", "''"), ("x'61'", "'a'"), ("0.1", "0.2"), ("-9e999", "9e999")],
)
def test_a_value_of_another_type_is_another_value(tmp_path: Path, before: str, after: str) -> None:
    diff = diffed(tmp_path, ("CREATE TABLE t (a)", f"INSERT INTO t VALUES ({before})"),
                  ("CREATE TABLE t (a)", f"INSERT INTO t VALUES ({after})"))  # fmt: skip

    assert diff.rows["t"].changed == 1
    json.dumps(diff.to_json(), allow_nan=False)


def test_rows_without_a_primary_key_are_told_apart_by_their_number(tmp_path: Path) -> None:
    diff = diffed(
        tmp_path,
        ("CREATE TABLE t (a)", "INSERT INTO t VALUES ('x'), ('y')"),
        ("CREATE TABLE t (a)", "INSERT INTO t VALUES ('x'), ('z'), ('y')"),
    )

    assert lines(diff) == ["table t: 1 added, 1 changed", '  + rowid 3, a "y"', '  ~ rowid 2: a "y" → "z"']


def test_keys_of_two_columns_and_text_keys_work(tmp_path: Path) -> None:
    table = "CREATE TABLE t (a TEXT, b, c, PRIMARY KEY (b, a)) WITHOUT ROWID"
    named = "CREATE TABLE u (name TEXT PRIMARY KEY, n)"
    diff = diffed(
        tmp_path,
        (table, named, "INSERT INTO t VALUES ('x', 1, 1), ('y', 1, 1)", "INSERT INTO u VALUES ('p', 1), ('q', 2)"),
        (named, table, "INSERT INTO t VALUES ('y', 1, 2), ('x', 2, 1)", "INSERT INTO u VALUES ('q', 2), ('p', 1)"),
    )

    assert lines(diff) == [
        "table t: 1 added, 1 removed, 1 changed",
        '  - b 1, a "x", c 1',
        '  + b 2, a "x", c 1',
        '  ~ b 1, a "y": c 1 → 2',
    ]


def test_the_schema_keys_and_the_alarm_are_compared(tmp_path: Path) -> None:
    before = make_image(
        tmp_path / "a.sqlite", "CREATE TABLE gone (a)", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)",
        keys={"same": 1, "gone": None, "n": {"a": 1}},
    )  # fmt: skip
    after = make_image(
        tmp_path / "b.sqlite", "CREATE TABLE t (a, b)", "CREATE INDEX i ON t (a)",
        keys={"same": 1, "n": (1,), "new": "\x1b[31m"}, alarm_ms=ALARM_MS,
    )  # fmt: skip

    found = lines(diff_images(before, after, shown_max=20))

    assert found[:-1] == [
        "schema: 1 added, 1 removed, 1 changed",
        "  - table gone: CREATE TABLE gone (a)",
        "  ~ table t",
        "      before CREATE TABLE t (a)",
        "      after  CREATE TABLE t (a, b)",
        "  + index i: CREATE INDEX i ON t (a)",
        "keys: 1 added, 1 removed, 1 changed",
        '  - "gone": null',
        '  ~ "n"',
        '      before {"a": 1}',
        '      after  {"$tuple": [1]}',
        '  + "new": "\\u001b[31m"',
        "alarm",
    ]
    assert found[-1].startswith("  none → 2026-01-31 ")


def test_full_text_and_trees_are_compared_by_what_they_show(tmp_path: Path) -> None:
    made = ("CREATE VIRTUAL TABLE f USING fts5(body)", "CREATE VIRTUAL TABLE r USING rtree(id, a, b)")
    diff = diffed(
        tmp_path,
        (*made, "INSERT INTO f VALUES ('one')", "INSERT INTO r VALUES (1, 0, 1)"),
        (*made, "INSERT INTO f VALUES ('two')", "INSERT INTO r VALUES (1, 0, 2)"),
    )

    assert lines(diff) == [
        "table f: 1 changed", '  ~ rowid 1: body "one" → "two"', "table r: 1 changed", "  ~ id 1: b 1.0 → 2.0",
    ]  # fmt: skip


def test_all_differences_are_counted_and_some_are_shown(tmp_path: Path) -> None:
    many = (
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000) INSERT INTO t SELECT x, x, x FROM c"
    )
    diff = diffed(tmp_path, (TABLE,), (TABLE, many), shown_max=2)

    assert (diff.rows["t"].added, len(diff.rows["t"].first)) == (1000, 2)
    assert lines(diff)[-1] == "  … and 998 more"


def test_names_and_data_cannot_move_the_cursor(tmp_path: Path) -> None:
    diff = diffed(
        tmp_path, (), ('CREATE TABLE "\x1b[2J" ("\x1b[31m")', "INSERT INTO \"\x1b[2J\" VALUES ('\x9b2J\u202e')")
    )
    text = diff_text(diff, Ink(colour=False))
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_damaged_image_is_called_so(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.sqlite", TABLE)
    damaged = tmp_path / "b.sqlite"
    damaged.write_bytes(image.read_bytes()[:100] + b"\xff" * 8092)
    with pytest.raises(StorageCorruptError, match="is damaged"):
        diff_images(image, damaged, shown_max=1)

from __future__ import annotations

import csv
import io
import json

import pytest

from durable_cli.sql.rows import (
    Rows,
    as_csv,
    as_json,
    as_lines,
    as_table,
    json_text,
    results_from_answer,
    rows_from_answer,
)

MIXED = Rows(("page", "n", "raw"), (("home", 3, b"\x00\xff"), ("a,b\n", None, None)))


def test_rows_from_the_emulator_carry_bytes() -> None:
    answer = {
        "columns": ["n", "raw", "f"],
        "rows": [[1, {"$bytes": "AP8="}, {"$float": "-inf"}]],
        "truncated": True,
        "rows_written": 2,
    }
    assert rows_from_answer(answer) == Rows(("n", "raw", "f"), ((1, b"\x00\xff", float("-inf")),), True, 2)


def test_results_are_rows_of_every_statement() -> None:
    one = {"columns": ["n"], "rows": [[1]], "truncated": True, "rows_written": 0, "oversized": True}
    none = {"columns": [], "rows": [], "truncated": False, "rows_written": 3, "oversized": False}
    assert results_from_answer({"results": [one, none]}) == [
        Rows(("n",), ((1,),), True, 0, True),
        Rows((), (), False, 3, False),
    ]
    with pytest.raises(ValueError, match="not results: columns"):
        results_from_answer({"columns": []})


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"columns": ["n"], "rows": [[{"$what": 1}]], "truncated": False, "rows_written": 0},
        {"columns": ["n"], "rows": [[{"$bytes": "?"}]], "truncated": False, "rows_written": 0},
    ],
)
def test_an_answer_that_is_something_else_is_refused(answer: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not "):
        rows_from_answer(answer)


def test_json_is_one_document_of_objects() -> None:
    assert json.loads(as_json(MIXED)) == [
        {"page": "home", "n": 3, "raw": {"$bytes": "AP8="}},
        {"page": "a,b\n", "n": None, "raw": None},
    ]
    assert as_json(Rows((), ())) == "[]"


def test_a_column_name_that_comes_twice_loses_nothing() -> None:
    assert json.loads(as_json(Rows(("a", "a", "a:2"), ((1, 2, 3),)))) == [{"a": 1, "a:2": 2, "a:2:2": 3}]


def test_infinity_stays_json() -> None:
    assert json.loads(as_json(Rows(("x",), ((float("inf"),), (float("-inf"),))))) == [
        {"x": {"$float": "inf"}},
        {"x": {"$float": "-inf"}},
    ]


def test_csv_is_read_back_by_any_reader() -> None:
    assert list(csv.reader(io.StringIO(as_csv(MIXED)))) == [
        ["page", "n", "raw"],
        ["home", "3", "x'00ff'"],
        ["a,b\n", "", ""],
    ]


def test_a_table_escapes_what_would_drive_the_terminal() -> None:
    table = as_table(Rows(("x\x1b",), (("\x1b[2J\n[bold]",),)), colour=False, width=None)
    assert "\x1b" not in table
    assert "\\x1b[2J\\n[bold]" in table


def test_a_table_outside_a_terminal_cuts_and_folds_nothing() -> None:
    table = as_table(Rows(("a", "b"), (("x" * 300, "y" * 300),)), colour=False, width=None)
    assert "x" * 300 in table
    assert "y" * 300 in table
    assert all(not line.endswith(" ") for line in table.splitlines())


def test_a_table_shows_null_numbers_and_blobs() -> None:
    lines = as_table(MIXED, colour=False, width=80).splitlines()
    assert lines[0].split() == ["page", "n", "raw"]
    assert lines[2].split() == ["home", "3", "x'00ff'"]
    assert lines[3].split() == ["a,b\\n", "NULL", "NULL"]


def test_a_table_fits_into_the_terminal() -> None:
    table = as_table(Rows(("a",), (("x" * 300,),)), colour=False, width=40)
    assert max(len(line) for line in table.splitlines()) <= 40
    assert table.count("x") == 300


def test_colour_only_when_wanted() -> None:
    assert "\x1b[" in as_table(MIXED, colour=True, width=80)
    assert "\x1b[" not in as_table(MIXED, colour=False, width=80)


def test_lines_show_a_value_each_and_all_of_it() -> None:
    rows = Rows(("n", "text\x1b"), ((1, "x" * 600), (None, "\x1b]0;evil\x07\nmore")))
    assert as_lines(rows) == (
        f"       n = 1\ntext\\x1b = {'x' * 600}\n\n       n = NULL\ntext\\x1b = \\x1b]0;evil\\x07\\nmore"
    )
    assert as_lines(Rows(("n",), ())) == ""


DRIVING = "\x1b[2J\x07\x7f\x85\x9b31m\u202e\u2028\u2066é\U0001f600"


def test_json_drives_no_terminal_and_says_the_same() -> None:
    text = as_json(Rows((DRIVING,), ((DRIVING,),)))
    assert json.loads(text) == [{DRIVING: DRIVING}]
    assert all(character == "\n" or character.isprintable() for character in text)
    assert "é\U0001f600" in text
    assert json.loads(json_text({"a": DRIVING})) == {"a": DRIVING}


def test_csv_for_a_terminal_is_escaped_and_for_a_program_is_not() -> None:
    rows = Rows((DRIVING,), ((DRIVING,), ("a,b",)))
    harmless = as_csv(rows, harmless=True)
    assert all(character == "\n" or character.isprintable() for character in harmless)
    assert list(csv.reader(io.StringIO(as_csv(rows), newline=""))) == [[DRIVING], [DRIVING], ["a,b"]]

"""Rows of many objects, printed as they come, in one table, or reduced by a second query."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from durable.errors import UserInputError
from durable_cli.report import StatementError
from durable_cli.sql.all_objects_output import output_for
from durable_cli.sql.rows import Rows


def piece(columns: str, *rows: tuple[Any, ...]) -> Rows:
    return Rows(("_object", *columns.split()), rows)


def printed(capsys: pytest.CaptureFixture[str], form: Any, *pieces: Rows, reduce: str | None = None) -> tuple[str, str]:
    output = output_for(form, reduce, 3)
    for each in pieces:
        output.put(each)
    output.end()
    return capsys.readouterr()


PIECES = [
    piece("n", ("a", 1), ("a", 2), ("b", 3)),
    piece("n"),
    piece("n", ("c", b"\x00\xff")),
    piece("n", ("d", math.inf), ("d", None)),
]


def test_json_is_one_array_however_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys, "json", *PIECES)
    assert json.loads(out) == [
        {"_object": "a", "n": 1},
        {"_object": "a", "n": 2},
        {"_object": "b", "n": 3},
        {"_object": "c", "n": {"$bytes": "AP8="}},
        {"_object": "d", "n": {"$float": "inf"}},
        {"_object": "d", "n": None},
    ]
    assert out == "[\n" + ",\n".join(line.removesuffix(",") for line in out.splitlines()[1:-1]) + "\n]\n"
    assert err == ""


@pytest.mark.parametrize("pieces", [[], [piece("n")], [piece("n"), piece("n")]])
def test_json_of_no_rows_is_an_empty_array(capsys: pytest.CaptureFixture[str], pieces: list[Rows]) -> None:
    assert printed(capsys, "json", *pieces)[0] == "[]\n"


@pytest.mark.parametrize("pieces", [[piece("n", ("a", 1))], [piece("n", ("a", 1)), piece("m", ("b", 2))]])
def test_json_takes_objects_with_other_columns(capsys: pytest.CaptureFixture[str], pieces: list[Rows]) -> None:
    expected = [{"_object": "a", "n": 1}, {"_object": "b", "m": 2}][: len(pieces)]
    assert json.loads(printed(capsys, "json", *pieces)[0]) == expected


def test_json_is_printed_before_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    output = output_for("json", None, 3)
    output.put(piece("n", ("a", 1), ("a", 2)))
    assert capsys.readouterr().out == '[\n{"_object": "a", "n": 1},\n'


def test_csv_has_its_names_once(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(capsys, "csv", *PIECES)
    assert list(csv.reader(io.StringIO(out))) == [
        ["_object", "n"], ["a", "1"], ["a", "2"], ["b", "3"], ["c", "x'00ff'"], ["d", "inf"], ["d", ""],
    ]  # fmt: skip


def test_csv_has_its_names_without_rows_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "csv", piece("n"))[0] == "_object,n\n"


@pytest.mark.parametrize("form", ["csv", "table"])
def test_what_has_other_columns_is_left_out_and_told(capsys: pytest.CaptureFixture[str], form: str) -> None:
    others = piece("m k", ("other", 2, 3), ("another", 4, 5))
    out, err = printed(capsys, form, piece("n", ("first", 1)), others, piece("n", ("third", 6)))
    assert [word for word in ("first", "other", "another", "third") if word in out] == ["first", "third"]
    assert "2 rows of objects whose columns differ (m, k) were left out" in err


def test_lines_have_all_columns_and_a_gap_between_rows(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(capsys, "line", piece("n", ("a", 1), ("a", 2)), piece("m", ("b", 3)))
    assert out == "_object = a\n      n = 1\n\n_object = a\n      n = 2\n\n_object = b\n      m = 3\n"


def test_a_table_has_as_many_rows_as_somebody_reads(capsys: pytest.CaptureFixture[str]) -> None:
    output = output_for("table", None, 3)
    output.put(piece("n", ("a", 1), ("b", 2), ("c", 3)))
    assert not output.is_full
    output.put(piece("n", ("d", 4)))
    assert output.is_full
    output.end()
    out, err = capsys.readouterr()
    assert [line.split() for line in out.splitlines()[2:]] == [["a", "1"], ["b", "2"], ["c", "3"]]
    assert "there are more than these 3 rows" in err


def test_a_table_of_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "table", piece("n")) == ("", "no rows\n")


# --- reduced ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["json", "csv", "table", "line"])
def test_a_second_query_sees_all_rows(capsys: pytest.CaptureFixture[str], form: str) -> None:
    out, err = printed(capsys, form, *PIECES[:2], reduce="SELECT sum(n) AS total, max(_object) AS last FROM rows")
    assert {"total", "last", "6", "b"} <= set(out.replace('"', " ").replace(",", " ").replace(":", " ").split())
    assert err == ""


def test_values_keep_their_types(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", 1), ("a", "1"), ("a", 1.5)]
    out, _ = printed(capsys, "json", piece("n", *rows), reduce="SELECT typeof(n) AS t FROM rows")
    assert [row["t"] for row in json.loads(out)] == ["integer", "text", "real"]


def test_columns_of_one_name_can_be_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    rows = piece('n N _OBJECT a"b', ("x", 1, 2, 3, 4))
    out, _ = printed(capsys, "json", rows, reduce="SELECT * FROM rows")
    assert json.loads(out) == [{"_object": "x", "n": 1, "N:2": 2, "_OBJECT:2": 3, 'a"b': 4}]


@pytest.mark.parametrize(
    "reduce",
    [
        "DELETE FROM rows",
        "DROP TABLE rows",
        "ATTACH '{folder}/x.sqlite' AS x",
        "VACUUM INTO '{folder}/x.sqlite'",
        "SELECT load_extension('x')",
        "PRAGMA journal_mode = WAL",
        "SELECT nope FROM rows",
        "SELEC 1",
        "CREATE TABLE t(x)",
    ],
)
def test_it_only_reads(capsys: pytest.CaptureFixture[str], reduce: str, tmp_path: Path) -> None:
    with pytest.raises(StatementError):
        printed(capsys, "json", piece("n", ("a", 1)), reduce=reduce.format(folder=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("reduce", ["", "-- nothing", "SELECT 1; SELECT 2"])
def test_it_is_one_statement(reduce: str) -> None:
    with pytest.raises(UserInputError, match="one statement"):
        output_for("json", reduce, 3)


def test_what_it_returns_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys, "json", piece("n", *[("a", n) for n in range(9)]), reduce="SELECT n FROM rows")
    assert len(json.loads(out)) == 3
    assert "there are more than these 3 rows" in err

"""SQL rows as text: tables and lines for people, JSON and CSV for programs. Must not know where rows come from.

A value is what SQLite has: None, int, float, str or bytes. Bytes are `{"$bytes": "<base64>"}` in JSON, and `x'00ff'` in
CSV and tables, as SQL writes them.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from durable_cli.console import printable

Value = None | int | float | str | bytes

CELL_CHARACTERS_MAX: Final = 500
"""One cell of a table; --line, --json and --csv print all of it."""
_HARMFUL: Final = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What `printable` escapes and JSON leaves as it is."""
WIDTH_WITHOUT_TERMINAL: Final = 10_000
"""Columns of a table in a pipe: there is nothing to fit it into, and cutting would lose data."""


@dataclass(frozen=True)
class Rows:
    """What a statement returned; `truncated` when there would have been more.

    `oversized` says that they are missing because of their bytes and not of their number.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    truncated: bool = False
    rows_written: int = 0
    oversized: bool = False


def results_from_answer(answer: dict[str, object]) -> list[Rows]:
    """From what `/__durable/sql` says: `{"results": [{…}]}`. Raises ValueError when it is something else."""
    results = answer.get("results")
    if not isinstance(results, list):
        raise ValueError(f"not results: {', '.join(answer)}")
    return [rows_from_answer(result) for result in cast("list[dict[str, object]]", results)]


def rows_from_answer(answer: dict[str, object]) -> Rows:
    """From what one statement returned. Raises ValueError when it is something else.

    `{"columns": ["n"], "rows": [[1], [{"$bytes": "AP8="}]], "truncated": false, "rows_written": 0}`
    """
    columns, rows = answer.get("columns"), answer.get("rows")
    truncated, written = answer.get("truncated"), answer.get("rows_written")
    if not (isinstance(columns, list) and isinstance(rows, list)) or not isinstance(written, int):
        raise ValueError(f"not rows: {', '.join(answer)}")
    return Rows(
        tuple(str(column) for column in cast("list[object]", columns)),
        tuple(tuple(_value(value) for value in row) for row in cast("list[list[object]]", rows)),
        bool(truncated),
        written,
        bool(answer.get("oversized")),
    )


def _value(value: object) -> Value:
    match value:
        case None | int() | float() | str():
            return value
        case {"$float": str(infinity)} if infinity in ("inf", "-inf"):
            return float(infinity)
        case {"$bytes": str(encoded)}:
            try:
                return base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise ValueError(f"not base64: {error}") from error
        case _:
            raise ValueError(f"not a value of SQLite: {type(value).__name__}")


def as_json(rows: Rows) -> str:
    """One array with an object per row; a column name that comes twice becomes `name`, `name:2`."""
    names = _distinct(rows.columns)
    documents = [{name: json_value(value) for name, value in zip(names, row, strict=True)} for row in rows.rows]
    if not documents:
        return "[]"
    return "[\n" + ",\n".join(json_text(each) for each in documents) + "\n]"


def json_text(document: object) -> str:
    """One line of JSON that says the same and drives no terminal: what would is escaped inside of its strings."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    return text if text.isprintable() else _HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _distinct(columns: Sequence[str]) -> list[str]:
    names: list[str] = []
    for column in columns:
        name, count = column, 1
        while name in names:
            count += 1
            name = f"{column}:{count}"
        names.append(name)
    return names


def json_value(value: Value) -> object:
    """`{"$bytes": "AP8="}`, `{"$float": "inf"}`, or what JSON has itself."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}  # JSON has no infinity; SQLite has two
    return value


def as_csv(rows: Rows, *, harmless: bool = False) -> str:
    """A line of names, then a line per row; NULL is an empty field. `harmless` escapes what would drive a terminal."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    shown = printable if harmless else str
    writer.writerow([shown(column) for column in rows.columns])
    writer.writerows(["" if value is None else shown(_plain(value)) for value in row] for row in rows.rows)
    return out.getvalue()


def as_lines(rows: Rows) -> str:
    """`name = value`, a line for each column and an empty one between rows, for rows too wide for a table."""
    columns = [printable(column) for column in rows.columns]
    width = max(map(len, columns), default=0)
    return "\n\n".join(
        "\n".join(
            f"{column:>{width}} = {'NULL' if value is None else printable(_plain(value))}"
            for column, value in zip(columns, row, strict=True)
        )
        for row in rows.rows
    )


def as_table(rows: Rows, *, colour: bool, width: int | None) -> str:
    """Lines that fit into `width` columns; None: no terminal, as wide as they are."""
    # Imported here: rich costs 50 ms, and only tables need it.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for index, column in enumerate(rows.columns):
        numbers = all(isinstance(row[index], int | float | None) for row in rows.rows)
        table.add_column(
            Text(printable(column)), justify="right" if numbers else "left", overflow="fold", no_wrap=width is None
        )
    for row in rows.rows:
        table.add_row(*(Text("NULL", style="dim") if value is None else Text(_cell(value)) for value in row))
    out = io.StringIO()
    console = Console(
        file=out,
        width=width or WIDTH_WITHOUT_TERMINAL,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().split("\n"))


def _plain(value: Value) -> str:
    return f"x'{value.hex()}'" if isinstance(value, bytes) else str(value)


def _cell(value: Value) -> str:
    return printable(_plain(value), length_max=CELL_CHARACTERS_MAX)

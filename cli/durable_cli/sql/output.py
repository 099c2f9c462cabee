"""What statements returned, for whoever reads it: rows on standard output, counts and caps on standard error.

Statements that return no rows print none. Of several that do, JSON is an array of their arrays, and the other forms
have an empty line between them. Must not know where rows come from.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Final, Literal

from durable.limits import INSPECT_BYTES_MAX
from durable_cli import console
from durable_cli.sql.rows import Rows, as_csv, as_json, as_lines, as_table

Form = Literal["table", "line", "json", "csv"]

_MIB: Final = 1024 * 1024


def show_results(results: Sequence[Rows], form: Form) -> None:
    """Print all of it."""
    sets = [rows for rows in results if rows.columns]
    text = _text(sets, form)
    if text:
        console.put_data(text)
    for number, rows in enumerate(sets, 1):
        notice = _notice(rows)
        if notice:
            console.say(f"result {number}: {notice}" if len(sets) > 1 else notice)
    written = sum(rows.rows_written for rows in results)
    if written:
        console.say(f"{written} row{'s' * (written != 1)} written")
    elif not sets:
        console.say("done")
    elif form in ("table", "line") and not any(rows.rows for rows in sets) and not any(map(_notice, sets)):
        console.say("no rows")


def _text(sets: Sequence[Rows], form: Form) -> str:
    match form:
        case "json" if len(sets) > 1:
            return "[\n" + ",\n".join(as_json(rows) for rows in sets) + "\n]"
        case "json":
            return as_json(sets[0]) if sets else "[]"
        case "csv":
            # A program gets the values as they are; a terminal would obey what is in them.
            harmless = sys.stdout.isatty()
            return "\n".join(as_csv(rows, harmless=harmless) for rows in sets)
        case "line":
            return "\n\n".join(text for rows in sets if (text := as_lines(rows)))
        case "table":
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            colour = console.colour_wanted(sys.stdout)
            return "\n\n".join(as_table(rows, colour=colour, width=width) for rows in sets)


def _notice(rows: Rows) -> str:
    """What is missing and how to get at it; empty when nothing is."""
    count = len(rows.rows)
    these = f"these {count} rows" if count != 1 else "this row"
    if rows.oversized:
        more = f"there is more than {these}" if count else "there are rows, and none is shown"
        return (
            f"… {more}: one look returns at most {INSPECT_BYTES_MAX // _MIB} MiB;"
            " select fewer columns, or use substr() or LIMIT"
        )
    if rows.truncated:
        return f"… there are more than {these}: narrow the query with WHERE or LIMIT"
    return ""

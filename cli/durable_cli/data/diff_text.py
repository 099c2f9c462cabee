"""A difference of two images as lines for people. Knows no image and no object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from durable_cli.console import Ink, printable
from durable_cli.data.image_diff import ADDED, CHANGED, REMOVED, Changed, Changes, ImageDiff
from durable_cli.moments import shown_moment

_SIGNS: Final = {ADDED: ("+", "green"), REMOVED: ("-", "red"), CHANGED: ("~", "yellow")}
_VALUE_CHARACTERS_MAX: Final = 200


def diff_text(diff: ImageDiff, ink: Ink) -> str:
    """`+ key "topic": "tea"`: what the second has and the first has not begins with a plus."""
    return "\n".join(_lines(diff, ink))


def _lines(diff: ImageDiff, ink: Ink) -> Iterator[str]:
    if diff.schema.count:
        yield _heading("schema", diff.schema, ink)
        for each in diff.schema.first:
            yield from _two(each, f"{each.what}", each.before, each.after, ink)
        yield from _more(diff.schema)
    for table, changes in diff.rows.items():
        yield _heading(f"table {table}", changes, ink)
        for each in changes.first:
            yield from _row(each, ink)
        yield from _more(changes)
    if diff.keys.count:
        yield _heading("keys", diff.keys, ink)
        for each in diff.keys.first:
            yield from _two(each, _shown(each.what), _value(each.before), _value(each.after), ink)
        yield from _more(diff.keys)
    before, after = diff.alarm_ms
    if before != after:
        yield ink.paint("alarm", "bold")
        yield f"  {_moment(before)} → {_moment(after)}"
    if diff.schema_version[0] != diff.schema_version[1]:
        yield ink.paint("schema version", "bold")
        yield f"  {diff.schema_version[0]} → {diff.schema_version[1]}"


def _heading(what: str, changes: Changes, ink: Ink) -> str:
    counts = ((ADDED, changes.added), (REMOVED, changes.removed), (CHANGED, changes.changed))
    return ink.paint(printable(what), "bold") + ": " + ", ".join(f"{count} {kind}" for kind, count in counts if count)


def _more(changes: Changes) -> Iterator[str]:
    if left := changes.count - len(changes.first):
        yield f"  … and {left} more"


def _sign(kind: str, ink: Ink) -> str:
    sign, colour = _SIGNS[kind]
    return ink.paint(sign, colour)


def _two(each: Changed, what: str, before: Any, after: Any, ink: Ink) -> Iterator[str]:
    what = printable(what, length_max=_VALUE_CHARACTERS_MAX)
    if each.kind == CHANGED:
        yield f"  {_sign(each.kind, ink)} {what}"
        for sign, side in (("before", before), ("after", after)):
            yield f"      {sign:<7}{printable(str(side), length_max=_VALUE_CHARACTERS_MAX)}"
    else:
        side = before if after is None else after
        yield f"  {_sign(each.kind, ink)} {what}: {printable(str(side), length_max=_VALUE_CHARACTERS_MAX)}"


def _row(each: Changed, ink: Ink) -> Iterator[str]:
    if each.kind == CHANGED:
        key = _columns(each.what)
        parts = [
            f"{column} {_shown(each.before[column])} → {_shown(each.after[column])}"
            for column in each.before
            if json.dumps(each.before[column]) != json.dumps(each.after[column])
        ]
        line = f"{key}: {', '.join(parts)}"
    else:
        line = _columns(each.before or each.after)
    yield f"  {_sign(each.kind, ink)} {printable(line)}"


def _columns(row: dict[str, Any]) -> str:
    return ", ".join(f"{column} {_shown(value)}" for column, value in row.items())


def _value(side: Any) -> str | None:
    if side is None:
        return None
    return f"damaged: {side['damaged']}" if "damaged" in side else _shown(side["value"])


def _shown(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False), length_max=_VALUE_CHARACTERS_MAX)


def _moment(ms: int | None) -> str:
    return "none" if ms is None else shown_moment(ms)

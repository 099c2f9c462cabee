"""What many objects answer to one query: rows of equal columns together, and who failed. Knows no file.

As JSON, which goes from a host to the terminal as it is:

    {"objects": 128, "tables": [{"columns": ["n"], "rows": [["general", 3]]}], "failed": [["lost", "…"]], "cut": []}

The first cell of each row is its object's name, or its id when it has none; `cut` names objects that had more rows.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from durable.storage.sql.inspection import Inspection
from durable.values.json_form import to_json

_encode: Final = msgspec.json.Encoder().encode
_LONG: Final = frozenset({str, bytes})
_CELL_BYTES: Final = 8
"""What a number takes, about."""


class Table(msgspec.Struct):
    """Rows of objects that came one after the other and whose results have the same columns."""

    columns: list[str]
    rows: list[list[Any]]


class Answers(msgspec.Struct):
    """`add` and `fail`, once for each object."""

    objects: int = 0
    tables: list[Table] = msgspec.field(default_factory=list[Table])
    failed: list[tuple[str, str]] = msgspec.field(default_factory=list[tuple[str, str]])
    cut: list[str] = msgspec.field(default_factory=list[str])

    def add(self, label: str, inspection: Inspection) -> int:
        """Returns about how many bytes that is."""
        self.objects += 1
        if not self.tables or self.tables[-1].columns != inspection.columns:
            self.tables.append(Table(inspection.columns, []))
        if inspection.truncated:
            self.cut.append(label)
        self.tables[-1].rows += [[label, *row] for row in inspection.rows]
        return len(label) * len(inspection.rows) + size_of(inspection)

    def fail(self, label: str, message: str) -> None:
        self.objects += 1
        self.failed.append((label, message))

    def to_json(self) -> bytes:
        """Call it last."""
        for table in self.tables:
            for row in table.rows:
                for index, cell in enumerate(row):
                    if isinstance(cell, bytes) or (isinstance(cell, float) and not math.isfinite(cell)):
                        row[index] = to_json(cell)
        return _encode(self)


def size_of(inspection: Inspection) -> int:
    """About how many bytes its rows are."""
    return sum(_CELL_BYTES + (len(cell) if type(cell) in _LONG else 0) for row in inspection.rows for cell in row)

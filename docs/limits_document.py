"""`make docs`: docs/limits.md and the table in docs/storage.md, from the sentences below the constants of `limits.py`.

A constant without a sentence, or a sentence that does not end with its source, is an error here and fails the tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from durable import limits

TARGET = Path(__file__).with_name("limits.md")
STORAGE = Path(__file__).with_name("storage.md")
MARKS = ("<!-- limits: begin -->\n", "<!-- limits: end -->")
OF_STORAGE = re.compile(r"(CRITICAL_SECTION|COMMIT|VALUE|KV|SQL|ALARM_MS|HISTORY)_(?!STATEMENTS|TURN_STEPS|SWEEP|BASE)")
"""Limits that an object's own code can reach; the others bound what the engine does."""
HEADINGS = "| limit | | what it bounds | source |\n|---|---|---|---|\n"
SOURCE = re.compile(r"\s*\((platform|ours)(?:[:,] ([^()]*))?\)\.?$")
SECTION = re.compile(r"^# --- (.+?) -+$", re.MULTILINE)
UNITS = {limits.KIB: "KiB", limits.MIB: "MiB"}
INTRODUCTION = """\
# Limits

<!-- Written by `make docs` from emulator/durable/limits.py; edit that file. -->

Every bound of durable. *platform* is a limit of Cloudflare's Durable Objects, documented or observed, and holds here
too so that what runs here runs there. *ours* is a choice of durable, made so that no queue, buffer or loop is without a
bound. Reaching a bound is an error with a name, never a silent drop.
"""


@dataclass(frozen=True)
class Limit:
    """One row: `KV_KEY_BYTES_MAX`, 2048, "UTF-8 bytes of one key", "platform"."""

    name: str
    value: float
    meaning: str
    source: str


def main() -> None:
    TARGET.write_text(document(), "utf-8")
    STORAGE.write_text(with_limits(STORAGE.read_text("utf-8")), "utf-8")


def document(text: str | None = None) -> str:
    """The whole of limits.md, by default for the `limits.py` that is installed."""
    source = Path(limits.__file__).read_text("utf-8") if text is None else text
    parts = [INTRODUCTION]
    for name, rows in sections(source):
        parts.append(f"## {name[0].upper()}{name[1:]}\n\n{table(rows)}")
    return "\n".join(parts)


def with_limits(text: str) -> str:
    """`text` with the table of storage's limits between the two marks."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    limit_rows = [limit for _, limit in constants(Path(limits.__file__).read_text("utf-8"))]
    rows = [limit for limit in limit_rows if OF_STORAGE.match(limit.name)]
    return f"{before}{MARKS[0]}{table(rows)}{MARKS[1]}{after}"


def table(rows: list[Limit]) -> str:
    return HEADINGS + "".join(
        f"| `{row.name}` | {shown(row.name, row.value)} | {row.meaning} | {row.source} |\n" for row in rows
    )


def sections(source: str) -> Iterator[tuple[str, list[Limit]]]:
    """`("storage", [Limit(…), …])` in the order of the file; raises ValueError for a constant that says too little."""
    starts = [(source.count("\n", 0, match.start()) + 1, match[1]) for match in SECTION.finditer(source)]
    found = list(constants(source))
    for index, (line, name) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else 10**9
        yield name, [limit for at, limit in found if line < at < end]


def constants(source: str) -> Iterator[tuple[int, Limit]]:
    """Line and limit of every constant but the units, KIB and MIB."""
    body = ast.parse(source).body
    values: dict[str, float] = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
            continue
        name = node.target.id
        values[name] = eval(compile(ast.Expression(node.value), "limits.py", "eval"), {"__builtins__": {}}, values)
        if name in ("KIB", "MIB"):
            continue
        sentence = docstring(following)
        match = SOURCE.search(sentence)
        if match is None:
            raise ValueError(f"limits.py:{node.lineno}: {name} needs a sentence that ends with (platform) or (ours)")
        meaning = sentence[: match.start()].rstrip(".") + (f"; {match[2]}" if match[2] else "")
        yield node.lineno, Limit(name, values[name], meaning, match[1])


def docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split()).replace("|", "\\|")
    return ""


def shown(name: str, value: float) -> str:
    """`16 MiB`, `30 s`, `10 000`: the unit stands in the constant's name."""
    if "_BYTES" in name:
        for size, unit in sorted(UNITS.items(), reverse=True):
            if value >= size and value % size == 0:
                return f"{grouped(value / size)} {unit}"
        return f"{grouped(value)} B"
    unit = " s" if "_SECONDS" in name else " ms" if "_MS" in name else ""
    return grouped(value) + unit


def grouped(value: float) -> str:
    """Digits in groups of three from five digits on; no comma, which is a decimal point to half of the world."""
    text = f"{value:,.10g}" if abs(value) < 10**10 else f"{int(value):,}"
    return text.replace(",", "\N{NO-BREAK SPACE}") if abs(value) >= 10_000 else text.replace(",", "")


if __name__ == "__main__":
    main()

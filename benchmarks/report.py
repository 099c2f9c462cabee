"""The measures as one table for people and one JSON document for programs."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.cases import Measure, Series
from benchmarks.subjects import BARE, BARE_SERVER, WORKERD, WRANGLER

PACKAGES = ("durable", "aiohttp", "uvloop", "apsw", "msgspec", "watchfiles")


def table(measures: Sequence[Measure]) -> Table:
    """Medians; a ratio is ours divided by theirs, so that more is better for /s and less for ms and MB."""
    shown = Table(title="medians; ratio = durable ÷ the other: more is better for /s, less for ms and MB")
    shown.add_column("measure")
    for heading in (BARE, "durable", "ratio", "bar", "p50 ms", "p99 ms", WORKERD, "ratio"):
        shown.add_column(heading, justify="right")
    for measure in measures:
        ours = measure.series.get(measure.subject)
        if ours is None or not ours.rounds:
            continue
        peer = WORKERD if WORKERD in measure.series else WRANGLER
        shown.add_row(
            f"{measure.title} ({measure.unit})" + (f" [red]{ours.errors} errors[/red]" if ours.errors else ""),
            number(measure.series.get(BARE)),
            number(ours),
            share(measure.ratio(BARE)),
            bar(measure),
            percentile(ours.p50_ms),
            percentile(ours.p99_ms),
            number(measure.series.get(peer)),
            share(measure.ratio(peer)),
        )
        low_level = measure.ratio(BARE_SERVER)
        if low_level is not None:
            shown.add_row(
                f"  against {BARE_SERVER}",
                number(measure.series[BARE_SERVER]),
                "",
                share(low_level),
                "",
                "",
                "",
                "",
                "",
            )
    return shown


def number(series: Series | None) -> str:
    if series is None or not series.rounds:
        return ""
    return f"{series.median:,.0f}" if series.median >= 100 else f"{series.median:.1f}"


def share(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def percentile(values: Sequence[float]) -> str:
    return f"{sorted(values)[len(values) // 2]:.2f}" if values else ""


def bar(measure: Measure) -> str:
    met = measure.bar_met()
    if met is None:
        return ""
    sign = "≥" if measure.unit == "/s" else "≤"
    return f"{sign} {measure.bar:g} " + ("[green]met[/green]" if met else "[red]missed[/red]")


def unrest(measures: Sequence[Measure]) -> float:
    """The widest spread of the yardstick's rounds, as a share of their median: a quiet machine stays below 0.15."""
    spreads = [0.0]
    for measure in measures:
        series = measure.series.get(BARE)
        if measure.unit == "/s" and series is not None and len(series.rounds) > 1:
            spreads.append((max(series.rounds) - min(series.rounds)) / series.median)
    return max(spreads)


def document(measures: Sequence[Measure], *, settings: dict[str, Any], peers: dict[str, str]) -> dict[str, Any]:
    """Everything that was measured: `{"taken": …, "machine": …, "versions": …, "settings": …, "measures": [...]}`."""
    return {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processors": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "load_average": os.getloadavg(),
        },
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES} | peers,
        "settings": settings,
        "unrest": unrest(measures),
        "measures": [as_json(measure) for measure in measures],
    }


def as_json(measure: Measure) -> dict[str, Any]:
    described = dataclasses.asdict(measure)
    for name, series in measure.series.items():
        described["series"][name]["median"] = series.median if series.rounds else None
    return described | {"ratio_to_bare": measure.ratio(BARE), "bar_met": measure.bar_met()}


def write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")

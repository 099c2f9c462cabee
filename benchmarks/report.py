"""The measures as one JSON document for programs, and how quiet the machine was."""

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

from benchmarks.measure import Measure
from benchmarks.subjects import BARE

PACKAGES = ("durable", "aiohttp", "uvloop", "apsw", "msgspec", "watchfiles")


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
    bars = [
        {"limit": bar.limit, "against": bar.against, "ratio": measure.ratio(bar.against), "met": measure.met(bar)}
        for bar in measure.bars
    ]
    return described | {"ratio_to_bare": measure.ratio(BARE), "bars": bars}


def write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")

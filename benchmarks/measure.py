"""What a measure found: rounds of every server, ratios of medians, and the bars that the project holds itself to."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.subjects import DURABLE

CYCLES_MIN = 3
"""Archive cycles that every round must have seen before it says anything about their cost."""


@dataclass(frozen=True)
class Bar:
    """A ratio of at least `limit` to the server `against`; without one, a quantile of at most `limit` in the unit."""

    limit: float
    against: str = ""
    quantile: float = 0.5
    """Of the rounds, for a time: 0.95 lets one save in twenty be slower."""


@dataclass
class Series:
    """The rounds of one server in one measure, in the measure's unit."""

    rounds: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    client_cpu: list[float] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def quantile(self, share: float) -> float:
        """The smallest round that is not below `share` of all."""
        return self.median if share == 0.5 else sorted(self.rounds)[math.ceil(share * len(self.rounds)) - 1]


@dataclass
class Measure:
    """One line of the report."""

    name: str
    title: str
    unit: Literal["/s", "ms", "MB"]
    series: dict[str, Series]
    subject: str = DURABLE
    """The series that is held against the others."""
    bars: tuple[Bar, ...] = ()
    archive_cycles: list[int] | None = None
    """Of each round, where they are what is measured."""

    def ratio(self, other: str) -> float | None:
        """The subject's median as a share of the other's."""
        ours, theirs = self.series.get(self.subject), self.series.get(other)
        if ours is None or theirs is None or not ours.rounds or not theirs.rounds or not theirs.median:
            return None
        return ours.median / theirs.median

    def bar(self, against: str) -> Bar | None:
        return next((bar for bar in self.bars if bar.against == against), None)

    def met(self, bar: Bar) -> bool | None:
        """None when it was not measured: a server is absent, or its rounds were too short to show what they should."""
        if self.archive_cycles is not None and min(self.archive_cycles, default=0) < CYCLES_MIN:
            return None
        if bar.against:
            ratio = self.ratio(bar.against)
            return None if ratio is None else ratio >= bar.limit
        ours = self.series.get(self.subject)
        return None if ours is None or not ours.rounds else ours.quantile(bar.quantile) <= bar.limit

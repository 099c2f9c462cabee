"""Ratios, bars and the document of a benchmark run."""

from __future__ import annotations

import io

from rich.console import Console

from benchmarks.cases import CASES, Measure, Series
from benchmarks.report import document, table
from benchmarks.subjects import BARE, DURABLE


def printed(measure: Measure) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(table([measure]))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_ratio_compares_medians_not_single_rounds() -> None:
    series = {BARE: Series([100.0, 90.0, 1000.0]), DURABLE: Series([60.0, 1.0, 50.0])}

    measure = Measure("hello", "worker hello", "/s", series, bar=0.5)

    assert measure.ratio(BARE) == 0.5
    assert measure.bar_met() is True


def test_a_time_is_held_against_its_bar_without_a_yardstick() -> None:
    measure = Measure("reload", "save → new code", "ms", {DURABLE: Series([90.0, 130.0, 120.0])}, bar=100.0)

    assert measure.bar_met() is False
    assert "missed" in printed(measure)


def test_errors_of_a_load_are_shown_beside_its_numbers() -> None:
    measure = Measure("sql", "SQL upsert", "/s", {DURABLE: Series([10.0], [1.0], [2.0], errors=3)})

    assert "3 errors" in printed(measure)


def test_the_document_keeps_every_round() -> None:
    measure = Measure("hello", "worker hello", "/s", {DURABLE: Series([3.0, 1.0, 2.0])}, bar=0.5)

    found = document([measure], settings={"rounds": 3}, peers={"workerd": "1.0"})

    assert found["measures"][0]["series"][DURABLE]["rounds"] == [3.0, 1.0, 2.0]
    assert found["measures"][0]["series"][DURABLE]["median"] == 2.0
    assert found["versions"]["workerd"] == "1.0"
    assert found["settings"] == {"rounds": 3}


def test_cases_are_named_once() -> None:
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names)

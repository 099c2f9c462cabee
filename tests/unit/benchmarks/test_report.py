"""Ratios, bars, tables and the document of a benchmark run."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console

from benchmarks.cases import CASES
from benchmarks.disk import CEILINGS, DISK
from benchmarks.measure import Bar, Measure, Series
from benchmarks.pitr import KEPT, NOT_KEPT
from benchmarks.report import document
from benchmarks.subjects import BARE, DURABLE, WORKERD, WRANGLER
from benchmarks.tables import BESIDE_DISK, bar_lines, tables


def printed(measures: Sequence[Measure]) -> str:
    console = Console(file=io.StringIO(), width=180)
    console.print(*tables(measures), sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined]


def upserts(workerd: float | None, durable: float = 60.0) -> Measure:
    series = {BARE: Series([100.0]), DURABLE: Series([durable])}
    if workerd is not None:
        series[WORKERD] = Series([workerd])
    return Measure("sql", "SQL upsert", "/s", series, bars=(Bar(0.5, BARE), Bar(5.0, WORKERD)))


def test_a_ratio_compares_medians_not_single_rounds() -> None:
    series = {BARE: Series([100.0, 90.0, 1000.0]), DURABLE: Series([60.0, 1.0, 50.0])}

    measure = Measure("hello", "worker hello", "/s", series, bars=(Bar(0.5, BARE),))

    assert measure.ratio(BARE) == 0.5
    assert measure.met(measure.bars[0]) is True


def test_a_time_is_held_against_its_bar_without_a_yardstick() -> None:
    series = {DURABLE: Series([90.0, 130.0, 120.0])}
    measure = Measure("reload", "save → new code", "ms", series, bars=(Bar(100.0),))

    assert measure.met(measure.bars[0]) is False
    assert "≤ 100 missed" in printed([measure])
    assert bar_lines([measure]) == ["reload: ≤ 100 ms, got 120.00: missed"]


def test_bars_against_two_servers_are_judged_one_by_one() -> None:
    measure = upserts(workerd=15.0)

    assert bar_lines([measure]) == [
        "sql: ≥ 0.5 × aiohttp, got 0.60: met",
        "sql: ≥ 5 × workerd, got 4.00: missed",
    ]
    assert "≥ 0.5 met" in printed([measure])
    assert "≥ 5 missed" in printed([measure])


def test_a_bar_against_a_server_that_is_absent_is_neither_met_nor_missed() -> None:
    measure = upserts(workerd=None)

    assert measure.met(measure.bars[1]) is None
    assert "≥ 5 not measured" in printed([measure])
    assert bar_lines([measure])[1] == "sql: ≥ 5 × workerd: not measured"


def test_upserts_and_sockets_are_held_against_workerd() -> None:
    wanted = {case.name: bar.limit for case in CASES for bar in case.bars if bar.against == WORKERD}

    assert wanted == {"sql": 5.0, "sql-200": 2.5, "echo": 0.9, "fanout": 3.0}


def test_errors_of_a_load_are_shown_beside_its_numbers() -> None:
    measure = Measure("sql", "SQL upsert", "/s", {DURABLE: Series([10.0], [1.0], [2.0], errors=3)})

    assert "3 errors" in printed([measure])


def test_the_raw_disk_stands_beside_what_the_product_made_of_it() -> None:
    raw = Measure("disk-fdatasync", "one file", "/s", {DISK: Series([120.0], [0.2], [0.4])}, DISK)

    assert "0.50" in printed([upserts(workerd=None), raw])
    assert "not measured" in printed([raw])
    assert set(BESIDE_DISK) == {name for name, _, _ in CEILINGS}
    assert set(BESIDE_DISK.values()) <= {case.name for case in CASES}


def test_history_is_measured_only_by_rounds_with_three_archive_cycles() -> None:
    series = {NOT_KEPT: Series([100.0]), KEPT: Series([90.0])}
    bars = (Bar(0.85, NOT_KEPT),)

    enough = Measure("pitr-relaxed", "SQL upsert", "/s", series, KEPT, bars, archive_cycles=[3, 4])
    short = Measure("pitr-relaxed", "SQL upsert", "/s", series, KEPT, bars, archive_cycles=[4, 2])

    assert enough.met(bars[0]) is True
    assert short.met(bars[0]) is None
    assert "≥ 0.85 met" in printed([enough])
    assert "≥ 0.85 not measured" in printed([short])
    assert "4, 2" in printed([short])


def test_the_document_keeps_every_round_and_every_bar() -> None:
    series = {DURABLE: Series([3.0, 1.0, 2.0]), WORKERD: Series([1.0])}
    measure = Measure("sql", "SQL upsert", "/s", series, bars=(Bar(5.0, WORKERD),))

    found = document([measure], settings={"rounds": 3}, peers={"workerd": "1.0"})

    assert found["measures"][0]["series"][DURABLE]["rounds"] == [3.0, 1.0, 2.0]
    assert found["measures"][0]["series"][DURABLE]["median"] == 2.0
    assert found["measures"][0]["bars"] == [{"limit": 5.0, "against": WORKERD, "ratio": 2.0, "met": False}]
    assert found["versions"]["workerd"] == "1.0"
    assert found["settings"] == {"rounds": 3}


def test_cases_are_named_once() -> None:
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names)


def test_saves_are_held_against_a_median_and_a_percentile() -> None:
    # One save in twenty may be slower than the second bar allows.
    series = {DURABLE: Series([20.0] * 19 + [500.0]), WRANGLER: Series([400.0, 410.0])}
    bars = (Bar(30.0), Bar(60.0, quantile=0.95))
    measure = Measure("reload", "save → new code", "ms", series, bars=bars)

    assert bar_lines([measure]) == ["reload: ≤ 30 ms, got 20.00: met", "reload: p95 ≤ 60 ms, got 20.00: met"]
    assert "≤ 60 met" in printed([measure])
    assert "405" in printed([measure])

    series[DURABLE].rounds[0] = 70.0
    assert bar_lines([measure])[1] == "reload: p95 ≤ 60 ms, got 70.00: missed"

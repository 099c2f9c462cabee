"""The measures as tables for people: servers under load and times, raw disk, history; and the bars, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.disk import DISK
from benchmarks.measure import CYCLES_MIN, Bar, Measure, Series
from benchmarks.pitr import KEPT, NOT_KEPT
from benchmarks.subjects import BARE, BARE_SERVER, WORKERD, WRANGLER

BESIDE_DISK = {"disk-fdatasync": "sql", "disk-pool": "sql-200", "disk-syncfs": "sql-200"}
"""Which measure of the product each way to flush is a ceiling of."""
NOT_MEASURED = "not measured"


def tables(measures: Sequence[Measure]) -> list[Table]:
    """One for each kind of measure that there is."""
    disk = [measure for measure in measures if measure.subject == DISK]
    history = [measure for measure in measures if measure.archive_cycles is not None]
    saves = [measure for measure in measures if measure.name.startswith("reload")]
    servers = [measure for measure in measures if measure not in disk + history + saves]
    shown = [server_table(servers)] if servers else []
    shown += [disk_table(disk, {measure.name: measure for measure in servers})] if disk else []
    shown += [history_table(history)] if history else []
    return shown + ([saves_table(saves)] if saves else [])


def server_table(measures: Sequence[Measure]) -> Table:
    """Medians; a ratio is ours divided by theirs, so that more is better for /s and less for ms and MB."""
    shown = Table(title="medians; ratio = durable ÷ the other: more is better for /s, less for ms and MB")
    shown.add_column("measure")
    for heading in (BARE, "durable", "ratio", "bar", "p50 ms", "p99 ms", WORKERD, "ratio", "bar"):
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
            verdict(measure, measure.bar(BARE) or measure.bar("")),
            percentile(ours.p50_ms),
            percentile(ours.p99_ms),
            number(measure.series.get(peer)),
            share(measure.ratio(peer)),
            verdict(measure, measure.bar(peer) or measure.bar(WORKERD)),
        )
        low_level = measure.ratio(BARE_SERVER)
        if low_level is not None:
            shown.add_row(f"  against {BARE_SERVER}", number(measure.series[BARE_SERVER]), "", share(low_level))
    return shown


def disk_table(measures: Sequence[Measure], product: dict[str, Measure]) -> Table:
    """What the disk can do, and what of that the product made of it in the same run."""
    shown = Table(title="raw disk: frames of 4 120 bytes appended and made durable; durable answers requests besides")
    shown.add_column("flush")
    for heading in ("commits/s", "p50 ms", "p99 ms", "durable", "measure", "ratio"):
        shown.add_column(heading, justify="right")
    for measure in measures:
        raw = measure.series[DISK]
        beside = BESIDE_DISK[measure.name]
        served = product[beside].series.get(product[beside].subject) if beside in product else None
        ratio = served.median / raw.median if served is not None and served.rounds else None
        figures = (number(raw), percentile(raw.p50_ms), percentile(raw.p99_ms))
        shown.add_row(measure.title, *figures, number(served) or NOT_MEASURED, beside, share(ratio))
    return shown


def history_table(measures: Sequence[Measure]) -> Table:
    """What keeping history costs; a round without enough archive cycles in it is no measurement of that."""
    shown = Table(title=f"point-in-time recovery; every round needs {CYCLES_MIN} archive cycles or more")
    shown.add_column("measure")
    for heading in (NOT_KEPT, KEPT, "ratio", "bar", "cycles per round"):
        shown.add_column(heading, justify="right")
    for measure in measures:
        cycles = measure.archive_cycles or []
        shown.add_row(
            f"{measure.title} ({measure.unit})",
            number(measure.series[NOT_KEPT]),
            number(measure.series[KEPT]),
            share(measure.ratio(NOT_KEPT)),
            verdict(measure, measure.bar(NOT_KEPT)),
            ", ".join(str(count) for count in cycles),
        )
    return shown


def saves_table(measures: Sequence[Measure]) -> Table:
    """What somebody waits for after a save."""
    shown = Table(title="from rename() to the first byte by the new code, ms")
    shown.add_column("measure")
    for heading in ("saves", "median", "bar", "p95", "bar", "slowest", WRANGLER, "p95"):
        shown.add_column(heading, justify="right")
    for measure in measures:
        ours, peer = measure.series[measure.subject], measure.series.get(WRANGLER)
        bars = {bar.quantile: bar for bar in measure.bars}
        shown.add_row(
            measure.title,
            str(len(ours.rounds)),
            number(ours),
            verdict(measure, bars.get(0.5)),
            f"{ours.quantile(0.95):.1f}",
            verdict(measure, bars.get(0.95)),
            f"{max(ours.rounds):.1f}",
            number(peer),
            f"{peer.quantile(0.95):.1f}" if peer is not None and peer.rounds else "",
        )
    return shown


def bar_lines(measures: Sequence[Measure]) -> list[str]:
    """`sql: ≥ 5 × workerd, got 5.62: met`, one for each bar."""
    lines = []
    for measure in measures:
        for bar in measure.bars:
            got = measure.ratio(bar.against) if bar.against else measure.series[measure.subject].quantile(bar.quantile)
            wanted = f"≥ {bar.limit:g} × {bar.against}" if bar.against else f"≤ {bar.limit:g} {measure.unit}"
            if bar.quantile != 0.5:
                wanted = f"p{bar.quantile * 100:g} {wanted}"
            found = "" if got is None else f", got {got:.2f}"
            lines.append(f"{measure.name}: {wanted}{found}: {word(measure, bar)}")
    return lines


# --- cells ----------------------------------------------------------------------------------------------------------
def number(series: Series | None) -> str:
    if series is None or not series.rounds:
        return ""
    return f"{series.median:,.0f}" if series.median >= 100 else f"{series.median:.1f}"


def share(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def percentile(values: Sequence[float]) -> str:
    return f"{sorted(values)[len(values) // 2]:.2f}" if values else ""


def word(measure: Measure, bar: Bar) -> str:
    met = measure.met(bar)
    return NOT_MEASURED if met is None else "met" if met else "missed"


def verdict(measure: Measure, bar: Bar | None) -> str:
    if bar is None:
        return ""
    colour = {"met": "green", "missed": "red", NOT_MEASURED: "yellow"}[word(measure, bar)]
    return f"{'≥' if bar.against else '≤'} {bar.limit:g} [{colour}]{word(measure, bar)}[/{colour}]"

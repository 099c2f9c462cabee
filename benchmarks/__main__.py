"""The `python -m benchmarks` command: which measures, how long, against whom."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from benchmarks import disk, memory, moments, pitr, reloads, report, subjects, tables, wake
from benchmarks.cases import CASES, Case, run_case
from benchmarks.measure import Bar, Measure, Series
from benchmarks.servers import Recipe, Server, Unavailable, start
from benchmarks.subjects import BARE, DURABLE, WORKERD, Peers

OTHERS = ("memory", "disk", "pitr", "wake", "cold-start", "reload")
COLD_STARTS = 7
COLD_START_MS_MAX = 500.0
UNREST_MAX = 0.25
talk = Console(stderr=True, highlight=False)


def arguments() -> argparse.Namespace:
    names = [case.name for case in CASES] + list(OTHERS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="also measure workerd and `wrangler dev` from npm")
    parser.add_argument("--peers-dir", type=Path, help="where npm installs them; kept when given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--saves", type=int, default=reloads.SAVES, help="of `reload`, two seconds apart")
    parser.add_argument(
        "--no-packages", action="store_true", help="`reload` without numpy and pandas, which pip fetches"
    )
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", default=names, help=", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: benchmarks/results/<time>.json")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    return parser.parse_args()


def recipes(scratch: Path, peers: Peers | None, cases: list[Case]) -> Iterator[Recipe]:
    """The servers that the chosen cases need."""
    wanted = {name for case in cases for name in case.servers()}
    available: dict[str, Callable[[], Recipe]] = {
        subjects.BARE: lambda: subjects.bare("application"),
        subjects.BARE_SERVER: lambda: subjects.bare("server"),
        subjects.DURABLE: lambda: subjects.durable(scratch / "full"),
        subjects.RELAXED: lambda: subjects.durable(scratch / "relaxed", durability="relaxed"),
        subjects.TWO_HOSTS: lambda: subjects.durable(scratch / "two-hosts", hosts=2),
    }
    if peers is not None:
        available[WORKERD] = lambda: subjects.workerd(scratch / "workerd", peers)
    for name in available:
        if name in wanted:
            yield available[name]()


def under_load(chosen: argparse.Namespace, scratch: Path, peers: Peers | None) -> list[Measure]:
    cases = [case for case in CASES if case.name in chosen.only]
    if not cases and "memory" in chosen.only:
        cases = [case for case in CASES if case.name == "hello"]
    measures = []
    with contextlib.ExitStack() as running:
        servers: dict[str, Server] = {}
        for recipe in recipes(scratch, peers, cases):
            server = start(recipe, scratch / f"{recipe.name}.log".replace(" ", "-"))
            running.callback(server.stop)
            server.wait_answer("/hello")
            servers[recipe.name] = server
        for case in cases:
            measures.append(run_case(case, servers, rounds=chosen.rounds, seconds=chosen.seconds, say=talk.print))
        if "memory" in chosen.only:
            measures += memory_after(servers)
    return measures


def of_the_disk(chosen: argparse.Namespace, scratch: Path) -> list[Measure]:
    """The raw ceilings, with no server running, and what history costs, with no other server running."""
    measures = []
    if "disk" in chosen.only:
        measures += disk.measure(scratch / "disk", rounds=chosen.rounds, seconds=chosen.seconds, say=talk.print)
    if "pitr" in chosen.only:
        measures += pitr.measure(scratch / "pitr", rounds=chosen.rounds, seconds=chosen.seconds, say=talk.print)
    return measures


def memory_after(servers: dict[str, Server]) -> list[Measure]:
    """Memory of the processes as the load left them; a line each for the gateway and every host."""
    sizes = memory.by_process(servers[DURABLE].pid) if DURABLE in servers else {}
    measures = [
        Measure(f"memory-{part}", f"memory: {part}", "MB", {DURABLE: Series([mb])}) for part, mb in sizes.items()
    ]
    if sizes:
        total = Measure("memory", "memory: all processes", "MB", {DURABLE: Series([sum(sizes.values())])})
        for name in (BARE, WORKERD):
            if name in servers:
                total.series[name] = Series([sum(memory.by_process(servers[name].pid).values())])
        measures.append(total)
    return measures


def waited_for(chosen: argparse.Namespace, scratch: Path, peers: Peers | None) -> list[Measure]:
    measures = []
    if "wake" in chosen.only:
        talk.print("wake …")
        measure = Measure("wake", "wake → answer", "ms", {}, bars=(Bar(wake.WAKE_MS_MAX),))
        measure.series[DURABLE] = wake.wakes(scratch / "wake")
        measures.append(measure)
    if "cold-start" in chosen.only:
        talk.print("cold-start …")
        measure = Measure("cold-start", "command → first 200", "ms", {}, bars=(Bar(COLD_START_MS_MAX),))
        measure.series[BARE] = moments.cold_starts(
            lambda _: subjects.bare("application"), scratch / "cold-bare", times=COLD_STARTS
        )
        measure.series[DURABLE] = moments.cold_starts(
            reloads.chat_template, scratch / "cold-durable", times=COLD_STARTS, path="/version"
        )
        if peers is not None:
            measure.series[WORKERD] = moments.cold_starts(
                lambda folder: subjects.workerd(folder, peers), scratch / "cold-workerd", times=COLD_STARTS
            )
        measures.append(measure)
    if "reload" in chosen.only:
        measures += reloads.measures(
            scratch / "reload", peers, talk.print, times=chosen.saves, packages=not chosen.no_packages
        )
    return measures


def main() -> int:
    chosen = arguments()
    with tempfile.TemporaryDirectory(prefix="durable-benchmarks-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        peers = None
        try:
            if chosen.peers:
                peers = subjects.install_peers(chosen.peers_dir or scratch / "npm")
                talk.print("peers: " + ", ".join(f"{name} {version}" for name, version in peers.versions.items()))
            measures = under_load(chosen, scratch, peers) + of_the_disk(chosen, scratch)
            measures += waited_for(chosen, scratch, peers)
        except Unavailable as error:
            talk.print(str(error), markup=False, style="red")
            return 1
    Console(width=None if sys.stdout.isatty() else 160).print(*tables.tables(measures), sep="\n")
    if report.unrest(measures) > UNREST_MAX:
        talk.print(f"the yardstick varied by {report.unrest(measures):.0%}: the machine was not quiet, measure again")
    settings = {"rounds": chosen.rounds, "seconds": chosen.seconds, "only": chosen.only}
    found = report.document(measures, settings=settings, peers=peers.versions if peers else {})
    target = chosen.json or subjects.HERE / "results" / time.strftime("%Y-%m-%dT%H%M%S.json")
    report.write(target, found)
    talk.print(f"written to {target}")
    if chosen.check:
        for line in tables.bar_lines(measures):
            talk.print(line, markup=False)
    return 1 if chosen.check and any(measure.met(bar) is False for measure in measures for bar in measure.bars) else 0


if __name__ == "__main__":
    sys.exit(main())

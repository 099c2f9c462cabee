"""What is measured under load, as a table, and the alternating rounds that measure it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.servers import Server, Unavailable, get
from benchmarks.subjects import BARE, BARE_SERVER, DURABLE, RELAXED, REPO, WORKERD

CONNECTIONS = 64
ROOM_MEMBERS = 100


@dataclass(frozen=True)
class Case:
    """One kind of load. The yardstick is bare aiohttp at `bare_path`, whatever the product is asked to do."""

    name: str
    title: str
    load: Literal["http", "echo", "fanout"]
    path: str
    bare_path: str = "/hello"
    objects: int = 1
    subject: str = DURABLE
    prime: str = ""
    """Asked once before the rounds, so that there is something to read."""
    bar: float | None = None
    """The ratio to bare aiohttp that the project holds itself to."""

    def path_on(self, server: str) -> str:
        return self.bare_path if server in (BARE, BARE_SERVER) else self.path

    def servers(self) -> list[str]:
        yardsticks = [BARE_SERVER, BARE] if self.name == "hello" else [BARE]
        return [*yardsticks, self.subject, WORKERD]


CASES = (
    Case("hello", "worker hello", "http", "/hello", bar=0.5),
    Case("rpc", "in-memory RPC, one object", "http", "/rpc", bar=0.4),
    Case("rpc-64", "in-memory RPC, 64 objects", "http", "/rpc/{i}", objects=64),
    Case("sql", "SQL upsert, full, one object", "http", "/sql", bar=0.3),
    Case("sql-64", "SQL upsert, full, 64 objects", "http", "/sql/{i}", objects=64),
    Case("sql-relaxed", "SQL upsert, relaxed, one object", "http", "/sql", subject=RELAXED),
    Case("sql-read", "SQL read, one object", "http", "/read", prime="/sql"),
    Case("kv", "KV get and put, full, one object", "http", "/kv"),
    Case("echo", "WebSocket echo, one object", "echo", "/echo", "/echo"),
    Case("fanout", f"fan-out to {ROOM_MEMBERS}, frames", "fanout", "/room", "/room", bar=0.4),
)


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


@dataclass
class Measure:
    """One line of the report. `bar` is a ratio when the unit is a rate, else the largest value allowed."""

    name: str
    title: str
    unit: Literal["/s", "ms", "MB"]
    series: dict[str, Series]
    subject: str = DURABLE
    bar: float | None = None

    def ratio(self, other: str) -> float | None:
        """The product's median as a share of the other's."""
        if self.subject not in self.series or other not in self.series or not self.series[other].median:
            return None
        return self.series[self.subject].median / self.series[other].median

    def bar_met(self) -> bool | None:
        if self.bar is None or self.subject not in self.series:
            return None
        if self.unit == "/s":
            return (self.ratio(BARE) or 0.0) >= self.bar
        return self.series[self.subject].median <= self.bar


def run_case(
    case: Case, servers: Mapping[str, Server], *, rounds: int, seconds: float, say: Callable[[str], None]
) -> Measure:
    """Alternate between the servers, round after round, so that a slow minute of the machine hits all of them."""
    taking_part = [name for name in case.servers() if name in servers]
    measure = Measure(case.name, case.title, "/s", {name: Series() for name in taking_part}, case.subject, case.bar)
    for name in taking_part:
        if case.prime and name not in (BARE, BARE_SERVER):
            get(servers[name].port, case.prime)
    for number in range(rounds):
        for name in taking_part:
            result = drive(case, servers[name], seconds)
            series = measure.series[name]
            series.rounds.append(result["count"] / result["seconds"])
            series.p50_ms.append(result["p50_ms"])
            series.p99_ms.append(result["p99_ms"])
            series.client_cpu.append(result["client_cpu"])
            series.errors += result["errors"]
            series.first_error = series.first_error or result.get("first_error", "")
            say(f"{case.name} round {number + 1}/{rounds}: {name} {series.rounds[-1]:,.0f}/s")
    return measure


def drive(case: Case, server: Server, seconds: float) -> dict[str, Any]:
    """One load process, start to end."""
    module = ["benchmarks.http_client"] if case.load == "http" else ["benchmarks.socket_client", case.load]
    connections = ROOM_MEMBERS if case.load == "fanout" else CONNECTIONS
    command = [sys.executable, "-m", *module, str(server.port), case.path_on(server.name)]
    command += ["--connections", str(connections), "--objects", str(case.objects), "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise Unavailable(f"{case.name} on {server.name}: {done.stderr[-1500:]}\n{server.log_tail()}")
    return dict(json.loads(done.stdout))

"""What is measured under load, as a table, and the alternating rounds that measure it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.measure import Bar, Measure, Series
from benchmarks.servers import Server, Unavailable, get
from benchmarks.subjects import BARE, BARE_SERVER, DURABLE, RELAXED, REPO, TWO_HOSTS, WORKERD

CONNECTIONS = 64
ROOM_MEMBERS = 100
CALLS = 100
"""Of one object to another, one after the other, for each request."""


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
    """Asked once for each object before the rounds, so that there is something to read."""
    bars: tuple[Bar, ...] = ()
    calls: int = 1
    """What is counted, for each answer."""

    def path_on(self, server: str) -> str:
        return self.bare_path if server in (BARE, BARE_SERVER) else self.path

    def servers(self) -> list[str]:
        yardsticks = [BARE_SERVER, BARE] if self.name == "hello" else [BARE]
        # An object that calls another is not in the peers' program.
        return [*yardsticks, self.subject, *([WORKERD] if self.calls == 1 else [])]


CASES = (
    Case("hello", "worker hello", "http", "/hello", bars=(Bar(0.5, BARE),)),
    Case("rpc", "in-memory RPC, one object", "http", "/rpc", bars=(Bar(0.4, BARE),)),
    Case("rpc-64", "in-memory RPC, 64 objects", "http", "/rpc/{i}", objects=64),
    Case(
        "rpc-object",
        "object calls object, one host",
        "http",
        f"/calls/near/{CALLS}",
        calls=CALLS,
        bars=(Bar(40_000 / 37_000, BARE),),
    ),
    Case(
        "rpc-hosts",
        "object calls object, two hosts",
        "http",
        f"/calls/far/{CALLS}",
        calls=CALLS,
        subject=TWO_HOSTS,
        bars=(Bar(8_000 / 37_000, BARE),),
    ),
    Case("sql", "SQL upsert, full, one object", "http", "/sql", bars=(Bar(0.3, BARE), Bar(5.0, WORKERD))),
    Case("sql-64", "SQL upsert, full, 64 objects", "http", "/sql/{i}", objects=64),
    Case(
        "sql-200",
        "SQL upsert, full, 200 objects",
        "http",
        "/sql/{i}",
        objects=200,
        prime="/sql/{i}",
        bars=(Bar(2.5, WORKERD),),
    ),
    Case("sql-relaxed", "SQL upsert, relaxed, one object", "http", "/sql", subject=RELAXED),
    Case("sql-read", "SQL read, one object", "http", "/read", prime="/sql"),
    Case("kv", "KV get and put, full, one object", "http", "/kv"),
    Case("echo", "WebSocket echo, one object", "echo", "/echo", "/echo", bars=(Bar(0.9, WORKERD),)),
    Case(
        "fanout",
        f"fan-out to {ROOM_MEMBERS}, frames",
        "fanout",
        "/room",
        "/room",
        bars=(Bar(0.6, BARE), Bar(3.0, WORKERD)),
    ),
)


def run_case(
    case: Case, servers: Mapping[str, Server], *, rounds: int, seconds: float, say: Callable[[str], None]
) -> Measure:
    """Alternate between the servers, round after round, so that a slow minute of the machine hits all of them."""
    taking_part = [name for name in case.servers() if name in servers]
    measure = Measure(case.name, case.title, "/s", {name: Series() for name in taking_part}, case.subject, case.bars)
    for name in taking_part:
        if case.prime and name not in (BARE, BARE_SERVER):
            for number in range(case.objects):
                get(servers[name].port, case.prime.replace("{i}", str(number)))
    for number in range(rounds):
        for name in taking_part:
            drive(case, servers[name], seconds, measure.series[name])
            say(f"{case.name} round {number + 1}/{rounds}: {name} {measure.series[name].rounds[-1]:,.0f}/s")
    return measure


def drive(case: Case, server: Server, seconds: float, series: Series) -> None:
    """One load process, start to end: one more round of `series`."""
    module = ["benchmarks.http_client"] if case.load == "http" else ["benchmarks.socket_client", case.load]
    connections = ROOM_MEMBERS if case.load == "fanout" else CONNECTIONS
    command = [sys.executable, "-m", *module, str(server.port), case.path_on(server.name)]
    command += ["--connections", str(connections), "--objects", str(case.objects), "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise Unavailable(f"{case.name} on {server.name}: {done.stderr[-1500:]}\n{server.log_tail()}")
    result: dict[str, Any] = json.loads(done.stdout)
    counted = case.calls if server.name == case.subject else 1
    series.rounds.append(counted * result["count"] / result["seconds"])
    series.p50_ms.append(result["p50_ms"])
    series.p99_ms.append(result["p99_ms"])
    series.client_cpu.append(result["client_cpu"])
    series.errors += result["errors"]
    series.first_error = series.first_error or result.get("first_error", "")

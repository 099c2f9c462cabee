"""Ten thousand hibernated sockets: what they cost the gateway, what it is like to be one of them, and how they end."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.memory import resident_mb
from tests.acceptance.running_dev import Dev
from tests.settings import settings

PROCESSES = 2
SOCKETS_EACH = 5000
OBJECTS = 100
ECHOES_EACH = 500
MEMORY_MB_MAX = 300.0
IDLE_CPU_MAX = 0.02
ECHO_P99_MS_MAX = 100.0
IDLE_WATCH_SECONDS = 10.0
REPO = Path(__file__).parents[2]
SETTINGS = (
    settings("Room", "ROOM")
    + """
[dev]
idle_seconds = 1
"""
)
PROGRAM = """\
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Room(DurableObject):
    def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws, message):
        ws.send(message)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ROOM.get_by_name(request.url.rpartition("/")[2]).fetch(request)
"""


class Clients:
    """One process of them."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "tests.faults.idle_sockets", str(port)]
        command += ["--sockets", str(SOCKETS_EACH), "--objects", str(OBJECTS)]
        self.process = subprocess.Popen(
            command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def dev(tmp_path: Path):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < PROCESSES * SOCKETS_EACH + 200:
        pytest.skip(f"a process may have {hard} open files here, ten thousand sockets need more: ulimit -Hn")
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    dev = Dev(tmp_path, "--persist-to", str(tmp_path / "state"), "--quiet")
    yield dev
    dev.discard()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_thousand_hibernated_sockets(dev: Dev, capsys: pytest.CaptureFixture[str]):
    dev.wait_ready()
    pid = dev.process.pid
    before = resident_mb(pid)
    started = time.monotonic()
    clients = [Clients(urlsplit(dev.url).port or 80) for _ in range(PROCESSES)]
    try:
        assert [each.answer() for each in clients] == [SOCKETS_EACH] * PROCESSES
        per_second = PROCESSES * SOCKETS_EACH / (time.monotonic() - started)
        time.sleep(3 * 1.0)  # `idle_seconds`: the objects leave memory, which nothing outside can be waited for
        used, watched = cpu_seconds(pid), time.monotonic()
        time.sleep(IDLE_WATCH_SECONDS)  # doing nothing is what is measured
        idle_cpu = (cpu_seconds(pid) - used) / (time.monotonic() - watched)
        memory = resident_mb(pid)
        for each in clients:
            each.ask(f"echo {ECHOES_EACH}")
        took = sorted(ms for each in clients for ms in each.answer())
        p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        with capsys.disabled():
            print(
                f"\n{PROCESSES * SOCKETS_EACH} sockets: {per_second:.0f} connects/s, gateway {memory:.0f} MB "
                f"({(memory - before) * 1024 / PROCESSES / SOCKETS_EACH:.1f} KiB each), idle CPU {idle_cpu:.1%}, "
                f"echo p50 {p50:.1f} ms, p99 {p99:.1f} ms",
                end=" ",
            )
        for each in clients:
            each.ask("end")
        dev.end(signal.SIGINT)
        codes = sum((Counter(each.answer()) for each in clients), Counter[str]())
    finally:
        for each in clients:
            each.end()

    assert memory <= MEMORY_MB_MAX
    assert idle_cpu < IDLE_CPU_MAX
    assert p99 < ECHO_P99_MS_MAX
    assert codes == {"1001": PROCESSES * SOCKETS_EACH}

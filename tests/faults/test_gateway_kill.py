"""The gateway is killed: no host outlives it, whatever it is doing, and the next start finds everything free."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.running_emulator import PROGRAM, SETTINGS

WAIT_SECONDS = 20.0
"""A safety net."""

SERVE = """\
import asyncio, sys
from pathlib import Path
from durable import config
from durable.emulator import Emulator
from durable.supervisor.spawner import HostSpawner

async def main():
    root = Path(sys.argv[1])
    spawner = HostSpawner(root / ".durable" / "state", root)
    async with Emulator(config.load(root / "durable.toml"), spawner):
        print("serving", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

BUSY = PROGRAM.replace("await asyncio.sleep(", "while True: pass\n            (")


@contextmanager
def serving(root: Path) -> Iterator[subprocess.Popen[str]]:
    gateway = subprocess.Popen([sys.executable, "-c", SERVE, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert gateway.stdout is not None
        assert gateway.stdout.readline() == "serving\n"
        yield gateway
    finally:
        gateway.kill()
        gateway.communicate()


def address(root: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((root / ".durable" / "run" / "emulator.json").read_text())
    return found


def get(root: Path, path: str) -> str:
    with urllib.request.urlopen(address(root)["url"] + path, timeout=WAIT_SECONDS) as response:
        text: str = response.read().decode()
        return text


def host_pids(root: Path) -> list[int]:
    where = address(root)
    request = urllib.request.Request(
        where["url"] + "/__durable/status", headers={"Authorization": f"Bearer {where['token']}"}
    )
    with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:
        return [host["pid"] for host in json.load(response)["hosts"]]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("busy", [False, True])
def test_no_host_outlives_a_killed_gateway_and_the_next_start_finds_what_was_acknowledged(tmp_path: Path, busy: bool):
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(BUSY if busy else PROGRAM)
    with serving(tmp_path) as gateway:
        assert [get(tmp_path, "/count/a") for _ in range(3)] == ["1", "2", "3"]
        hosts = host_pids(tmp_path)
        if busy:
            # The host's loop never runs again, so it cannot see that its channel ended.
            stuck = subprocess.Popen(
                [sys.executable, "-c", f"import urllib.request as u; u.urlopen('{address(tmp_path)['url']}/sleep/1')"],
                stderr=subprocess.DEVNULL,
            )
            _wait_until_busy(hosts[0])

        gateway.send_signal(signal.SIGKILL)
        gateway.wait()
        if busy:
            stuck.wait(WAIT_SECONDS)

    deadline = time.monotonic() + WAIT_SECONDS
    while any(is_running(pid) for pid in hosts):
        assert time.monotonic() < deadline, "a host outlived its gateway"
        time.sleep(0.01)
    with serving(tmp_path):
        assert get(tmp_path, "/count/a") == "4"


def _wait_until_busy(pid: int) -> None:
    """Until the process has used a fifth of a second more of a processor than now."""

    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    start = used()
    deadline = time.monotonic() + WAIT_SECONDS
    while used() < start + 0.2:
        assert time.monotonic() < deadline, "the host is not busy"
        time.sleep(0.01)

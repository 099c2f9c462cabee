"""Far more objects than file descriptors: none is refused, memory stops growing, and a start takes no longer."""

from __future__ import annotations

import faulthandler
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.running_dev import DURABLE, Dev
from tests.settings import settings

DESCRIPTORS = 256
AT_ONCE = 50
"""Objects that one request creates, all at the same time."""
MIB = 1024 * 1024

GATEWAY_GROWTH_BYTES_MAX = 6 * MIB
"""Between 2 000 and 10 000 objects: SQLite's cache of the index (2 MiB) fills."""
HOST_GROWTH_BYTES_MAX = 16 * MIB
"""The same for the host: 16 384 ids are remembered by name, about 400 bytes each; the rest is what evicted actors leave
until they are collected, and holes in the heap."""

SETTINGS = (
    settings("Counter", "COUNTER")
    + """
[dev]
idle_seconds = 1
"""
)

PROGRAM = """\
import asyncio

from durable import DurableObject, Response, WorkerEntrypoint


class Counter(DurableObject):
    async def increment(self):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS counter(n INTEGER)")
        sql.exec("INSERT INTO counter VALUES (1)")
        return sql.exec("SELECT count(*) AS n FROM counter").one()["n"]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/wait"):
            await asyncio.sleep(0.5)
            return Response("waited")
        first, last = map(int, request.url.rpartition("/")[2].split("-"))
        stubs = [self.env.COUNTER.get_by_name(str(number)) for number in range(first, last)]
        return Response(str(await asyncio.gather(*(stub.increment() for stub in stubs))))
"""


def limited(descriptors: int) -> Sequence[str]:
    """The command under a limit that it cannot raise."""
    run = f"import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors})); "
    return [sys.executable, "-c", run + "os.execv(sys.argv[1], sys.argv[1:])", *DURABLE]


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def busy_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def create(dev: Dev, first: int, last: int, expected: int = 1) -> None:
    for start in range(first, last, AT_ONCE):
        end = min(start + AT_ONCE, last)
        assert dev.get(f"/{start}-{end}") == (200, str([expected] * (end - start)))


def hosts(dev: Dev) -> list[int]:
    return sorted(dev.processes() - {dev.process.pid})


def memory(dev: Dev) -> tuple[int, int]:
    """Of the gateway, and of the host that serves, which is the larger one."""
    return resident_bytes(dev.process.pid), max(resident_bytes(pid) for pid in hosts(dev))


def start_seconds(start_dev: Callable[..., Dev], folder: Path) -> float:
    began = time.perf_counter()
    dev = start_dev(folder, "--no-reload", durable=limited(DESCRIPTORS)).wait_ready()
    seconds = time.perf_counter() - began
    assert dev.end() == 0
    return seconds


def test_a_thousand_objects_live_on_256_descriptors(start_dev: Callable[..., Dev], project: Path) -> None:
    dev = start_dev(project, durable=limited(DESCRIPTORS)).wait_ready()

    create(dev, 0, 1000)
    create(dev, 0, 200, expected=2)

    assert all(descriptors(pid) < DESCRIPTORS for pid in dev.processes())
    assert not [line for line in dev.err if "rror" in line]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [10_000, 100_000])
def test_memory_stays_flat_and_a_start_takes_no_longer(
    start_dev: Callable[..., Dev], project: Path, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # The suite's watchdog ends the process after three minutes; pytest-timeout's mark above stands in for it.
    faulthandler.cancel_dump_traceback_later()
    dev = start_dev(project, durable=limited(DESCRIPTORS)).wait_ready()
    began = time.perf_counter()
    create(dev, 0, 2000)
    gateway, host = memory(dev)
    create(dev, 2000, count)
    seconds = time.perf_counter() - began
    gateway_after, host_after = memory(dev)
    most = max(descriptors(pid) for pid in dev.processes())
    assert not [line for line in dev.err if "rror" in line]
    assert dev.end() == 0

    empty = tmp_path_factory.mktemp("empty")
    (empty / "durable.toml").write_text(SETTINGS)
    (empty / "main.py").write_text(PROGRAM)
    start_seconds(start_dev, empty)
    starts = [(start_seconds(start_dev, empty), start_seconds(start_dev, project)) for _ in range(7)]
    without, with_objects = (statistics.median(each) for each in zip(*starts, strict=True))
    print(
        f"\n{count} objects in {seconds:.1f} s under {DESCRIPTORS} descriptors, at most {most} in use; resident MiB at"
        f" 2000 and {count}: gateway {gateway / MIB:.1f} and {gateway_after / MIB:.1f}, host {host / MIB:.1f} and"
        f" {host_after / MIB:.1f}; median start of 7: empty {without * 1000:.0f} ms, with them"
        f" {with_objects * 1000:.0f} ms"
    )
    assert most < DESCRIPTORS
    assert gateway_after - gateway < GATEWAY_GROWTH_BYTES_MAX
    assert host_after - host < HOST_GROWTH_BYTES_MAX
    # Medians of the same work, taken in turns: a scan of every object would show as a multiple.
    assert with_objects < without * 1.5


def is_over(client: socket.socket) -> bool:
    """Whether the other side has ended the connection."""
    client.settimeout(0)
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        client.settimeout(20)


def test_more_clients_than_descriptors_neither_stop_the_gateway_nor_keep_it_busy(
    start_dev: Callable[..., Dev], project: Path
) -> None:
    dev = start_dev(project, durable=limited(DESCRIPTORS)).wait_ready()
    create(dev, 0, 60)
    address = urlsplit(dev.url)
    with ExitStack() as open_ones:
        clients = [
            open_ones.enter_context(socket.create_connection((address.hostname or "", address.port or 0), timeout=20))
            for _ in range(400)
        ]
        dev.wait_for(lambda: sum(map(is_over, clients)) >= 400 - (DESCRIPTORS - 96), "end of those that are too many")

        # Those that are in are served, files and index included, and nothing else keeps the gateway busy.
        busy, began = busy_seconds(dev.process.pid), time.monotonic()
        clients[0].sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert clients[0].recv(4096).startswith(b"HTTP/1.1 200")
        assert busy_seconds(dev.process.pid) - busy < (time.monotonic() - began) / 2
        clients[1].sendall(b"GET /100-160 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert clients[1].recv(4096).startswith(b"HTTP/1.1 200")

    dev.wait_for(lambda: descriptors(dev.process.pid) < DESCRIPTORS // 2, "end of the connections")
    create(dev, 200, 260)


def test_a_damaged_file_is_named_to_the_client_and_others_are_served(
    start_dev: Callable[..., Dev], project: Path
) -> None:
    dev = start_dev(project).wait_ready()
    create(dev, 0, 3)
    assert dev.end() == 0
    files = sorted(project.glob(".durable/state/Counter-*/??/*.sqlite"))
    assert len(files) == 3
    files[0].write_bytes(b"")
    os.unlink(files[1])
    os.unlink(f"{files[1]}-wal")

    dev = start_dev(project).wait_ready()
    told = [dev.get(f"/{number}-{number + 1}") for number in range(3)]

    assert sorted(status for status, _ in told) == [200, 500, 500]
    page = "".join(text for status, text in told if status == 500)
    assert f"{files[0]} is empty, although an object was stored in it" in page
    assert f"{files[1]} is missing, although its object was stored in it; put the file back" in page
    assert files[0].read_bytes() == b""
    assert not files[1].exists()

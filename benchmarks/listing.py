"""The first page of `durable objects list`, with the emulator running and stopped: seconds and memory of the command.

    python -m benchmarks.listing [OBJECTS]

What is measured is the whole command, as the shell sees it: starting Python, finding the emulator or taking the lock,
sorting, and printing 100 objects. Each figure is the median of five commands.
"""

from __future__ import annotations

import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.fleet import SETTINGS
from durable.clock import SystemClock
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase

PROGRAM = (
    "from durable import DurableObject\n\n\nclass Room(DurableObject):\n    async def alarm(self):\n        pass\n"
)
COMMAND = [sys.executable, "-m", "durable_cli"]
TIMES = 5
FAR_MS = 4_000_000_000_000
WORDS: tuple[list[str], ...] = (
    [],
    ["Room", "--name", "room 9*9"],
    ["--sort", "created"],
    ["--sort", "alarm"],
    ["--sort", "size"],
    ["--sort", "used"],
)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(prefix="durable-listing-") as folder:
        root = Path(folder)
        make_project(root, count)
        measure(root, "stopped")
        with running(root) as pid:
            before = memory_mib(pid)
            measure(root, "running")
            print(f"gateway: {before} MiB before, {memory_mib(pid)} MiB after")


def make_project(root: Path, count: int) -> None:
    """One object that was really made; the others are copies of its file, which nobody opens here."""
    (root / "durable.toml").write_text(SETTINGS)
    (root / "main.py").write_text(PROGRAM)
    subprocess.run([*COMMAND, "migrate"], cwd=root, check=True, capture_output=True)
    layout = StateLayout(root / ".durable" / "state")
    with StateDatabase(layout.state_file) as state:
        key = state.namespaces(None)[0].key
    layout.ensure_namespace(key)
    model = root / "model.sqlite"
    store = ActorStore(model, clock=SystemClock(), on_first_write=lambda: None)
    store.kv.put("n", 1)
    store.commit()
    store.close()
    content, rows = model.read_bytes(), list[IndexRow]()
    for number in range(count):
        name = f"room {number}"
        identity = id_from_name(key, name)
        file = layout.object_file(key, identity)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        rows.append(IndexRow(identity, name, number, number, FAR_MS + number if number % 10 == 0 else None))
    index = NamespaceIndex(layout.index_file(key))
    index.put_many(rows)
    index.close()
    os.sync()


@contextmanager
def running(root: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [*COMMAND, "dev", "--port", "0", "--quiet"], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"Ready on "):
                break
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def measure(root: Path, title: str) -> None:
    for words in WORDS:
        seconds: list[float] = []
        cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(TIMES):
            began = time.perf_counter()
            subprocess.run([*COMMAND, "objects", "list", *words], cwd=root, check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_seconds = (after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime) / TIMES
        print(
            f"{title}: durable objects list {' '.join(words)}: {statistics.median(seconds):.2f} s,"
            f" the best {min(seconds):.2f} s; processor time of the command {cpu_seconds:.2f} s;"
            f" largest process so far {after.ru_maxrss // 1024} MiB"
        )


def memory_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


if __name__ == "__main__":
    main()

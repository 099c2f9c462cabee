"""What this disk can do by itself: frames of a write-ahead log, written and made durable, without any server.

Commits per second that no server with one log per object can exceed unless it groups them. The folder must be on the
file system that the servers keep their state on.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Measure, Series

DISK = "disk"
FRAME_BYTES = 4_120
"""One page of 4 096 bytes and its header of 24 (sqlite.org/fileformat2.html, 4.1)."""
FILES = 200
THREADS = 16
FRAME = os.urandom(FRAME_BYTES)

Flush = Callable[[Sequence[int]], None]


def measure(folder: Path, *, rounds: int, seconds: float, say: Callable[[str], None]) -> list[Measure]:
    """The three ways to make frames durable, in alternating rounds."""
    folder.mkdir(parents=True)
    found = {name: Measure(name, title, "/s", {DISK: Series()}, DISK) for name, title, _ in CEILINGS}
    with contextlib.ExitStack() as running:
        pool = running.enter_context(ThreadPoolExecutor(THREADS))
        flushes: dict[str, Flush] = {
            "disk-fdatasync": each_in_turn,
            "disk-pool": partial(each_in_pool, pool),
            "disk-syncfs": whole_file_system,
        }
        for number in range(rounds):
            for name, _, files in CEILINGS:
                with appended_files(folder, files) as descriptors:
                    series = found[name].series[DISK]
                    commits(descriptors, flushes[name], seconds, series)
                say(f"{name} round {number + 1}/{rounds}: {series.rounds[-1]:,.0f} commits/s")
    return list(found.values())


CEILINGS = (
    ("disk-fdatasync", "one frame, fdatasync, one file", 1),
    ("disk-pool", f"{FILES} files, fdatasync of each, {THREADS} threads", FILES),
    ("disk-syncfs", f"{FILES} files, one syncfs", FILES),
)


def commits(descriptors: Sequence[int], flush: Flush, seconds: float, series: Series) -> None:
    """Append one frame to every file and flush, again and again; the latencies are those of a flush with its writes."""
    durations = []
    started = time.perf_counter()
    now = started
    while now - started < seconds:
        for descriptor in descriptors:
            os.write(descriptor, FRAME)
        flush(descriptors)
        before, now = now, time.perf_counter()
        durations.append((now - before) * 1000)
    durations.sort()
    series.rounds.append(len(durations) * len(descriptors) / (now - started))
    series.p50_ms.append(durations[len(durations) // 2])
    series.p99_ms.append(durations[int(0.99 * (len(durations) - 1))])


@contextlib.contextmanager
def appended_files(folder: Path, count: int) -> Iterator[list[int]]:
    """New files whose names are on disk already, so that a flush has contents to write and no folder."""
    paths = [folder / f"{number:03}-wal" for number in range(count)]
    descriptors = [os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC) for path in paths]
    try:
        os.sync()
        yield descriptors
    finally:
        for descriptor, path in zip(descriptors, paths, strict=True):
            os.close(descriptor)
            path.unlink()


# --- flushes ------------------------------------------------------------------------------------------------------
def flush_file(descriptor: int) -> None:
    """As strong as the product's: macOS has no fdatasync, and its fsync stops at the drive's cache."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


def each_in_turn(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        flush_file(descriptor)


def each_in_pool(pool: ThreadPoolExecutor, descriptors: Sequence[int]) -> None:
    # Slices: handing over 200 single files would cost more than some disks take for them.
    list(pool.map(each_in_turn, [descriptors[thread::THREADS] for thread in range(THREADS)]))


def whole_file_system(descriptors: Sequence[int]) -> None:
    """syncfs(2) is Linux only and not in Python; elsewhere every file system is flushed."""
    if SYNCFS is None:
        os.sync()
    elif SYNCFS(descriptors[0]):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def find_syncfs() -> Any:
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.CDLL(None, use_errno=True).syncfs
    return None


SYNCFS = find_syncfs()

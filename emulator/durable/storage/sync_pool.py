"""Threads that do nothing but make files durable, and tell an event loop when a group of them is done.

A thread of its own costs a flush one queue and one wake-up; an executor would add two futures to each, which at one
dirty file is most of the work that is not the disk's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from durable.limits import SYNC_FILES_PER_THREAD_MIN, SYNC_THREADS_MAX
from durable.storage.database import sync_file
from durable.storage.layout import sync_folder

Target = int | str
"""Descriptor of a file, or path of a folder."""


class Disk(Protocol):
    """What makes things durable; handed in, so that a test can hold it or let it fail. Called in threads."""

    def sync_file(self, descriptor: int) -> None: ...

    def sync_folder(self, path: str) -> None: ...


class SystemDisk:
    """The machine's own."""

    def sync_file(self, descriptor: int) -> None:
        sync_file(descriptor)

    def sync_folder(self, path: str) -> None:
        sync_folder(Path(path))


class Group:
    """Targets that are synced together; `errors` holds those that failed, and why."""

    def __init__(self, targets: list[Target]) -> None:
        self.targets = targets
        self.errors: dict[Target, Exception] = {}
        self.parts_left = 0


class SyncPool:
    """`done` is called on the loop, once for each group."""

    def __init__(self, loop: asyncio.AbstractEventLoop, disk: Disk, done: Callable[[Group], None]) -> None:
        self._loop = loop
        self._disk = disk
        self._done = done
        self._queue: SimpleQueue[tuple[Group, list[Target]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self, group: Group) -> None:
        """Sync every target of `group`; few in one thread, many in several."""
        targets = group.targets
        parts = min(SYNC_THREADS_MAX, max(1, len(targets) // SYNC_FILES_PER_THREAD_MIN))
        group.parts_left = parts
        while len(self._threads) < parts:
            thread = threading.Thread(target=self._work, name=f"durable-sync-{len(self._threads) + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()
        for part in range(parts):
            self._queue.put((group, targets[part::parts]))

    def run(self, group: Group) -> None:
        """Sync every target of `group` here and now; for the end, when no loop turn may follow."""
        self._sync(group, group.targets)

    def close(self) -> None:
        """Wait for what was started, and end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            group, targets = job
            self._sync(group, targets)
            with self._lock:
                group.parts_left -= 1
                last = not group.parts_left
            if last:
                with contextlib.suppress(RuntimeError):  # the loop was closed without us: nobody is left to tell
                    self._loop.call_soon_threadsafe(self._done, group)
            # Nothing of the last group may live on in a thread that waits for the next.
            del job, group, targets

    def _sync(self, group: Group, targets: list[Target]) -> None:
        disk = self._disk
        for target in targets:
            try:
                if isinstance(target, int):
                    disk.sync_file(target)
                else:
                    disk.sync_folder(target)
            except Exception as error:
                # Reported, not raised: the other files of the group are as durable as ever.
                group.errors[target] = error

"""The state's lock and the host processes born under it, the first of them before anything slow is imported."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from durable.storage.descriptors import raise_descriptor_limit
from durable.storage.lock import StateLock
from durable.supervisor.process import HostProcess


class HostSpawner:
    """`begin` first, `end` last. Also a context manager that ends it."""

    def __init__(
        self,
        state: Path,
        folder: Path,
        *,
        python: str | None = None,
        what: str = "durable dev",
        terminal: bool = False,
        debug: bool = False,
        numbers: Iterator[int] | None = None,
    ) -> None:
        """`folder` is where hosts run; `what` is told to whoever finds the state in use.

        `terminal`: somebody listens to `DebuggerStopped` and hands the terminal over; `debug`: hosts open debugpy.
        `numbers` are those of the hosts: one source for all spawners of a gateway process, whose sockets they name.
        """
        self._options = ["--terminal", str(int(terminal)), "--debug", str(int(debug))]
        self.state = state
        self.python = python or sys.executable
        self._folder = folder
        self._what = what
        self._numbers = numbers if numbers is not None else itertools.count(1)
        self._lock: StateLock | None = None
        self._early: list[HostProcess] = []

    def begin(self, hosts: int) -> None:
        """Take the lock and start this many hosts, which boot while the caller is busy; harmless twice.

        Raises `StateInUseError`, and `UserInputError` for an interpreter that cannot be started.
        """
        if self._lock is None:
            raise_descriptor_limit()
            self._lock = StateLock.acquire(self.state, what=self._what)
            for _ in range(hosts):
                self._early.append(self.spawn())

    def spawn(self) -> HostProcess:
        """One more process, with the next number."""
        lock_fd = self._lock.fd if self._lock is not None else -1
        return HostProcess.spawn(
            self.python, next(self._numbers), lock_fd=lock_fd, folder=self._folder, options=self._options
        )

    def take(self) -> list[HostProcess]:
        """The hosts that `begin` started: they are the caller's from now on."""
        early, self._early = self._early, []
        return early

    def kill_early(self) -> None:
        """End the hosts that nobody has taken."""
        for process in self.take():
            process.kill_and_reap()

    def end(self) -> None:
        """Give the lock back, and leave nothing behind that nobody has taken."""
        self.kill_early()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

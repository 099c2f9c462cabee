"""How much memory user code may take in a host, `[dev] memory_mb`, and what happens when it wants more.

The kernel refuses what goes beyond, and Python raises MemoryError in whoever asked. It counts what a process can write
to (RLIMIT_DATA, getrlimit(2)), not what it has mapped, so libraries and SQLite's shared pages are free.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

from durable.limits import MEMORY_AGAIN_SECONDS, MEMORY_SPARE_BYTES, MIB


class MemoryLimit:
    """One process's limit; none while `bytes_max` is 0."""

    def __init__(
        self, call_later: Callable[..., Any], *, give_up: Callable[[], None], in_use: Callable[[], int] | None = None
    ) -> None:
        """`give_up` is called when the process stays over its limit."""
        self._call_later = call_later
        self._give_up = give_up
        self._in_use = in_use or data_bytes
        self._is_relieved = False
        self.bytes_max = 0

    def set(self, megabytes: int) -> None:
        """From now on; 0 sets none. Without effect where the kernel does not count so."""
        if megabytes and sys.platform == "linux":
            self.bytes_max = megabytes * MIB
            self._apply(self.bytes_max)

    def met(self, error: BaseException) -> None:
        """User code failed: when for want of memory, make room for saying so, and say it in the error."""
        if not self.bytes_max or not isinstance(error, MemoryError):
            return
        if not error.args:
            message = f"the process of this object may take {self.bytes_max // MIB} MB, and this would be more. "
            error.args = (message + "Take less at a time, or raise memory_mb in [dev]",)
        if not self._is_relieved:
            # The frames of the error still hold what filled the memory. A report has to be made of them all the same.
            self._is_relieved = True
            self._apply(self.bytes_max + MEMORY_SPARE_BYTES)
            self._call_later(MEMORY_AGAIN_SECONDS, self._tighten)

    def _tighten(self) -> None:
        self._is_relieved = False
        if self._in_use() > self.bytes_max:
            gc.collect()
            if self._in_use() > self.bytes_max:
                self._give_up()
        self._apply(self.bytes_max)

    def _apply(self, bytes_max: int) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:
            bytes_max = min(bytes_max, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (bytes_max, hard))


def data_bytes() -> int:
    """What the kernel counts against the limit, give or take the stack; 0 where it does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0

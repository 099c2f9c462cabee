"""How far a host has come, in a page of memory that the gateway reads when the host cannot speak any more.

A host that hangs, or is dead, answers nothing; what it has begun must not be asked for twice, what it has not begun can
be. The host writes two numbers and a label here, the gateway only reads: a wrong number can at worst repeat or drop an
event of that very host. Only to take back what a host has not begun does the gateway write, while that stands still.
Knows no process.
"""

from __future__ import annotations

import mmap
import os
import sys

_BYTES = mmap.PAGESIZE
_WORKER, _ACTOR, _TAKEN_BACK, _LABEL_BYTES = 0, 1, 2, 3
_LABEL_AT = 64
LABEL_BYTES_MAX = 240
"""Of a label such as `ChatRoom "general"`; what is longer is cut."""


class Progress:
    """`numbers[0]` is the newest request that a worker has begun, `numbers[1]` the newest that an actor was given.

    Requests of one channel are numbered upwards and begin in that order, so one number says it of all. It is written
    before the first line of the user's code runs. Up to `numbers[2]` workers begin
        with nothing any more but with bodies that stream.
    """

    def __init__(self, memory: mmap.mmap | bytearray) -> None:
        self._memory = memory
        self.numbers = memoryview(memory).cast("Q")
        """Public and plain because it is written for every request: a method would cost more than the rest."""

    @classmethod
    def private(cls) -> Progress:
        """For a host that nobody watches."""
        return cls(bytearray(_BYTES))

    @classmethod
    def share(cls) -> tuple[Progress, int]:
        """A new page, and the descriptor that another process can `join` it with."""
        if sys.platform == "linux":
            descriptor = os.memfd_create("durable-progress")
        else:
            import tempfile  # hosts are started before anything that is not needed is imported

            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _BYTES)
        return cls(mmap.mmap(descriptor, _BYTES)), descriptor

    @classmethod
    def join(cls, descriptor: int) -> Progress:
        """The page of another process; takes the descriptor."""
        memory = mmap.mmap(descriptor, _BYTES)
        os.close(descriptor)
        return cls(memory)

    def has_begun(self, request: int, *, of_worker: bool) -> bool:
        """Whether any code of the user's may have run for a request with this number."""
        return request <= self.numbers[_WORKER if of_worker else _ACTOR]

    def take_back(self, newest: int) -> None:
        """Let no worker begin with requests up to this one. Only while the host stands still: see `has_begun`."""
        self.numbers[_TAKEN_BACK] = newest

    @property
    def label(self) -> str:
        """The object whose code blocks the loop at the moment, as far as the host could tell."""
        length = min(self.numbers[_LABEL_BYTES], LABEL_BYTES_MAX)
        return bytes(self._memory[_LABEL_AT : _LABEL_AT + length]).decode("utf-8", "replace")

    def show_label(self, text: str) -> None:
        data = text.encode("utf-8", "replace")[:LABEL_BYTES_MAX]
        self._memory[_LABEL_AT : _LABEL_AT + len(data)] = data
        self.numbers[_LABEL_BYTES] = len(data)

    def close(self) -> None:
        """Give the page back; from now on nothing has begun."""
        self.numbers.release()
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()
        self._memory = bytearray(_BYTES)
        self.numbers = memoryview(self._memory).cast("Q")

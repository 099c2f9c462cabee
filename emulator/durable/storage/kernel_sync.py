"""Syncing many files with two system calls and no thread: Linux's asynchronous I/O (io_submit(2), IOCB_CMD_FDSYNC).

A thread that syncs takes the interpreter's lock from the loop twice per file; with twenty files in an epoch that costs
more than the syncs. Here the kernel's own workers sync, side by side, and an eventfd tells the loop when they are done.
What the kernel refuses (another system, a file system without it, a container's limit) goes to a `SyncPool`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import platform
import struct
import sys
import threading
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from durable.limits import KERNEL_SYNCS_MAX
from durable.storage.sync_pool import Group, SyncPool, SystemDisk


class Syncs(Protocol):
    """Makes the targets of a group durable: in the background, or here and now."""

    def start(self, group: Group) -> None: ...
    def run(self, group: Group) -> None: ...
    def close(self) -> None: ...


class _Calls(NamedTuple):
    """Numbers of the system calls; the C library has no functions for them."""

    setup: int
    destroy: int
    events: int
    submit: int


_CALLS: Final = {"x86_64": _Calls(206, 207, 208, 209), "aarch64": _Calls(0, 1, 4, 2), "riscv64": _Calls(0, 1, 4, 2)}
_FSYNC: Final = 2
_FDSYNC: Final = 3
_WITH_EVENTFD: Final = 1
# linux/aio_abi.h, struct iocb on a little-endian machine: data, key, rw_flags, opcode, priority, descriptor, buffer,
# bytes, offset, reserved, flags, eventfd. struct io_event: data, iocb, result, second result.
_REQUEST: Final = struct.Struct("<QIIHhIQQqQII")
_EVENT: Final = struct.Struct("<QQqq")


class KernelSync:
    """`done` is called on the loop, once for each group; one group at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Callable[[Group], None], calls: _Calls) -> None:
        """Raises OSError when the kernel has no context for us."""
        self._loop = loop
        self._done = done
        self._calls = calls
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        self._context = ctypes.c_ulong(0)
        if self._call(calls.setup, KERNEL_SYNCS_MAX, ctypes.byref(self._context)):
            raise OSError(ctypes.get_errno(), "io_setup")
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._requests = ctypes.create_string_buffer(_REQUEST.size * KERNEL_SYNCS_MAX)
        first = ctypes.addressof(self._requests)
        self._pointers = (ctypes.c_void_p * KERNEL_SYNCS_MAX)(
            *range(first, first + _REQUEST.size * KERNEL_SYNCS_MAX, _REQUEST.size)
        )
        self._events = ctypes.create_string_buffer(_EVENT.size * KERNEL_SYNCS_MAX)
        self._group: Group | None = None
        self._rest: Group | None = None
        """What the threads got of the group."""
        self._submitted = 0
        self._folders: dict[str, int] = {}
        """Descriptors of the folders that are being synced."""
        self._pool = SyncPool(loop, SystemDisk(), self._rest_done)
        loop.add_reader(self._eventfd, self._signalled)

    def start(self, group: Group) -> None:
        """Submit every target of `group`; those that the kernel does not take go to threads."""
        self._group = group
        taken = self._submit(group)
        self._submitted = taken
        group.parts_left = taken
        if taken < len(group.targets):
            group.parts_left += 1
            self._rest = Group(group.targets[taken:])
            self._pool.start(self._rest)

    def _submit(self, group: Group) -> int:
        requests, eventfd, folders = self._requests, self._eventfd, self._folders
        count = 0
        for target in group.targets[:KERNEL_SYNCS_MAX]:
            if isinstance(target, int):
                descriptor, operation = target, _FDSYNC
            else:
                try:
                    descriptor, operation = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), _FSYNC
                except OSError:
                    break  # the pool finds out the same, and reports it
                folders[target] = descriptor
            _REQUEST.pack_into(
                requests, count * _REQUEST.size, count, 0, 0, operation, 0, descriptor, 0, 0, 0, 0, _WITH_EVENTFD,
                eventfd,
            )  # fmt: skip
            count += 1
        taken = self._call(self._calls.submit, self._context, ctypes.c_long(count), self._pointers) if count else 0
        return max(int(taken), 0)

    def _signalled(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._eventfd)
        self._collect(0)

    def _collect(self, wait_for: int) -> None:
        """Take what the kernel has finished, after waiting for so many."""
        group = self._group
        if group is None:
            return
        count = self._call(
            self._calls.events, self._context, ctypes.c_long(wait_for), ctypes.c_long(KERNEL_SYNCS_MAX), self._events,
            ctypes.byref(_NO_TIME) if not wait_for else None,
        )  # fmt: skip
        for index in range(max(count, 0)):
            number, _, result, _ = _EVENT.unpack_from(self._events, index * _EVENT.size)
            if result < 0:
                group.errors[group.targets[number]] = OSError(-result, os.strerror(-result))
        self._submitted -= max(count, 0)
        self._part_over(group, max(count, 0))

    def _rest_done(self, rest: Group) -> None:
        group, self._rest = self._group, None
        if group is not None:
            group.errors.update(rest.errors)
            self._part_over(group, 1)

    def _part_over(self, group: Group, parts: int) -> None:
        group.parts_left -= parts
        if not group.parts_left and parts:
            self._group = None
            for descriptor in self._folders.values():
                os.close(descriptor)
            self._folders.clear()
            self._done(group)

    def run(self, group: Group) -> None:
        """Sync every target of `group` here and now."""
        self._pool.run(group)

    def close(self) -> None:
        """Wait for what was started; `done` is no longer called for it."""
        self._loop.remove_reader(self._eventfd)
        self._done = _nobody
        group = self._group
        while self._submitted:
            self._collect(1)
        self._pool.close()
        if group is not None and self._rest is not None:
            self._rest_done(self._rest)
        os.close(self._eventfd)
        # In a thread: the kernel takes 30 ms to let go of a context that nothing uses any more, and whoever closes may
        # be a host whose successor waits. A process that ends first loses nothing by it.
        threading.Thread(target=self._call, args=(self._calls.destroy, self._context), daemon=True).start()


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


_NO_TIME: Final = _Timespec(0, 0)


def _nobody(group: Group) -> None:
    """The end: whoever closes looks at the group itself."""


def open_syncs(loop: asyncio.AbstractEventLoop, done: Callable[[Group], None]) -> Syncs:
    """The fastest that this machine has."""
    calls = _CALLS.get(platform.machine()) if sys.platform == "linux" else None
    if calls is not None:
        with contextlib.suppress(OSError, NotImplementedError):
            return KernelSync(loop, done, calls)
    return SyncPool(loop, SystemDisk(), done)

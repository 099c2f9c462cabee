"""One emulator or tool per state directory: an flock on `<state>/.lock`, inherited on purpose by the hosts.

The kernel's lock decides, never the file's content: that is only what the next one in line is told. The lock belongs to
the open file description, so it is free when the last process that holds a copy of the descriptor is gone. It is given
back by closing and never by LOCK_UN, which would take it from hosts that still write.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, cast

from durable.clock import Clock, SystemClock
from durable.errors import StateInUseError
from durable.limits import LOCK_HOLDER_ENDS_SECONDS_MAX
from durable.storage.layout import FILE_MODE, StateLayout, unusable

__all__ = ["StateLock"]

CONTENT_BYTES_MAX = 4096
REPLACED_FILE_TRIES_MAX = 10
"""How often the lock file may be swapped under us before that is called a failure."""

_POLL_SECONDS: Final = 0.01


class StateLock:
    """A held lock; also a context manager that releases it. The file says `{"pid": 1, "host": "a", "since": 0, …}`."""

    def __init__(self, state: Path, descriptor: int) -> None:
        self.state = state
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, state: Path, *, what: str, clock: Clock | None = None) -> StateLock:
        """Take the lock at once or raise `StateInUseError`; `what` is the command, for whoever comes second.

        When the holder was killed, the processes that it started are given `LOCK_HOLDER_ENDS_SECONDS_MAX` to end too.
        Makes the state directory when it is missing. Raises `UserInputError` when it cannot be used.
        """
        layout = StateLayout(state)
        layout.ensure()
        clock = clock or SystemClock()
        now_ms, until = clock.wall_ms(), clock.monotonic() + LOCK_HOLDER_ENDS_SECONDS_MAX
        try:
            while (descriptor := _open_locked(layout.lock_file)) is None:
                holder = _holder(layout.lock_file, now_ms)
                if not holder.has_ended or clock.monotonic() >= until:
                    raise StateInUseError(str(layout.state), holder.text, has_ended=holder.has_ended)
                time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise unusable(layout.lock_file, error) from error
        try:
            _sign(descriptor, what, now_ms)
        except OSError as error:
            os.close(descriptor)
            raise unusable(layout.lock_file, error) from error
        return cls(layout.state, descriptor)

    @property
    def fd(self) -> int:
        """The descriptor to hand to hosts (`pass_fds`); -1 after `release`."""
        return self._descriptor

    def release(self) -> None:
        """Let go of this process's share; does nothing the second time."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> StateLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def _open_locked(path: Path) -> int | None:
    """A descriptor that holds the lock, or None when somebody else does."""
    for _ in range(REPLACED_FILE_TRIES_MAX):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Somebody may have removed the file meanwhile; a lock on a file without a name excludes nobody.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
                    return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise OSError(f"{path} was replaced {REPLACED_FILE_TRIES_MAX} times while it was being locked")


def _sign(descriptor: int, what: str, now_ms: int) -> None:
    content = {"pid": os.getpid(), "host": socket.gethostname(), "since": now_ms, "what": what}
    text = json.dumps(content).encode() + b"\n"
    # Written over the old text and only then cut: a reader in between finds a whole first document.
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


class _Holder(NamedTuple):
    text: str
    """`pid 123 (durable dev, since 12:01:07)`, as far as the file tells."""
    has_ended: bool


def _holder(path: Path, now_ms: int) -> _Holder:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            parsed: Any = json.JSONDecoder().raw_decode(stream.read(CONTENT_BYTES_MAX))[0]
        content = cast("dict[str, Any]", parsed)
        pid, what, since_ms = int(content["pid"]), str(content["what"]), int(content["since"])
        host, since = str(content["host"]), _time_of_day(since_ms, now_ms)
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return _Holder("another process", has_ended=False)
    elsewhere = host != socket.gethostname()
    holder = f"pid {pid}{f' on {host}' if elsewhere else ''} ({what}, since {since})"
    has_ended = not elsewhere and not _is_alive(pid)
    return _Holder(holder + ", which has ended; a process that it started still runs" * has_ended, has_ended)


def _time_of_day(wall_ms: int, now_ms: int) -> str:
    then = datetime.datetime.fromtimestamp(wall_ms / 1000)
    is_today = then.date() == datetime.datetime.fromtimestamp(now_ms / 1000).date()
    return then.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's process, or no pid at all
        return True
    return True

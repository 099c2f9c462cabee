"""One exit code per cause, and which exception means which cause. Must not know how anything is printed."""

from __future__ import annotations

import errno
from typing import cast

from durable import errors

DONE = 0
BUG = 1
"""A bug of ours."""
USAGE = 2
"""What was typed, configured, or found on this machine: mending it is up to whoever typed."""
NOT_FOUND = 3
"""No such object, class or template."""
STATE_IN_USE = 4
USER_CODE = 5
"""The user's program failed."""
INTERRUPTED = 130
"""Ctrl+C, as shells count it: 128 + SIGINT."""

_BY_TYPE: tuple[tuple[type[BaseException], int], ...] = (
    # The first row that fits decides, so subclasses stand before what they inherit from.
    (errors.NotFoundError, NOT_FOUND),
    (errors.UserInputError, USAGE),
    (errors.StateInUseError, STATE_IN_USE),
    (errors.UserCodeError, USER_CODE),
    (errors.StorageError, USAGE),
    (KeyboardInterrupt, INTERRUPTED),
)

MACHINE_ERRNOS = frozenset(
    {
        errno.EACCES,
        errno.EADDRINUSE,
        errno.EADDRNOTAVAIL,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EIO,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENFILE,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Refusals of the machine (rights, space, names, ports). Any other OSError is a bug until shown otherwise."""


def unwrapped(error: BaseException) -> BaseException:
    """The exception that matters: a group that holds a single one stands for it."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    return unwrapped(group.exceptions[0]) if len(group.exceptions) == 1 else group


def exit_code_of(error: BaseException) -> int:
    error = unwrapped(error)
    for kind, code in _BY_TYPE:
        if isinstance(error, kind):
            return code
    if is_machine_refusal(error):
        return USAGE
    return BUG


def is_machine_refusal(error: BaseException) -> bool:
    """Whether the operating system said no, to a file (it has a name) or to an address."""
    if not isinstance(error, OSError) or error.errno not in MACHINE_ERRNOS:
        return False
    return error.filename is not None or error.errno in {
        errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS,
    }  # fmt: skip

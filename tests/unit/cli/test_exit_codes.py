from __future__ import annotations

import errno

import pytest

from durable import errors
from durable_cli.emulator_address import NotRunningError
from durable_cli.exit_codes import exit_code_of
from durable_cli.report import StatementError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UserInputError("x"), 2),
        (errors.ConfigError("x", file="durable.toml"), 2),
        (errors.MigrationError("x"), 2),
        (StatementError("x"), 2),
        (errors.NotFoundError("x"), 3),
        (errors.StateInUseError("d", "pid 1"), 4),
        (errors.UserCodeError("x"), 5),
        (errors.LoadFailedError("x"), 5),
        (errors.StorageError("x"), 2),
        (errors.StorageCorruptError("f", "is damaged"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2),
        (OSError(errno.ENOSPC, "No space left on device"), 2),
        (OSError(errno.EADDRINUSE, "Address already in use"), 2),
        (KeyboardInterrupt(), 130),
        (OSError(errno.EBADF, "Bad file descriptor"), 1),
        (PermissionError(errno.EPERM, "Operation not permitted"), 1),
        (errors.WireError("x"), 1),
        (NotRunningError("x"), 1),
        (ValueError("x"), 1),
    ],
)
def test_every_cause_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


def test_a_group_of_one_is_its_member() -> None:
    assert exit_code_of(ExceptionGroup("tasks", [ExceptionGroup("inner", [errors.NotFoundError("x")])])) == 3


def test_a_group_of_several_is_a_bug() -> None:
    assert exit_code_of(ExceptionGroup("tasks", [errors.NotFoundError("x"), ValueError("y")])) == 1

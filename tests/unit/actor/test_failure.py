"""Exceptions as values, there and back."""

from __future__ import annotations

import asyncio

import pytest

from durable.actor.failure import RemoteError, raise_from_report, report_error
from durable.errors import ActorResetError, SqlError


class Custom(Exception):
    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(code)
        self._hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]}: {self._hint}"


def there_and_back(error: BaseException) -> BaseException:
    return raise_from_report(report_error(error, is_user_file=lambda file: True, remote=True))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("plain"),
        KeyError("missing"),
        FileNotFoundError(2, "No such file", "there.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        Custom(7, hint="more"),
        SqlError("no such table: x: SQLITE_ERROR", code="SQLITE_ERROR"),
        ActorResetError("over"),
    ],
)
def test_an_exception_comes_back_with_its_type_and_text(error: Exception) -> None:
    back = there_and_back(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back)["remote"] is True


def test_notes_and_attributes_come_back_too() -> None:
    error = ValueError("x")
    error.add_note("a note")
    error.code = 5  # type: ignore[attr-defined]
    back = there_and_back(error)
    assert (back.__notes__, vars(back)["code"]) == (["a note"], 5)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (SystemExit(3), "SystemExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (type("Elsewhere", (Exception,), {})("x"), "Elsewhere"),
        (ExceptionGroup("several", [ValueError("x")]), "ExceptionGroup"),
    ],
)
def test_what_cannot_be_made_again_is_a_remote_error_with_the_name_of_its_type(error: BaseException, name: str) -> None:
    back = there_and_back(error)
    assert isinstance(back, RemoteError)
    assert (back.type_name, str(back)) == (name, str(error))


def test_half_a_character_is_spelt_out() -> None:
    report = report_error(ValueError("half \ud800"), is_user_file=lambda file: True)
    assert report.message == "half \\ud800"
    report.traceback.encode()

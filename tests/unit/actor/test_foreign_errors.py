"""Types of exceptions that arrive, in programs for the platform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from durable.actor.failure import raise_from_report, report_error
from durable.actor.foreign_errors import arriving_type
from durable.errors import AbortError, ActorResetError, JsException, JsTypeError, PythonError
from durable.sdk import habits


@pytest.fixture(autouse=True)
def _for_the_platform() -> Iterator[None]:
    habits.adopt(True)
    yield
    habits.adopt(False)


class Odd(Exception):
    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(code)
        self.hint = hint


class Final(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("not to be inherited from")


def arrives(error: BaseException, *, over_http: bool = False) -> Any:
    report = report_error(error, is_user_file=lambda file: True, remote=True)
    return raise_from_report(report, over_http=over_http)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("plain"), KeyError("missing"), Odd(7, hint="more"), FileNotFoundError(2, "No such file", "there"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_it_is_of_its_own_type_and_a_js_exception(error: Exception) -> None:
    arrived = arrives(error)
    assert issubclass(type(arrived), type(error))
    assert issubclass(type(arrived), JsException)
    assert (str(arrived), type(arrived).__name__, type(arrived).__module__) == (
        str(error), type(error).__name__, type(error).__module__,
    )  # fmt: skip
    assert (arrived.remote, arrived.durableObjectReset) == (True, False)


def test_one_that_is_a_js_exception_keeps_its_very_type() -> None:
    assert type(arrives(ActorResetError("over"))) is ActorResetError


def test_over_http_it_is_an_abort_error_too_also_what_is_a_js_exception_already() -> None:
    for error in (ValueError("plain"), ActorResetError("over")):
        arrived = arrives(error, over_http=True)
        assert isinstance(arrived, AbortError)
        assert isinstance(arrived, type(error))
        assert str(arrived) == str(error)


class Own(ValueError):
    pass


class OwnNew(LookupError):
    def __new__(cls, *args: Any) -> OwnNew:
        return super().__new__(cls, *args)


@pytest.mark.parametrize(
    "error", [Own("mine"), JsTypeError("wrong"), Odd(7, hint="more"), FileNotFoundError(2, "gone")]
)
def test_over_http_a_class_of_the_programs_keeps_its_type(error: Exception) -> None:
    arrived = arrives(error, over_http=True)
    assert issubclass(type(arrived), type(error))
    assert issubclass(type(arrived), AbortError)
    assert (str(arrived), arrived.args) == (str(error), error.args)


def test_a_class_that_makes_its_objects_itself_arrives_at_least_as_itself() -> None:
    arrived = arrives(OwnNew("mine"), over_http=True)
    assert issubclass(type(arrived), OwnNew)
    assert issubclass(type(arrived), JsException)
    assert str(arrived) == "mine"


def test_what_cannot_be_joined_stays_as_far_as_it_can() -> None:
    # Both keep what they say in a place of their own in memory: no type can be of both.
    joined = arriving_type(UnicodeDecodeError, over_http=True)
    assert issubclass(joined, PythonError)
    assert not issubclass(joined, AbortError)
    assert type(arrives(Final("alone"))) is Final


def test_the_message_is_the_traceback_unless_the_exception_has_a_message_of_its_own() -> None:
    def fails() -> None:
        raise ValueError("boo")

    with pytest.raises(ValueError, match="boo") as caught:
        fails()
    arrived = arrives(caught.value)
    assert arrived.name == "PythonError"
    assert arrived.message.startswith("Traceback (most recent call last):\n")
    assert arrived.message.endswith("ValueError: boo\n")
    own: Any = ValueError("boo")
    own.message, own.name = "its own", "Own"
    assert (arrives(own).message, arrives(own).name) == ("its own", "Own")


def test_it_is_reported_on_under_its_own_name() -> None:
    report = report_error(arrives(ValueError("boo")), is_user_file=lambda file: True)
    assert (report.type, report.module, report.qualname) == ("ValueError", "builtins", "ValueError")
    again = raise_from_report(report)
    assert type(again) is type(arrives(ValueError("x")))


def test_types_are_made_once() -> None:
    assert type(arrives(Odd(1, hint="a"))) is type(arrives(Odd(2, hint="b")))


def test_in_other_programs_nothing_is_joined() -> None:
    habits.adopt(False)
    assert type(arrives(ValueError("plain"), over_http=True)) is ValueError

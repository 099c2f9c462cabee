"""Exceptions as values, there and back."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from durable.actor import failure
from durable.actor.failure import RemoteError, raise_from_report, report_error, with_arguments
from durable.actor.frames import package_of
from durable.errors import ActorResetError, SqlError
from durable.limits import REPORT_ERRORS_MAX
from durable.wire.messages import ErrorReport
from durable.wire.redaction import Redaction
from durable.wire.traceback_text import traceback_text


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
    traceback_text(report).encode()


def raised(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def reported(error: BaseException, *, label: str = "", method: str = "", owned: bool = True) -> ErrorReport:
    return report_error(error, is_user_file=lambda file: owned and file == __file__, label=label, method=method)


def fail_with(text: str, *, times: int = 1) -> object:
    raise ValueError(text * times)


def length(_: object) -> int:
    return 1


def test_a_frame_of_the_users_has_the_lines_around_it_and_where_in_its_line_it_failed() -> None:
    report = reported(raised(lambda: length(fail_with("x", times=2)) + 1))

    caller, raiser = report.frames[-2:]
    lines = caller.context.split("\n")
    assert lines[caller.line - caller.context_line][caller.column - 1 : caller.end_column - 1] == (
        'fail_with("x", times=2)'
    )
    assert (
        raiser.context == "def fail_with(text: str, *, times: int = 1) -> object:\n    raise ValueError(text * times)"
    )
    assert raiser.context_line == raiser.line - 1
    # All of a line needs no mark.
    assert (raiser.column, raiser.end_column) == (0, 0)


def test_frames_of_others_have_the_name_of_their_package_and_no_context() -> None:
    report = reported(raised(lambda: json.loads("{")))

    assert [(frame.package, frame.context) for frame in report.frames if not frame.user] == [("Python", "")] * 3
    assert package_of(failure.__file__) == "durable"
    assert package_of("/venv/lib/python3.11/site-packages/aiohttp/web.py") == "aiohttp"
    assert package_of("/venv/lib/python3.11/site-packages/typing_extensions.py") == "typing_extensions"


def test_a_function_that_calls_itself_is_one_frame() -> None:
    def again(depth: int) -> int:
        return again(depth - 1) if depth else 1 // 0

    report = reported(raised(lambda: again(500)))

    assert [(frame.function, frame.repeats) for frame in report.frames][-2:] == [("again", 499), ("again", 0)]


def test_arguments_are_named_as_the_method_names_them() -> None:
    class Room:
        def say(self, text: str, n: int) -> None:
            fail_with(text)

    error = raised(lambda: Room().say("hello", 3))
    with_arguments(error, ("hello",), {"n": 3})
    report = reported(error, label='Room "a"', method="say")

    assert report.arguments == "text='hello', n=3"
    assert {frame.place for frame in report.frames} == {"Room \"a\".say(text='hello', n=3)"}
    # Whoever keeps the exception does not keep what it was about.
    assert "_durable_given" not in vars(error)


def test_a_call_that_never_began_shows_its_arguments_without_names() -> None:
    error = TypeError("missing 1 argument")
    with_arguments(error, ("only",))

    assert reported(error, method="say").arguments == "'only'"


def test_what_fails_while_it_is_shown_does_not_hide_the_failure() -> None:
    class Broken(dict[str, int]):
        def items(self) -> Any:
            raise OSError("no items")

    error = ValueError("first")
    with_arguments(error, (Broken(a=1),))

    assert (reported(error, method="say").arguments, reported(error).message) == ("…", "first")


def test_causes_and_contexts_are_told_with_their_own_frames() -> None:
    def chained() -> None:
        try:
            try:
                fail_with("first")
            except ValueError:
                raise LookupError("second")  # noqa: B904
        except LookupError as error:
            error.add_note("a note")
            raise RuntimeError("third") from error

    report = reported(raised(chained))

    assert [(each.relation, each.type, each.message, each.notes) for each in report.related] == [
        ("cause", "LookupError", "second", ["a note"]),
        ("context", "ValueError", "first", []),
    ]
    assert [frame.function for frame in report.related[1].frames] == ["chained", "fail_with"]


def test_a_context_that_was_hidden_stays_hidden() -> None:
    def hidden() -> None:
        try:
            fail_with("first")
        except ValueError:
            raise LookupError("second") from None

    assert reported(raised(hidden)).related == []


def test_the_members_of_a_group_are_told_and_bounded() -> None:
    members: list[Any] = [raised(lambda: fail_with("one")), ExceptionGroup("inner", [KeyError("two")])]
    report = reported(ExceptionGroup("outer", members))

    assert [(each.relation, each.type, each.depth) for each in report.related] == [
        ("member", "ValueError", 1),
        ("member", "ExceptionGroup", 1),
        ("member", "KeyError", 2),
    ]
    many = reported(ExceptionGroup("many", [ValueError(str(n)) for n in range(1000)]))
    assert len(many.related) == REPORT_ERRORS_MAX


def test_exceptions_that_lead_to_each_other_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one

    assert [each.message for each in reported(one).related] == ["other"]


def test_a_syntax_error_points_into_its_line(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    file.write_text("x = 1\n\ndef f(:\n    pass\n")
    error = raised(lambda: compile(file.read_text(), str(file), "exec"))
    report = report_error(error, is_user_file=lambda name: name == str(file))

    frame = report.frames[-1]
    assert (frame.line, frame.column, frame.end_column) == (3, 7, 8)
    assert frame.context == "def f(:\n    pass"


def test_the_text_reads_like_pythons_own() -> None:
    def chained() -> None:
        try:
            fail_with("first")
        except ValueError as error:
            raise LookupError("second") from error

    error = raised(chained)
    theirs = "".join(traceback.format_exception(error)).splitlines()
    ours = traceback_text(reported(error)).splitlines()

    def without_carets(lines: list[str]) -> list[str]:
        return [line for line in lines if line.strip() and line.strip(" ^~")]

    assert without_carets(ours) == without_carets(theirs)


def test_one_exception_has_one_id_wherever_it_is_met() -> None:
    error = raised(lambda: fail_with("x"))
    back = raise_from_report(reported(error))

    assert reported(error).id == reported(error).id == reported(back).id != ""
    assert reported(raised(lambda: fail_with("x"))).id != reported(error).id


def test_a_constant_exception_that_is_raised_again_is_another_failure() -> None:
    constant = ValueError("always the same object")

    def fail() -> None:
        raise constant

    first = reported(raised(fail)).id
    assert reported(raised(fail)).id != first


def test_frames_of_the_caller_come_before_those_of_the_callee() -> None:
    report = reported(raised(lambda: fail_with("x")), label='Room "a"', method="say")

    def call() -> None:
        raise raise_from_report(report)

    joined = reported(raised(call), label="Default", method="fetch")

    assert [frame.function for frame in joined.frames] == ["raised", "call", "raised", "<lambda>", "fail_with"]
    assert [frame.place for frame in joined.frames] == ["Default.fetch"] * 2 + ['Room "a".say'] * 3
    assert (joined.label, joined.method) == ('Room "a"', "say")


def test_secrets_are_not_cut_through_and_callers_get_the_message_as_it_was() -> None:
    redaction = Redaction()
    redaction.learn({"API_KEY": "s3cret-" * 20}, ["API_KEY"])
    error = ValueError("no: " + "s3cret-" * 20)
    with_arguments(error, ("x" * 30 + "s3cret-" * 20,))
    report = report_error(error, is_user_file=lambda file: True, method="say", redaction=redaction)

    assert "s3cret" not in report.arguments
    assert str(raise_from_report(report)) == str(error)
    assert "s3cret" not in repr(msgspec.structs.asdict(redaction.report(report)))

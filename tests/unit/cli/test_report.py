from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from durable import errors
from durable.wire.messages import ErrorReport, Frame
from durable_cli.console import Ink
from durable_cli.report import (
    AGAIN_IN_FULL_SECONDS,
    FailureTeller,
    StatementError,
    caret_at,
    explain,
    render,
    render_failure,
    shown_path,
)

PLAIN = Ink(False)


def rendered(error: BaseException) -> str:
    return render(explain(error), PLAIN)


def test_a_mistake_of_the_users_says_what_and_the_fix_and_shows_no_traceback() -> None:
    assert rendered(errors.NotFoundError('no template "chta"', fix='Did you mean "chat"?')) == (
        'error: no template "chta"\n  fix: Did you mean "chat"?'
    )


def test_a_place_in_a_configuration_is_quoted_with_a_caret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = errors.ConfigError(
        'no class "Chat"',
        file=str(tmp_path / "durable.toml"),
        line=4,
        column=14,
        source_line='class_name = "Chat"',
        fix='class_name = "ChatRoom"',
    )
    assert rendered(error) == (
        'error: durable.toml:4:14: no class "Chat"\n'
        '    class_name = "Chat"\n'
        "                 ^\n"
        '  fix: class_name = "ChatRoom"'
    )


def test_the_caret_stands_right_below_a_tab() -> None:
    error = errors.ConfigError("bad", file="/x/durable.toml", line=1, column=2, source_line="\tname = 1")
    assert rendered(error).splitlines()[1:] == ["     name = 1", "     ^"]


def test_several_lines_of_a_fix_stay_below_each_other() -> None:
    error = errors.UserInputError("no migration", fix='[[migrations]]\ntag = "v1"')
    assert rendered(error) == 'error: no migration\n  fix: [[migrations]]\n       tag = "v1"'


def test_a_state_directory_in_use_names_its_holder_and_the_way_out() -> None:
    text = rendered(errors.StateInUseError("/p/.durable/state", "pid 12 (durable dev, since 12:01:07)"))
    assert text.startswith(
        "error: /p/.durable/state is in use by pid 12 (durable dev, since 12:01:07)\n  why: one process"
    )
    assert "--persist-to DIR" in text


def test_a_damaged_file_is_named_and_left_alone() -> None:
    text = rendered(errors.StorageCorruptError("/s/a.sqlite", "is not a database"))
    assert text.startswith("error: /s/a.sqlite is not a database\n  why: the file is not what its object wrote")


def test_a_refusal_of_the_machine_names_the_file_and_the_reason() -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "/root/x")
    assert rendered(error) == "error: /root/x: permission denied\n  why: the operating system refused it"


def test_a_bug_of_ours_shows_its_traceback_and_where_to_report_it() -> None:
    def fail() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom") as caught:
        fail()
    text = rendered(caught.value)
    assert text.startswith("Traceback (most recent call last):")
    assert "in fail" in text
    assert "error: bug in durable: ValueError: boom" in text
    assert "please report it with the lines above: " in text


def test_control_characters_of_a_message_are_escaped() -> None:
    assert rendered(errors.UserInputError("bad \x1b[2J name")) == "error: bad \\x1b[2J name"


def test_refused_sql_is_quoted() -> None:
    error = StatementError("near: syntax error", quoted="    SELEC 1\n    ^", fix="write it")
    assert rendered(error) == "error: near: syntax error\n    SELEC 1\n    ^\n  fix: write it"


@pytest.mark.parametrize(
    ("sql", "offset", "quoted"),
    [
        ("SELEC 1", 0, "    SELEC 1\n    ^"),
        ("SELECT x FROM t", 7, "    SELECT x FROM t\n           ^"),
        ("SELECT 1,\n  nope\nFROM t", 12, "      nope\n      ^"),
        ("SELECT 'ä', x", 12, "    SELECT 'ä', x\n               ^"),
        ("SELECT", 99, "    SELECT\n          ^"),
    ],
)
def test_an_offset_in_bytes_becomes_a_caret(sql: str, offset: int, quoted: str) -> None:
    assert caret_at(sql, offset) == quoted


def test_a_path_below_the_current_folder_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "main.py") == "main.py"
    assert shown_path("/elsewhere/main.py") == "/elsewhere/main.py"


def test_a_path_is_shown_whole_when_the_current_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError):
        os.getcwd()
    assert shown_path("/p/main.py") == "/p/main.py"


REPORT = ErrorReport(
    "ValueError",
    "no such room",
    frames=[
        Frame("/venv/durable/host/worker.py", 40, "serve", "await handler()", False),
        Frame("/p/main.py", 9, "fetch", "    return find(request)", True),
        Frame("/venv/lib/thing.py", 7, "wrap", "call()", False),
        Frame("/p/main.py", 17, "find", '    raise ValueError("no such room")', True),
    ],
    label='ChatRoom "a"',
    method="fetch",
)


def test_a_failure_of_user_code_shows_the_raising_line_first_and_only_their_frames() -> None:
    assert render_failure(REPORT, PLAIN, request="GET /room/a") == (
        'error in ChatRoom "a".fetch, GET /room/a\n'
        "  ValueError: no such room\n"
        "  /p/main.py:17 in find\n"
        '    > 17 │ raise ValueError("no such room")\n'
        "  /p/main.py:9 in fetch\n"
        "    > 9 │ return find(request)\n"
        "  … 2 frames of packages"
    )


def test_verbose_shows_every_frame() -> None:
    text = render_failure(REPORT, PLAIN, verbose=True)
    assert "/venv/lib/thing.py:7 in wrap" in text
    assert "… 2" not in text


def test_a_failure_without_frames_of_the_users_shows_the_others() -> None:
    report = ErrorReport("KeyError", "'x'", frames=[Frame("/venv/lib/thing.py", 7, "wrap", "call()", False)])
    assert render_failure(report, PLAIN) == (
        "error in the program\n  KeyError: 'x'\n  /venv/lib/thing.py:7 in wrap\n    > 7 │ call()\n"
        "  … 1 frame of packages"
    )


def test_endless_recursion_fills_no_screen() -> None:
    frames = [Frame("/p/main.py", 3, "again", "again()", True)] * 1000
    text = render_failure(ErrorReport("RecursionError", "maximum recursion depth exceeded", frames=frames), PLAIN)
    assert text.count("/p/main.py:3") == 12
    assert text.endswith("  … 988 frames of yours further out")


def test_what_a_program_raises_cannot_drive_the_terminal() -> None:
    report = ErrorReport("ValueError", "\x1b[2Jone\ntwo", label='Room "\x1b]0;x\x07"')
    text = render_failure(report, PLAIN)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\n  two" in text


def failed(message: str = "no", *, line: int = 3, label: str = 'Room "a"') -> ErrorReport:
    frames = [Frame("/p/main.py", line, "find", "raise ValueError(text)", True)]
    return ErrorReport("ValueError", message, frames=frames, label=label, method="say", arguments="n=1")


def test_a_failure_that_comes_again_is_told_in_one_line_that_says_what_differs() -> None:
    teller = FailureTeller(PLAIN, now=lambda: 0.0)
    first = teller.text(failed(), "GET /a")
    again = [teller.text(failed("no\nmore", label='Room "b"'), "GET /b"), teller.text(failed(), "")]

    assert first == render_failure(failed(), PLAIN, request="GET /a")
    assert again == [
        'error in Room "b".say(n=1), GET /b: ValueError: no (/p/main.py:3, as above: 2 times)',
        'error in Room "a".say(n=1): ValueError: no (/p/main.py:3, as above: 3 times)',
    ]


def test_another_failure_another_program_and_a_later_one_are_told_in_full() -> None:
    now = [0.0]
    teller = FailureTeller(PLAIN, now=lambda: now[0])
    teller.text(failed(), "")

    assert "\n" in teller.text(failed(line=4), "")
    teller.forget()
    assert "\n" in teller.text(failed(), "")
    now[0] = AGAIN_IN_FULL_SECONDS
    assert "\n" in teller.text(failed(), "")
    assert "\n" not in teller.text(failed(), "")


def test_of_very_many_failures_the_oldest_are_forgotten() -> None:
    teller = FailureTeller(PLAIN, now=lambda: 0.0)
    for line in range(1000):
        teller.text(failed(line=line), "")

    assert "\n" in teller.text(failed(line=0), "")
    assert "\n" not in teller.text(failed(line=999), "")


def test_a_terminal_sees_colours_and_no_raw_control_character() -> None:
    text = render_failure(failed("\x1b[2J"), Ink(True))

    assert "\x1b[31;1merror in" in text
    assert "\x1b[35mraise\x1b[0m" in text
    assert "\x1b[2J" not in text

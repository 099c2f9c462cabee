from __future__ import annotations

import json

import pytest

from durable.gateway.error_page import code_for, failure, form_for, problem
from durable.wire.messages import ErrorReport, Frame

REPORT = ErrorReport(
    type="ValueError",
    message="<b>no & yes</b>",
    frames=[
        Frame("/site-packages/engine.py", 10, "deliver", "    handler(message)", False),
        Frame("/home/me/main.py", 7, "fetch", "    return self.helper()", True),
        Frame("/home/me/main.py", 12, "helper", '    raise ValueError("<b>no & yes</b>")', True),
    ],
    traceback='Traceback (most recent call last):\n  File "/home/me/main.py"…\nValueError: <b>no & yes</b>\n',
    label='ChatRoom "general"',
    method="fetch",
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "text"),
        ("", "text"),
        ("*/*", "text"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("application/json", "json"),
        ("application/json, text/plain, */*", "json"),
        ("Text/HTML", "html"),
        ("application/json, text/html", "json"),
    ],
)
def test_browsers_programs_and_terminals_get_what_they_read(accept, form):
    assert form_for(accept) == form


def test_the_page_shows_the_users_innermost_frame_first_and_folds_the_rest():
    page = failure("html", REPORT).decode()

    assert page.startswith("<!doctype html>")
    assert page.index("helper") < page.index("return self.helper()") < page.index("<details>") < page.index("engine.py")
    assert "1 frame of packages and the engine" in page
    assert "in ChatRoom &quot;general&quot;.fetch" in page


def test_the_page_escapes_everything_and_loads_nothing():
    page = failure("html", REPORT).decode()

    assert "<b>" not in page
    assert "&lt;b&gt;no &amp; yes&lt;/b&gt;" in page
    assert "src=" not in page
    assert "href=" not in page
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page


def test_json_has_every_fact():
    assert json.loads(failure("json", REPORT)) == {
        "error": {
            "code": "exception",
            "type": "ValueError",
            "message": "<b>no & yes</b>",
            "object": 'ChatRoom "general"',
            "method": "fetch",
            "frames": [
                {
                    "file": frame.file,
                    "line": frame.line,
                    "function": frame.function,
                    "source": frame.source,
                    "user": frame.user,
                }
                for frame in REPORT.frames
            ],
        }
    }


def test_text_is_the_traceback_and_where_it_happened():
    text = failure("text", REPORT).decode()

    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith('ValueError: <b>no & yes</b>\n\nin ChatRoom "general".fetch\n')


def test_text_without_a_traceback_is_made_of_the_frames():
    report = ErrorReport("KeyError", "'x'", frames=[Frame("main.py", 3, "fetch", "  d['x']", True)])

    assert failure("text", report).decode() == (
        "Traceback (most recent call last):\n  File \"main.py\", line 3, in fetch\n    d['x']\nKeyError: 'x'\n"
    )


def test_text_cannot_steer_the_terminal_that_shows_it():
    assert failure("text", ErrorReport("ValueError", "\x1b[2J\x9b1m ok")) == b"ValueError: \\x1b[2J\\x9b1m ok\n"


def test_a_page_needs_no_frames_and_no_message():
    page = failure("html", ErrorReport("KeyboardInterrupt", "")).decode()

    assert "<h1>KeyboardInterrupt</h1>" in page
    assert "<details>" not in page


@pytest.mark.parametrize(
    ("flags", "code"),
    [([], "exception"), (["overloaded"], "overloaded"), (["durable_object_reset", "remote"], "object_reset")],
)
def test_the_code_tells_a_program_what_kind_of_failure_it_was(flags, code):
    assert code_for(ErrorReport("X", "", flags=flags)) == code


def test_a_problem_of_the_gateway_has_a_code_and_a_sentence():
    assert json.loads(problem("json", "reloading", "Wait.")) == {"error": {"code": "reloading", "message": "Wait."}}
    assert problem("text", "reloading", "Wait.") == b"reloading: Wait.\n"
    assert b"<h1>&lt;Wait.&gt;</h1>" in problem("html", "reloading", "<Wait.>")

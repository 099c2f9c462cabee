from __future__ import annotations

import base64
import hashlib
import json

import msgspec
import pytest

from durable.gateway.error_page import code_for, failure, form_for, problem
from durable.gateway.page_style import POLICY, STYLE
from durable.wire.messages import ErrorReport, FailedSql, Frame, RelatedError

REPORT = ErrorReport(
    type="ValueError",
    message="<b>no & yes</b>",
    frames=[
        Frame("/site-packages/engine.py", 10, "deliver", "    handler(message)", False, package="engine"),
        Frame("/home/me/main.py", 7, "fetch", "    return self.helper()", True),
        Frame("/home/me/main.py", 12, "helper", '    raise ValueError("<b>no & yes</b>")', True),
    ],
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
    assert page.index("helper") < page.index("self.helper()") < page.index("<details>") < page.index("engine.py")
    assert "1 frame of engine: show every frame" in page
    assert "in <code>ChatRoom &quot;general&quot;.fetch</code>" in page


def test_the_page_escapes_everything_and_loads_nothing():
    page = failure("html", REPORT).decode()

    assert "<b>" not in page
    assert "&lt;b&gt;no &amp; yes&lt;/b&gt;" in page
    assert "src=" not in page
    assert "href=" not in page
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page


def test_json_has_every_fact():
    report = msgspec.structs.replace(
        REPORT,
        arguments="n=3",
        notes=["a note"],
        sql=FailedSql("SELECT nope", 2, 7),
        related=[RelatedError("cause", "KeyError", "'x'", notes=["why"])],
    )
    assert json.loads(failure("json", report)) == {
        "error": {
            "code": "exception",
            "type": "ValueError",
            "message": "<b>no & yes</b>",
            "notes": ["a note"],
            "object": 'ChatRoom "general"',
            "method": "fetch",
            "arguments": "n=3",
            "sql": {"text": "SELECT nope", "bindings": 2},
            "related": [{"relation": "cause", "type": "KeyError", "message": "'x'", "notes": ["why"], "frames": []}],
            "frames": [
                {
                    "file": frame.file,
                    "line": frame.line,
                    "function": frame.function,
                    "source": frame.source,
                    "user": frame.user,
                    "in": frame.place,
                }
                for frame in REPORT.frames
            ],
        }
    }


def test_text_says_what_the_terminal_says():
    text = failure("text", REPORT, "GET /room/general").decode()

    assert text.startswith('error in ChatRoom "general".fetch, GET /room/general\n  ValueError: <b>no & yes</b>\n')
    assert text.endswith("  … 1 frame of engine\n")


def test_text_cannot_steer_the_terminal_that_shows_it():
    assert failure("text", ErrorReport("ValueError", "\x1b[2J\x9b1m ok")) == (
        b"error in the program\n  ValueError: \\x1b[2J\\x9b1m ok\n"
    )


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


EVIL = "<script>alert(1)</script>\"'&"


def test_nothing_that_came_from_a_program_becomes_markup():
    frame = Frame(EVIL, 3, EVIL, EVIL, True, f"{EVIL}\n{EVIL}", 2, 3, 9, EVIL, EVIL)
    other = Frame(EVIL, 3, EVIL, EVIL, False, package=EVIL)
    page = failure(
        "html",
        ErrorReport(
            EVIL, EVIL, frames=[frame, other], label=EVIL, method=EVIL, arguments=EVIL, notes=[EVIL],
            sql=FailedSql(EVIL, 1, 3), related=[RelatedError(EVIL, EVIL, EVIL, [frame, other], [EVIL])],
        ),
        EVIL,
    ).decode()  # fmt: skip

    # The twin: where it is not escaped it would be found.
    assert EVIL in failure("text", ErrorReport("ValueError", EVIL)).decode()
    assert "<script" not in page
    assert EVIL not in page


def test_a_page_shows_the_lines_around_and_what_was_called():
    frame = Frame("/home/me/main.py", 7, "f", "return g(1)", True, "def f():\n    return g(1)", 6, 12, 16)
    page = failure("html", ErrorReport("ValueError", "no", frames=[frame]), "GET /a").decode()

    assert '<span class="gutter">6</span><code><span class="keyword">def</span> <span class="name">f</span>' in page
    assert '<span class="row hit"><span class="gutter">7</span>' in page
    assert '<mark>g(</mark><mark><span class="number">1</span></mark><mark>)</mark>' in page
    assert '<span class="request">GET /a</span>' in page


def test_a_page_shows_the_statement_and_what_led_to_the_failure():
    related = [RelatedError("cause", "KeyError", "'x'"), RelatedError("member", "OSError", "y", depth=1)]
    report = ErrorReport("SqlError", "no", sql=FailedSql("SELECT nope", 1, 7), related=related, notes=["a note"])
    page = failure("html", report).decode()

    assert "SQL, 1 binding<" in page
    assert "SELECT <mark>nope</mark>" in page
    assert '<span class="relation">caused by</span> <span class="kind">KeyError</span> &#x27;x&#x27;' in page
    assert '<span class="relation">1 of 1</span>' in page
    assert '<p class="note">a note</p>' in page


def test_the_policy_allows_the_style_sheet_and_nothing_else():
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

    assert f"<style>{STYLE}</style>" in failure("html", REPORT).decode()
    assert f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'" == POLICY
    assert "style=" not in failure("html", REPORT).decode()

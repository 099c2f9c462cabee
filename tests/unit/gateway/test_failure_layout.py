"""How a failure reads as text."""

from __future__ import annotations

import pytest

from durable.gateway.failure_layout import failure_lines, sql_lines
from durable.gateway.python_tokens import tokens
from durable.wire.messages import ErrorReport, FailedSql, Frame, RelatedError

SAY = "ChatRoom \"general\".say(text='hi')"
FIND = Frame(
    "main.py", 17, "find", 'raise ValueError("no such room")', True,
    "    room = rooms.get(name)\n    if room is None:\n        raise ValueError(\"no such room\")", 15, place=SAY,
)  # fmt: skip
CALLER = Frame(
    "main.py", 40, "fetch", "return Response(await room.say(text))", True,
    "        # asks\n        return Response(await room.say(text))", 39, 25, 45, place="Default.fetch",
)  # fmt: skip
ENGINE = Frame("/venv/durable/host/worker.py", 40, "serve", "await handler()", False, package="durable")
REPORT = ErrorReport(
    "ValueError", "no such room", frames=[ENGINE, CALLER, ENGINE, FIND], label='ChatRoom "general"', method="say",
    arguments="text='hi'", notes=["a note"],
)  # fmt: skip


def text_of(report: ErrorReport, *, width: int = 0, verbose: bool = False) -> str:
    return "\n".join(failure_lines(report, lambda text, _: text, request="GET /a", width=width, verbose=verbose))


def test_the_users_lines_come_first_the_callees_before_the_callers_and_the_rest_is_counted() -> None:
    assert text_of(REPORT) == (
        "error in ChatRoom \"general\".say(text='hi'), GET /a\n"
        "  ValueError: no such room\n"
        "  a note\n"
        "  main.py:17 in find\n"
        "      15 │ room = rooms.get(name)\n"
        "      16 │ if room is None:\n"
        '    > 17 │     raise ValueError("no such room")\n'
        "  called by Default.fetch\n"
        "  main.py:40 in fetch\n"
        "    > 40 │ return Response(await room.say(text))\n"
        "         │                 ^^^^^^^^^^^^^^^^^^^^\n"
        "  … 2 frames of durable"
    )


def test_verbose_folds_nothing() -> None:
    text = text_of(REPORT, verbose=True)

    assert text.count("/venv/durable/host/worker.py:40 in serve") == 2
    assert "frames of durable" not in text


def test_lines_are_cut_to_the_terminal_and_marks_stay_inside() -> None:
    lines = text_of(REPORT, width=40).split("\n")

    assert max(map(len, [line for line in lines if "│" in line])) <= 40
    assert "    > 40 │ return Response(await room.s…" in lines
    assert any(set(line.strip(" │")) == {"^"} for line in lines)


def test_causes_contexts_and_members_follow_with_their_lines() -> None:
    related = [
        RelatedError("cause", "KeyError", "'usd'", [FIND], ["noted"]),
        RelatedError("context", "OSError", ""),
        RelatedError("member", "ValueError", "one", [FIND], depth=1),
        RelatedError("member", "ExceptionGroup", "inner", depth=1),
        RelatedError("member", "KeyError", "two", depth=2),
    ]
    text = text_of(ErrorReport("LookupError", "no price", related=related))

    assert "  caused by KeyError: 'usd'\n  noted\n  main.py:17 in find\n    > 17 │ raise ValueError" in text
    assert text.index("while handling OSError") < text.index("1 of 2 ValueError: one")
    assert "  2 of 2 ExceptionGroup: inner\n    with KeyError: two" in text


def test_a_statement_is_shown_with_the_place_that_sqlite_stumbled_over() -> None:
    sql = FailedSql("\n        SELECT id, txt\n        FROM t", 2, 20)

    assert sql_lines(sql) == [("SELECT id, txt", 11, 14), ("FROM t", -1, -1)]
    assert "  SQL, 2 bindings\n      SELECT id, txt\n                 ^^^\n      FROM t" in text_of(
        ErrorReport("SqlError", "no such column", sql=sql)
    )


@pytest.mark.parametrize("offset", [-1, 0, 3, 6, 7, 99])
def test_any_offset_into_a_statement_can_be_shown(offset: int) -> None:
    lines = sql_lines(FailedSql("SELECT", 0, offset))

    assert [text for text, *_ in lines] == ["SELECT"]
    assert (lines[0][1] >= 0) is (0 <= offset <= 6)


def test_a_statement_of_many_lines_is_cut() -> None:
    text = text_of(ErrorReport("SqlError", "no", sql=FailedSql("\n".join(f"-- {n}" for n in range(100)))))

    assert text.count("-- ") == 12
    assert "… 88 more lines" in text


def test_a_function_that_called_itself_says_how_often() -> None:
    frame = Frame("main.py", 3, "again", "again()", True, repeats=960)

    assert "  main.py:3 in again, which called itself 960 times\n" in text_of(
        ErrorReport("RecursionError", "", frames=[frame])
    )


def test_a_program_that_cannot_be_loaded_says_so() -> None:
    assert text_of(ErrorReport("SyntaxError", "no", method="import")).startswith("error while loading the program")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("async def f(n=1):", [("keyword", "async"), ("keyword", "def"), ("name", "f"), ("number", "1")]),
        ("x = f\"a'{b}\" + 'c'  # d", [("string", 'f"a\'{b}"'), ("string", "'c'"), ("comment", "# d")]),
        ('"""Whole."""', [("string", '"""Whole."""')]),
        ('x = """open', [("string", '"""open')]),
        ("match path:", [("keyword", "match")]),
        ("match = 3", [("number", "3")]),
        ("it's", [("string", "'s")]),
    ],
)
def test_a_line_is_taken_apart_for_colours(line: str, expected: list[tuple[str, str]]) -> None:
    found = list(tokens(line))

    assert "".join(text for _, text, _ in found) == line
    assert [(kind, text.strip()) for kind, text, _ in found if kind] == expected


def test_the_marked_part_of_a_line_may_begin_and_end_inside_of_others() -> None:
    assert list(tokens('a("bcd")', 3, 6)) == [
        ("", "a(", False), ("string", '"', False), ("string", "bcd", True), ("string", '"', False), ("", ")", False),
    ]  # fmt: skip

"""A failed request, told to whoever asked: a page for browsers, JSON for programs, plain text for a terminal.

Pure: a report in, bytes out. Everything that came from the program or the network is escaped, nothing is loaded from
elsewhere, and the user's own frames come before those of packages and the engine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any, Final, Literal

import msgspec

from durable.gateway.failure_layout import (
    FRAMES_MAX,
    RELATED_FRAMES_MAX,
    context_of,
    failure_lines,
    heading_of,
    packages_of,
    parts_by_place,
    relation_of,
    repeats_of,
    sql_lines,
)
from durable.gateway.page_style import STYLE
from durable.gateway.python_tokens import tokens
from durable.wire.messages import ErrorReport, FailedSql, Frame, RelatedError
from durable.wire.traceback_text import traceback_text

Form = Literal["html", "json", "text"]

CONTENT_TYPES: dict[Form, str] = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
}

_CODES = {("durable.errors", "HostGoneError"): "host_crashed", ("durable.errors", "ReloadingError"): "reloading"}
"""Failures of the platform that the program passed on to its client."""

_MESSAGE_CHARACTERS_MAX: Final = 20_000
"""Text of one exception on a page; some carry a whole document."""

_OTHER: Final = '<article class="other">'
_encode_json = msgspec.json.Encoder().encode
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def form_for(accept: str | None) -> Form:
    """What a client wants to read: the first of HTML and JSON that its Accept names, else plain text."""
    if not accept:
        return "text"
    accept = accept.lower()
    html, json = accept.find("text/html"), accept.find("application/json")
    if html >= 0 and (json < 0 or html < json):
        return "html"
    return "json" if json >= 0 else "text"


def code_for(report: ErrorReport) -> str:
    """The stable word for a failure: what a program can branch on."""
    if "overloaded" in report.flags:
        return "overloaded"
    if "durable_object_reset" in report.flags:
        return "object_reset"
    return _CODES.get((report.module, report.type), "exception")


def failure(form: Form, report: ErrorReport, request: str = "") -> bytes:
    """The answer to `request` ("GET /room/a"), which an exception of the user's program ended."""
    if form == "json":
        return _encode_json({"error": facts(report)})
    if form == "text":
        lines = failure_lines(report, _unpainted, request=request)
        return _printable("\n".join(lines) + "\n")
    return _page(report, request).encode("utf-8", "backslashreplace")


def problem(form: Form, code: str, message: str) -> bytes:
    """The answer to a request that the gateway itself cannot serve, such as `("reloading", "The program …")`."""
    if form == "json":
        return _encode_json({"error": {"code": code, "message": message}})
    if form == "text":
        return _printable(f"{code}: {message}\n")
    body = f'<header><p class="kind">{escape(code)}</p><h1>{escape(message)}</h1></header>'
    return _document(code, body).encode("utf-8", "backslashreplace")


def facts(report: ErrorReport) -> dict[str, Any]:
    """A report for programs."""
    sql = report.sql
    return {
        "code": code_for(report),
        "type": report.type,
        "message": report.message,
        "notes": report.notes,
        "object": report.label,
        "method": report.method,
        "arguments": report.arguments,
        "sql": None if sql is None else {"text": sql.text, "bindings": sql.bindings},
        "frames": _frame_facts(report.frames),
        "related": [
            {
                "relation": error.relation,
                "type": error.type,
                "message": error.message,
                "notes": error.notes,
                "frames": _frame_facts(error.frames),
            }
            for error in report.related
        ],
    }


def _frame_facts(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    return [
        {
            "file": frame.file,
            "line": frame.line,
            "function": frame.function,
            "source": frame.source,
            "user": frame.user,
            "in": frame.place,
        }
        for frame in frames
    ]


def _unpainted(text: str, _style: str) -> str:
    return text


def _printable(text: str) -> bytes:
    """For a terminal: what could move its cursor or change its colours is shown as an escape."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text).encode("utf-8", "backslashreplace")


def _page(report: ErrorReport, request: str) -> str:
    parts = [
        f'<header><p class="kind">{escape(report.type)}</p>',
        f"<h1>{escape(report.message[:_MESSAGE_CHARACTERS_MAX]) or escape(report.type)}</h1>",
        *(f'<p class="note">{escape(note)}</p>' for note in report.notes),
        f'<p class="place">{_heading(report)}{_request(request)}</p></header>',
    ]
    if report.sql is not None:
        parts.append(_sql(report.sql))
    parts += _frames(report.frames, FRAMES_MAX)
    members = sum(error.relation == "member" and error.depth == 1 for error in report.related)
    number = 0
    for error in report.related:
        number += error.relation == "member" and error.depth == 1
        parts += _related(error, relation_of(error, number, members))
    others = [frame for frame in report.frames if not frame.user]
    if others:
        whole = "".join(_brief(frame) for frame in reversed(report.frames))
        parts.append(
            f"<details><summary>{escape(packages_of(report))}: show every frame</summary>"
            f'<section class="frames">{whole}</section></details>'
        )
    if report.frames:
        parts.append(
            "<details><summary>The traceback as text</summary>"
            f'<pre class="text">{escape(traceback_text(report))}</pre></details>'
        )
    return _document(f"{report.type}: {report.message}", "".join(parts))


def _heading(report: ErrorReport) -> str:
    words = heading_of(report)
    place = words.removeprefix("error in ")
    return escape(words) if place == words else f"in <code>{escape(place)}</code>"


def _request(request: str) -> str:
    return f' <span class="request">{escape(request)}</span>' if request else ""


def _sql(sql: FailedSql) -> str:
    lines: list[str] = []
    for text, begin, end in sql_lines(sql):
        if begin < 0:
            lines.append(_line("", escape(text)))
        else:
            marked = f"<mark>{escape(text[begin:end]) or ' '}</mark>"
            lines.append(_line("", escape(text[:begin]) + marked + escape(text[end:]), marked=True))
    count = f"{sql.bindings} {'binding' if sql.bindings == 1 else 'bindings'}"
    article = f'<article><p class="where">SQL, {count}</p><pre>{"".join(lines)}</pre></article>'
    return f'<section class="frames">{article}</section>'


def _related(error: RelatedError, relation: str) -> list[str]:
    heading = (
        f'<h2 class="related"><span class="relation">{escape(relation)}</span> '
        f'<span class="kind">{escape(error.type)}</span> {escape(error.message[:_MESSAGE_CHARACTERS_MAX])}</h2>'
    )
    notes = [f'<p class="note">{escape(note)}</p>' for note in error.notes]
    return [heading, *notes, *_frames(error.frames, RELATED_FRAMES_MAX)]


def _frames(frames: Sequence[Frame], frames_max: int) -> list[str]:
    """The user's frames, the innermost first: that is where the exception was raised."""
    own = [frame for frame in frames if frame.user]
    parts: list[str] = []
    for number, (place, part) in enumerate(parts_by_place(own)):
        if number:
            parts.append(f'<p class="caller">called by <code>{escape(place or "the program")}</code></p>')
        articles = "".join(_article(frame) for frame in part[:frames_max])
        if len(part) > frames_max:
            articles += (
                f'<article><p class="where">… {len(part) - frames_max} frames of yours further out</p></article>'
            )
        parts.append(f'<section class="frames">{articles}</section>')
    return parts


def _brief(frame: Frame) -> str:
    """A frame with the line that ran, and no colours: there may be many."""
    source = f"<pre>{_line('', escape(frame.source))}</pre>" if frame.source else ""
    return f"{'<article>' if frame.user else _OTHER}{_where(frame)}{source}</article>"


def _article(frame: Frame) -> str:
    lines, begin, end = context_of(frame)
    shown = "".join(
        _line(str(number), _coloured(text, begin, end), marked=True)
        if number == frame.line
        else _line(str(number), _coloured(text))
        for number, text in lines
    )
    return f"<article>{_where(frame)}<pre>{shown}</pre></article>" if shown else f"<article>{_where(frame)}</article>"


def _where(frame: Frame) -> str:
    folder, slash, name = frame.file.rpartition("/")
    function = f" in <code>{escape(frame.function)}</code>" if frame.function else ""
    return (
        f'<p class="where"><span class="folder">{escape(folder + slash)}</span><span class="file">{escape(name)}</span>'
        f':<span class="line">{frame.line}</span>{function}{repeats_of(frame)}</p>'
    )


def _line(number: str, markup: str, *, marked: bool = False) -> str:
    gutter = f'<span class="gutter">{number}</span>' if number else ""
    return f'<span class="row{" hit" if marked else ""}">{gutter}<code>{markup}</code>\n</span>'


def _coloured(text: str, begin: int = 0, end: int = 0) -> str:
    parts: list[str] = []
    for kind, part, marked in tokens(text, begin, end):
        markup = f'<span class="{kind}">{escape(part)}</span>' if kind else escape(part)
        parts.append(f"<mark>{markup}</mark>" if marked else markup)
    return "".join(parts)


def _document(title: str, body: str) -> str:
    shown = title if len(title) <= 120 else title[:120] + "…"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(shown)}</title><style>{STYLE}</style></head><body><main>{body}"
        "<footer>durable dev</footer></main></body></html>\n"
    )

"""A failed request, told to whoever asked: a page for browsers, JSON for programs, plain text for a terminal.

Pure: a report in, bytes out. Everything that came from the program or the network is escaped, nothing is loaded from
elsewhere, and the user's own frames come before those of packages and the engine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Literal

import msgspec

from durable.gateway.page_style import STYLE
from durable.wire.messages import ErrorReport, Frame

Form = Literal["html", "json", "text"]

CONTENT_TYPES: dict[Form, str] = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
}

_CODES = {("durable.errors", "HostGoneError"): "host_crashed", ("durable.errors", "ReloadingError"): "reloading"}
"""Failures of the platform that the program passed on to its client."""

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


def failure(form: Form, report: ErrorReport) -> bytes:
    """The answer to a request that an exception of the user's program ended."""
    if form == "json":
        return _encode_json(
            {
                "error": {
                    "code": code_for(report),
                    "type": report.type,
                    "message": report.message,
                    "object": report.label,
                    "method": report.method,
                    "frames": [
                        {"file": f.file, "line": f.line, "function": f.function, "source": f.source, "user": f.user}
                        for f in report.frames
                    ],
                }
            }
        )
    if form == "text":
        return _printable(_text(report))
    return _page(report).encode("utf-8", "backslashreplace")


def problem(form: Form, code: str, message: str) -> bytes:
    """The answer to a request that the gateway itself cannot serve, such as `("reloading", "The program …")`."""
    if form == "json":
        return _encode_json({"error": {"code": code, "message": message}})
    if form == "text":
        return _printable(f"{code}: {message}\n")
    body = f'<p class="kind">{escape(code)}</p><h1>{escape(message)}</h1>'
    return _document(code, body).encode("utf-8", "backslashreplace")


def _text(report: ErrorReport) -> str:
    """A Python traceback as a terminal shows it, then where it happened."""
    text = report.traceback.rstrip("\n")
    if not text:
        lines = ["Traceback (most recent call last):"] if report.frames else []
        for frame in report.frames:
            lines.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
            if frame.source.strip():
                lines.append(f"    {frame.source.strip()}")
        lines.append(f"{report.type}: {report.message}" if report.message else report.type)
        text = "\n".join(lines)
    place = _place(report)
    return f"{text}\n\n{place}\n" if place else f"{text}\n"


def _printable(text: str) -> bytes:
    """For a terminal: what could move its cursor or change its colours is shown as an escape."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text).encode("utf-8", "backslashreplace")


def _place(report: ErrorReport) -> str:
    place = ".".join(part for part in (report.label, report.method) if part)
    return f"in {place}" if place else ""


def _page(report: ErrorReport) -> str:
    user = [frame for frame in report.frames if frame.user]
    others = [frame for frame in report.frames if not frame.user]
    place = _place(report)
    parts = [
        f'<p class="kind">{escape(report.type)}</p>',
        f"<h1>{escape(report.message) or escape(report.type)}</h1>",
        f'<p class="place">{escape(place)}</p>' if place else "",
    ]
    if user:
        # The innermost frame is where the exception was raised: the first thing to look at.
        parts.append('<section class="frames">' + _frames(user[::-1]) + "</section>")
    if others:
        plural = "frame" if len(others) == 1 else "frames"
        parts.append(
            f"<details><summary>{len(others)} {plural} of packages and the engine</summary>"
            f'<section class="frames">{_frames(others[::-1])}</section></details>'
        )
    if report.traceback:
        parts.append(f"<details><summary>Traceback as text</summary><pre>{escape(report.traceback)}</pre></details>")
    return _document(f"{report.type}: {report.message}", "".join(parts))


def _frames(frames: Sequence[Frame]) -> str:
    return "".join(
        f'<article><p class="where"><span class="file">{escape(frame.file)}</span>:'
        f'<span class="line">{frame.line}</span> in <code>{escape(frame.function)}</code></p>'
        + (f"<pre><code>{escape(frame.source.rstrip())}</code></pre>" if frame.source.strip() else "")
        + "</article>"
        for frame in frames
    )


def _document(title: str, body: str) -> str:
    shown = title if len(title) <= 120 else title[:120] + "…"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(shown)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )

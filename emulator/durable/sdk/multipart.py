"""multipart/form-data as bytes: written as browsers write it, read within bounds. Knows no form and no request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from durable.limits import FORM_PART_HEAD_BYTES_MAX, FORM_PARTS_MAX
from durable.sdk.headers import parameters_of

# What browsers write in names instead of the characters that would end them (HTML, "multipart/form-data encoding").
_ESCAPES = (("\r", "%0D"), ("\n", "%0A"), ('"', "%22"))
_BOUNDARY_BYTES_MAX = 70
"""RFC 2046, 5.1.1."""


@dataclass(frozen=True, slots=True)
class Part:
    """One field; `filename` is None for text."""

    name: str
    filename: str | None
    content_type: str | None
    data: bytes


def is_multipart(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def build_multipart(fields: Iterable[tuple[str, str] | tuple[str, str, str, bytes]]) -> tuple[bytes, str]:
    """A body of `(name, text)` and `(name, filename, content type, data)`, and its content type."""
    boundary = f"----durable-form-{os.urandom(16).hex()}"
    pieces: list[bytes] = []
    for field in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_escaped(field[0])}"'
        if len(field) == 2:
            # The newlines of a text are CRLF on the wire, as in a browser.
            lines = field[1].replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
            data = lines.encode("utf-8", "replace")
        else:
            _, filename, kind, data = field
            head += f'; filename="{_escaped(filename)}"\r\nContent-Type: {kind or "application/octet-stream"}'
        pieces += [head.encode("utf-8", "replace"), b"\r\n\r\n", data, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return b"".join(pieces), f"multipart/form-data; boundary={boundary}"


def parse_multipart(data: bytes, content_type: str) -> list[Part]:
    """The parts of a body. Raises TypeError that says what is wrong with it."""
    boundary = parameters_of(content_type).get("boundary", "").encode("latin-1", "replace")
    if not 0 < len(boundary) <= _BOUNDARY_BYTES_MAX:
        raise TypeError(
            "a multipart/form-data body needs the boundary that its Content-Type names, 1 to "
            f"{_BOUNDARY_BYTES_MAX} bytes long; got {content_type!r}"
        )
    parts: list[Part] = []
    for start, end in _spans(data, b"--" + boundary):
        if len(parts) == FORM_PARTS_MAX:
            raise TypeError(f"a form has at most {FORM_PARTS_MAX} fields, this body has more")
        part = _part(data, start, end)
        if part is not None:
            parts.append(part)
    return parts


def _spans(data: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
    """Where each part begins and ends, heads included. Raises TypeError when the body stops before its end."""
    at = 0 if data.startswith(delimiter) else data.find(b"\r\n" + delimiter) + 2
    if at == 1:
        raise TypeError("this multipart body does not contain the boundary that its Content-Type names")
    while True:
        at += len(delimiter)
        if data.startswith(b"--", at):
            return
        start = data.find(b"\r\n", at)
        if start == -1 or data[at:start].strip(b" \t"):
            raise TypeError(f"this multipart body has something else than a line's end after its boundary at byte {at}")
        # A part may be empty, its head's line end then being that of the next delimiter.
        end = data.find(b"\r\n" + delimiter, start)
        if end == -1:
            raise TypeError("this multipart body ends in the middle of a part: its last boundary is missing")
        yield start + 2, max(end, start + 2)
        at = end + 2


def _part(data: bytes, start: int, end: int) -> Part | None:
    """The field between two boundaries; None for one that is no form data."""
    blank = data.find(b"\r\n\r\n", start, end)
    if data.startswith(b"\r\n", start):
        raise TypeError("a part of this multipart body has no Content-Disposition header")
    head_end = end if blank == -1 else blank
    if head_end - start > FORM_PART_HEAD_BYTES_MAX:
        raise TypeError(f"the head of a form's field is at most {FORM_PART_HEAD_BYTES_MAX} bytes")
    head: dict[str, str] = {}
    for line in data[start:head_end].decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            head.setdefault(name.strip().lower(), value.strip())
    disposition = head.get("content-disposition", "")
    names = parameters_of(disposition)
    if disposition.partition(";")[0].strip().lower() != "form-data" or "name" not in names:
        raise TypeError(
            'a part of this multipart body has no header like Content-Disposition: form-data; name="field", '
            f"but {disposition!r}"
        )
    filename = names.get("filename")
    body = b"" if blank == -1 else data[blank + 4 : end]
    return Part(_plain(names["name"]), None if filename is None else _plain(filename), head.get("content-type"), body)


def _escaped(text: str) -> str:
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


def _plain(text: str) -> str:
    for character, escape in _ESCAPES:
        text = text.replace(escape, character)
    return text

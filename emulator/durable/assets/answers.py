"""What is answered to a request for an asset: status, fields, and which bytes of which file. Writes nothing.

Conditions and ranges are those of RFC 9110, 13 and 14.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from mimetypes import MimeTypes

from durable.assets.folder import AssetFile, AssetFolder
from durable.assets.paths import Found, Moved, decoded, encoded, meant, not_found

Field = Callable[[str], str | None]
"""The value of a request's field by its lower-case name."""

_TYPES = MimeTypes()
"""Without the tables of the machine: what a browser is told must not depend on it."""
for _ending, _type in {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".jsonld": "application/ld+json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}.items():
    _TYPES.add_type(_type, _ending)

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Answer:
    """`length` bytes of `file` from `start` are the body; without a file there is none."""

    status: int
    headers: list[tuple[str, str]]
    file: AssetFile | None = None
    start: int = 0
    length: int = 0


class AssetServer:
    """Answers for one folder and one setting."""

    def __init__(self, folder: AssetFolder, html_handling: str, not_found_handling: str) -> None:
        self._find = folder.find
        self._html_handling = html_handling
        self._not_found_handling = not_found_handling

    def answer(self, method: str, target: str, field: Field, *, or_not_found: bool = True) -> Answer | None:
        """`target` is path and query as they were sent. None when nothing is meant.

        `or_not_found`: what is nowhere may be answered with the page for such paths.
        """
        sent, query_mark, query = target.partition("?")
        path = decoded(sent)
        page = meant(path, self._html_handling, self._find)
        if page is None and or_not_found:
            page = not_found(path, self._not_found_handling, self._find)
        if page is None:
            return None
        if method not in ("GET", "HEAD"):
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, [("Allow", "GET, HEAD"), ("Content-Length", "0")])
        address = encoded(page.path if isinstance(page, Moved) else path)
        if isinstance(page, Moved) or address != sent:
            location = address + query_mark + query
            return Answer(HTTPStatus.TEMPORARY_REDIRECT, [("Location", location), ("Content-Length", "0")])
        return _delivery(page, field)

    def nothing(self) -> Answer:
        """For a path that is the assets' and leads to none."""
        return Answer(HTTPStatus.NOT_FOUND, [("Content-Length", "0")])


def _delivery(page: Found, field: Field) -> Answer:
    file = page.file
    headers = [("ETag", file.etag)]
    kind = content_type(file.path)
    if kind:
        headers.append(("Content-Type", kind))
    start, end, status = 0, file.size, int(page.status)
    is_there = status == HTTPStatus.OK
    asked_range = field("range") if is_there else None
    if field("authorization") is None and asked_range is None:
        headers.append(("Cache-Control", "public, max-age=0, must-revalidate"))
    if is_there and _matches(field("if-none-match"), file.etag):
        return Answer(HTTPStatus.NOT_MODIFIED, headers)
    if is_there:
        headers.append(("Accept-Ranges", "bytes"))
        condition = field("if-range")
        wanted = _range(asked_range, file.size) if condition is None or condition == file.etag else None
        if wanted is not None:
            start, end = wanted
            if start >= end:
                unsatisfiable = [("Content-Range", f"bytes */{file.size}"), ("Content-Length", "0")]
                return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, unsatisfiable)
            status = HTTPStatus.PARTIAL_CONTENT
            headers.append(("Content-Range", f"bytes {start}-{end - 1}/{file.size}"))
    headers.append(("Content-Length", str(end - start)))
    return Answer(status, headers, file, start, end - start)


def content_type(path: str) -> str:
    """`text/html; charset=utf-8`; empty when the name does not tell."""
    kind, encoding = _TYPES.guess_type(path)
    if encoding is not None:  # app.js.gz is an archive, and no program
        return {"gzip": "application/gzip"}.get(encoding, "application/octet-stream")
    if kind is None:
        return ""
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _matches(condition: str | None, etag: str) -> bool:
    if condition is None:
        return False
    return any(each.strip().removeprefix("W/") in ("*", etag) for each in condition.split(","))


def _range(text: str | None, size: int) -> tuple[int, int] | None:
    """The one range that is asked for, its end excluded; several, and other units, are answered with everything."""
    match = _RANGE.fullmatch(text.strip()) if text is not None else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return (max(0, size - int(match[2])), size)
    if match[2] and int(match[2]) < int(match[1]):
        return None
    return (int(match[1]), min(int(match[2]) + 1, size) if match[2] else size)

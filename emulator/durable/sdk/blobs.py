"""Blobs and files: bytes with a type, and for a file a name. They never change."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from durable.sdk import habits
from durable.sdk.aliases import CamelCase, merge_options
from durable.sdk.contents import BodySource, Content

if TYPE_CHECKING:
    from durable.sdk.streams import ReadableStream

BlobValue: TypeAlias = "str | bytes | bytearray | memoryview | Blob"


class BlobEnding(StrEnum):
    """What becomes of line ends in text parts: nothing, or what this system writes."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


class Blob(BodySource, CamelCase):
    """`Blob("text")`, `Blob([b"one", "two"], content_type="text/plain")`: parts joined to one piece of bytes."""

    content: builtins.bytes
    """For the runtime: all the bytes."""
    content_type: str

    def __init__(
        self,
        blob_parts: Iterable[BlobValue] | BlobValue = (),
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
    ) -> None:
        if content_type is None and isinstance(blob_parts, Blob):
            content_type = blob_parts.content_type
        native = endings is not None and BlobEnding(str(endings)) is BlobEnding.NATIVE
        self.content = _joined(blob_parts, native)
        self.content_type = (content_type or "").lower()

    @classmethod
    def new(
        cls, parts: Iterable[BlobValue] | BlobValue = (), options: Mapping[str, Any] | None = None, **named: Any
    ) -> Blob:
        """In the platform's spelling: `Blob.new(["text"], {"type": "text/plain"})`."""
        chosen = merge_options("Blob.new", ("type", "endings"), options, named)
        return cls(parts, chosen.get("type"), chosen.get("endings"))

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def type(self) -> str:
        return self.content_type

    @property
    def js_object(self) -> Blob:
        return self

    async def bytes(self) -> builtins.bytes:
        return self.content

    async def buffer(self) -> builtins.bytes:
        return habits.arrived(self.content)

    async def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def as_body(self) -> tuple[Content, str | None]:
        return self.content, self.content_type or None

    def stream(self) -> ReadableStream:
        from durable.sdk.streams import ReadableStream  # loaded here: it needs asyncio

        return ReadableStream(self.content)

    def slice(self, start: int | None = None, end: int | None = None, content_type: str | None = None) -> Blob:
        """Part of the bytes; a negative place counts from the end, and the type is `content_type` or nothing."""
        return Blob(self.content[start:end], content_type or "")

    def __len__(self) -> int:
        return len(self.content)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.size} bytes {self.content_type!r}>"


class File(Blob):
    """A blob with a name, as a form carries it; `last_modified` is in milliseconds."""

    name: str
    last_modified: int

    def __init__(
        self,
        blob_parts: Iterable[BlobValue] | BlobValue,
        filename: str,
        content_type: str | None = None,
        endings: BlobEnding | str | None = None,
        last_modified: int | None = None,
    ) -> None:
        super().__init__(blob_parts, content_type, endings)
        if last_modified is None and isinstance(blob_parts, File):
            last_modified = blob_parts.last_modified
        self.name = str(filename)
        self.last_modified = time.time_ns() // 1_000_000 if last_modified is None else int(last_modified)

    @classmethod
    def new(
        cls,
        parts: Iterable[BlobValue] | BlobValue = (),
        options: Any = None,
        more: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> File:
        """In the platform's spelling: `File.new(["text"], "a.txt", {"type": "text/plain"})`."""
        chosen = merge_options("File.new", ("type", "endings", "last_modified"), more, named)
        return cls(parts, str(options), chosen.get("type"), chosen.get("endings"), chosen.get("last_modified"))

    @property
    def filename(self) -> str:
        return self.name


def _joined(parts: Any, native: bool) -> bytes:
    if isinstance(parts, (str, Blob, bytes, bytearray, memoryview)) or not isinstance(parts, Iterable):
        return _part(parts, native)
    return b"".join([_part(part, native) for part in cast("Any", parts)])


def _part(part: Any, native: bool) -> bytes:
    if isinstance(part, str):
        if native:
            part = part.replace("\r\n", "\n").replace("\r", "\n")
        return str(part).encode("utf-8", "replace")
    if isinstance(part, Blob):
        return part.content
    if isinstance(part, bytes):
        return bytes(part)
    try:
        return bytes(memoryview(part))
    except TypeError:
        raise TypeError(f"a blob is made of str, bytes and other blobs, not of {type(part).__name__}") from None

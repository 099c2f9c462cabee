"""What bodies are made of, and reading it to its end. Loads little, because every process has this."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, TypeAlias

Chunks: TypeAlias = "AsyncIterable[bytes | str]"
Content: TypeAlias = "bytes | Chunks | None"
"""A body before anybody reads it."""


class BodySource:
    """What user code may give for a body besides text and bytes: a blob, a form, a stream."""

    __slots__ = ()

    def as_body(self) -> tuple[Content, str | None]:
        """The content, and the content type that goes with it."""
        raise NotImplementedError


async def chunks_of(content: Content) -> AsyncIterator[bytes]:
    """The pieces of a body as bytes. Closing this closes its source, so that a generator's `finally` runs now."""
    if content is None:
        return
    if isinstance(content, bytes):
        if content:
            yield content
        return
    source = aiter(content)
    try:
        async for chunk in source:
            yield bytes_of(chunk)
    finally:
        await close(source)


def bytes_of(chunk: Any) -> bytes:
    """One piece of a body; raises TypeError for what is none."""
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, str):
        return chunk.encode()
    try:
        return bytes(memoryview(chunk))
    except TypeError:
        raise TypeError(f"a stream carries bytes or str, got {type(chunk).__name__}") from None


async def close(source: Any) -> None:
    """Tell an iterator that nobody reads on, if it wants to know."""
    closing = getattr(source, "aclose", None)
    if closing is not None:
        await closing()


async def joined(content: Content) -> bytes:
    """The whole body."""
    if content is None:
        return b""
    if isinstance(content, bytes):
        return content
    return b"".join([bytes_of(chunk) async for chunk in content])

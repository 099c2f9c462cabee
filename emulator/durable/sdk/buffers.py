"""Bytes that also answer what code on the platform asks of an ArrayBuffer, of a Uint8Array and of a memoryview."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import IO, Any


class JsBuffer(bytes):
    """Ordinary bytes with the methods of Pyodide's `JsBuffer`: `(await request.buffer()).to_bytes()`."""

    def to_bytes(self) -> builtins.bytes:
        return builtins.bytes(self)

    def tobytes(self) -> builtins.bytes:
        return builtins.bytes(self)

    def to_memoryview(self) -> memoryview:
        return memoryview(self)

    def to_py(self, **options: Any) -> memoryview:
        """The platform turns a buffer into a memoryview; options such as `depth` change nothing."""
        return memoryview(self)

    def to_string(self, encoding: str | None = None) -> str:
        """The text; raises ValueError for bytes that are none."""
        return self.decode(encoding or "utf-8")

    def to_file(self, file: IO[builtins.bytes]) -> None:
        file.write(self)

    def tolist(self) -> list[int]:
        return list(self)

    def slice(self, start: int = 0, end: int | None = None) -> JsBuffer:
        return JsBuffer(self[start:end])

    def release(self) -> None:
        """Nothing is borrowed here, so there is nothing to give back."""

    @property
    def nbytes(self) -> int:
        return len(self)

    @property
    def byte_length(self) -> int:
        return len(self)

    byteLength = byte_length
    length = byte_length

    @classmethod
    def new(cls, source: int | Iterable[int] | builtins.bytes = 0) -> JsBuffer:
        return cls(source)

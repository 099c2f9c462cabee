"""The bytes of an asset: at once, or piece by piece with the disk's work beside the loop."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from durable.assets.answers import Answer
from durable.limits import BODY_CHUNK_BYTES


class AssetBody:
    """The body of an answer with a file. Opened at the first piece; to be closed by whoever reads."""

    def __init__(self, answer: Answer) -> None:
        assert answer.file is not None
        self._path = answer.file.path
        self._start = answer.start
        self._left = answer.length
        self._file: BinaryIO | None = None

    def read_nowait(self) -> bytes:
        """All that is left, at once. Raises OSError for a file that is gone or became shorter."""
        try:
            return self._read(self._left)
        finally:
            self.close()

    async def read(self) -> bytes:
        """The next piece, empty at the end. Raises OSError as above."""
        return await asyncio.to_thread(self.read_piece_nowait)

    def read_piece_nowait(self) -> bytes:
        """As `read`, in this thread."""
        return self._read(min(self._left, BODY_CHUNK_BYTES)) if self._left else b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _read(self, size: int) -> bytes:
        if self._file is None:
            self._file = open(self._path, "rb")  # noqa: SIM115  (closed by `close`)
            self._file.seek(self._start)
        data = self._file.read(size)
        self._left -= len(data)
        if len(data) < size:
            raise OSError(f"{self._path} became shorter while it was read")
        return data

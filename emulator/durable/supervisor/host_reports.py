"""The gateway's end of the pipe that faulthandler writes stacks into. Reads when somebody asks, never waits."""

from __future__ import annotations

import os
from contextlib import suppress

from durable.limits import HOST_REPORT_BYTES_MAX


class HostReports:
    """Of one host; descriptor -1 is none. A pipe holds what is needed: a stack has at most 100 frames."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        if descriptor >= 0:
            os.set_blocking(descriptor, False)

    def take(self) -> str:
        """All that was written since the last time."""
        data = b""
        while self._descriptor >= 0 and len(data) < HOST_REPORT_BYTES_MAX:
            try:
                piece = os.read(self._descriptor, HOST_REPORT_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                break
            if not piece:
                break
            data += piece
        return data.decode("ascii", "replace")

    def close(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

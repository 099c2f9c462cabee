"""The two pipes that are a host's standard output and error, and the token of its labels. Knows no event loop."""

from __future__ import annotations

import os
from contextlib import suppress

_TOKEN_BYTES = 8


class OutputPipes:
    """Made before the process that writes to them; `close` when it is gone."""

    def __init__(self) -> None:
        self.stdout, self._stdout_end = os.pipe()
        self.stderr, self._stderr_end = os.pipe()
        self.token = int.from_bytes(os.urandom(_TOKEN_BYTES))
        """Only the host and whoever reads the pipes know it: nothing that is printed can pass for a label."""

    @property
    def ends(self) -> tuple[int, int]:
        """What the host gets as its standard output and error."""
        return self._stdout_end, self._stderr_end

    def handed_over(self) -> None:
        """The host has its ends, or will never need them: the pipes are at their end when it is."""
        os.close(self._stdout_end)
        os.close(self._stderr_end)

    def close(self) -> None:
        for descriptor in (self.stdout, self.stderr):
            with suppress(OSError):
                os.close(descriptor)

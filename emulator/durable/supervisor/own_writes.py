"""Files that change each time the program is loaded: it writes them itself, and would be reloaded for ever.

Told apart by time alone. A person's save can fall into a reload, five in a row do not.
"""

from __future__ import annotations

from durable.clock import Clock
from durable.limits import OWN_WRITES_MIN, OWN_WRITES_SECONDS


class OwnWrites:
    """Knows neither hosts nor folders; it is told when a load begins and ends, and what is saved."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._ended = float("-inf")
        self._loads = 0
        self._seen: dict[str, tuple[int, int]] = {}
        """Path → how many loads in a row wrote it, and the last of these."""
        self.found: set[str] = set()

    def load_begins(self) -> None:
        self._loads += 1
        self._ended = float("inf")
        self._seen = {path: seen for path, seen in self._seen.items() if seen[1] >= self._loads - 1}

    def load_ends(self) -> None:
        self._ended = self._now()

    def saved(self, path: str) -> bool:
        """Take note of a change; True when it is the one that gives the file away."""
        if self._now() - self._ended > OWN_WRITES_SECONDS:
            self._seen.pop(path, None)
            return False
        count, load = self._seen.get(path, (0, 0))
        if load != self._loads:
            self._seen[path] = (count + 1, self._loads)
        if self._seen[path][0] < OWN_WRITES_MIN or path in self.found:
            return False
        self.found.add(path)
        return True

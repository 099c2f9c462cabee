"""Deaths of hosts that serve: counted, told once per cause, followed by a pause that grows. Starts nothing itself."""

from __future__ import annotations

from durable.gateway.events import OnEvent
from durable.supervisor.backoff import Backoff
from durable.supervisor.events import HostDied
from durable.supervisor.host import Host


class Deaths:
    """Of all shards, for the life of an emulator."""

    def __init__(self, shards: int, on_event: OnEvent) -> None:
        self.count = 0
        """Of hosts that ended without being asked."""
        self._on_event = on_event
        self._backoff = [Backoff() for _ in range(shards)]
        self._told: set[str] = set()

    def died(self, host: Host) -> tuple[float, bool]:
        """Take note of one, and tell of its cause unless that is known; seconds to wait, and whether it was news."""
        self.count += 1
        backoff = self._backoff[host.shard]
        delay_seconds = backoff.died(host.lived_seconds)
        if backoff.deaths == 1:
            self._told.clear()
        is_news = host.death not in self._told
        if is_news:
            self._told.add(host.death)
            frames = host.stack.frames if host.stack is not None else ()
            self._on_event(HostDied(host.pid, host.shard, host.death, frames))
        return delay_seconds, is_news

    def died_loading(self, shard: int) -> float:
        """A replacement did not come to serve: seconds to wait for the next one."""
        return self._backoff[shard].died(0.0)

    def forget(self) -> None:
        """Other code serves: its first death is an accident again, and news."""
        for backoff in self._backoff:
            backoff.forget()
        self._told.clear()

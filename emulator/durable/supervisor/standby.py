"""The warm next host of every shard: started, engine imported, packages imported, user code not. Knows no reload."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from durable.errors import UserInputError
from durable.supervisor.host import Host


class Standbys:
    """At most one per shard; `take` hands it over and leaves the place empty until `prepare`."""

    def __init__(self, spawn: Callable[[int], Host], python: str) -> None:
        self._spawn = spawn
        self._python = python
        self._hosts: dict[int, Host] = {}
        self._packages: tuple[int, ...] = ()

    def prepare(self, shards: int, modules: Sequence[str]) -> None:
        """Start what is missing, and import `modules` there."""
        self._drop_stale()
        self._packages = packages_stamp(self._python)
        for shard in range(shards):
            if shard not in self._hosts:
                host = self._hosts[shard] = self._spawn(shard)
                host.warm_up(modules)

    async def prepare_after(
        self, delay_seconds: float, alone: asyncio.Lock, shards: int, modules: Callable[[], Sequence[str]]
    ) -> None:
        """The same, later, and not while hosts are exchanged."""
        await asyncio.sleep(delay_seconds)
        async with alone:
            # The interpreter may be gone; whoever needs a host next will say so.
            with suppress(UserInputError):
                self.prepare(shards, modules())

    def take(self, shard: int) -> Host:
        """The shard's standby, or a cold host when there is none that can be trusted."""
        self._drop_stale()
        return self._hosts.pop(shard, None) or self._spawn(shard)

    def discard(self) -> None:
        """What they were started with has changed: end them all. They hold nothing, so no word is lost."""
        for host in self._hosts.values():
            host.kill()
        self._hosts.clear()

    def _drop_stale(self) -> None:
        if self._packages != packages_stamp(self._python):
            self.discard()
        self._hosts = {shard: host for shard, host in self._hosts.items() if host.alive}


def packages_stamp(python: str) -> tuple[int, ...]:
    """Changes when a package is installed or removed beside an interpreter: an old module may be imported already."""
    library = Path(python).parent.parent / "lib"
    stamps: list[int] = []
    for folder in sorted(library.glob("python3*/site-packages")):
        try:
            stamps.append(folder.stat().st_mtime_ns)
        except OSError:
            continue
    return tuple(stamps)

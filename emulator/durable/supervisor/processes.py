"""Every host process of one emulator, from its spawn until it is reaped, so that none can be left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from durable.gateway.events import OnEvent
from durable.supervisor.host import Host, OpenLink
from durable.supervisor.process import HostExit, HostProcess

Spawn = Callable[[], HostProcess]
"""Starts one process with the next host number."""


class Processes:
    """Iterated: the hosts that exist at that moment, whatever they are for."""

    def __init__(
        self, spawn: Spawn, *, open_link: OpenLink, on_exit: Callable[[Host], None], on_event: OnEvent
    ) -> None:
        """`on_exit` is told of a host that was reaped."""
        self._spawn = spawn
        self._open_link = open_link
        self._on_exit = on_exit
        self._on_event = on_event
        self._hosts: set[Host] = set()

    def __iter__(self) -> Iterator[Host]:
        return iter(list(self._hosts))

    def __len__(self) -> int:
        return len(self._hosts)

    def spawn(self, shard: int) -> Host:
        return self.adopt(self._spawn(), shard)

    def adopt(self, process: HostProcess, shard: int) -> Host:
        """A process that somebody else has spawned."""
        host = Host(process, shard, self._open_link, self._exited, self._on_event)
        self._hosts.add(host)
        return host

    def kill_all(self) -> None:
        """End every process now, without asking."""
        for host in self:
            host.kill()

    def read_output(self) -> None:
        """Tell what the hosts have printed up to now."""
        for host in self:
            if host.output is not None:
                host.output.poll()

    async def wait_reaped(self) -> None:
        """None of those that exist now does when this returns."""
        await asyncio.gather(*(host.wait_exit() for host in self))

    def _exited(self, host: Host, exit: HostExit) -> None:
        self._hosts.discard(host)
        self._on_exit(host)

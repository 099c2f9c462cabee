"""The conversation with one host process: hello, load, attach, drain. Knows one host; generations are made elsewhere.

    spawned ──Hello──► warm ──Load──► Ready | LoadFailed ──Attach──► serving ──Drain──► Closed ──► reaped

A process may end at any of these points; whoever waits here is then answered with that, never left waiting.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from durable import __version__
from durable.errors import UserInputError, WireError
from durable.gateway.link import HostLink
from durable.limits import DRAIN_GRACE_SECONDS, EXIT_GRACE_SECONDS
from durable.supervisor.process import HostExit, HostProcess, explain_silent_death, wrong_version
from durable.wire.messages import (
    Attach,
    AutoResponseState,
    Closed,
    Drain,
    ErrorReport,
    Hello,
    Load,
    LoadFailed,
    Preimport,
    Ready,
    SocketState,
)

T = TypeVar("T")

OpenLink = Callable[[socket.socket, int, int, Callable[[BaseException | None], None]], HostLink]
"""`(channel socket, host number, shard, on ended) → link`, with every room of the gateway listening on it."""


class Host:
    """One process and its link, from spawning to reaping."""

    def __init__(
        self, process: HostProcess, shard: int, open_link: OpenLink, on_exit: Callable[[Host, HostExit], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.process = process
        self.shard = shard
        self.draining = False
        self.attached_at: float | None = None
        self.broken_by: WireError | None = None
        """The protocol error for which it was killed."""
        self._on_exit = on_exit
        self._hello: Hello | None = None
        self._refusal: UserInputError | None = None
        self._outcome: asyncio.Future[Ready | LoadFailed] = self._loop.create_future()
        self._closed: asyncio.Future[Closed | None] = self._loop.create_future()
        self._exited: asyncio.Future[HostExit] = self._loop.create_future()
        self._killer: asyncio.TimerHandle | None = None
        self._died_loading = False
        self.link = open_link(process.channel_socket, process.number, shard, self._channel_ended)
        self.link.on(Hello, self._said_hello)
        self.link.on(Ready, partial(_settle, self._outcome))
        self.link.on(LoadFailed, partial(_settle, self._outcome))
        self.link.on(Closed, self._said_closed)
        process.watch(self._loop, self._process_ended)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return not self._exited.done()

    @property
    def busy(self) -> bool:
        """Whether it was asked for anything that it has not answered."""
        return self.link.in_flight > 0

    @property
    def exit(self) -> HostExit | None:
        return self.process.exit

    @property
    def died_loading(self) -> bool:
        """The load ended with the process, and not with an answer."""
        return self._died_loading

    @property
    def lived_seconds(self) -> float:
        """How long it has served."""
        return 0.0 if self.attached_at is None else time.monotonic() - self.attached_at

    def warm_up(self, modules: Sequence[str]) -> None:
        """Have packages imported while nobody waits."""
        self.link.send(Preimport(list(modules)))

    async def load(self, load: Load, *, seconds_max: float) -> Ready | LoadFailed:
        """Have the program imported. A process that ends or hangs meanwhile counts as a program that cannot be loaded.

        `seconds_max` 0 waits for ever. Raises `UserInputError` for an interpreter that cannot be a host.
        """
        self.link.send(load)
        self.link.flush()
        await asyncio.wait([self._outcome], timeout=seconds_max or None)
        if not self._outcome.done():
            self.kill()
            await self.wait_exit()
            message = f"{load.main} is still being imported after {seconds_max:g} seconds; it was stopped"
            return LoadFailed(_report(message), {})
        if self._refusal is not None:
            raise self._refusal
        if self._hello is None and self.exit is not None:
            problem = await asyncio.to_thread(explain_silent_death, self.process.python, self.exit)
            if problem is not None:
                raise problem
        return self._outcome.result()

    def attach(self, sockets: list[SocketState], auto_responses: list[AutoResponseState]) -> None:
        """It owns its shard from now on."""
        self.attached_at = time.monotonic()
        self.link.send(Attach(sockets, auto_responses))

    async def drain(self, seconds: float) -> Closed | None:
        """Have running events finished and files closed; None when the process is gone without having said so.

        When this returns no file of the shard is open in the old process any more.
        """
        if not self.draining:
            self.draining = True
            self.link.send(Drain(seconds))
            self.link.flush()
        await asyncio.wait([self._closed], timeout=seconds + DRAIN_GRACE_SECONDS)
        if not self._closed.done():
            self.kill()
            await self.wait_exit()
        return self._closed.result()

    def kill(self) -> None:
        self.process.kill()

    async def wait_exit(self) -> HostExit:
        return await asyncio.shield(self._exited)

    # --- what happens to it -------------------------------------------------------------------------------------------
    def _said_hello(self, hello: Hello) -> None:
        self._hello = hello
        if hello.version != __version__:
            self._refusal = wrong_version(self.process.python, hello.version)
            self.kill()

    def _said_closed(self, closed: Closed) -> None:
        _settle(self._closed, closed)
        self._kill_later()

    def _channel_ended(self, error: BaseException | None) -> None:
        """The channel is gone but the process may live on: a host that nobody can speak to has to end."""
        if isinstance(error, WireError):
            self.broken_by = error
            self.kill()
        else:
            self._kill_later()

    def _kill_later(self) -> None:
        if self._killer is None and self.alive:
            self._killer = self._loop.call_later(EXIT_GRACE_SECONDS, self.kill)

    def _process_ended(self, exit: HostExit) -> None:
        if self._killer is not None:
            self._killer.cancel()
        # Its last words come first: what it said before it died counts.
        self.link.lost(reloading=self.draining)
        self._died_loading = not self._outcome.done()
        _settle(self._outcome, LoadFailed(_report(f"the host process {exit} while it imported the program"), {}))
        _settle(self._closed, None)
        self._exited.set_result(exit)
        self._on_exit(self, exit)


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _report(message: str) -> ErrorReport:
    return ErrorReport(type="HostGoneError", message=message, module="durable.errors", qualname="HostGoneError")

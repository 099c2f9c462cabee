"""The conversation with one host process: hello, load, attach, drain. Knows one host; generations are made elsewhere.

    spawned ──Hello──► warm ──Load──► Ready | LoadFailed ──Attach──► serving ──Drain──► Closed ──► reaped

A process may end at any of these points; whoever waits here is then answered with that, never left waiting.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from durable import __version__
from durable.errors import UserInputError, WireError
from durable.gateway.events import OnEvent
from durable.gateway.link import HostLink
from durable.limits import (
    BOOT_SECONDS_MAX,
    DRAIN_GRACE_SECONDS,
    EXIT_GRACE_SECONDS,
    HALT_SECONDS_MAX,
    STACK_WAIT_SECONDS,
)
from durable.supervisor.events import BlockedLoop
from durable.supervisor.host_death import Death, oom_kills
from durable.supervisor.host_debugger import HostDebugger
from durable.supervisor.host_output import HostOutput
from durable.supervisor.process import HostExit, HostProcess, explain_silent_death, wrong_version
from durable.supervisor.stacks import Stack, parse
from durable.supervisor.watchdog import Pulse
from durable.wire.messages import (
    Attach,
    AutoResponseState,
    Closed,
    Drain,
    ErrorReport,
    Hello,
    Load,
    LoadFailed,
    LoopBlocked,
    Pong,
    Preimport,
    Ready,
    SocketState,
)

_STACK_POLL_SECONDS = 0.01
_HALT_POLL_SECONDS = 0.001

T = TypeVar("T")

OpenLink = Callable[[socket.socket, int, int, Callable[[BaseException | None], None]], HostLink]
"""`(channel socket, host number, shard, on ended) → link`, with every room of the gateway listening on it."""


class Host:
    """One process and its link, from spawning to reaping."""

    def __init__(
        self,
        process: HostProcess,
        shard: int,
        open_link: OpenLink,
        on_exit: Callable[[Host, HostExit], None],
        on_event: OnEvent,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.process = process
        self.shard = shard
        self.draining = False
        self._linger_seconds = 0.0
        self.sources: Mapping[str, bytes] = {}
        """Path → what was loaded; the disk may hold something else by now."""
        self.attached_at: float | None = None
        self.pulse = Pulse()
        self.stack: Stack | None = None
        """Where it was when somebody looked last, or when it died."""
        self.death = ""
        """Why it is gone; completes a sentence that begins with "the host process"."""
        self._stopped = ""
        self._is_unreachable = False
        self._oom_kills = oom_kills()
        self._on_exit = on_exit
        self._on_event = on_event
        self._hello: Hello | None = None
        self._greeted: asyncio.Future[None] = self._loop.create_future()
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
        self.output = HostOutput(process.output, on_event) if process.output is not None else None
        self.link.on(Pong, self._said_pong)
        self.link.on(LoopBlocked, self._said_blocked)
        self.link.progress = process.progress
        self.debugger = HostDebugger(self.link, process.pid, on_event, self.set_silent)
        """While `debugger.is_watching` nobody may take standing still for a fault."""
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
        # The start of an interpreter on a busy machine is not the program's fault.
        await asyncio.wait([self._greeted], timeout=max(seconds_max, BOOT_SECONDS_MAX) if seconds_max else None)
        await self.debugger.wait(self._outcome, seconds_max or None)
        if not self._outcome.done():
            stack = await self.look() if self._hello is not None else None
            self.kill()
            await self.wait_exit()
            message = f"{load.main} is still being imported after {seconds_max:g} seconds; it was stopped"
            return LoadFailed(_report(message, stack), {})
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

    async def drain(self, seconds: float, *, lingers: bool = False) -> Closed | None:
        """Have running events finished and files closed; None when the process is gone without having said so.

        When this returns no file of the shard is open in the old process any more; one that `lingers` may go on with
        what workers stream for the rest of the time.
        """
        if not self.draining:
            self.draining = True
            self._linger_seconds = seconds if lingers else 0.0
            self.link.send(Drain(seconds, lingers))
            self.link.flush()
        await self.debugger.wait(self._closed, seconds + DRAIN_GRACE_SECONDS)
        if not self._closed.done():
            self.kill()
            await self.wait_exit()
        return self._closed.result()

    @property
    def lingers(self) -> bool:
        """Its files are closed; it lives on for the sake of what its workers stream."""
        return self._linger_seconds > 0 and self._closed.done()

    def kill(self) -> None:
        self.process.kill()

    async def wait_exit(self) -> HostExit:
        return await asyncio.shield(self._exited)

    # --- for the watchdog ---------------------------------------------------------------------------------------------
    async def look(self) -> Stack | None:
        """Where it is at this moment, whatever holds it up; None when it cannot be made to say so."""
        reports = self.process.reports
        if self.pulse.shows_stack and self.process.can_show_stack() and not self.process.is_halted:
            reports.take()
            self.process.signal(signal.SIGUSR1)
            deadline = self._loop.time() + STACK_WAIT_SECONDS
            text = ""
            # It is written in many small pieces: read until nothing more comes.
            while self._loop.time() < deadline:
                await asyncio.sleep(_STACK_POLL_SECONDS)
                piece = reports.take()
                text += piece
                if text and not piece:
                    break
            self.stack = parse(text, self.process.folder, self.sources) or self.stack
        return self.stack

    def set_silent(self, silent: bool) -> None:
        """It answers, or does not: then new requests go to other hosts."""
        self.link.is_silent = silent

    async def give_back(self) -> None:
        """Let other hosts have what its workers have not begun."""
        halted_by_others = self.process.is_halted
        try:
            # It must not begin with anything while that is looked at.
            self.process.signal(signal.SIGSTOP)
            deadline = self._loop.time() + HALT_SECONDS_MAX
            # Some microseconds, until its threads have left the processor; more on a busy machine.
            while not self.process.is_halted and self.alive and self._loop.time() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(_HALT_POLL_SECONDS)
            if self.process.is_halted:
                self.link.take_back()
        finally:
            if not halted_by_others:
                self.process.signal(signal.SIGCONT)

    def stop_for(self, reason: str) -> None:
        """End it; `reason` completes a sentence as `death` does."""
        self._stopped = reason
        self.kill()

    @property
    def is_excused(self) -> bool:
        """Whether it may stand still: somebody looks at it with a debugger, or it is to end anyway."""
        return self.draining or self.debugger.is_watching or self.process.is_traced

    @property
    def is_halted(self) -> bool:
        return self.process.is_halted

    @property
    def label(self) -> str:
        """The object whose code blocks its loop, when it could tell."""
        return self.process.progress.label

    def _said_pong(self, pong: Pong) -> None:
        self.pulse.answered = pong.number
        self.pulse.shows_stack = pong.shows_stack
        self.stack = None

    def _said_blocked(self, blocked: LoopBlocked) -> None:
        frame = blocked.frame
        place = (frame.file, frame.line, frame.function, frame.source)
        self._on_event(BlockedLoop(blocked.label, *place, blocked.milliseconds, blocked.fix))

    # --- what happens to it -------------------------------------------------------------------------------------------
    def _said_hello(self, hello: Hello) -> None:
        self._hello = hello
        _settle(self._greeted, None)
        if hello.version != __version__:
            self._refusal = wrong_version(self.process.python, hello.version)
            self.kill()

    def _said_closed(self, closed: Closed) -> None:
        _settle(self._closed, closed)
        self._kill_later()

    def _channel_ended(self, error: BaseException | None) -> None:
        """The channel is gone but the process may live on: a host that nobody can speak to has to end."""
        if isinstance(error, WireError):
            self.stop_for(f"broke the protocol and was stopped: {error}")
        else:
            self._kill_later()

    def _kill_later(self) -> None:
        if self._killer is None and self.alive:
            seconds = self._linger_seconds + EXIT_GRACE_SECONDS
            self._killer = self._loop.call_later(seconds, self._kill_unreachable)

    def _kill_unreachable(self) -> None:
        self._is_unreachable = True
        self.kill()

    def _process_ended(self, exit: HostExit) -> None:
        if self._killer is not None:
            self._killer.cancel()
        self.stack = parse(self.process.reports.take(), self.process.folder, self.sources) or self.stack
        self.process.reports.close()
        memory = oom_kills() > self._oom_kills
        self.death = str(Death(exit, self._stopped, self._is_unreachable, memory, self.stack))
        # Its last words come first: what it said before it died counts.
        if self.output is not None:
            self.output.finish()
        self.link.lost(reloading=self.draining, death=self.death)
        self.process.progress.close()
        self.debugger.host_gone()
        self._died_loading = not self._outcome.done()
        message = f"the host process {exit} while it imported the program"
        _settle(self._outcome, LoadFailed(_report(message, self.stack), {}))
        _settle(self._closed, None)
        _settle(self._greeted, None)
        self._exited.set_result(exit)
        self._on_exit(self, exit)


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _report(message: str, stack: Stack | None) -> ErrorReport:
    frames = list(reversed(stack.frames)) if stack is not None else []
    name = "HostGoneError"
    return ErrorReport(type=name, message=message, module="durable.errors", qualname=name, frames=frames)

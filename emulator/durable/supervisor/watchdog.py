"""Hosts whose loop stands still: the developer is shown the line, and in the end the host is stopped. Spawns nothing.

    Ping ──► silence of 1 s ──► HostBlocked with the stack ──► silence of `watchdog_seconds` ──► killed, replaced
                 │
                 └─ any word of the host ends it

Silence is counted in looks of the gateway's own loop: time in which this process did not run either, as while a laptop
sleeps or a terminal has stopped the whole job, is nobody's fault. While a debugger holds a host nothing is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol
from urllib.parse import urlsplit

from durable.clock import Clock
from durable.gateway.events import OnEvent
from durable.gateway.link import HostLink, Question
from durable.limits import (
    PASS_ON_SECONDS,
    PING_SECONDS,
    RUNNING_NAMED_MAX,
    WATCHDOG_LOOK_SECONDS,
    WATCHDOG_WARNING_SECONDS,
)
from durable.supervisor.events import HostBlocked
from durable.supervisor.stacks import Stack
from durable.wire.messages import Call, HttpRequest, Ping


class Pulse:
    """What the watchdog knows of one host."""

    def __init__(self) -> None:
        self.silent_seconds = 0.0
        self.answered = 0
        """Number of the last question that was answered."""
        self.asked = 0
        self.shows_stack = True
        """Whether the program has left SIGUSR1 to us."""
        self.since_asked = PING_SECONDS
        self.reads = 0
        self.given_up = self.warned = self.stopping = False

    @property
    def is_waiting(self) -> bool:
        return self.asked != self.answered

    def alive(self) -> None:
        self.silent_seconds = 0.0
        self.warned = False


class Watched(Protocol):
    """What the watchdog needs of a host."""

    @property
    def pid(self) -> int: ...
    @property
    def shard(self) -> int: ...
    @property
    def link(self) -> HostLink: ...
    @property
    def pulse(self) -> Pulse: ...
    @property
    def is_excused(self) -> bool: ...
    @property
    def is_halted(self) -> bool: ...
    @property
    def label(self) -> str: ...

    async def look(self) -> Stack | None: ...
    def set_silent(self, silent: bool) -> None: ...
    async def give_back(self) -> None: ...
    def stop_for(self, reason: str) -> None: ...


class Watchdog:
    """Looks at the hosts that serve, from `start` to `stop`."""

    def __init__(
        self,
        hosts: Callable[[], Iterable[Watched | None]],
        *,
        clock: Clock,
        limit_seconds: Callable[[], float],
        on_event: OnEvent,
        run: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        """`limit_seconds` is `[dev] watchdog_seconds`, 0 for never; `run` has a coroutine run by itself."""
        self._hosts = hosts
        self._now = clock.monotonic
        self._limit_seconds = limit_seconds
        self._on_event = on_event
        self._run = run
        self._looked_at = self._now()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(WATCHDOG_LOOK_SECONDS, self._look_again)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self) -> None:
        self.start()
        self.look()

    def look(self) -> None:
        """Count the silence of every host; to be called every `WATCHDOG_LOOK_SECONDS`."""
        now = self._now()
        elapsed = min(now - self._looked_at, WATCHDOG_LOOK_SECONDS * 2)
        self._looked_at = now
        hosts = [host for host in self._hosts() if host is not None]
        for host in hosts:
            self._look_at(host, elapsed)
            if len(hosts) > 1:
                self._pass_on(host)

    def _look_at(self, host: Watched, elapsed: float) -> None:
        pulse = host.pulse
        pulse.since_asked += elapsed
        if pulse.reads != host.link.reads:
            pulse.reads = host.link.reads
            pulse.alive()
        elif pulse.is_waiting:
            pulse.silent_seconds += elapsed
        if pulse.silent_seconds and host.is_excused:
            pulse.alive()
        if not pulse.is_waiting and pulse.since_asked >= PING_SECONDS:
            pulse.asked += 1
            pulse.since_asked = 0.0
            host.link.send(Ping(pulse.asked))
        limit = self._limit_seconds()
        warning = min(WATCHDOG_WARNING_SECONDS, limit / 2) if limit else WATCHDOG_WARNING_SECONDS
        if pulse.silent_seconds >= warning and not pulse.warned:
            pulse.warned = True
            self._run(self._warn(host, limit))
        if limit and pulse.silent_seconds >= limit and not pulse.stopping:
            pulse.stopping = True
            self._run(self._stop(host, limit))

    def _pass_on(self, host: Watched) -> None:
        """Other hosts serve as well: no request that has not begun has to wait for one that is silent."""
        silent = host.pulse.silent_seconds >= PASS_ON_SECONDS
        if silent != host.pulse.given_up:
            host.pulse.given_up = silent
            host.set_silent(silent)
            if silent:
                self._run(host.give_back())

    async def _warn(self, host: Watched, limit: float) -> None:
        # Counted up to now: the stack may take a moment.
        seconds = host.pulse.silent_seconds
        stack = await host.look()
        frames = stack.frames if stack is not None else ()
        self._on_event(HostBlocked(host.pid, host.shard, seconds, limit, frames, running_in(host), _why_no_stack(host)))

    async def _stop(self, host: Watched, limit: float) -> None:
        stack = await host.look()
        if host.pulse.silent_seconds < limit:
            # It answered at the last moment.
            host.pulse.stopping = False
            return
        why = " after the process was halted by a signal" if host.is_halted else ""
        where = f"; it was at {stack.place}" if stack is not None and stack.place else ""
        who = f", for {', '.join(running)}" if (running := running_in(host)) else ""
        host.stop_for(f"was stopped: it did not answer for {limit:g} s{why}{where}{who}")


def running_in(host: Watched) -> tuple[str, ...]:
    """Whose code is running: the object, when the host could still tell, or what was asked and is not answered."""
    label = host.label
    if label and label != "Default":
        return (label,)
    running = host.link.running()
    return tuple(dict.fromkeys(map(_described, running[:RUNNING_NAMED_MAX])))


def _described(question: Question) -> str:
    if isinstance(question, HttpRequest) and question.actor is None:
        return f"{question.method} {urlsplit(question.url).path}"
    if question.actor is None:
        return type(question).__name__
    name = question.actor.name
    label = question.actor.namespace.rpartition("-")[0] + " " + (f'"{name}"' if name else question.actor.id[:8])
    return f"{question.method} of {label}" if isinstance(question, Call) else label


def _why_no_stack(host: Watched) -> str:
    if host.is_halted:
        return "the process was halted by a signal"
    return "" if host.pulse.shows_stack else "its code has taken SIGUSR1, which shows where it is"

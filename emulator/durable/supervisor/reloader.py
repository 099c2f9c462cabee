"""Generation n → n + 1: load everywhere, then drain everywhere, then attach everywhere. Knows no file watching.

    load all ── one fails ──► report, kill the new ones, generation n never noticed
       │
    all Ready, disk unchanged, classes fit the configuration
       │
    hold ──► drain every old host ──► all closed or reaped ──► attach every new host ──► release

The order is the safety: an actor's file is open in at most one process, because no new host is attached before the last
old one has closed its files or was reaped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from durable.config import check_classes
from durable.errors import UserInputError
from durable.gateway.link import HostLink
from durable.limits import STALE_LOADS_MAX
from durable.supervisor.host import Host
from durable.supervisor.last_good import sources_of
from durable.supervisor.program import Program
from durable.wire.messages import AutoResponseState, Closed, ErrorReport, LoadFailed, Ready, SocketState

_POLL_SECONDS = 0.005
"""How often a drain of several hosts looks whether the last request is answered."""


class Routes(Protocol):
    """What a switch needs of the router."""

    def hold(self) -> None: ...
    def attach(self, links: Sequence[HostLink | None]) -> None: ...
    def attach_one(self, shard: int, link: HostLink) -> None: ...
    def detach(self, link: HostLink) -> None: ...
    def refuse(self, report: ErrorReport) -> None: ...
    def release(self) -> None: ...


class ClientSide(Protocol):
    """What a switch needs of the client sockets."""

    def hold(self) -> None: ...
    def busy(self, link: HostLink) -> bool: ...
    def generation_ended(self) -> None: ...
    def host_closed(self, link: HostLink, not_begun: Sequence[int]) -> None: ...
    def host_lost(self, link: HostLink) -> None: ...
    def attach_states(self, shard: int, shards: int) -> tuple[list[SocketState], list[AutoResponseState]]: ...
    def release(self) -> None: ...


class Loaded(Struct, frozen=True):
    """One host per shard with the program in it, not attached yet."""

    hosts: tuple[Host, ...]
    files: dict[str, str]
    modules: tuple[str, ...]
    warnings: tuple[str, ...]
    classes: tuple[str, ...]
    sources: Mapping[str, bytes]
    """What `files` held, unless that is too much to be kept."""


class Refused(Struct, frozen=True):
    """Why a program cannot run. `files` are those it consists of, `errors` set when the configuration is at fault.

    `died` says that the process ended instead of answering: loading again may go better.
    """

    report: ErrorReport
    files: dict[str, str]
    errors: tuple[UserInputError, ...] = ()
    died: bool = False


async def load_generation(
    program: Program,
    take: Callable[[int], Host],
    modules: Sequence[str],
    *,
    sources: Mapping[str, bytes] | None = None,
) -> Loaded | Refused:
    """Load the program into one host per shard; the hosts of a failed attempt are killed before it returns.

    Files that changed while they were imported are loaded again, in fresh processes; `sources` are loaded in place of
    what is on the disk. Raises `UserInputError` when the interpreter cannot be a host.
    """
    shards = program.config.dev.hosts
    for attempt in range(STALE_LOADS_MAX):
        hosts: list[Host] = []
        try:
            hosts += [take(shard) for shard in range(shards)]
            outcomes = await asyncio.gather(*(load_one(program, host, modules, sources=sources) for host in hosts))
            loaded = sources or sources_of(outcome.files for outcome in outcomes)
            # A program that writes its own sources would be stale for ever: the last attempt counts.
            if loaded is not None or attempt == STALE_LOADS_MAX - 1:
                result = _judged(hosts, outcomes, loaded or {})
                if isinstance(result, Loaded):
                    hosts = []
                return result
        finally:
            for host in hosts:
                host.kill()
    raise AssertionError("the last attempt always returns")


async def load_one(
    program: Program, host: Host, modules: Sequence[str], *, sources: Mapping[str, bytes] | None = None
) -> Ready | Refused:
    """Load the program into one host and hold its classes against the configuration."""
    load = program.load_message(
        host_number=host.process.number,
        shard=host.shard,
        shards=program.config.dev.hosts,
        preimport=modules,
        sources=sources,
    )
    outcome = await host.load(load, seconds_max=program.config.dev.watchdog_seconds)
    if isinstance(outcome, LoadFailed):
        return Refused(outcome.error, outcome.files, died=host.died_loading)
    errors = tuple(check_classes(program.config, outcome.classes, actors=outcome.actors))
    if errors:
        return Refused(report_of_config(errors), outcome.files, errors)
    return outcome


async def drain(hosts: Sequence[Host | None], seconds: float, sockets: ClientSide, *, lingers: bool = False) -> None:
    """End a generation; when this returns none of its processes has a file open, but those that `lingers` may live."""
    alive = [host for host in hosts if host is not None and host.alive]
    deadline = time.monotonic() + seconds
    # What runs in one host may still call objects of another, handlers of socket events too: none is told to close
    # before all are through.
    while (  # noqa: ASYNC110
        len(alive) > 1 and any(host.busy or sockets.busy(host.link) for host in alive) and time.monotonic() < deadline
    ):
        await asyncio.sleep(_POLL_SECONDS)

    async def end(host: Host) -> None:
        closed: Closed | None = await host.drain(max(0.0, deadline - time.monotonic()), lingers=lingers)
        if closed is not None:
            sockets.host_closed(host.link, closed.not_begun)
        else:
            sockets.host_lost(host.link)

    await asyncio.gather(*(end(host) for host in alive if host.alive))


def attach(hosts: Sequence[Host], routes: Routes, sockets: ClientSide) -> None:
    """Begin a generation and let go of what was held."""
    # One that died after Ready is not there to own anything; its shard waits for the replacement.
    for host in hosts:
        if host.alive:
            host.attach(*sockets.attach_states(host.shard, len(hosts)))
    routes.attach([host.link if host.alive else None for host in hosts])
    release(routes, sockets)


def release(routes: Routes, sockets: ClientSide) -> None:
    routes.release()
    sockets.release()


def refused_for(error: UserInputError) -> Refused:
    """The same for an error of the configuration, or of what is installed, that no host was needed to find."""
    return Refused(report_of_config([error]), {}, (error,))


def report_of_config(errors: Sequence[UserInputError]) -> ErrorReport:
    """What is wrong with the configuration, as the error page shows it."""
    texts = [f"{error}\n\n{error.fix}" if error.fix else str(error) for error in errors]
    name = type(errors[0]).__name__
    return ErrorReport(type=name, message="\n\n".join(texts), module="durable.errors", qualname=name)


def _judged(
    hosts: Sequence[Host], outcomes: Sequence[Ready | Refused], sources: Mapping[str, bytes]
) -> Loaded | Refused:
    for outcome in outcomes:
        if isinstance(outcome, Refused):
            return outcome
    files: dict[str, str] = {}
    modules: dict[str, None] = {}
    warnings: dict[str, None] = {}
    classes: dict[str, None] = {}
    for outcome in outcomes:
        assert isinstance(outcome, Ready)
        files.update(outcome.files)
        modules.update(dict.fromkeys(outcome.modules))
        warnings.update(dict.fromkeys(outcome.warnings))
        classes.update(dict.fromkeys(outcome.classes))
    return Loaded(tuple(hosts), files, tuple(modules), tuple(warnings), tuple(classes), sources)

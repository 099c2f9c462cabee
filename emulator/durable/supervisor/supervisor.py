"""Keeps the program running: the first generation, reloads, replacements for hosts that die, the end of all.

One change of hosts happens at a time, under one lock. Every process ever spawned here is known here until it is reaped,
so that `stop` leaves none behind, whatever was underway.
"""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from durable.clock import Clock
from durable.config import Config
from durable.errors import UserInputError
from durable.gateway.events import GatewayFault, OnEvent
from durable.limits import STANDBY_AGAIN_SECONDS, STANDBY_DELAY_SECONDS
from durable.supervisor import reloader
from durable.supervisor.autoreload import AutoReload
from durable.supervisor.backoff import Backoff
from durable.supervisor.events import ConfigRejected, HostDied, HostRestarted, Reloaded, ReloadFailed
from durable.supervisor.host import Host, OpenLink
from durable.supervisor.process import HostExit, HostProcess
from durable.supervisor.program import Program
from durable.supervisor.reloader import ClientSide, Loaded, Refused, Routes
from durable.supervisor.standby import Standbys
from durable.supervisor.watcher import ProjectFiles
from durable.wire.messages import ErrorReport

Spawn = Callable[[], HostProcess]
"""Starts one process with the next host number."""

Refresh = Callable[[], Awaitable[Program]]
"""Reads the configuration again and applies what only adds; raises `UserInputError` when it cannot be used."""


@dataclass(frozen=True, slots=True)
class SupervisorStatistics:
    """`pids` by shard, None where a host is missing; `deaths` counts hosts that ended without being asked."""

    generation: int
    pids: tuple[int | None, ...]
    processes: int
    reloads: int
    failed_reloads: int
    deaths: int


class Supervisor:
    """`start` it, perhaps after `begin`; then it runs by itself until `stop`."""

    def __init__(
        self,
        program: Program,
        *,
        spawn: Spawn,
        open_link: OpenLink,
        routes: Routes,
        refresh: Refresh,
        clock: Clock,
        on_event: OnEvent,
        python: str,
        watch: bool = True,
        unwatched: Iterable[Path] = (),
    ) -> None:
        """`watch` False neither watches files nor keeps standbys; `unwatched` folders are the state's, for one."""
        self.generation = 0
        self._program = program
        self._spawn_process = spawn
        self._open_link = open_link
        self._routes = routes
        self._refresh = refresh
        self._on_event = on_event
        self._watch = watch
        self._hosts: list[Host | None] = [None] * program.config.dev.hosts
        self._processes: set[Host] = set()
        self._standbys = Standbys(self._spawn, python)
        self._modules: tuple[str, ...] = ()
        self._backoff = [Backoff() for _ in self._hosts]
        self._reported_deaths: set[str] = set()
        self._refused = False
        self._changing = asyncio.Lock()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing: asyncio.Task[None] | None = None
        config = program.config
        files = ProjectFiles(
            config.root, config_files=config_files(config), patterns=config.dev.watch, excluded=unwatched
        )
        self._autoreload = AutoReload(files, clock=clock, reload=self._reload_saved, on_event=on_event)
        self._reloads = self._failed_reloads = self._deaths = 0
        self._first: asyncio.Task[Loaded | Refused] | None = None
        self._sockets: ClientSide

    # --- life ---------------------------------------------------------------------------------------------------------
    def begin(self, processes: Sequence[HostProcess] = ()) -> None:
        """Have the first generation loaded while the caller is busy; `processes` are already spawned, by shard.

        The hosts are told in the next turn of the loop.
        """
        warm = {shard: self._adopt(process, shard) for shard, process in enumerate(processes)}

        def take(shard: int) -> Host:
            return warm.pop(shard, None) or self._spawn(shard)

        self._first = asyncio.get_running_loop().create_task(
            reloader.load_generation(self._program, take, self._modules)
        )

    async def start(self, sockets: ClientSide) -> None:
        """Serve with the first generation.

        A program that cannot be loaded is reported, its error answers every request, and a save mends it. Raises
        `UserInputError` for an interpreter that cannot be a host.
        """
        self._sockets = sockets
        if self._first is None:
            self.begin()
        assert self._first is not None
        async with self._changing:
            loaded = await self._first
            if isinstance(loaded, Loaded):
                self._attach(loaded)
            else:
                self._refuse(loaded)
        if self._watch:
            self._run(self._begin_watching())

    async def reload(self) -> None:
        """Load everything anew, the configuration included, whether or not anything was saved."""
        # In a task of its own: whoever asked may go away, and a switch must not stop half-way.
        await asyncio.shield(self._task(self._reload(frozenset(), self._refresh)))

    async def exchange(self, renew: Refresh) -> None:
        """Load anew with the program that `renew` makes while no host has a file open.

        When `renew` raises `UserInputError` the program stays as it was, and the error is raised here in the end.
        """
        problems: list[UserInputError] = []

        async def renew_drained() -> Program:
            await self._drain()
            try:
                return await renew()
            except UserInputError as error:
                problems.append(error)
                return self._program

        await asyncio.shield(self._task(self._reload(frozenset(), renew_drained)))
        if problems:
            raise problems[0]

    async def stop(self) -> None:
        """Drain the hosts that serve, kill all others; when it returns none of them exists. Harmless twice."""
        self._stopping = True
        await self._autoreload.stop()
        tasks: list[asyncio.Task[object]] = [*self._tasks, *([self._first] if self._first is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A reload that was cut short may have left hosts of two generations, draining or just loaded.
        draining = [host for host in self._processes if host.draining or host in self._hosts]
        for host in self._processes.difference(draining):
            host.kill()
        if draining:
            self._hold()
            await reloader.drain(draining, self._program.config.dev.drain_seconds, self._sockets)
        await asyncio.gather(*(host.wait_exit() for host in list(self._processes)))

    def kill_all(self) -> None:
        """End every process now, without asking."""
        for host in self._processes:
            host.kill()

    def statistics(self) -> SupervisorStatistics:
        return SupervisorStatistics(
            generation=self.generation,
            pids=tuple(host.pid if host is not None else None for host in self._hosts),
            processes=len(self._processes),
            reloads=self._reloads,
            failed_reloads=self._failed_reloads,
            deaths=self._deaths,
        )

    # --- processes ----------------------------------------------------------------------------------------------------
    def _spawn(self, shard: int) -> Host:
        return self._adopt(self._spawn_process(), shard)

    def _adopt(self, process: HostProcess, shard: int) -> Host:
        host = Host(process, shard, self._open_link, self._exited)
        self._processes.add(host)
        return host

    def _exited(self, host: Host, exit: HostExit) -> None:
        self._processes.discard(host)
        if host in self._hosts and not host.draining and not self._stopping:
            self._died(host, exit)

    def _died(self, host: Host, exit: HostExit) -> None:
        """A host that serves is gone: what it held is let go of, and a replacement is on its way."""
        self._deaths += 1
        self._hosts[host.shard] = None
        self._routes.detach(host.link)
        self._sockets.host_lost(host.link)
        backoff = self._backoff[host.shard]
        delay_seconds = backoff.died(host.lived_seconds)
        if backoff.deaths == 1:
            self._reported_deaths.clear()
        cause = str(exit) if host.broken_by is None else f"broke the protocol and was stopped: {host.broken_by}"
        if cause not in self._reported_deaths:
            self._reported_deaths.add(cause)
            self._on_event(HostDied(host.pid, host.shard, cause))
        self._run(self._replace(host.shard, delay_seconds))

    async def _replace(self, shard: int, delay_seconds: float) -> None:
        started = time.monotonic()
        # Outside the lock: a save that mends a crash loop must not wait for it.
        await asyncio.sleep(delay_seconds)
        async with self._changing:
            if self._hosts[shard] is not None:
                return
            host = self._standbys.take(shard)
            try:
                outcome = await reloader.load_one(self._program, host, self._modules)
            except UserInputError as error:
                host.kill()
                self._reject(error)
                return
            if isinstance(outcome, Refused):
                host.kill()
                self._refuse(outcome)
            elif host.alive:
                self._refused = False
                self._hosts[shard] = host
                host.attach(*self._sockets.attach_states(shard, len(self._hosts)))
                self._routes.attach_one(shard, host.link)
                reloader.release(self._routes, self._sockets)
                self._on_event(HostRestarted(host.pid, shard, (time.monotonic() - started) * 1000))
        if not isinstance(outcome, Refused) and self._hosts[shard] is not None:
            self._prepare_standbys(STANDBY_AGAIN_SECONDS)
        elif not isinstance(outcome, Refused) or outcome.died:
            # The code is not at fault, as far as anybody knows: try again, ever more slowly.
            self._run(self._replace(shard, self._backoff[shard].died(0.0)))

    # --- generations --------------------------------------------------------------------------------------------------
    async def _reload_saved(self, changed: frozenset[str]) -> None:
        config_changed = not changed.isdisjoint(map(str, config_files(self._program.config)))
        await self._reload(changed, self._refresh if config_changed else None)

    async def _reload(self, changed: frozenset[str], renew: Refresh | None) -> None:
        started = time.monotonic()
        names = tuple(sorted(os.path.relpath(path, self._program.config.root) for path in changed))
        async with self._changing:
            try:
                if renew is not None:
                    await self._renew_program(renew)
                if self._program.config.dev.reload == "restart":
                    # A program that takes a port when it is imported cannot meet its predecessor alive.
                    await self._drain()
                loaded = await reloader.load_generation(self._program, self._standbys.take, self._modules)
            except UserInputError as error:
                self._failed_reloads += 1
                self._reject(error)
                return
            if isinstance(loaded, Refused):
                self._failed_reloads += 1
                self._refuse(loaded, names)
            else:
                await self._drain()
                self._attach(loaded)
                self._reloads += 1
                milliseconds = (time.monotonic() - started) * 1000
                self._on_event(Reloaded(self.generation, milliseconds, names, loaded.warnings))
        self._prepare_standbys(STANDBY_AGAIN_SECONDS)

    async def _renew_program(self, renew: Refresh) -> None:
        """Take over a new configuration; standbys were started under the old one."""
        before = self._program.config.dev.watch
        self._program = await renew()
        self._standbys.discard()
        if self._program.config.dev.watch != before:
            self._autoreload.also(self._program.config.dev.watch)

    def _attach(self, loaded: Loaded) -> None:
        """The loaded hosts serve from now on."""
        self.generation += 1
        self._refused = False
        self._modules = loaded.modules
        self._autoreload.loaded(loaded.files, broken=False)
        for backoff in self._backoff:
            backoff.forget()
        self._reported_deaths.clear()
        self._hosts = list(loaded.hosts)
        reloader.attach(loaded.hosts, self._routes, self._sockets)
        for host in loaded.hosts:
            if host.exit is not None:
                # It ended after Ready, before it was ours to miss.
                self._died(host, host.exit)

    def _refuse(self, refused: Refused, changed: tuple[str, ...] = ()) -> None:
        """The program cannot run: the developer is told, and, when nothing else serves, so is every request."""
        self._autoreload.loaded(refused.files, broken=True)
        serving = self._serving()
        repeated = self._refused and refused.died and not changed
        if not serving:
            self._answer_all_with(refused.report)
        if refused.errors:
            self._on_event(ConfigRejected(refused.errors, serving))
        elif not repeated:
            self._on_event(ReloadFailed(refused.report, serving, changed))

    def _reject(self, error: UserInputError) -> None:
        """The same for what the user configured or installed."""
        self._autoreload.loaded({}, broken=True)
        serving = self._serving()
        if not serving:
            self._answer_all_with(reloader.report_of_config([error]))
        self._on_event(ConfigRejected((error,), serving))

    def _answer_all_with(self, report: ErrorReport) -> None:
        """Nothing serves. Requests need not wait for a save; what clients sent on their sockets does."""
        self._refused = True
        self._routes.refuse(report)
        self._routes.release()

    def _serving(self) -> int:
        return self.generation if any(host is not None for host in self._hosts) else 0

    def _hold(self) -> None:
        self._routes.hold()
        self._sockets.hold()

    async def _drain(self) -> None:
        """End the running generation; its events from outside wait until the next one is attached."""
        self._hold()
        await reloader.drain(self._hosts, self._program.config.dev.drain_seconds, self._sockets)
        for host in self._hosts:
            if host is not None:
                self._routes.detach(host.link)
        self._hosts = [None] * len(self._hosts)
        self._sockets.generation_ended()

    # --- in the background --------------------------------------------------------------------------------------------
    async def _begin_watching(self) -> None:
        await asyncio.sleep(STANDBY_DELAY_SECONDS)
        self._autoreload.start()
        self._prepare_standbys(0.0)

    def _prepare_standbys(self, delay_seconds: float) -> None:
        if self._watch and not self._stopping:
            if self._preparing is not None:
                self._preparing.cancel()
            self._preparing = self._task(self._prepare(delay_seconds))

    async def _prepare(self, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        async with self._changing:
            try:
                self._standbys.prepare(len(self._hosts), self._modules)
            except UserInputError:
                return  # the interpreter is gone; whoever needs a host next will say so

    def _run(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.add(self._task(work))

    def _task(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception:
            self._on_event(GatewayFault(traceback.format_exc()))


def config_files(config: Config) -> list[Path]:
    """Every file that the configuration is read from, whether or not it exists."""
    names = [".dev.vars", ".env"]
    if config.environment is not None:
        names += [f"{name}.{config.environment}" for name in names]
    return [config.path, *(config.root / name for name in names)]

"""Keeps the program running: the first generation, reloads, replacements for hosts that die, the end of all.

One change of hosts happens at a time, under one lock. `stop` leaves no process behind, whatever was underway.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from durable.clock import Clock
from durable.errors import UserInputError
from durable.gateway.events import OnEvent
from durable.limits import STANDBY_AGAIN_SECONDS, STANDBY_DELAY_SECONDS
from durable.supervisor import reloader
from durable.supervisor.autoreload import AutoReload
from durable.supervisor.background import Background
from durable.supervisor.deaths import Deaths
from durable.supervisor.events import ConfigApplied, ConfigRejected, HostRestarted, Reloaded, ReloadFailed
from durable.supervisor.host import Host, OpenLink
from durable.supervisor.last_good import LastGood
from durable.supervisor.process import HostProcess
from durable.supervisor.processes import Processes, Spawn
from durable.supervisor.program import Program, config_files
from durable.supervisor.reloader import ClientSide, Loaded, Refused, Routes
from durable.supervisor.standby import Standbys
from durable.supervisor.statistics import SupervisorStatistics
from durable.supervisor.watchdog import Watchdog
from durable.supervisor.watcher import ProjectFiles
from durable.wire.messages import ErrorReport

Refresh = Callable[[], Awaitable[Program]]
"""Reads the configuration again and applies what only adds; raises `UserInputError` when it cannot be used."""


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
        self._routes = routes
        self._refresh = refresh
        self._on_event = on_event
        self._watch = watch
        self._hosts: list[Host | None] = [None] * program.config.dev.hosts
        self._processes = Processes(spawn, open_link=open_link, on_exit=self._exited, on_event=on_event)
        self._standbys = Standbys(self._processes.spawn, python)
        self._modules: tuple[str, ...] = ()
        self._last_good: LastGood | None = None
        self._deaths = Deaths(len(self._hosts), on_event)
        self._refused = self._stopping = False
        self._changing = asyncio.Lock()
        self._background = Background(on_event)
        self._preparing: asyncio.Task[None] | None = None
        config = program.config
        files = ProjectFiles(
            config.root, config_files=config_files(config), patterns=config.dev.watch, excluded=unwatched
        )
        self._autoreload = AutoReload(files, clock=clock, reload=self._reload_saved, on_event=on_event)
        self._watchdog = Watchdog(
            lambda: self._hosts,
            clock=clock,
            limit_seconds=lambda: self._program.config.dev.watchdog_seconds,
            on_event=on_event,
            run=self._background.run,
        )
        self._reloads = self._failed_reloads = 0
        self._first: asyncio.Task[Loaded | Refused] | None = None
        self._sockets: ClientSide

    # --- life ---------------------------------------------------------------------------------------------------------
    def begin(self, processes: Sequence[HostProcess] = ()) -> None:
        """Have the first generation loaded while the caller is busy; `processes` are already spawned, by shard.

        The hosts are told in the next turn of the loop.
        """
        warm = {shard: self._processes.adopt(process, shard) for shard, process in enumerate(processes)}

        def take(shard: int) -> Host:
            return warm.pop(shard, None) or self._processes.spawn(shard)

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
                self._attach(loaded, self._program)
            else:
                self._refuse(loaded)
        self._watchdog.start()
        if self._watch:
            self._background.run(self._begin_watching())

    async def reload(self) -> None:
        """Load everything anew, the configuration included, whether or not anything was saved."""
        # In a task of its own: whoever asked may go away, and a switch must not stop half-way.
        await asyncio.shield(self._background.task(self._reload(frozenset(), self._refresh)))

    async def restart(self) -> None:
        """Load the same program into processes that have imported nothing before; those that serve are drained."""
        self._standbys.discard()
        await asyncio.shield(self._background.task(self._reload(frozenset(), None)))

    async def exchange(self, renew: Refresh) -> None:
        """Load anew with the program that `renew` makes while no host has a file open.

        When `renew` raises `UserInputError` the program stays as it was, and the error is raised here in the end.
        """
        problems: list[UserInputError] = []

        async def renew_drained() -> Program:
            await self._drain()
            try:
                program = await renew()
                self._last_good = None  # what served fitted the state as it was
                return program
            except UserInputError as error:
                problems.append(error)
                return self._program

        await asyncio.shield(self._background.task(self._reload(frozenset(), renew_drained)))
        if problems:
            raise problems[0]

    async def try_out(self, program: Program) -> Refused | None:
        """Load a program that nothing is to be done with yet; says why it cannot run."""
        async with self._changing:
            loaded = await reloader.load_generation(program, self._standbys.take, self._modules)
        for host in loaded.hosts if isinstance(loaded, Loaded) else ():
            host.kill()
        return loaded if isinstance(loaded, Refused) else None

    async def stop(self) -> None:
        """Drain the hosts that serve, kill all others; when it returns none of them exists. Harmless twice."""
        self._stopping = True
        self._watchdog.stop()
        await self._autoreload.stop()
        await self._background.stop(*([self._first] if self._first is not None else []))
        # A reload that was cut short may have left hosts of two generations, draining or just loaded.
        for host in self._processes:
            if host.debugger.is_stopped or host.lingers:
                host.kill()
            host.debugger.forget()
        draining = [host for host in self._processes if host.draining or host in self._hosts]
        for host in self._processes:
            if host not in draining:
                host.kill()
        if draining:
            self._hold()
            await reloader.drain(draining, self._program.config.dev.drain_seconds, self._sockets)
        await self._processes.wait_reaped()

    def kill_all(self) -> None:
        """End every process now, without asking."""
        self._processes.kill_all()

    def read_output(self) -> None:
        """Tell what the hosts have printed up to now."""
        self._processes.read_output()

    def host(self, shard: int) -> Host | None:
        """The one that serves the shard, if there is one."""
        return self._hosts[shard]

    def statistics(self) -> SupervisorStatistics:
        return SupervisorStatistics(
            generation=self.generation,
            pids=tuple(host.pid if host is not None else None for host in self._hosts),
            processes=len(self._processes),
            reloads=self._reloads,
            failed_reloads=self._failed_reloads,
            deaths=self._deaths.count,
        )

    # --- hosts that die -----------------------------------------------------------------------------------------------
    def _exited(self, host: Host) -> None:
        if host in self._hosts and not host.draining and not self._stopping:
            self._died(host)

    def _died(self, host: Host) -> None:
        """A host that serves is gone: what it held is let go of, and a replacement is on its way."""
        self._hosts[host.shard] = None
        self._routes.detach(host.link)
        self._sockets.host_lost(host.link)
        delay_seconds, is_news = self._deaths.died(host)
        self._background.run(self._replace(host.shard, delay_seconds, is_news=is_news))

    async def _replace(self, shard: int, delay_seconds: float, *, is_news: bool) -> None:
        started = time.monotonic()
        # Outside the lock: a save that mends a crash loop must not wait for it.
        await asyncio.sleep(delay_seconds)
        async with self._changing:
            if self._hosts[shard] is not None:
                return
            host = self._standbys.take(shard)
            # Of the generation that serves, whatever has been saved since: next to others it has to run what they run.
            good = self._last_good or LastGood(self._program)
            sources = good.missing_on_disk()
            try:
                outcome = await reloader.load_one(good.program, host, self._modules, sources=sources)
            except UserInputError as error:
                host.kill()
                self._refuse(reloader.refused_for(error))
                return
            if isinstance(outcome, Refused):
                host.kill()
                self._refuse(outcome)
            elif host.alive:
                self._refused = False
                self._hosts[shard] = host
                host.sources = good.sources
                good.program.commit()
                host.attach(*self._sockets.attach_states(shard, len(self._hosts)))
                self._routes.attach_one(shard, host.link)
                reloader.release(self._routes, self._sockets)
                milliseconds = (time.monotonic() - started) * 1000
                if is_news:
                    self._on_event(HostRestarted(host.pid, shard, milliseconds, last_good=bool(sources)))
        if not isinstance(outcome, Refused) and self._hosts[shard] is not None:
            self._prepare_standbys(STANDBY_AGAIN_SECONDS)
        elif not isinstance(outcome, Refused) or outcome.died:
            # The code is not at fault, as far as anybody knows: try again, ever more slowly.
            self._background.run(self._replace(shard, self._deaths.died_loading(shard), is_news=is_news))

    # --- generations --------------------------------------------------------------------------------------------------
    async def _reload_saved(self, changed: frozenset[str]) -> None:
        config_changed = not changed.isdisjoint(map(str, config_files(self._program.config)))
        await self._reload(changed, self._refresh if config_changed else None)

    async def _reload(self, changed: frozenset[str], renew: Refresh | None) -> None:
        await self._wait_debuggers()
        started = time.monotonic()
        names = tuple(sorted(os.path.relpath(path, self._program.config.root) for path in changed))
        async with self._changing:
            try:
                if renew is not None:
                    await self._renew_program(renew)
                    if self._touches_nothing(changed):
                        self._on_event(ConfigApplied(names))
                        return
                if self._program.config.dev.reload == "restart":
                    # A program that takes a port when it is imported cannot meet its predecessor alive.
                    await self._drain()
                loaded = await reloader.load_generation(self._program, self._standbys.take, self._modules)
            except UserInputError as error:
                self._failed_reloads += 1
                self._refuse(reloader.refused_for(error))
                return
            if isinstance(loaded, Refused):
                self._failed_reloads += 1
                await self._serve_last_good()
                self._refuse(loaded, names)
            else:
                await self._drain()
                self._attach(loaded, self._program)
                self._reloads += 1
                milliseconds = (time.monotonic() - started) * 1000
                self._on_event(Reloaded(self.generation, milliseconds, names, loaded.warnings))
        self._prepare_standbys(STANDBY_AGAIN_SECONDS)

    async def _renew_program(self, renew: Refresh) -> None:
        """Take over a new configuration; standbys were started under the old one."""
        before = self._program
        self._program = await renew()
        if not self._program.loads_like(before):
            self._standbys.discard()
        if self._program.config.dev.watch != before.config.dev.watch:
            self._autoreload.also(self._program.config.dev.watch)

    def _touches_nothing(self, changed: frozenset[str]) -> bool:
        """Whether the serving hosts fit the new configuration, and nothing else was saved; then it holds for them."""
        if self._last_good is None or self._autoreload.broken or not self._serving() or not changed:
            return False
        renewed = self._last_good.under(self._program, changed)
        self._last_good = renewed or self._last_good
        return renewed is not None

    async def _serve_last_good(self) -> None:
        """If the old hosts had to end before their successors could be loaded: have others load what those ran."""
        good = self._last_good
        if good is not None and good.sources and not self._serving():
            with suppress(UserInputError):
                sources = good.missing_on_disk()
                loaded = await reloader.load_generation(
                    good.program, self._processes.spawn, self._modules, sources=sources
                )
                if isinstance(loaded, Loaded):
                    self._attach(loaded, good.program)

    def _attach(self, loaded: Loaded, program: Program) -> None:
        """The loaded hosts serve from now on."""
        self._last_good = LastGood(program, loaded.files, loaded.sources, loaded.classes)
        program.commit()
        self.generation += 1
        self._refused = False
        self._modules = loaded.modules
        self._autoreload.loaded(loaded.files, broken=False)
        self._deaths.forget()
        self._hosts = list(loaded.hosts)
        for host in loaded.hosts:
            host.sources = loaded.sources
        reloader.attach(loaded.hosts, self._routes, self._sockets)
        for host in loaded.hosts:
            if host.exit is not None:
                # It ended after Ready, before it was ours to miss.
                self._died(host)

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
        await self._wait_debuggers()
        self._hold()
        dev, hosts = self._program.config.dev, [host for host in self._hosts if host is not None]
        await reloader.drain(hosts, dev.drain_seconds, self._sockets, lingers=dev.reload == "standby")
        for host in hosts:
            self._routes.detach(host.link)
            if dev.reload == "restart":
                await host.wait_exit()  # with it goes what it holds of the system, such as a port
        self._hosts = [None] * len(self._hosts)
        self._sockets.generation_ended()

    async def _wait_debuggers(self) -> None:
        """Wait until nobody sits at a prompt: a save must not take the program from under a developer's eyes."""
        for host in list(self._hosts):
            if host is not None:
                await host.debugger.wait_continued()

    # --- in the background --------------------------------------------------------------------------------------------
    async def _begin_watching(self) -> None:
        await asyncio.sleep(STANDBY_DELAY_SECONDS)
        self._autoreload.start()
        self._prepare_standbys(0.0)

    def _prepare_standbys(self, delay_seconds: float) -> None:
        if self._watch and not self._stopping:
            if self._preparing is not None:
                self._preparing.cancel()
            work = self._standbys.prepare_after(delay_seconds, self._changing, len(self._hosts), lambda: self._modules)
            self._preparing = self._background.task(work)

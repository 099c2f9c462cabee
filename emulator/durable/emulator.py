"""One object that starts and stops everything: state, hosts, gateway, supervisor. Wiring; no rule lives here.

The order of the start is for the developer who waits: hosts are spawned before anything else happens and boot while
this process reads the state; they import the program while this process imports aiohttp.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from durable import __version__
from durable import config as configuration
from durable.clock import SystemClock
from durable.config import Config
from durable.errors import LoadFailedError
from durable.gateway.asset_front import AssetFront
from durable.gateway.events import ClockMoved, Event, HostLog
from durable.gateway.host_side import HostSide
from durable.gateway.link import HostLink
from durable.gateway.neighbours import Neighbours
from durable.gateway.router import Router
from durable.gateway.time_control import TimeControl
from durable.gateway.timeline import GatewayTimeline
from durable.storage.class_life.applying import open_state
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase
from durable.supervisor.class_changes import ClassChanges
from durable.supervisor.debug_ports import DebugPorts
from durable.supervisor.host_output import echo_output
from durable.supervisor.preparation import Preparation
from durable.supervisor.program import Program, asset_folders, private_paths
from durable.supervisor.repeated_failures import RepeatedFailures
from durable.supervisor.rereading import Rereading
from durable.supervisor.run_file import RunFile
from durable.supervisor.shown_failures import ShownFailures
from durable.supervisor.spawner import HostSpawner
from durable.supervisor.supervisor import Supervisor
from durable.supervisor.timeline_lines import HOST_LINES
from durable.wire.messages import ErrorReport, NamespaceInfo

if TYPE_CHECKING:
    from durable.gateway.accepted_sockets import OnReload
    from durable.gateway.admin_presence import PresenceTools
    from durable.gateway.front import Front

_STOPPING = ErrorReport("ReloadingError", "The emulator is being stopped.", "durable.errors", "ReloadingError")


class Emulator:
    """`async with Emulator(config, HostSpawner(…)) as emulator:` serves at `emulator.url` until the block ends."""

    # Made by `start`, in this order.
    _state_db: StateDatabase
    _preparation: Preparation
    router: Router
    _host_side: HostSide
    time: TimeControl
    _program: Program
    supervisor: Supervisor
    _front: Front
    presence: PresenceTools
    classes: ClassChanges

    def __init__(
        self,
        config: Config,
        spawner: HostSpawner,
        *,
        overrides: Mapping[str, object] | None = None,
        on_event: Callable[[Event], None] | None = None,
        reread: Callable[[], Config] | None = None,
        watch: bool = True,
        on_reload: OnReload = "keep",
        verbose: bool = False,
        debug_port: int | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        """`spawner` knows the state directory, and may have begun; it ends with the emulator.

        `reread` reads the configuration anew, with what was typed laid over it; else the file is read with `overrides`.
        `watch` False does not reload on save; `on_reload` is for WebSockets; `verbose` also tells which objects come
        into memory and leave it. `debug_port` is where
        editors attach to the hosts of a spawner with `debug`: 0 takes free ones. `neighbours` are other workers in this
        process; all of them `open` before the first of them starts.
        """
        self._debug_ports: DebugPorts | None = None
        self._debug_port = debug_port
        self.config = config
        self.url = ""
        """Where it serves, without a slash at the end; empty before the start."""
        self.token = secrets.token_urlsafe(32)
        """What `/__durable/*` asks for."""
        state = self._state = spawner.state
        self._layout = StateLayout(state)
        self._run_file = RunFile(state.parent / "run" / "emulator.json")
        self._spawner = spawner
        self._neighbours = neighbours or Neighbours()
        self._place = self._neighbours.join(config)
        self._missing_told: frozenset[str] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()
        self._redaction = self._neighbours.redaction
        self._redaction.learn(os.environ)
        self._assets = AssetFront()
        self._clock = SystemClock()
        self._timeline = GatewayTimeline(self._clock, HOST_LINES)
        tell = self._timeline.before(on_event or echo_output)
        self._on_event = RepeatedFailures(tell, shown=ShownFailures(self._redaction))
        self._reread = Rereading(config, reread or (lambda: _read_again(config, overrides or {})), self._on_event)
        self._watch = watch
        self._verbose = verbose
        self._on_reload: OnReload = on_reload
        self._ending = AsyncExitStack()
        self._links: list[HostLink] | None = []
        """Links opened before there were client sockets to tell of them."""
        self._opened: Program | None = None
        self._class_names: dict[str, str] = {}

    # --- life ---------------------------------------------------------------------------------------------------------
    def open(self) -> None:
        """The first part of `start`: begin the hosts, open the state, and let other workers find this one."""
        self._ending.callback(self._place.leave)
        self._ending.callback(self._spawner.end)
        self._ending.callback(self._on_event.close)
        self._spawner.begin(self.config.dev.hosts)
        program = self._opened = self._open_state()
        self.router = self._place.router = Router(self.config.dev.hosts, clock=self._clock)
        self._place.learn(self.config, program.namespaces)

    async def start(self) -> None:
        """Serve, or raise what is in the way; a program that cannot be loaded is reported and prevents nothing.

        Raises `StateInUseError`, `MigrationError` for what only `durable migrate` may do, and other `UserInputError`s
        for a port, a directory or an interpreter that cannot be used. To be followed by `stop` in any case.
        """
        if self._opened is None:
            self.open()
        assert self._opened is not None
        # Anew: other workers may have been opened since.
        program = replace(self._opened, surroundings=self._neighbours.surroundings(self.config))
        self._build_engine(program)
        self.supervisor.begin(self._spawner.take())
        # One turn of the loop: the hosts are told what to load, and do it while this process imports aiohttp.
        await asyncio.sleep(0)
        self._build_front()
        url = await self._front.start()
        self._ending.push_async_callback(self._close)
        if self._debug_ports is not None:
            await self._debug_ports.start()
            self._ending.push_async_callback(self._debug_ports.stop)
        self.url = url
        await self.supervisor.start(self._front.sockets)
        self._host_side.start(self._class_names)
        self._place.on_change = self._neighbour_changed
        self._neighbour_changed()
        self._run_file.write(url=self.url, token=self.token, started_ms=self._clock.wall_ms())
        self._ending.callback(self._run_file.remove)

    async def stop(self) -> None:
        """Finish what runs, close every client and every file, and leave no process behind. Harmless twice."""
        await self._ending.aclose()

    def kill(self) -> None:
        """End every host now. What was acknowledged is on disk."""
        self._spawner.kill_early()
        if hasattr(self, "supervisor"):
            self.supervisor.kill_all()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def debug_ports(self) -> tuple[int, ...]:
        """Where editors attach, by shard; empty without `debug_port`."""
        return self._debug_ports.ports if self._debug_ports is not None else ()

    # --- while it runs ------------------------------------------------------------------------------------------------
    async def reload(self) -> None:
        """Read the configuration and load the program anew, whether or not anything was saved."""
        await self.supervisor.reload()

    async def reload_or_raise(self) -> None:
        """As `reload`; raises `LoadFailedError` for tools, which do not see what the developer is told."""
        before = self.supervisor.statistics().failed_reloads
        await self.reload()
        if self.supervisor.statistics().failed_reloads > before:
            raise LoadFailedError("the program could not be loaded; the emulator's own output says why")

    async def restart_hosts(self) -> None:
        """Have a process that has imported nothing yet take every host's place; what is connected stays connected."""
        await self.supervisor.restart()

    async def migrate(self, dry_run: bool, folder: str = "") -> dict[str, object]:
        """As `ClassChanges.migrate`."""
        return await self.classes.migrate(dry_run, folder)

    def tell_life(self, wanted: bool) -> None:
        """Tell which objects come into memory and leave it, or stop that: as often as it was begun."""
        if wanted:
            self._host_side.life.want()
        else:
            self._host_side.life.unwant()

    def read_output(self) -> None:
        """Tell what user code has printed up to now; it is told in any case, a moment later."""
        if hasattr(self, "supervisor"):
            self.supervisor.read_output()

    def clock_mark(self) -> tuple[int, bool]:
        """How many milliseconds the clock is ahead of the machine's, and whether it was told to stand still."""
        is_advancing = hasattr(self, "time") and self.time.is_advancing
        return self._clock.offset_ms, self._clock.is_frozen and not is_advancing

    def namespaces(self) -> dict[str, NamespaceInfo]:
        """As `Program.namespaces_by_word`, of the program that serves."""
        return self._program.namespaces_by_word()

    def status(self) -> dict[str, object]:
        """What the emulator is doing, as JSON: hosts, generation, sockets, queues."""
        hosts = self.supervisor.statistics()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "url": self.url,
            "config": str(self.config.path),
            "environment": self.config.environment,
            "state": str(self._layout.state),
            "generation": hosts.generation,
            "hosts": [
                {"shard": shard, "pid": pid, "requests": link.in_flight if link is not None else 0}
                for shard, (pid, link) in enumerate(zip(hosts.pids, self.router.links, strict=True))
            ],
            "epochs": [link.durable if link is not None else 0 for link in self.router.links],
            "reloads": hosts.reloads,
            "failed_reloads": hosts.failed_reloads,
            "host_deaths": hosts.deaths,
            "sockets": self._front.sockets.statistics().sockets,
            "clock_offset_ms": self._clock.offset_ms,
            "clock_frozen": self._clock.is_frozen,
        }

    # --- before aiohttp -----------------------------------------------------------------------------------------------
    def _open_state(self) -> Program:
        for warning in self._layout.ensure():
            self._on_event(HostLog("warning", warning))
        self._state_db = open_state(self._layout)
        self._ending.callback(self._state_db.close)
        self._clock.set(self._state_db.clock)
        if not self._clock.setting.is_machine_time:
            self._on_event(ClockMoved(self._clock.wall_ms(), self._clock.offset_ms, self._clock.is_frozen))
        self._preparation = Preparation(
            self._layout, self._state_db, self._clock, random.SystemRandom(), self._neighbours.surroundings
        )
        return self._preparation.prepare(self.config)

    def _build_engine(self, program: Program) -> None:
        """Everything that takes part in loading the program."""
        self._host_side = HostSide(
            self.router,
            self._layout,
            self._clock,
            self._timeline,
            self._neighbours,
            self._place,
            keep_clock=self._state_db.set_clock,
            on_event=self._on_event,
            ending=self._ending,
        )
        self.time = self._host_side.time
        self._learn(program)
        if self._verbose:
            self._host_side.life.want()
        self.supervisor = Supervisor(
            program,
            spawn=self._spawner.spawn,
            open_link=self._open_link,
            routes=self.router,
            refresh=self._refresh,
            clock=self._clock,
            on_event=self._on_event,
            python=self._spawner.python,
            watch=self._watch,
            unwatched=[self._layout.state, self._state, self._state.parent / "run", *asset_folders(self.config)],
        )
        self._ending.push_async_callback(self.supervisor.stop)
        if self._debug_port is not None:
            self._debug_ports = DebugPorts(self._debug_port, self.config.dev.hosts, self.supervisor.host)

    def _open_link(
        self, channel: socket.socket, number: int, shard: int, on_ended: Callable[[BaseException | None], None]
    ) -> HostLink:
        link = HostLink(channel, number, shard, on_event=self._on_event, on_ended=on_ended)
        self._host_side.listen(link)
        if self._links is not None:
            self._links.append(link)
        else:
            self._front.sockets.listen(link)
        return link

    # --- with aiohttp -------------------------------------------------------------------------------------------------
    def _build_front(self) -> None:
        """Everything that faces clients."""
        # Loaded here because aiohttp takes longer than all the rest, and hosts can be at work meanwhile.
        from durable.gateway.front import Front

        self._front = Front(
            self,
            self._host_side,
            self._layout,
            self._neighbours,
            self._place,
            token=self.token,
            assets=self._assets,
            on_reload=self._on_reload,
            on_event=self._on_event,
            listen=self._on_event.listen,
        )
        self.presence = self._front.presence
        links, self._links = self._links or [], None
        for link in links:
            self._front.sockets.listen(link)
        self.classes = ClassChanges(
            self._preparation,
            self.supervisor,
            self._host_side.index,
            self._front.sockets,
            self._host_side.alarms,
            reread=self._reread,
            take=self._take,
        )

    async def _close(self) -> None:
        """End what faces clients: no new connections, then the hosts, then who is still connected."""
        front = self._front
        refusing = asyncio.ensure_future(front.server.stop())
        front.sockets.stop()
        await self._host_side.rest()
        await self.supervisor.stop()
        front.tails.end()
        self.router.refuse(_STOPPING)
        self.router.release()
        front.sockets.close_all()
        await refusing

    # --- the program --------------------------------------------------------------------------------------------------
    async def _refresh(self) -> Program:
        """The program as it is now; raises `UserInputError` for a configuration that cannot be used."""
        config = self._reread()
        program = self._preparation.prepare(config)
        self._take(config, program)
        return program

    def _take(self, config: Config, program: Program) -> None:
        self.config = config
        self._learn(program)

    def _learn(self, program: Program) -> None:
        self._program = program
        self._redaction.learn({**program.config.vars, **program.config.secrets}, program.config.secrets)
        self._class_names.update({namespace.key: namespace.class_name for namespace in program.namespaces})
        self._assets.configure(program.config, private_paths(program.config, program.state))
        self._host_side.learn(program.config.crons, [namespace.key for namespace in program.namespaces])
        self._place.learn(program.config, program.namespaces)
        missing = frozenset(program.surroundings.missing.values())
        for sentence in sorted(missing - self._missing_told):
            self._on_event(HostLog("warning", sentence))
        self._missing_told = missing

    def _neighbour_changed(self) -> None:
        """What this program finds of another worker may be something else now: then it is loaded anew."""
        if self._neighbours.surroundings(self.config) != self._program.surroundings:
            task = asyncio.get_running_loop().create_task(self.reload())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def _read_again(config: Config, overrides: Mapping[str, object]) -> Config:
    return configuration.load(config.path, environment=config.environment, overrides=overrides)

"""One host: takes the gateway's messages, runs actors and workers, and is the engine its actors stand on."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable.actor.actor import Actor
from durable.actor.portability import Portability
from durable.actor.sockets import SocketTable
from durable.actor.state import ActorState
from durable.actor.timers import watch_timers
from durable.actor.turn import actor_variable, task_factory
from durable.clock import Clock, ClockSetting, SystemClock
from durable.errors import WireError
from durable.host.actor_runtime import ActorRuntime
from durable.host.alarm_clearing import clear_alarm
from durable.host.bodies import ChannelBodies
from durable.host.checkpoints import Checkpoints
from durable.host.commits import Commits
from durable.host.compat import finder
from durable.host.compat.adoption import adopt
from durable.host.compat.environment import env
from durable.host.deliveries import Deliveries
from durable.host.draining import drain
from durable.host.env import Env
from durable.host.evictions import evict_all
from durable.host.fault_reports import shows_stack
from durable.host.held_sockets import HeldSockets
from durable.host.index_questions import IndexQuestions
from durable.host.inspecting_many import inspect_many
from durable.host.inspection import inspect
from durable.host.life import Life
from durable.host.loader import Project, preimport
from durable.host.looking_at_many import look_many
from durable.host.loose_failures import report_loose_failures
from durable.host.memory_limit import MemoryLimit
from durable.host.object_images import ObjectImages
from durable.host.object_schemas import ObjectSchemas
from durable.host.outgoing_sockets import OutgoingSocket
from durable.host.presence import evict, look
from durable.host.registry import Registry
from durable.host.reports import Reports
from durable.host.restores import Restores
from durable.host.services import Exports, bindings_of
from durable.host.timeline import recall
from durable.host.transport import Transport
from durable.host.watched_import import import_watched
from durable.host.worker import Worker
from durable.limits import GC_YOUNG_OBJECTS, MEMORY_EXIT_CODE
from durable.sdk.now import keep_time
from durable.sdk.object import DurableObject, WorkerEntrypoint
from durable.sdk.runtime import Runtime
from durable.storage.descriptors import descriptor_limit, open_files_max
from durable.storage.layout import StateLayout
from durable.storage.sync_pool import Disk
from durable.wire import messages as wire
from durable.wire.channel import Channel
from durable.wire.messages import ActorKey, Message
from durable.wire.progress import Progress
from durable.wire.redaction import Redaction
from durable.wire.timeline import Rings

if TYPE_CHECKING:
    from durable.host.platform_bindings import ServiceAssets


class Host:
    """Lives from `Hello` to `Closed`. Implements `durable.actor.engine.Engine`."""

    registry: Registry
    worker: Worker
    env: Env
    exports: Any = None
    """`ctx.exports`."""
    script = ""
    """What other workers call this one."""
    assets: ServiceAssets | None = None

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        *,
        version: str,
        python: str,
        clock: Callable[[int], Clock] = SystemClock,  # of an offset in milliseconds
        disk: Disk | None = None,
        guard: Callable[[str], None] | None = None,
        progress: Progress | None = None,
        on_attached: Callable[[Host], None] | None = None,
    ) -> None:
        """`clock` makes the clock, which `ClockSet` moves; `disk` is what makes commits durable.

        `guard` is told the state directory before any code of the user's runs; `progress` is what the gateway sees of
        events that have begun, and `on_attached` is called when the first of them may come.
        """
        self.loop = loop
        self.clock: Clock = clock(0)
        self.context = contextvars.copy_context()
        """What actors and the host's own tasks begin with: what the program set at import, and no event's."""
        self._guard = guard
        self.progress = progress or Progress.private()
        self._on_attached = on_attached
        self.memory = MemoryLimit(loop.call_later, give_up=self._give_up)
        self.sockets = SocketTable()
        self.timeline = Rings()
        self.compatibility_date = ""
        self.portability: Portability | None = None
        self._kv_only: frozenset[str] = frozenset()
        self.finished: asyncio.Future[int] = loop.create_future()
        self.channel: Channel[Any] = Channel(
            sock, wire.FromGateway, on_messages=self._on_messages, on_closed=self._on_closed, loop=loop
        )
        self.send_now = self.channel.push
        self.commits = commits = Commits(self, disk)
        self.reports = reports = Reports(self)
        # What actors ask of their engine again and again, without a step between.
        self.commit, self.sync, self.when_durable = commits.commit, commits.sync, commits.when_durable
        self.report, self.report_to_caller = reports.report, reports.report_to_caller
        self.log, self.log_failure = reports.log, reports.log_failure
        self.bodies = ChannelBodies(self.send, self.channel.drain)
        self.transport = Transport(self)
        self.held = HeldSockets(self)
        self.outgoing: set[OutgoingSocket] = set()
        self.project: Project | None = None
        self.redaction = Redaction()
        self._warm: list[str] = []
        self._shard, self._shards, self.number = 0, 1, 0
        self._sockets_made = 0
        self.index = IndexQuestions(self)
        self.deliveries = Deliveries(self)
        self.life = Life(self)
        self.checkpoints = Checkpoints(self)
        self.restores = Restores(self)
        self.schemas = ObjectSchemas(self)
        self.images = ObjectImages(self)
        self.pitr_days = 0
        self._background: set[asyncio.Task[Any]] = set()
        self._handlers: dict[type, Callable[[Any], None]] = self._handler_table()
        loop.set_task_factory(task_factory)
        watch_timers(loop)
        report_loose_failures(self)
        self.send(wire.Hello(version, python, os.getpid()))
        # Now: the import of a program may take its time, and nobody should wonder who is there.
        self.channel.flush()

    def _handler_table(self) -> dict[type, Callable[[Any], None]]:
        return {
            wire.Preimport: lambda message: self._warm.extend(preimport(message.modules)),
            wire.ClockSet: self._set_clock,
            wire.TellLife: self.life.tell,
            wire.Load: self._load,
            wire.Attach: self._attach,
            wire.Ping: self._answer_ping,
            wire.Drain: lambda message: self.background(drain(self, message)),
            wire.HttpRequest: self.deliveries.http_request,
            wire.Call: self.deliveries.call,
            wire.Cancel: self.deliveries.cancel,
            wire.StubCount: self.transport.targets.counted,
            wire.HttpReply: self.transport.answered,
            wire.CallReply: self.transport.answered,
            wire.Failed: self.transport.answered,
            wire.BodyChunk: self.bodies.chunk,
            wire.BodyEnd: self.bodies.end,
            wire.BodyCredit: self.bodies.credit,
            wire.SocketMessage: self.deliveries.socket_event,
            wire.SocketClosed: self.deliveries.socket_event,
            wire.SocketFailed: self.deliveries.socket_event,
            wire.AutoResponded: self.deliveries.auto_responded,
            wire.IndexDurable: self.index.durable,
            wire.IndexFound: self.index.found,
            wire.AlarmDue: self.deliveries.alarm_due,
            wire.RunScheduled: lambda message: self.worker.start_scheduled(message),  # noqa: PLW0108
            wire.AlarmGiveUp: lambda message: clear_alarm(self, message),
            wire.Inspect: lambda message: self.background(inspect(self, message)),
            wire.InspectMany: lambda message: self.background(inspect_many(self, message)),
            wire.Evict: lambda message: self.background(evict(self, message)),
            wire.EvictAll: lambda message: self.background(evict_all(self, message)),
            wire.Look: lambda message: look(self, message),
            wire.LookMany: lambda message: self.background(look_many(self, message)),
            wire.Recall: lambda message: recall(self, message),
            wire.Restore: lambda message: self.background(self.restores.answer(message)),
            wire.CopyObject: lambda message: self.background(self.images.answer(message)),
            wire.ReplaceObject: lambda message: self.background(self.images.answer(message)),
            wire.DeleteObject: lambda message: self.background(self.images.answer(message)),
            wire.MigrateObject: lambda message: self.background(self.schemas.answer(message)),
        }

    # --- the channel ------------------------------------------------------------------------------------------
    def send(self, message: Message) -> None:
        try:
            self.channel.send(message)
        except WireError as error:
            self._unsendable(message, error)

    def _unsendable(self, message: Message, error: WireError) -> None:
        """What user code said cannot be put on the wire, such as a header with half a character: who waits is told."""
        report = self.report(error, "", "")
        if isinstance(message, (wire.HttpReply, wire.HttpRequest)) and message.stream:
            self.bodies.withdraw(message.stream)
        if isinstance(message, (wire.HttpReply, wire.CallReply, wire.Failed, wire.InspectReply)):
            self.channel.send(wire.Failed(message.id, message.epoch, report))
        elif isinstance(message, (wire.HttpRequest, wire.Call)):
            self.transport.answered(wire.Failed(message.id, 0, report))
        else:
            self.channel.send(wire.Log("error", f"{report.type}: {report.message}", "", report))

    def _on_messages(self, messages: list[Message]) -> None:
        handlers = self._handlers
        for message in messages:
            try:
                handlers[type(message)](message)
            except Exception as error:
                # A bug of ours in one message must not swallow the others of the same read.
                self.log_failure(error, "host", type(message).__name__)

    def _on_closed(self, error: BaseException | None) -> None:
        if self.portability is not None:
            self.portability.end()
        # The gateway is gone: nobody can be answered, and its successor must find the files free.
        if not self.finished.done():
            self.finished.set_result(0 if error is None else 1)

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Work of the host's own, kept alive until it is done; its failure is a bug or the user's stream's."""
        _ = self.spawn(work)

    def spawn(self, work: Coroutine[Any, Any, Any], context: contextvars.Context | None = None) -> asyncio.Task[Any]:
        """The same, for whoever wants to end it or hear of its end; in `context`, if one is given."""
        # Of the host, and not of the actor whose output started it: no gate holds it up, no reset cancels it.
        if context is None and actor_variable.get() is not None:
            context = self.context.copy()
        task = self.loop.create_task(work, context=context)
        self._background.add(task)
        task.add_done_callback(self._background_done)
        return task

    async def wait_writable(self) -> None:
        """Wait while the gateway is far behind."""
        await self.channel.drain()

    def _background_done(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log_failure(error, "host", "background")

    def _answer_ping(self, ping: wire.Ping) -> None:
        self.send(wire.Pong(ping.number, shows_stack()))
        # Now: the next message may be the one that never ends.
        self.channel.flush()

    # --- loading ----------------------------------------------------------------------------------------------
    def _set_clock(self, message: wire.ClockSet) -> None:
        # A test that hands in a clock of its own moves it itself.
        if isinstance(self.clock, SystemClock):
            self.clock.set(ClockSetting(message.offset_ms, message.frozen_ms))

    def _load(self, load: wire.Load) -> None:
        self._warm += preimport(load.preimport)
        self.project = project = Project(load.root, load.main, sources=load.sources, warm=self._warm)
        self.redaction.learn(load.vars, load.secrets)
        self.redaction.learn(os.environ)
        self.compatibility_date = load.compatibility_date
        self.script = load.script
        self.portability = Portability(self.reports.log_once, setting=load.portability, own_file=project.own_file)
        self._kv_only = frozenset(space.key for space in load.namespaces if not space.sqlite)
        self._shard, self._shards, self.number = load.shard, load.shards, load.host_number
        keep_time(self.clock.wall_ms)
        if self._guard is not None:
            self._guard(load.state)
        self.pitr_days = load.pitr_days
        self.memory.set(load.memory_mb)
        # Before the program: it may read `workers.env` while it is imported.
        self.env = Env(bindings_of(load, self.transport))
        env.bind(self.env)
        finder.install()
        try:
            self.schemas.load(load)
            import_watched(
                project, self.portability, self.loop, is_for_platform=finder.is_used, is_first=load.shard == 0
            )
            adopt(finder.is_used())
            classes = self._classes(project, load)
        except BaseException as error:
            if isinstance(error, ModuleNotFoundError):
                from durable.host.missing_packages import explain_missing  # loaded here: most hosts never need it

                explain_missing(error, Path(load.root))
            self.send(wire.LoadFailed(self.report(error, "", "import"), project.hashes))
            return
        self.context = contextvars.copy_context()
        actors = {name: cls for name, cls in classes.items() if issubclass(cls, DurableObject)}
        self.commits.open(load.durability)
        self.registry = Registry(
            self, StateLayout(Path(load.state)), load.idle_seconds, open_files_max(descriptor_limit())
        )
        self.registry.start(
            {space.key: actors[space.class_name] for space in load.namespaces if space.class_name in actors}
        )
        if load.pitr_days and load.shard == 0:
            self.checkpoints.sweep_later()
        entrypoints = {name: cls for name, cls in classes.items() if issubclass(cls, WorkerEntrypoint)}
        self.exports = Exports(load, self.transport, entrypoints=[*entrypoints], actors=[*actors])
        if load.assets is not None:
            from durable.host.platform_bindings import ServiceAssets  # loaded here: most programs have no assets

            self.assets = ServiceAssets(load, load.assets)
        self.worker = Worker(self, entrypoints)
        # What is imported lives as long as the process: no collection has to look at it again.
        gc.freeze()
        gc.set_threshold(GC_YOUNG_OBJECTS)
        modules = project.third_party_modules()
        self.send(wire.Ready(sorted(classes), project.hashes, modules, actors=sorted(actors)))

    def _classes(self, project: Project, load: wire.Load) -> dict[str, type]:
        classes = project.classes()
        if finder.is_used() and project.module is not None:
            from durable.host.compat import main_module  # few programs need it

            if main_module.has_global_handlers(load.compatibility_date, load.compatibility_flags):
                classes = main_module.with_global_handlers(project.module, classes)
            for notice in main_module.notices(project.module, classes) if load.shard == 0 else ():
                self.log("warning", notice, "")
        return classes

    def _attach(self, attach: wire.Attach) -> None:
        self.sockets.restore(attach.sockets, attach.auto_responses)
        if self._on_attached is not None:
            self._on_attached(self)

    # --- who it is --------------------------------------------------------------------------------------------
    def owns(self, actor_id: str) -> bool:
        """Whether this host's shard has the actor; the gateway's router places by the same rule."""
        return self._shards == 1 or int(actor_id[:8], 16) % self._shards == self._shard

    def forked(self) -> None:
        """This is a child that user code forked: what it inherited of SQLite is another process's, and stays unused."""
        if hasattr(self, "registry"):
            self.registry.disown()

    def _give_up(self) -> None:
        """Over the memory limit for good: another process begins with nothing."""
        self.log("error", "this process holds more than memory_mb in [dev] and does not let go of it", "")
        self.channel.flush()
        os._exit(MEMORY_EXIT_CODE)

    # --- the engine its actors stand on -----------------------------------------------------------------------
    @property
    def durable_epoch(self) -> int:
        epochs = self.commits.epochs
        return epochs.durable if epochs is not None else 0

    def index_put(self, key: ActorKey, alarm_ms: int | None, done: Callable[[str], None]) -> None:
        store = self.registry.store(key)
        is_new = store.is_new
        if is_new:
            store.keep_file()
        self.index.put(key, alarm_ms, done, new_file=is_new)

    def is_kv_only(self, namespace: str) -> bool:
        return namespace in self._kv_only

    def prepare_schema(self, actor: Actor, state: ActorState) -> None:
        self.schemas.prepare(actor, state)

    def runtime(self, actor: Actor) -> Runtime:
        return ActorRuntime(self, actor)

    def next_socket(self) -> int:
        self._sockets_made += 1
        return (self.number << 32) + self._sockets_made

    def begun(self, event: int) -> None:
        self.send(wire.Begun([event]))

    def own_file(self, file: str) -> str | None:
        return None if self.project is None else self.project.own_file(file)

    def carry(self, actor: Actor, result: Any) -> Any:
        return self.transport.transit.carry(actor, result)

    def actor_gone(self, actor: Actor) -> None:
        if actor.exports:
            self.transport.targets.home_gone(actor)
        self.registry.gone(actor)

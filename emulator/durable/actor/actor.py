"""One actor in memory: construct, deliver, reset, evict. How its turns end is for the output gate."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from threading import get_ident
from typing import Any, Protocol

from durable.actor.engine import Engine
from durable.actor.events import CallEvent, Event
from durable.actor.handlers import is_awaitable, is_plain, sent_back
from durable.actor.input_gate import CriticalSection
from durable.actor.output_gate import OutputGate
from durable.actor.pins import Pin, Waits, is_pinned, pins_of
from durable.actor.sockets import drop_sockets, hang_up_unanswered, leave_sockets
from durable.actor.state import ActorState, accept_socket
from durable.actor.timeline import record, record_event
from durable.actor.timers import ActorTimer
from durable.actor.turn import TurnDriver, aborted, actor_variable, section_variable
from durable.errors import ActorError, ActorResetError, DurableObjectAbort, OverloadedError
from durable.limits import MAILBOX_EVENTS_MAX, RUNNING_EVENTS_MAX
from durable.sdk.aliases import find_handler
from durable.sdk.runtime import runtime_variable
from durable.sdk.websocket import WebSocket
from durable.storage.actor_store import ActorStore
from durable.wire.messages import ActorKey, ErrorReport

_CALLS_INSIDE_CALLS_MAX = 16
"""How deep calls may run inside one another on the stack before the next one gets a task: actors may go in circles."""

_NO_CONTEXT = contextvars.Context()
"""Of an actor that is gone. Its own refers to it, and only the collector would find the two."""

_calls_inside_calls = 0

_DELETE_ALL_DELETES_ALARM = "2026-02-24"
"""Compatibility date from which `delete_all` takes the alarm with it (platform flag `delete_all_deletes_alarm`)."""


class Connection(Protocol):
    """A socket to the outside; it ends with the actor."""

    def drop(self) -> None: ...


class Activation:
    """What outlives an activation: `reset_by` is why it was reset; None while it lives and when it just went idle."""

    __slots__ = ("report", "reset_by")

    def __init__(self) -> None:
        self.reset_by: BaseException | None = None
        self.report: ErrorReport | None = None
        """What callers are told of a failed construction: the same for all of them, and not for free."""


class Actor(OutputGate):
    """One live activation of one id."""

    __slots__ = (
        "_class", "_context", "_env", "_events", "_starting", "_tasks", "_thread", "activation", "alarm_running",
        "alarm_touched", "connections", "constructing", "exports", "has_alarm_handler", "instance",
        "keeps_alarm_on_delete_all", "last_used", "retries_alarm", "timers", "waits",
    )  # fmt: skip

    def __init__(self, key: ActorKey, cls: Any, env: Any, engine: Engine, store: ActorStore) -> None:
        super().__init__(key, f"{cls.__name__} {_quoted(key)}", engine, store)
        self.instance: Any = None
        self.constructing = True
        """Until the first event is let in; an actor that is reset before has failed to be constructed."""
        self.activation = Activation()
        self.has_alarm_handler = find_handler(cls, "alarm") is not None
        self.keeps_alarm_on_delete_all = engine.compatibility_date < _DELETE_ALL_DELETES_ALARM
        self.last_used = engine.clock.monotonic()
        self.alarm_running = False
        self.alarm_touched = False
        self.retries_alarm = True
        """False when its code aborted it with `retry_alarm=False`."""
        self.timers: set[ActorTimer] = set()
        """Those of its code that are not due yet."""
        self.connections: dict[Connection, tuple[str, float]] = {}
        """Outgoing sockets that are open: where to, and when by the engine's clock they were opened."""
        self.exports = 0
        """Functions and RpcTargets of its code that others hold stubs of."""
        self.waits = Waits()
        self._class = cls
        self._env = env
        self._events: dict[Event, float] = {}
        """Delivered and not over, and when, in the order of their delivery: a drain gives them back in it."""
        self._starting = 0
        """Events whose task exists and has not run yet."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = get_ident()
        self._context = contextvars.copy_context()
        self._context.run(actor_variable.set, self)
        self._context.run(section_variable.set, None)
        self._context.run(runtime_variable.set, engine.runtime(self))

    # --- life -------------------------------------------------------------------------------------------------
    def construct(self) -> None:
        """Run the user's `__init__` as a turn of its own. A failure resets the actor; the next event tries again."""
        state = ActorState(self)
        began = self.engine.clock.monotonic()
        self.in_turn = True
        try:
            if self.store.exists:
                self.indexed_alarm = self.store.alarm.get()
            self.engine.prepare_schema(self, state)
            instance: Any = self._class.__new__(self._class)
            instance.ctx, instance.env = state, self._env
            self._context.run(instance.__init__, state, self._env)
        except BaseException as error:
            # SystemExit and KeyboardInterrupt too: a user's constructor does not end the host.
            record(self, "construct", began, error=error)
            with contextlib.suppress(AttributeError):
                error.durable_object_reset = True  # type: ignore[attr-defined]
            self.reset(aborted(error) if isinstance(error, DurableObjectAbort) else error)
            return
        record(self, "construct", began)
        if self.broken is None:
            self.instance = instance
            self.end_turn()
            # Before the event that waits, and behind all that the constructor has shut the gate for.
            self.gate.when_admitted(None, self._constructed)

    def _constructed(self) -> None:
        self.constructing = self.broken is not None

    def reset(self, error: BaseException) -> None:
        """Throw this activation away: its open turn is rolled back, everyone who waits for it gets `error`."""
        if self.broken is not None:
            return
        self._break(error)
        self.activation.reset_by = error
        drop_sockets(self)
        self.engine.actor_gone(self)
        unsaid, self.unsaid = self.unsaid, []
        for event in unsaid:
            event.settled = False
        for event in [*unsaid, *self._events]:
            self._settle(event, None, error)
        self._stop_tasks()

    def shut(self) -> None:
        """The host ends: none of the actor's code goes on, its open turn is lost, its sockets stay with the gateway."""
        if self.broken is None:
            self._break(ActorResetError("Durable Object reset because its code was updated."))
            # Nobody is answered: the gateway knows best what to tell who still waits.
            for event in [*self.unsaid, *self._events]:
                event.settled = True
            hang_up_unanswered(self)
            self._stop_tasks()

    def _break(self, error: BaseException) -> None:
        self.broken = error
        self.give_up()
        self.gate.committing = 0
        self._let_go()

    def _let_go(self) -> None:
        """Of the user's object and of what would still run its code: nothing keeps it in memory but the user's own."""
        self.instance = None
        self._context = _NO_CONTEXT
        for timer in list(self.timers):
            timer.cancel()
        for connection in list(self.connections):
            connection.drop()

    def _stop_tasks(self) -> None:
        loop = self.engine.loop
        current = asyncio.current_task(loop)
        for task in list(self._tasks):
            if task is current:
                # It is being stepped: it ends by itself now, or is cancelled where it waits next.
                loop.call_soon(task.cancel)
            else:
                task.cancel()
        self.gate.open_for_good()

    def check_thread(self) -> None:
        """Raises ActorError in a thread other than the actor's."""
        if get_ident() != self._thread:
            raise ActorError(
                "ctx, web sockets and stubs belong to the thread that runs the actor. Give asyncio.to_thread() only "
                "the computation, and use its result after the await"
            )

    def check_usable(self) -> None:
        """Raises what broke the actor, for code that outlived it, and in a thread other than the actor's."""
        self.check_thread()
        if self.broken is not None:
            raise ActorResetError(str(self.broken)) from self.broken

    def usable_store(self) -> ActorStore:
        if self.broken is not None:
            self.check_usable()
        return self.store

    def failed_in(self, method: str) -> str:
        """Where an event of this method failed: in the constructor, when that is why there is no actor."""
        return "__init__" if self.constructing and self.broken is not None else method

    @property
    def running_events(self) -> int:
        """Events delivered and not finished; a drain waits for these alone."""
        return len(self._events)

    @property
    def has_work(self) -> bool:
        """Whether any event or task of it is not over."""
        return bool(self._events or self._tasks)

    @property
    def is_pinned(self) -> bool:
        """Whether anything keeps it in memory: `pins()` says what."""
        return is_pinned(self)

    def pins(self) -> list[Pin]:
        """What keeps the actor in memory; empty when it can be evicted."""
        return pins_of(self)

    def delivered_events(self) -> list[tuple[Event, float]]:
        """Those that are not over, and when they came."""
        return list(self._events.items())

    def loose_tasks(self) -> list[asyncio.Task[Any]]:
        """Those that belong to no running event."""
        bound = {event.task for event in self._events}
        return [task for task in self._tasks if task not in bound]

    def evict(self) -> None:
        """Leave memory; sockets stay, and no code of the user's runs. Only for an actor that nothing pins."""
        self.broken = ActorResetError("this instance was evicted")
        self._let_go()
        if self._tasks:
            # Their windows are over; what they wait for may come much later, or never.
            self._stop_tasks()
        leave_sockets(self)
        self.engine.actor_gone(self)

    # --- events -----------------------------------------------------------------------------------------------
    def deliver(self, event: Event) -> None:
        """Start the event, or queue it behind the gate. Never raises: failures are the event's answer."""
        self.last_used = self.engine.clock.monotonic()
        if event.settled:
            return
        if event.can_be_turned_away and (
            self.gate.waiting >= MAILBOX_EVENTS_MAX or len(self._events) >= RUNNING_EVENTS_MAX
        ):
            event.settled = True
            event.fail(self, OverloadedError("Durable Object is overloaded. Too many requests queued."))
            return
        self._events[event] = self.last_used
        if self.instance is None and self.broken is None:
            self.construct()
        if self.broken is not None:
            self._settle(event, None, self.broken)
            return
        self.gate.when_admitted(None, partial(self._begin, event))

    def withdraw_waiting(self, kinds: tuple[type[Event], ...]) -> list[Event]:
        """Events of these kinds that were delivered but have not begun; they are forgotten here."""
        waiting = [event for event in self._events if event.task is None and isinstance(event, kinds)]
        for event in waiting:
            event.settled = True
            self._events.pop(event, None)
        return waiting

    def _begin(self, event: Event) -> object:
        """Returns whose step comes next for the event; None when nothing of it is left to run."""
        if event.settled or self.broken is not None:
            self._events.pop(event, None)
            return None
        event.begin(self)
        if not (isinstance(event, CallEvent) and self._call_at_once(event)):
            self._start_task(event, event.run)
        return None if event.task is None else event.task.get_coro()

    def _start_task(self, event: Event, run: Callable[[Actor], Awaitable[Any]]) -> None:
        self._starting += 1
        task: asyncio.Task[Any] = asyncio.Task(
            TurnDriver(self._run(event, run), self, None, is_event=True),
            loop=self.engine.loop,
            context=self._context.copy(),
        )
        event.task = task
        self._tasks.add(task)
        # Not in a `finally` of the coroutine: a task that is cancelled before its first step never enters it.
        task.add_done_callback(partial(self._event_over, event))

    def _event_over(self, event: Event, task: asyncio.Task[Any]) -> None:
        if not event.started:
            self._starting -= 1
        self._tasks.discard(task)
        began = self._events.pop(event, None)
        if began is not None and self.broken is None:  # whoever asked has gone away
            record(self, event.kind, began, event.summary(), asyncio.CancelledError())
        self.last_used = self.engine.clock.monotonic()

    def _call_at_once(self, event: CallEvent) -> bool:
        """Run a method that cannot suspend here and now, as a whole turn; False when it needs a task.

        A task costs more than most methods. Order is kept: not while an earlier event has a task that has not run yet.
        """
        global _calls_inside_calls
        if self._starting or self.in_turn or self.letting_out or _calls_inside_calls >= _CALLS_INSIDE_CALLS_MAX:
            return False
        try:
            method = event.find(self)
        except TypeError:
            return False
        if not is_plain(method):
            return False
        _calls_inside_calls += 1
        self.in_turn = True
        try:
            result = self._context.copy().run(method, *event.args, **event.kwargs)
            if is_awaitable(result):
                self._start_task(event, lambda _: self._sent_back(event, method, result))
            else:
                self._settle(event, sent_back(self, event.label, method, result), None)
        except DurableObjectAbort as error:
            self.reset(aborted(error))
        except BaseException as error:
            self._settle(event, None, error)
        finally:
            self.end_turn()
            _calls_inside_calls -= 1
        return True

    async def _sent_back(self, event: CallEvent, method: Any, result: Awaitable[Any]) -> Any:
        return sent_back(self, event.label, method, await result)

    async def _run(self, event: Event, run: Callable[[Actor], Awaitable[Any]]) -> None:
        self._starting -= 1
        event.started = True
        try:
            result = await run(self)
        except DurableObjectAbort as error:
            self.reset(aborted(error))
        except asyncio.CancelledError as error:
            if not event.settled and self.broken is None:
                self._settle(event, None, error)
            raise
        except BaseException as error:
            self._settle(event, None, error)
        else:
            self._settle(event, result, None)

    def _settle(self, event: Event, result: Any, error: BaseException | None) -> None:
        began = self._events.pop(event, None)
        if event.settled:
            return
        event.settled = True
        if began is not None:
            record_event(self, event, began, error)
        if error is None:
            try:
                event.succeed(self, result)
            except Exception as refused:
                # A result that cannot be handed over, such as a response that was used up before.
                error = refused
        if error is not None:
            event.fail(self, error)
        if self.outbox:
            self.unsaid.append(event)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """A task of this actor: it pins the actor, and a reset cancels it."""
        self._tasks.add(task)
        task.add_done_callback(self._task_over)

    def _task_over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self.waits.forget(task)
        self.last_used = self.engine.clock.monotonic()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
        """A task of this actor for work that belongs to no single event, such as a streamed body."""
        return self.engine.loop.create_task(work, name=name, context=self.new_context())

    def new_context(self, section: CriticalSection | None = None) -> contextvars.Context:
        """What a new task of this actor starts with."""
        context = self._context.copy()
        if section is not None:
            context.run(section_variable.set, section)
        return context

    # --- sockets ----------------------------------------------------------------------------------------------
    def accept_socket(self, ws: WebSocket, tags: list[str], *, hibernatable: bool) -> None:
        self.check_usable()
        accept_socket(self, ws, tags, hibernatable=hibernatable, number=self.engine.next_socket())


def _quoted(key: ActorKey) -> str:
    return f'"{key.name}"' if key.name is not None else key.id[:8]

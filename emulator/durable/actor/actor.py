"""One actor in memory: construct, deliver, commit at the end of each turn, let out what may go, reset, evict."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from threading import get_ident
from typing import Any

from durable import values
from durable.actor.engine import Engine
from durable.actor.events import CallEvent, Event
from durable.actor.handlers import find_method, is_awaitable, is_plain
from durable.actor.input_gate import CriticalSection, InputGate
from durable.actor.state import ActorState, accept_socket
from durable.actor.turn import TurnDriver, actor_variable, section_variable
from durable.errors import ActorError, ActorResetError, DurableObjectAbort, OverloadedError, StorageError
from durable.limits import MAILBOX_EVENTS_MAX
from durable.sdk.aliases import find_handler
from durable.sdk.runtime import runtime_variable
from durable.sdk.websocket import WebSocket
from durable.storage.actor_store import ActorStore
from durable.storage.database import Database
from durable.wire.messages import ActorKey, IndexPut, SetAutoResponse, SocketClose

Output = Callable[[int], None]
"""Lets one thing out, told the epoch it reveals; 0 when all of it is durable already."""

_CALLS_INSIDE_CALLS_MAX = 16
"""How deep calls may run inside one another on the stack before the next one gets a task: actors may go in circles."""

_calls_inside_calls = 0

_DELETE_ALL_DELETES_ALARM = "2026-02-24"
"""Compatibility date from which `delete_all` takes the alarm with it (platform flag `delete_all_deletes_alarm`)."""


class Actor:
    """One live activation of one id."""

    def __init__(self, key: ActorKey, cls: Any, env: Any, engine: Engine, store: ActorStore) -> None:
        self.key = key
        self.engine = engine
        self.store = store
        self.gate = InputGate(engine.loop)
        self.label = f"{cls.__name__} {_quoted(key)}"
        self.instance: Any = None
        self.broken: BaseException | None = None
        self.has_alarm_handler = find_handler(cls, "alarm") is not None
        self.keeps_alarm_on_delete_all = engine.compatibility_date < _DELETE_ALL_DELETES_ALARM
        self.last_used = engine.clock.monotonic()

        self.in_turn = False
        self.dirty = False
        self.held = False
        """A tool's thread is using the connection."""
        self.transactions = 0
        self.outbox: list[Output] = []
        self.epoch = 0
        self.alarm_running = False
        self.alarm_touched = False

        self._class = cls
        self._env = env
        self._events: dict[Event, None] = {}
        """Delivered and not over, in the order of their delivery: a drain gives them back in it."""
        self._letting_out = False
        self._starting = 0
        """Events whose task exists and has not run yet."""
        self._unsaid: list[Event] = []
        """Events whose answers are in the outbox: a failed commit takes them back."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._indexed_alarm: int | None = None
        self._alarm_epoch = 0
        self._written: Database | None = None
        self._thread = get_ident()
        self._context = contextvars.copy_context()
        self._context.run(actor_variable.set, self)
        self._context.run(section_variable.set, None)
        self._context.run(runtime_variable.set, engine.runtime(self))

    # --- life -------------------------------------------------------------------------------------------------
    def construct(self) -> None:
        """Run the user's `__init__` as a turn of its own. A failure resets the actor; the next event tries again."""
        state = ActorState(self)
        self.in_turn = True
        try:
            if self.store.exists:
                self._indexed_alarm = self.store.alarm.get()
            instance: Any = self._class.__new__(self._class)
            instance.ctx, instance.env = state, self._env
            self._context.run(instance.__init__, state, self._env)
        except DurableObjectAbort as error:
            self.reset(aborted(error))
            return
        except BaseException as error:
            # SystemExit and KeyboardInterrupt too: a user's constructor does not end the host.
            with contextlib.suppress(AttributeError):
                error.durable_object_reset = True  # type: ignore[attr-defined]
            self.reset(error)
            return
        if self.broken is None:
            self.instance = instance
            self.end_turn()

    def reset(self, error: BaseException) -> None:
        """Throw this activation away: its open turn is rolled back, everyone who waits for it gets `error`."""
        if self.broken is not None:
            return
        self._break(error)
        sockets = self.engine.sockets
        for record in sockets.of(self.key.id):
            sockets.forget(record)
            self.engine.send(SocketClose(record.socket, 1006, "", 0))
        if sockets.auto_response(self.key.id) is not None:
            sockets.set_auto_response(self.key.id, None)
            self.engine.send(SetAutoResponse(self.key, None, None, 0))
        self.engine.actor_gone(self)
        unsaid, self._unsaid = self._unsaid, []
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
            for event in [*self._unsaid, *self._events]:
                event.settled = True
            self._stop_tasks()

    def _break(self, error: BaseException) -> None:
        self.broken = error
        self.in_turn = False
        self.dirty = False
        self.outbox.clear()
        self.transactions = 0
        self.gate.committing = 0
        if not self.held:
            self.store.rollback()

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

    @property
    def running_events(self) -> int:
        """Events delivered and not finished; a drain waits for these alone."""
        return len(self._events)

    def pins(self) -> list[str]:
        """What keeps the actor in memory, in words; empty when it can be evicted."""
        found: list[str] = []
        if self._events:
            found.append(f"{len(self._events)} running or waiting events")
        if len(self._tasks) > len(self._events):
            found.append(f"{len(self._tasks) - len(self._events)} tasks")
        if self.gate.committing or self.dirty or self.outbox:
            found.append("an open commit")
        standing = sum(not record.hibernatable for record in self.engine.sockets.of(self.key.id))
        if standing:
            found.append(f"{standing} accept()ed web sockets")
        return found

    def evict(self) -> None:
        """Leave memory; sockets stay. Only for an actor that nothing pins."""
        self.broken = ActorResetError("this instance was evicted")
        self.engine.sockets.forget_objects(self.key.id)
        self.engine.actor_gone(self)

    # --- events -----------------------------------------------------------------------------------------------
    def deliver(self, event: Event) -> None:
        """Start the event, or queue it behind the gate. Never raises: failures are the event's answer."""
        self.last_used = self.engine.clock.monotonic()
        if event.settled:
            return
        if self.gate.waiting >= MAILBOX_EVENTS_MAX:
            event.settled = True
            event.fail(self, OverloadedError("Durable Object is overloaded. Too many requests queued."))
            return
        self._events[event] = None
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

    def _begin(self, event: Event) -> None:
        if event.settled or self.broken is not None:
            self._events.pop(event, None)
            return
        event.begin(self)
        if isinstance(event, CallEvent) and self._call_at_once(event):
            return
        self._start_task(event, event.run)

    def _start_task(self, event: Event, run: Callable[[Actor], Awaitable[Any]]) -> None:
        self._starting += 1
        task: asyncio.Task[Any] = asyncio.Task(
            TurnDriver(self._run(event, run), self, None), loop=self.engine.loop, context=self._context.copy()
        )
        event.task = task
        self._tasks.add(task)
        # Not in a `finally` of the coroutine: a task that is cancelled before its first step never enters it.
        task.add_done_callback(partial(self._event_over, event))

    def _event_over(self, event: Event, task: asyncio.Task[Any]) -> None:
        if not event.started:
            self._starting -= 1
        self._tasks.discard(task)
        self._events.pop(event, None)
        self.last_used = self.engine.clock.monotonic()

    def _call_at_once(self, event: CallEvent) -> bool:
        """Run a method that cannot suspend here and now, as a whole turn; False when it needs a task.

        A task costs more than most methods. Order is kept: not while an earlier event has a task that has not run yet.
        """
        global _calls_inside_calls
        if self._starting or self.in_turn or self._letting_out or _calls_inside_calls >= _CALLS_INSIDE_CALLS_MAX:
            return False
        try:
            method = find_method(self, event.label)
        except TypeError:
            return False
        if not is_plain(method):
            return False
        _calls_inside_calls += 1
        self.in_turn = True
        try:
            result = self._context.copy().run(method, *event.args, **event.kwargs)
            if is_awaitable(result):
                self._start_task(event, lambda _: _copied(result))
            else:
                self._settle(event, values.copy(result), None)
        except DurableObjectAbort as error:
            self.reset(aborted(error))
        except BaseException as error:
            self._settle(event, None, error)
        finally:
            self.end_turn()
            _calls_inside_calls -= 1
        return True

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
        self._events.pop(event, None)
        if event.settled:
            return
        event.settled = True
        if error is None:
            try:
                event.succeed(self, result)
            except Exception as refused:
                # A result that cannot be handed over, such as a response that was used up before.
                error = refused
        if error is not None:
            if isinstance(error, StorageError) and error.critical:
                # Storage refuses everything until a reset; the end of the turn looks at it and resets.
                self.dirty = True
            event.fail(self, error)
        if self.outbox:
            self._unsaid.append(event)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """A task of this actor: it pins the actor, and a reset cancels it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this actor for work that belongs to no single event, such as a streamed body."""
        return self.engine.loop.create_task(work, context=self.new_context())

    def new_context(self, section: CriticalSection | None = None) -> contextvars.Context:
        """What a new task of this actor starts with."""
        context = self._context.copy()
        if section is not None:
            context.run(section_variable.set, section)
        return context

    # --- turns and commits ------------------------------------------------------------------------------------
    def first_write(self) -> None:
        """The store opened the implicit transaction. Outside a turn (a loop callback) the write gets its own turn."""
        self.dirty = True
        if not self.in_turn:
            self.engine.loop.call_soon(self.end_turn)

    def end_turn(self) -> None:
        """Nothing of the actor runs now: commit what it wrote, then let out what it said."""
        self.in_turn = False
        if self.transactions or self.gate.committing:
            return
        if self.dirty:
            self._commit()
        elif self.outbox:
            self._let_out()

    def emit(self, output: Output) -> None:
        """Say something to the outside: after this turn's commit, marked with the epoch it reveals."""
        if self.is_between_turns:
            output(self._revealed())
        else:
            self.outbox.append(output)

    def emit_request(self, output: Output) -> None:
        """Say something the actor waits for. Inside a transaction it leaves at once, or the commit would never come."""
        if self.transactions and not self.gate.committing:
            output(self._revealed())
        else:
            self.emit(output)

    def _commit(self) -> None:
        store = self.store
        try:
            alarm = store.alarm_now
            earlier = alarm is not None and (self._indexed_alarm is None or alarm < self._indexed_alarm)
            if store.is_new or earlier:
                # The index must not sleep past the alarm, nor miss the object, if we die between the two files.
                self.gate.begin_commit()
                self.engine.index_put(self.key, alarm, partial(self._indexed, alarm))
                return
        except StorageError as error:
            self.reset(ActorResetError(str(error)))
            return
        self._finish_commit(alarm)

    def _indexed(self, alarm: int | None, error: str) -> None:
        if self.broken is not None:
            return
        if error:
            self.reset(ActorResetError(f"the index of objects could not be written: {error}"))
            return
        self._indexed_alarm = alarm
        self._finish_commit(alarm)
        if self.broken is None:
            self.gate.end_commit()

    def _finish_commit(self, alarm: int | None) -> None:
        store = self.store
        try:
            if not store.commit():
                self.dirty = False
                self._let_out()
                return
        except StorageError as error:
            self.reset(ActorResetError(f"Durable Object was reset: {error}"))
            return
        self.dirty = False
        self.epoch = epoch = self.engine.commit(store)
        self._written = store.database
        if alarm != self._indexed_alarm:
            self._alarm_epoch = epoch
            self.when_durable(epoch, partial(self._index_later_alarm, epoch, alarm))
        self._let_out()

    def _index_later_alarm(self, epoch: int, alarm: int | None) -> None:
        # A newer change of the alarm speaks for itself, the next activation's too; an older one must not overwrite it.
        if epoch == self._alarm_epoch and alarm != self._indexed_alarm and self.store.alarm.now == alarm:
            self._indexed_alarm = alarm
            self.engine.send(IndexPut(0, self.key, alarm))

    def _let_out(self) -> None:
        outbox, self.outbox = self.outbox, []
        self._unsaid.clear()
        epoch = self._revealed()
        # A call that comes back here meanwhile must not speak before the rest of this is said.
        self._letting_out = True
        for output in outbox:
            try:
                output(epoch)
            except Exception as error:
                # A bug of ours in one output must not swallow the others.
                self.engine.log_failure(error, self.label, "output")
        self._letting_out = False

    def _revealed(self) -> int:
        return self.epoch if self.epoch > self.engine.durable_epoch else 0

    @property
    def is_between_turns(self) -> bool:
        """Whether nothing is open: no turn, no transaction, no commit under way."""
        return not (self.in_turn or self.dirty or self.transactions or self.gate.committing)

    def hold(self) -> None:
        """Keep every turn out while a tool's thread uses the actor's connection; only between turns."""
        self.held = True
        self.gate.begin_commit()

    def release(self, epoch: int = 0) -> None:
        """Let turns in again; `epoch` is that of what the tool wrote."""
        self.held = False
        self.epoch = max(self.epoch, epoch)
        if self.broken is None:
            self.gate.end_commit()
            self.end_turn()
        else:
            self.store.rollback()

    def committed_alarm(self) -> int | None:
        """The alarm's row as it stands after a reset."""
        return self.store.alarm.get() if self.store.exists else None

    def when_durable(
        self, epoch: int, then: Callable[[], None], lost: Callable[[BaseException], None] | None = None
    ) -> None:
        """Call `then` once `epoch` is on disk; `lost` instead when the disk refused this actor's part of it."""
        if epoch == 0:
            then()
            return
        written = self._written

        def over() -> None:
            failure = written.sync_error if written is not None else None
            if failure is None:
                then()
            elif lost is not None:
                lost(failure)

        self.engine.when_durable(epoch, over)

    def wait_durable(self) -> Awaitable[None]:
        """A future that is done when everything written so far is on disk; inside a transaction, everything before."""
        self.check_usable()
        future: asyncio.Future[None] = self.engine.loop.create_future()

        def done() -> None:
            if not future.done():
                future.set_result(None)

        def lost(_: BaseException) -> None:
            future.cancel()

        self.emit_request(lambda epoch: self.when_durable(epoch, done, lost))
        return future

    # --- transactions ------------------------------------------------------------------------------------------
    def begin_transaction(self) -> str:
        """Open an explicit transaction; turns end without a commit until it is over."""
        name = self.usable_store().savepoint()
        self.transactions += 1
        return name

    def end_transaction(self, name: str, *, keep: bool) -> None:
        if self.broken is not None:
            return
        self.transactions -= 1
        if keep:
            self.store.release(name)
        else:
            self.store.rollback_to(name)
        self.dirty = self.store.in_transaction

    # --- sockets ----------------------------------------------------------------------------------------------
    def accept_socket(self, ws: WebSocket, tags: list[str], *, hibernatable: bool) -> None:
        self.check_usable()
        accept_socket(self, ws, tags, hibernatable=hibernatable, number=self.engine.next_socket())


async def _copied(result: Awaitable[Any]) -> Any:
    return values.copy(await result)


def aborted(error: DurableObjectAbort) -> ActorResetError:
    """What the callers of an actor see that ended itself."""
    return ActorResetError(str(error) or "Application called abort() to reset Durable Object.")


def _quoted(key: ActorKey) -> str:
    return f'"{key.name}"' if key.name is not None else key.id[:8]

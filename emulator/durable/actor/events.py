"""What can be delivered into an actor: each event knows how it runs there and how its end is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from durable.actor.failure import is_the_disks, with_arguments
from durable.actor.handlers import call_relaxed, find_function, find_method, maybe_await, sent_back
from durable.actor.socket_delivery import arguments_of, deliver
from durable.actor.standstill import Limit
from durable.actor.timeline import path_of, shortened
from durable.errors import ActorResetError, SqlError, StorageError
from durable.failpoints import failpoint
from durable.limits import ALARM_HANDLER_SECONDS
from durable.sdk.alarm import AlarmInfo
from durable.sdk.aliases import find_handler
from durable.sdk.http import Request, Response
from durable.wire.messages import AlarmDue, AlarmReply, Done, SocketClosed, SocketFailed, SocketMessage

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.sdk.rpc import RpcStub

Settle = Callable[["Actor", Any, BaseException | None], None]
"""Called once, in the turn that ends the event: `(actor, result, None)` or `(actor, None, error)`."""


class Event:
    """One delivery. `settled` events are over: their answer is out, or nobody wants it any more."""

    __slots__ = ("settled", "started", "task")
    label = "event"
    kind = "event"
    """The word for it in the timeline."""
    caller: Actor | None = None
    """The actor of this host that asked for it."""
    can_be_turned_away = False
    """Whether somebody waits who can be told that the actor is overloaded."""

    def __init__(self) -> None:
        self.settled = False
        self.started = False
        self.task: asyncio.Task[Any] | None = None

    def begin(self, actor: Actor) -> None:
        """Called right before the event's task is created."""

    def summary(self) -> str:
        """What the timeline says of it."""
        return self.label

    async def run(self, actor: Actor) -> Any:
        raise NotImplementedError

    def succeed(self, actor: Actor, result: Any) -> None:
        raise NotImplementedError

    def fail(self, actor: Actor, error: BaseException) -> None:
        raise NotImplementedError

    def cancel(self) -> None:
        """Nobody waits for this event any more; a turn that runs is finished first."""
        self.settled = True
        if self.task is not None:
            self.task.cancel()


class CallEvent(Event):
    """An RPC call. The result is copied in the turn that returned it."""

    __slots__ = ("args", "caller", "kwargs", "label", "settle", "stubs", "target")
    kind = "call"
    can_be_turned_away = True

    def __init__(
        self,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        settle: Settle,
        caller: Actor | None = None,
        target: Any = None,
        stubs: Sequence[RpcStub] = (),
    ) -> None:
        """`target` is a function or an RpcTarget of the actor's, which is called instead; `stubs` end with the call."""
        super().__init__()
        self.label = method
        self.caller = caller
        self.target = target
        self.stubs = stubs
        self.args = args
        self.kwargs = kwargs
        self.settle = settle

    def summary(self) -> str:
        return shortened(self.label or "a function")

    def find(self, actor: Actor) -> Any:
        """What is called; raises TypeError when there is no such thing."""
        if self.target is None:
            return find_method(actor.instance, self.label)
        return find_function(self.target, self.label)

    async def run(self, actor: Actor) -> Any:
        method = self.find(actor)
        return sent_back(actor, self.label, method, await maybe_await(method(*self.args, **self.kwargs)))

    def succeed(self, actor: Actor, result: Any) -> None:
        if self.stubs:
            self._over()
        self.settle(actor, result, None)

    def fail(self, actor: Actor, error: BaseException) -> None:
        if self.stubs:
            self._over()
        if actor.broken is None:
            with_arguments(error, self.args, self.kwargs)
        self.settle(actor, None, error)

    def _over(self) -> None:
        for stub in self.stubs:
            stub.dispose()


class FetchEvent(Event):
    """An HTTP request to the actor."""

    __slots__ = ("caller", "request", "settle")
    label = kind = "fetch"
    can_be_turned_away = True

    def __init__(self, request: Request, settle: Settle, caller: Actor | None = None) -> None:
        super().__init__()
        self.request = request
        self.settle = settle
        self.caller = caller

    def summary(self) -> str:
        return path_of(self.request.method, self.request.url)

    async def run(self, actor: Actor) -> Any:
        handler = find_handler(actor.instance, "fetch")
        if handler is None:
            raise TypeError(f"{type(actor.instance).__name__} has no fetch() method")
        response = await maybe_await(call_relaxed(handler, self.request))
        if not isinstance(response, Response):
            raise TypeError(f"fetch() must return a Response, got {type(response).__name__}")
        return response

    def succeed(self, actor: Actor, result: Any) -> None:
        self.settle(actor, result, None)

    def fail(self, actor: Actor, error: BaseException) -> None:
        if actor.broken is None:
            with_arguments(error, (self.request,))
        self.settle(actor, None, error)


class AlarmEvent(Event):
    """A due alarm. The actor's own row decides whether it really is (`AlarmReply` names the outcomes)."""

    __slots__ = ("_limit", "due", "row")
    label = kind = "alarm"

    def __init__(self, due: AlarmDue) -> None:
        super().__init__()
        self.due = due
        self.row: int | None = due.scheduled_ms
        """What the actor's row said when the run began."""
        self._limit: Limit | None = None

    def summary(self) -> str:
        return f"retry {self.due.retry_count}" if self.due.retry_count else ""

    async def run(self, actor: Actor) -> Any:
        due = self.due
        actor.alarm_touched = False
        self.row = row = actor.store.alarm.get() if actor.store.exists else None
        if row is None or (due.retry_count and row != due.scheduled_ms):
            # Tries that another alarm has used up are not this one's.
            return "stale"
        # A retry has been due before: it waits for a duration, whatever the wall clock says by now.
        if row > actor.engine.clock.wall_ms() and not (due.forced or due.retry_count):
            return "stale"
        handler = find_handler(actor.instance, "alarm")
        if handler is None:
            actor.store.alarm.delete()
            actor.engine.log("warning", "an alarm was due, but the class has no alarm() method: dropped", actor.label)
            return "missing"
        actor.alarm_running = True
        # A reset, not a cancellation, which the handler could swallow; and no critical section holds it up.
        overdue = ActorResetError("Alarm exceeded its allowed execution time")
        self._limit = Limit(actor.engine.loop, ALARM_HANDLER_SECONDS, actor.reset, overdue)
        failpoint("alarm.begun")
        await maybe_await(call_relaxed(handler, AlarmInfo(due.retry_count, row)))
        failpoint("alarm.handled")
        # In the handler's own last turn, so that the alarm goes with the writes that it caused.
        if not actor.alarm_touched:
            actor.store.alarm.delete()
            failpoint("alarm.cleared")
        return "done"

    def succeed(self, actor: Actor, result: Any) -> None:
        self._reply(actor, result)

    def fail(self, actor: Actor, error: BaseException) -> None:
        if self.due.retry_count and actor.broken is None:
            with_arguments(error, (), {"retry_count": self.due.retry_count})
        actor.engine.log_failure(error, actor.label, actor.failed_in("alarm"))
        cause = error.__cause__ if isinstance(error, ActorResetError) else None
        if cause is not None:
            # A commit that was refused: with a code of SQLite's, for what the actor wrote; else it was not for that.
            is_ours = is_the_disks(cause, is_open=isinstance(cause, SqlError))
        else:
            is_ours = is_the_disks(error, is_open=actor.store.is_open)
        self._reply(actor, "failed", counted=not is_ours)

    def _reply(self, actor: Actor, outcome: str, *, counted: bool = True) -> None:
        if self._limit is not None:
            self._limit.cancel()
        due, replaced = self.due, actor.alarm_touched and outcome == "failed"
        retried = actor.retries_alarm or not actor.alarm_running
        actor.alarm_running = False
        try:
            row = actor.committed_alarm() if actor.broken is not None else actor.store.alarm.get()
        except StorageError:
            # The reset that this leads to brings the last commit back.
            row, replaced = self.row, False
        if actor.broken is not None:
            # The reset may have undone what the handler did to the alarm.
            replaced = replaced and row != self.row
        if outcome == "failed" and not replaced and row is None and actor.store.exists:
            # A constructor that fails, asked for an alarm that is over: there is nothing to try again.
            outcome = "stale"
        actor.emit(lambda epoch: actor.engine.send(AlarmReply(due.id, epoch, outcome, row, replaced, counted, retried)))


class SocketEvent(Event):
    """A message, close or error of a hibernatable socket, or of one accepted in memory."""

    __slots__ = ("label", "message")
    kind = "socket"

    def __init__(self, message: SocketMessage | SocketClosed | SocketFailed) -> None:
        super().__init__()
        self.message = message
        self.label = {
            SocketMessage: "web_socket_message",
            SocketClosed: "web_socket_close",
            SocketFailed: "web_socket_error",
        }[type(message)]

    def summary(self) -> str:
        message = self.message
        if isinstance(message, SocketMessage):
            if message.text is not None:
                return f"message of {len(message.text)} characters"
            return f"message of {len(message.binary or b'')} bytes"
        return f"close {message.code}" if isinstance(message, SocketClosed) else "error"

    def begin(self, actor: Actor) -> None:
        actor.engine.begun(self.message.event)

    async def run(self, actor: Actor) -> Any:
        await deliver(actor, self.message)

    def succeed(self, actor: Actor, result: Any) -> None:
        event = self.message.event
        actor.emit(lambda epoch: actor.engine.send(Done([event], epoch)))

    def fail(self, actor: Actor, error: BaseException) -> None:
        # The handler's failure is logged; the socket stays open, as on the platform.
        if not isinstance(error, ActorResetError):
            with_arguments(error, (), arguments_of(self.message))
            actor.engine.log_failure(error, actor.label, actor.failed_in(self.label))
        self.succeed(actor, None)

"""One host as the gateway sees it: requests and their answers, body streams, and nothing that is not durable yet.

A link owns the channel. It knows no HTTP, no client socket and no placement: other rooms register for the messages they
understand with `on()` and see only what the output gate has released. A host is not trusted: whatever it says can break
its own link, never the gateway.
"""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Callable
from typing import Any, TypeVar, cast

from msgspec import Struct

from durable.errors import ActorError, HostGoneError, ReloadingError, WireError
from durable.gateway.asking import Waiting, unload
from durable.gateway.events import GatewayFault, OnEvent
from durable.gateway.streams import Bodies, BodyReader
from durable.gateway.withheld import GATED, Gated, SocketOwner, Withheld, failed_epoch_filter, unknown_owner
from durable.wire.channel import Channel
from durable.wire.messages import (
    AlarmDue,
    AlarmGiveUp,
    AlarmReply,
    BodyChunk,
    BodyCredit,
    BodyEnd,
    Call,
    CallReply,
    Cancel,
    Closed,
    CopyObject,
    DeleteObject,
    EpochDurable,
    EpochFailed,
    ErrorReport,
    Evict,
    EvictAll,
    Failed,
    FromHost,
    HttpReply,
    HttpRequest,
    Inspect,
    InspectMany,
    InspectReply,
    Look,
    LookMany,
    Message,
    MigrateObject,
    Recall,
    ReplaceObject,
    Restore,
    RunScheduled,
)
from durable.wire.progress import Progress

Question = (
    HttpRequest | Call | AlarmDue | AlarmGiveUp | Inspect | Evict | EvictAll | Look | Recall | Restore | MigrateObject
    | RunScheduled | LookMany | CopyObject | ReplaceObject | DeleteObject
    | InspectMany
)  # fmt: skip
Reply = HttpReply | CallReply | Failed | AlarmReply | InspectReply

M = TypeVar("M", bound=Message)

STORAGE_FAILED = ErrorReport(
    type="ActorResetError",
    message="Durable Object storage operation failed, which caused the object to be reset; "
    "what it wrote in this event is not stored.",
    module="durable.errors",
    qualname="ActorResetError",
    flags=["durable_object_reset"],
)
"""What callers see when the writes behind their answer could not be made durable."""


class LinkStatistics(Struct, frozen=True):
    """One host in numbers."""

    requests: int
    pending: int
    withheld: int
    durable: int
    bodies: int


class HostLink:
    """Messages to and from one host process, between its start and its reaped end."""

    def __init__(
        self,
        channel_socket: socket.socket,
        host_number: int,
        shard: int,
        *,
        on_event: OnEvent,
        on_ended: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """`on_ended` hears that the channel closed: None for end of stream, an error for a broken protocol."""
        self.host_number = host_number
        self.shard = shard
        self.on_ended = on_ended
        self.unclaimed: Callable[[HttpReply], None] | None = None
        """Told of a reply that hands over a socket to an asker who has gone."""
        self.socket_owner: SocketOwner = unknown_owner
        """Which actor holds a client socket; asked only when an epoch fails."""
        self.closed_in_order = False
        self.is_lost = False
        self.is_silent = False
        """It has not answered for a while: whoever can turn to another host should."""
        self.progress: Progress | None = None
        """What the host shares of the requests that it has begun."""
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._withheld = Withheld()
        self._pending: dict[int, tuple[asyncio.Future[Reply] | Waiting[Reply], Question]] = {}
        self._death = ""
        self._last_id = 0
        self._lost_callbacks: list[Callable[[], None]] = []
        self._channel: Channel[Message] = Channel(
            channel_socket, FromHost, on_messages=self._deliver, on_closed=self._ended, loop=self._loop
        )
        self.send = self._channel.send
        """Queue one message; everything queued in one turn of the loop leaves together."""
        self.flush = self._channel.flush
        self.drain = self._channel.drain
        self.bodies = Bodies(self.send)
        self._handlers: dict[type, Callable[[Any], None]] = {
            HttpReply: self._answered,
            CallReply: self._answered,
            Failed: self._answered,
            AlarmReply: self._answered,
            InspectReply: self._answered,
            EpochDurable: self._epoch_durable,
            EpochFailed: self._epoch_failed,
            BodyChunk: self.bodies.chunk,
            BodyEnd: self.bodies.end,
            BodyCredit: self.bodies.credit,
            Closed: self._closed,
        }

    # --- for the other rooms ------------------------------------------------------------------------------------------
    @property
    def durable(self) -> int:
        """The host's last durable epoch."""
        return self._withheld.durable

    @property
    def in_flight(self) -> int:
        """Requests that the host has not answered."""
        return len(self._pending)

    def on(self, kind: type[M], handler: Callable[[M], None]) -> None:
        """Have every message of one kind once it may be seen; a later handler replaces an earlier one.

        For `Closed` and `EpochDurable` the link does its own part first. Answers and bodies are the link's alone.
        """
        if issubclass(kind, (Closed, EpochDurable)):
            self._handlers[kind] = _both(self._closed if issubclass(kind, Closed) else self._epoch_durable, handler)
        else:
            self._handlers[kind] = handler

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call back once when the process is gone and everything it still said has been delivered."""
        self._lost_callbacks.append(callback)

    async def request(self, question: Callable[[int], Question]) -> Reply:
        """Ask with a fresh id and wait for the answer, which comes only when what it reveals is durable.

        `Failed` is returned, not raised. Raises `HostGoneError`, or `ReloadingError` when the host ended because it was
        replaced, and `WireError` for a question that cannot be encoded. Cancelling tells the host.
        """
        if self.is_lost:
            raise self._gone(begun=False)
        self._last_id += 1
        identity = self._last_id
        message = question(identity)
        self.send(message)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._pending[identity] = (future, message)
        try:
            return await future
        except asyncio.CancelledError:
            if self._pending.pop(identity, None) is not None:
                self.send(Cancel(identity))
            elif not future.cancelled() and future.exception() is None:
                self.discard(future.result())
            raise

    def ask(
        self,
        question: Callable[[int], Question],
        on_answer: Callable[[Reply], None],
        on_gone: Callable[[ActorError], None],
    ) -> int:
        """As `request`, without a task: one of the two is called, unless `withdraw` comes first."""
        self._last_id += 1
        identity = self._last_id
        message = question(identity)
        self.send(message)
        self._pending[identity] = (Waiting(on_answer, on_gone), message)
        return identity

    def withdraw(self, identity: int) -> None:
        if self._pending.pop(identity, None) is not None:
            self.send(Cancel(identity))

    @property
    def reads(self) -> int:
        """Grows whenever the host says anything."""
        return self._channel.reads

    @property
    def unsent_bytes(self) -> int:
        """What the host has not read yet."""
        return self._channel.unsent_bytes

    def reply_body(self, reply: HttpReply) -> BodyReader:
        """The body that a reply announced, collecting since the reply came: read it to its end or cancel it."""
        return self.body(reply.stream)

    def body(self, stream: int) -> BodyReader:
        return self.bodies.reader(stream) or self.bodies.expect(stream)

    def unload(self, message: Message) -> None:
        if isinstance(message, (Call, CallReply)) and message.luggage is not None:
            unload(message.luggage, self.host_number, self.bodies, self.send)

    def discard(self, reply: Reply) -> None:
        """Nobody wants this answer: stop its body and give its socket and its stubs back."""
        self.unload(reply)
        if isinstance(reply, HttpReply):
            if reply.stream and (reader := self.bodies.reader(reply.stream)) is not None:
                reader.cancel()
            if reply.socket and self.unclaimed is not None:
                self.unclaimed(reply)

    def statistics(self) -> LinkStatistics:
        return LinkStatistics(
            requests=self._last_id,
            pending=len(self._pending),
            withheld=len(self._withheld),
            durable=self._withheld.durable,
            bodies=len(self.bodies),
        )

    # --- the end ------------------------------------------------------------------------------------------------------
    def lost(self, *, reloading: bool = False, death: str = "") -> None:
        """The process was reaped: deliver its last words, then fail what is pending and drop what is not durable.

        `reloading` says that the host was meant to end: its callers see `ReloadingError`, not `HostGoneError`. `death`
        completes a sentence about the process: "was killed by signal 9 (SIGKILL)".
        """
        if self.is_lost:
            return
        self._channel.read_rest()
        self._channel.close()
        self.is_lost = True
        self._death = death
        self.closed_in_order = self.closed_in_order or reloading
        self._withheld.clear()
        pending, self._pending = self._pending, {}
        for future, message in pending.values():
            if not future.done():
                future.set_exception(self._gone(begun=self._has_begun(message)))
        self.bodies.lost()
        callbacks, self._lost_callbacks = self._lost_callbacks, []
        for callback in callbacks:
            self._guarded(callback)

    def _gone(self, *, begun: bool) -> ActorError:
        if self.closed_in_order:
            return ReloadingError("The program was reloaded before this request was answered.")
        how = f": it {self._death}." if self._death else "."
        error = HostGoneError(f"The process that ran this object ended before it answered{how}")
        error.begun = begun
        return error

    def _has_begun(self, message: Question) -> bool:
        if self.progress is None or not isinstance(message, (HttpRequest, Call)):
            return True
        return self.progress.has_begun(message.id, of_worker=message.actor is None)

    def take_back(self) -> None:
        """Fail what a worker has not begun, and never will; the process must stand still meanwhile."""
        if self.progress is None:
            return
        waiting = [message for _, message in self._pending.values() if not self._has_begun(message)]
        # A body that streams is partly in that host already, and cannot be sent to another.
        taken = [one.id for one in waiting if isinstance(one, HttpRequest) and one.actor is None and not one.stream]
        if taken:
            self.progress.take_back(self._last_id)
        for number in taken:
            future, _ = self._pending.pop(number)
            if not future.done():
                future.set_exception(self._gone(begun=False))

    def running(self) -> list[Question]:
        """What the host has begun and not answered."""
        return [
            message
            for _, message in self._pending.values()
            if not isinstance(message, (Look, LookMany, Recall)) and self._has_begun(message)
        ]

    def _ended(self, error: BaseException | None) -> None:
        # Only a hint: a forked grandchild may hold the other end, and what a dead host said is still read in lost().
        if self.on_ended is not None:
            self.on_ended(error)

    # --- what the host says -------------------------------------------------------------------------------------------
    def _deliver(self, messages: list[Message]) -> None:
        withheld = self._withheld
        for message in messages:
            kind = type(message)
            if kind in GATED:
                gated = cast(Gated, message)
                if withheld or gated.epoch > withheld.durable:
                    try:
                        if withheld.hold(gated):
                            continue
                    except WireError as error:
                        self._channel.close()
                        self._ended(error)
                        return
            self._hand_over(message)

    def _hand_over(self, message: Message) -> None:
        handler = self._handlers.get(type(message))
        if handler is not None:
            self._guarded(handler, message)

    def _guarded(self, function: Callable[..., None], *arguments: object) -> None:
        # A bug of ours in one message must not swallow the others of the same read.
        try:
            function(*arguments)
        except Exception:
            self._on_event(GatewayFault(traceback.format_exc()))

    def _answered(self, reply: Reply) -> None:
        if isinstance(reply, HttpReply) and reply.stream:
            self.bodies.expect(reply.stream, reply.served_by.id if reply.served_by else None)
        elif isinstance(reply, CallReply) and reply.luggage is not None:
            for stream in reply.luggage.streams:
                self.bodies.expect(stream, self._asked_actor(reply.id))
        entry = self._pending.pop(reply.id, None)
        if entry is None or entry[0].done():
            self.discard(reply)
        else:
            entry[0].set_result(reply)

    def _closed(self, message: Closed) -> None:
        self.closed_in_order = True
        self._release(message.epoch)

    # --- the output gate ----------------------------------------------------------------------------------------------
    def _epoch_durable(self, message: EpochDurable) -> None:
        self._release(message.epoch)

    def _release(self, durable: int) -> None:
        for message in self._withheld.release(durable):
            self._hand_over(message)

    def _epoch_failed(self, failure: EpochFailed) -> None:
        """Drop what the failed actors said after their last durable epoch; who waits for it is told so."""
        unwanted = failed_epoch_filter(failure, self._asked_actor, self._stream_speaker, self.socket_owner)
        for message in self._withheld.drop(unwanted):
            self._guarded(self._refuse, message)

    def _asked_actor(self, request: int) -> str | None:
        entry = self._pending.get(request)
        actor = entry[1].actor if entry is not None else None
        return actor.id if actor is not None else None

    def _stream_speaker(self, stream: int) -> str | None:
        reader = self.bodies.reader(stream)
        return reader.speaker if reader is not None else None

    def _refuse(self, message: Gated) -> None:
        """Tell whoever waits for a dropped message that it will not come."""
        if isinstance(message, (HttpReply, HttpRequest)) and message.stream:
            self.send(BodyCredit(message.stream, 0))
        self.unload(message)
        if isinstance(message, (HttpReply, CallReply, Failed, AlarmReply, InspectReply)):
            self._answered(Failed(message.id, 0, STORAGE_FAILED, 500, broken=True))
        elif isinstance(message, (HttpRequest, Call)):
            self.send(Failed(message.id, 0, STORAGE_FAILED, 500))
        elif isinstance(message, (BodyChunk, BodyEnd)) and (reader := self.bodies.reader(message.stream)) is not None:
            reader.end(STORAGE_FAILED.message)


def _both(first: Callable[[Any], None], second: Callable[[Any], None]) -> Callable[[Any], None]:
    def handle(message: Any) -> None:
        first(message)
        second(message)

    return handle

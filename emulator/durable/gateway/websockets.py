"""The room of every client socket: it outlives hosts, tells hosts what clients do, and fans out what actors say.

Tags, attachments and auto-responses of hibernatable sockets are kept here and given to the next host, so that an actor
can leave memory, be reloaded or lose its process while its clients stay connected. The room trusts what a link releases
to be durable, and knows nothing of HTTP beyond the upgrade.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from msgspec import Struct

from durable.clock import Clock, SystemClock
from durable.errors import WireError
from durable.gateway.accepted_sockets import AcceptedSockets, OnReload
from durable.gateway.auto_responses import AutoResponses
from durable.gateway.client_socket import VANISHED, ClientSocket
from durable.gateway.events import OnEvent, SocketEventsLost, SocketGone, SocketOpened, SocketsDropped
from durable.gateway.frame_writer import Outbox
from durable.gateway.headers import InvalidHeaderError, ReplyHead
from durable.gateway.joined_sockets import join
from durable.gateway.link import HostLink
from durable.gateway.router import Router
from durable.gateway.socket_delivery import SocketDelivery
from durable.gateway.socket_record import SocketRecord
from durable.gateway.socket_table import LATE_CONNECT_SECONDS, SocketTable
from durable.gateway.upgrade import UPGRADE_REQUEST, UpgradeRequest, upgrade_of
from durable.gateway.websocket_frames import ABNORMAL, NO_CODE, Frame
from durable.limits import REBIND_REQUEST_BYTES_MAX, SOCKET_CONNECT_SECONDS_MAX
from durable.wire.messages import (
    ActorKey,
    AutoResponseState,
    Begun,
    Done,
    HttpReply,
    SetAutoResponse,
    SocketAccepted,
    SocketAttachment,
    SocketClose,
    SocketClosed,
    SocketFailed,
    SocketMessage,
    SocketSend,
    SocketState,
)

_GOING_AWAY, _SERVER_ERROR, _TRY_AGAIN_LATER = 1001, 1011, 1013


class SocketStatistics(Struct, frozen=True):
    """`events` are not done yet, `events_lost` were begun by hosts that ended before they were done, ever."""

    sockets: int
    connected: int
    events: int
    event_bytes: int
    events_lost: int
    auto_responses: int


class ClientSockets:
    """Give every host's link to `listen`; the supervisor holds, ends hosts, asks for states and releases."""

    def __init__(
        self,
        router: Router,
        on_reload: OnReload = "keep",
        *,
        on_event: OnEvent,
        class_name: Callable[[str], str],
        clock: Clock | None = None,
    ) -> None:
        """`class_name` names a namespace for humans."""
        self._on_event = on_event
        self._class_name = class_name
        self._clock = clock or SystemClock()
        self._delivery = SocketDelivery(router)
        self._outbox = Outbox()
        self._records = SocketTable(self._delivery, self.expire)
        self._on_reload = on_reload
        self._stopping = False
        self._in_memory = AcceptedSockets(
            router,
            self._records,
            self._delivery,
            keep=on_reload == "rebind",
            on_event=on_event,
            class_name=class_name,
        )
        self._auto_responses = AutoResponses(self._delivery, self._clock)
        self._events_lost = 0
        self._check_head = ReplyHead().render
        self.room_of: Callable[[int], ClientSockets | None] = _of_nobody
        """Which room of several has a socket: an object of another worker may have accepted what ours hands over."""

    def listen(self, link: HostLink) -> None:
        link.unclaimed = self.unclaimed
        link.socket_owner = self.owner
        link.on(SocketAccepted, partial(self._accepted, link))
        link.on(SocketSend, self._send)
        link.on(SocketClose, self._close)
        link.on(SocketAttachment, self._attach)
        link.on(SetAutoResponse, self._auto_responses.set)
        link.on(Begun, partial(self._begun, link))
        link.on(Done, partial(self._done, link))

    # --- clients ---------------------------------------------------------------------------------------------------
    async def connect(self, request: BaseRequest, reply: HttpReply, link: HostLink) -> StreamResponse:
        """Hand the client end of `reply.socket` to this client; returns when the connection is over.

        Raises `InvalidHeaderError` before anything is written when the reply or the request cannot make a WebSocket.
        """
        self._check_head(reply.status, reply.reason, reply.headers, length=None)
        room = self._room(reply.socket)
        if room is not self:
            request.pop(UPGRADE_REQUEST, None)  # it was asked of us, so that room cannot rebind the socket with it
            return await room.connect(request, reply, link)
        upgrade = upgrade_of(reply)
        if not upgrade.can_prepare(request):
            raise InvalidHeaderError("The response has status 101, but the client's WebSocket handshake is not valid.")
        record = self._records.get(reply.socket)
        if record is None:
            record = self._records.add(self, reply.socket, link)  # its other end may be accepted after this reply
        elif record.client is not None:
            raise InvalidHeaderError("The WebSocket of this response was handed to another client before.")
        try:
            await upgrade.prepare(request)
            transport = request.transport
            if transport is None or record.dead:
                raise ConnectionResetError("the client left during the handshake")
        except BaseException:
            self._abandon(record)
            raise
        self._records.plan_expiry(record, None if record.actor is not None else SOCKET_CONNECT_SECONDS_MAX)
        record.protocol = upgrade.ws_protocol or ""
        record.request = None if record.hibernatable else self._kept_request(request)
        client = ClientSocket(request.protocol, transport, upgrade, record, self._outbox)
        record.connect(client)
        self._report_opened(record)
        await client.run()
        return upgrade

    def unclaimed(self, reply: HttpReply) -> None:
        """The reply that was to hand a socket over reaches nobody: its actor hears that the client is gone."""
        room = self._room(reply.socket)
        record = room._records.get(reply.socket)
        if record is not None and record.client is None:
            room._abandon(record)

    def owner(self, socket: int) -> ActorKey | None:
        record = self._records.get(socket)
        return record.actor if record is not None else None

    def knows(self, socket: int) -> bool:
        return socket in self._records

    def _room(self, socket: int) -> ClientSockets:
        return self if socket in self._records else self.room_of(socket) or self

    def _kept_request(self, request: BaseRequest) -> UpgradeRequest | None:
        """What a socket is rebound with, when it may have to be and the request is not too large to be kept."""
        asked = request.get(UPGRADE_REQUEST) if self._on_reload == "rebind" else None
        return asked if asked is not None and asked.size <= REBIND_REQUEST_BYTES_MAX else None

    def stop(self) -> None:
        """The emulator is about to end its hosts: none comes after them, so nobody is told to come again."""
        self._stopping = True
        self._in_memory.stop()

    def close_all(self, code: int = _GOING_AWAY, reason: str = "") -> None:
        """The emulator stops. No handler runs for it: the objects are not in memory any more (as on the platform)."""
        for record in list(self._records.values()):
            record.close(code, reason)

    def statistics(self) -> SocketStatistics:
        records = self._records.values()
        return SocketStatistics(
            sockets=len(records),
            connected=sum(record.client is not None and not record.dead for record in records),
            events=self._delivery.events,
            event_bytes=self._delivery.bytes,
            events_lost=self._events_lost,
            auto_responses=len(self._auto_responses),
        )

    # --- what hosts say --------------------------------------------------------------------------------------------
    def _accepted(self, link: HostLink, message: SocketAccepted) -> None:
        record = self._records.get(message.socket)
        if record is None:
            record = self._records.add(self, message.socket, link)
        elif record.actor is not None:
            raise WireError(f"socket {message.socket} was accepted twice")
        record.actor = message.actor
        record.tags = message.tags
        record.hibernatable = message.hibernatable
        record.link = link
        if record.client is not None:
            self._records.plan_expiry(record, None)
            self._report_opened(record)
            record.resume()
        if message.joins:
            self._join(record, self._room(message.joins)._records.get(message.joins))

    def _join(self, record: SocketRecord, other: SocketRecord | None) -> None:
        """User code holds both ends of a pair: no client comes for either."""
        for end in (record, other):
            if end is not None:
                self._records.plan_expiry(end, None)
                self._report_opened(end)
        join(record, other)

    def _send(self, message: SocketSend) -> None:
        # The frame is built once, whatever the number of sockets: this loop is all that a broadcast costs per client.
        frame = Frame(message.text, message.binary)
        records = self._records
        for socket in message.sockets:
            record = records.get(socket)
            if record is None:
                continue
            if record.client is not None:
                record.client.send(frame)
            elif not record.send(frame):
                record.close(_TRY_AGAIN_LATER, "too much was sent before the client was connected")

    def _close(self, message: SocketClose) -> None:
        record = self._records.get(message.socket)
        if record is None:
            return
        record.close(message.code, message.reason)
        if message.code == ABNORMAL:
            # The actor dropped it and wants to hear no more of it.
            self._records.end([record])

    def _attach(self, message: SocketAttachment) -> None:
        record = self._records.get(message.socket)
        if record is not None:
            record.attachment = message.attachment

    def _begun(self, link: HostLink, message: Begun) -> None:
        self._delivery.begun(link, message.events)

    def _done(self, link: HostLink, message: Done) -> None:
        for record in self._delivery.done(link, message.events):
            self._finish(record)

    # --- what clients do (SocketRoom) ------------------------------------------------------------------------------
    def took(self, record: SocketRecord, text: str | None, binary: bytes | None) -> None:
        if text is not None:
            if record.hibernatable and self._auto_responses and self._auto_responses.answer(record, text):
                return
            size = len(text)
        else:
            size = len(binary or b"")
        if not record.last_heard and self._records.get(record.socket) is record:
            self._delivery.emit(record, SocketMessage(self._delivery.number(), record.socket, text, binary), size)

    def closed(self, record: SocketRecord, code: int, reason: str, was_clean: bool) -> None:
        if not record.close_code:
            record.close_code = code
        self._emit_last(record, SocketClosed(self._delivery.number(), record.socket, code, reason, was_clean))

    def failed(self, record: SocketRecord, text: str) -> None:
        self._emit_last(record, SocketFailed(self._delivery.number(), record.socket, text))

    def ended(self, record: SocketRecord) -> None:
        record.dead = True
        if record.actor is not None:
            code = record.close_code or NO_CODE
            self._on_event(
                SocketGone(self._class_name(record.actor.namespace), record.actor.name, code, record.actor.id)
            )
        if record.finished or record.actor is None:
            self._records.remove([record])

    def pause(self, record: SocketRecord) -> asyncio.Future[None] | None:
        if self._records.get(record.socket) is not record:
            return None  # nobody wants its events; reading on is how its end is noticed
        return self._delivery.pause(record)

    def _emit_last(self, record: SocketRecord, message: SocketClosed | SocketFailed) -> None:
        if not record.last_heard and record.actor is not None and self._records.get(record.socket) is record:
            record.last_heard = True
            self._delivery.emit(record, message, 0)

    def _finish(self, record: SocketRecord) -> None:
        """The actor has handled the socket's final event, or never will."""
        record.finished = True
        if isinstance(record.client, ClientSocket):
            record.client.settled()
        if record.dead:
            self._records.remove([record])

    # --- hosts come and go -----------------------------------------------------------------------------------------
    def hold(self) -> None:
        """Deliver nothing until `release`; clients are read on within the bounds."""
        self._delivery.hold()

    def host_closed(self, link: HostLink, not_begun: Collection[int]) -> None:
        """The host ended in order; `not_begun` is its last word."""
        self._end_host(link, frozenset(not_begun))

    def busy(self, link: HostLink) -> bool:
        """Whether the host was told of anything on a socket that it has not done."""
        return self._delivery.is_busy(link)

    def host_lost(self, link: HostLink) -> None:
        """The host died."""
        self._end_host(link, frozenset())

    def _end_host(self, link: HostLink, not_begun: frozenset[int]) -> None:
        lost = self._delivery.end_host(link, not_begun)
        for record, message in lost:
            if isinstance(message, SocketClosed) and message.was_clean:
                # The handler that would have answered is gone, and it is not run twice.
                record.close(message.code, "")
            if not isinstance(message, SocketMessage):
                self._finish(record)
        if lost:
            self._events_lost += len(lost)
            self._on_event(SocketEventsLost(len(lost)))
        # At the stop, and where sockets are dropped with the reload, all of them get the same end, a little later.
        if not (self._stopping or (self._on_reload == "drop" and link.closed_in_order)):
            self._in_memory.host_ended(
                [record for record in self._records.values() if record.in_memory and record.link is link]
            )
        for record in self._records.values():
            if record.client is None and record.link is link:
                self._records.plan_expiry(record, LATE_CONNECT_SECONDS)

    def generation_ended(self) -> None:
        """A reload has ended every host; with "drop" every socket ends with them, unheard, as on the platform
        (Durable Objects: Use WebSockets, "Code updates will disconnect all WebSockets")."""
        if self._on_reload != "drop":
            return
        records = list(self._records.values())
        connected = sum(record.client is not None and not record.dead for record in records)
        for record in records:
            record.close(ABNORMAL, "")
        messages = self._delivery.events
        self._records.end(records)
        self._auto_responses.clear()
        if connected:
            self._on_event(SocketsDropped(connected, messages))

    def end_namespaces(self, namespaces: Collection[str]) -> None:
        """The classes of these sockets were deleted; no object will hear of their end."""
        ended = [record for record in self._records.values() if record.actor and record.actor.namespace in namespaces]
        for record in ended:
            record.close(_GOING_AWAY, "the class of this object was deleted")
        self._records.end(ended)

    def attach_states(self, shard: int, shards: int) -> tuple[list[SocketState], list[AutoResponseState]]:
        """What the next host of this shard has to know, oldest socket first."""

        def owned(actor: ActorKey) -> bool:
            # The router's placement, but for a number of shards that it may not have yet.
            return int(actor.id[:8], 16) % shards == shard

        found = (record.state() for record in self._records.values())
        states = [state for state in found if state is not None and owned(state.actor)]
        return states, self._auto_responses.of_next_host(owned, states)

    def release(self) -> None:
        """Hosts are attached: what waited goes first, in order."""
        self._delivery.release()
        self._in_memory.release()

    # --- records ---------------------------------------------------------------------------------------------------
    def expire(self, record: SocketRecord) -> None:
        """One half of the socket did not come in time."""
        if record.client is None:
            self._abandon(record)
        elif record.actor is None:
            record.close(_SERVER_ERROR, "the server did not accept this WebSocket")
            self._records.remove([record])

    def _abandon(self, record: SocketRecord) -> None:
        """There is no client and there will be none."""
        self._records.plan_expiry(record, None)
        record.dead = True
        record.unsent.clear()
        if record.actor is None or record.finished:
            self._records.remove([record])
        else:
            self.closed(record, ABNORMAL, VANISHED, False)

    def _report_opened(self, record: SocketRecord) -> None:
        if record.actor is not None:
            self._on_event(SocketOpened(self._class_name(record.actor.namespace), record.actor.name, record.actor.id))


def _of_nobody(socket: int) -> None:
    return None

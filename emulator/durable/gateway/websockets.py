"""The room of every client socket: it outlives hosts, tells hosts what clients do, and fans out what actors say.

Tags, attachments and auto-responses of hibernatable sockets are kept here and given to the next host, so that an actor
can leave memory, be reloaded or lose its process while its clients stay connected. The room trusts what a link releases
to be durable, and knows nothing of HTTP beyond the upgrade.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from durable.clock import Clock, SystemClock
from durable.errors import WireError
from durable.gateway.client_socket import VANISHED, ClientSocket, Upgrade
from durable.gateway.events import OnEvent, SocketEventsLost, SocketGone, SocketOpened
from durable.gateway.headers import InvalidHeaderError, ReplyHead
from durable.gateway.link import HostLink
from durable.gateway.router import Router
from durable.gateway.socket_delivery import SocketDelivery
from durable.gateway.socket_record import SocketRecord
from durable.gateway.websocket_frames import ABNORMAL, NO_CODE, Frame
from durable.limits import SOCKET_CONNECT_SECONDS_MAX
from durable.wire.messages import (
    ActorKey,
    AutoResponded,
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

_GOING_AWAY, _SERVER_ERROR, _SERVICE_RESTART, _TRY_AGAIN_LATER = 1001, 1011, 1012, 1013
_OWN_FIELDS = frozenset({"connection", "upgrade", "content-length", "content-type", "transfer-encoding", "date"})
"""Fields of a 101 that the handshake sets itself, with every `sec-websocket-*`."""
_LATE_CONNECT_SECONDS = 1.0
"""How long a reply that was underway when its host ended may take to hand its socket over."""


@dataclass(frozen=True, slots=True)
class SocketStatistics:
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
        *,
        on_event: OnEvent,
        class_name: Callable[[str], str],
        clock: Clock | None = None,
    ) -> None:
        """`class_name` names a namespace for humans."""
        self._on_event = on_event
        self._class_name = class_name
        self._clock = clock or SystemClock()
        self._records: dict[int, SocketRecord] = {}
        self._delivery = SocketDelivery(router)
        self._auto_responses: dict[tuple[str, str], AutoResponseState] = {}
        self._events_lost = 0
        self._check_head = ReplyHead().render

    def listen(self, link: HostLink) -> None:
        link.unclaimed = self.unclaimed
        link.socket_owner = self.owner
        link.on(SocketAccepted, partial(self._accepted, link))
        link.on(SocketSend, self._send)
        link.on(SocketClose, self._close)
        link.on(SocketAttachment, self._attach)
        link.on(SetAutoResponse, self._set_auto_response)
        link.on(Begun, partial(self._begun, link))
        link.on(Done, partial(self._done, link))

    # --- clients ---------------------------------------------------------------------------------------------------
    async def connect(self, request: web.BaseRequest, reply: HttpReply, link: HostLink) -> web.StreamResponse:
        """Hand the client end of `reply.socket` to this client; returns when the connection is over.

        Raises `InvalidHeaderError` before anything is written when the reply or the request cannot make a WebSocket.
        """
        self._check_head(reply.status, reply.reason, reply.headers, length=None)
        upgrade = _upgrade(reply)
        if not upgrade.can_prepare(request):
            raise InvalidHeaderError("The response has status 101, but the client's WebSocket handshake is not valid.")
        record = self._records.get(reply.socket)
        if record is None:
            record = self._add(reply.socket, link)  # its other end may be accepted after this reply
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
        self._plan_expiry(record, None if record.actor is not None else SOCKET_CONNECT_SECONDS_MAX)
        record.protocol = upgrade.ws_protocol or ""
        client = ClientSocket(request.protocol, transport, upgrade, record)
        record.connect(client)
        self._report_opened(record)
        await client.run()
        return upgrade

    def unclaimed(self, reply: HttpReply) -> None:
        """The reply that was to hand a socket over reaches nobody: its actor hears that the client is gone."""
        record = self._records.get(reply.socket)
        if record is not None and record.client is None:
            self._abandon(record)

    def owner(self, socket: int) -> ActorKey | None:
        record = self._records.get(socket)
        return record.actor if record is not None else None

    def close_all(self, code: int = _GOING_AWAY, reason: str = "") -> None:
        """The emulator stops."""
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
            record = self._add(message.socket, link)
        elif record.actor is not None:
            raise WireError(f"socket {message.socket} was accepted twice")
        record.actor = message.actor
        record.tags = message.tags
        record.hibernatable = message.hibernatable
        record.link = link
        if record.client is not None:
            self._plan_expiry(record, None)
            self._report_opened(record)
            record.resume()

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
            self._remove([record])

    def _attach(self, message: SocketAttachment) -> None:
        record = self._records.get(message.socket)
        if record is not None:
            record.attachment = message.attachment

    def _set_auto_response(self, message: SetAutoResponse) -> None:
        key = (message.actor.namespace, message.actor.id)
        if message.request is None or message.response is None:
            self._auto_responses.pop(key, None)
        else:
            self._auto_responses[key] = AutoResponseState(message.actor, message.request, message.response)

    def _begun(self, link: HostLink, message: Begun) -> None:
        self._delivery.begun(link, message.events)

    def _done(self, link: HostLink, message: Done) -> None:
        for record in self._delivery.done(link, message.events):
            self._finish(record)

    # --- what clients do (SocketRoom) ------------------------------------------------------------------------------
    def took(self, record: SocketRecord, text: str | None, binary: bytes | None) -> None:
        if text is not None:
            if record.hibernatable and self._auto_responses and self._answered(record, text):
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
            self._on_event(SocketGone(self._class_name(record.actor.namespace), record.actor.name, code))
        if record.finished or record.actor is None:
            self._remove([record])

    def pause(self, record: SocketRecord) -> asyncio.Future[None] | None:
        if self._records.get(record.socket) is not record:
            return None  # nobody wants its events; reading on is how its end is noticed
        return self._delivery.pause(record)

    def _answered(self, record: SocketRecord, text: str) -> bool:
        assert record.actor is not None
        assert record.client is not None
        pair = self._auto_responses.get((record.actor.namespace, record.actor.id))
        if pair is None or pair.request != text:
            return False
        record.client.send(Frame(pair.response, None))
        record.auto_response_ms = self._clock.wall_ms()
        link = self._delivery.link_of(record)
        if link is not None:
            link.send(AutoResponded(record.socket, record.auto_response_ms))
        return True

    def _emit_last(self, record: SocketRecord, message: SocketClosed | SocketFailed) -> None:
        if not record.last_heard and record.actor is not None and self._records.get(record.socket) is record:
            record.last_heard = True
            self._delivery.emit(record, message, 0)

    def _finish(self, record: SocketRecord) -> None:
        """The actor has handled the socket's final event, or never will."""
        record.finished = True
        if record.dead:
            self._remove([record])

    # --- hosts come and go -----------------------------------------------------------------------------------------
    def hold(self) -> None:
        """Deliver nothing until `release`; clients are read on within the bounds."""
        self._delivery.hold()

    def host_closed(self, link: HostLink, not_begun: Collection[int]) -> None:
        """The host ended in order; `not_begun` is its last word."""
        self._end_host(link, frozenset(not_begun))

    def host_lost(self, link: HostLink) -> None:
        """The host died."""
        self._end_host(link, frozenset())

    def _end_host(self, link: HostLink, not_begun: frozenset[int]) -> None:
        pinned = [record for record in self._records.values() if not record.hibernatable and record.link is link]
        for record in pinned:
            record.close(_SERVICE_RESTART, "the program was restarted")
        self._remove(pinned)
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
        for record in self._records.values():
            if record.client is None and record.link is link:
                self._plan_expiry(record, _LATE_CONNECT_SECONDS)

    def attach_states(self, shard: int, shards: int) -> tuple[list[SocketState], list[AutoResponseState]]:
        """What the next host of this shard has to know, oldest socket first."""

        def owned(actor: ActorKey) -> bool:
            # The router's placement, but for a number of shards that it may not have yet.
            return int(actor.id[:8], 16) % shards == shard

        states = (record.state() for record in self._records.values())
        return (
            [state for state in states if state is not None and owned(state.actor)],
            [state for state in self._auto_responses.values() if owned(state.actor)],
        )

    def release(self) -> None:
        """Hosts are attached: what waited goes first, in order."""
        self._delivery.release()

    # --- records ---------------------------------------------------------------------------------------------------
    def _add(self, socket: int, link: HostLink) -> SocketRecord:
        record = self._records[socket] = SocketRecord(self, socket, link)
        self._plan_expiry(record, SOCKET_CONNECT_SECONDS_MAX)
        return record

    def _remove(self, records: Collection[SocketRecord]) -> None:
        """Forget sockets and whatever was to be told about them."""
        for record in records:
            self._records.pop(record.socket, None)
            self._plan_expiry(record, None)
        self._delivery.drop(records)

    def _plan_expiry(self, record: SocketRecord, seconds: float | None) -> None:
        if record.expiry is not None:
            record.expiry.cancel()
        record.expiry = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.expire, record)

    def expire(self, record: SocketRecord) -> None:
        """One half of the socket did not come in time."""
        if record.client is None:
            self._abandon(record)
        elif record.actor is None:
            record.close(_SERVER_ERROR, "the server did not accept this WebSocket")
            self._remove([record])

    def _abandon(self, record: SocketRecord) -> None:
        """There is no client and there will be none."""
        self._plan_expiry(record, None)
        record.dead = True
        record.unsent.clear()
        if record.actor is None:
            self._remove([record])
        else:
            self.closed(record, ABNORMAL, VANISHED, False)

    def _report_opened(self, record: SocketRecord) -> None:
        if record.actor is not None:
            self._on_event(SocketOpened(self._class_name(record.actor.namespace), record.actor.name))


def _upgrade(reply: HttpReply) -> Upgrade:
    protocol = next((value for name, value in reply.headers if name.lower() == "sec-websocket-protocol"), None)
    upgrade = Upgrade(protocol)
    for name, value in reply.headers:
        lowered = name.lower()
        if lowered not in _OWN_FIELDS and not lowered.startswith("sec-websocket-"):
            upgrade.headers.add(name, value)
    return upgrade

"""accept()ed sockets when their host ends: closed with 1012, or joined to the new code's answer to their old request.

Such a socket is held by an object in memory, and that object is gone. With `keep` its client need not notice: the
connection stays here, what it sends waits within the bounds of every socket, and once a host is attached the request
that the connection began with is asked again on the normal way through the worker. A 101 joins the connection to the
new pair; any other answer closes it with 1012. No second handshake goes over the wire.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from typing import Literal

from msgspec.structs import replace

from durable.errors import ActorError, ReloadingError
from durable.gateway.client_socket import ClientSocket
from durable.gateway.events import AcceptedSocketsClosed, OnEvent, SocketsRebound, UserCodeFailed
from durable.gateway.router import Router
from durable.gateway.socket_delivery import SocketDelivery
from durable.gateway.socket_record import SocketRecord
from durable.gateway.socket_table import SocketTable
from durable.limits import REBINDS_AT_ONCE_MAX
from durable.wire.messages import Failed, HttpReply

SERVICE_RESTART = 1012
RESTARTED = "the program was restarted"


OnReload = Literal["keep", "rebind", "drop"]
"""What a reload does to connections: keep the hibernatable ones, rebind the others as well, or drop all of them."""


class AcceptedSockets:
    """The room says when a host has ended and when hosts are attached."""

    def __init__(
        self,
        router: Router,
        records: SocketTable,
        delivery: SocketDelivery,
        *,
        keep: bool,
        on_event: OnEvent,
        class_name: Callable[[str], str],
    ) -> None:
        self._router = router
        self._records = records
        self._delivery = delivery
        self._keep = keep
        self._on_event = on_event
        self._class_name = class_name
        self._kept: list[SocketRecord] = []
        self._rebinding: set[asyncio.Task[None]] = set()

    def host_ended(self, records: Collection[SocketRecord]) -> None:
        """Close these, or keep them until `release`; their host held them in memory."""
        closed: list[SocketRecord] = []
        for record in records:
            if self._keep and record.request is not None and record.client is not None and not record.close_code:
                self._kept.append(record)
            else:
                closed.append(record)
        told = Counter(record.actor for record in closed if record.actor is not None and not record.close_code)
        for record in closed:
            record.close(SERVICE_RESTART, RESTARTED)
        self._records.end(closed)
        if told:
            self._on_event(
                AcceptedSocketsClosed(
                    tuple((self._class_name(actor.namespace), actor.name, count) for actor, count in told.items())
                )
            )

    def release(self) -> None:
        """Hosts are attached: ask the new code about every kept socket, the oldest first."""
        kept, self._kept = self._kept, []
        if kept:
            task = asyncio.get_running_loop().create_task(self._rebind_all(kept), name="rebind accepted sockets")
            self._rebinding.add(task)
            task.add_done_callback(self._rebinding.discard)

    def stop(self) -> None:
        """No socket is rebound any more; what becomes of those that wait is the room's business."""
        self._kept.clear()
        for task in self._rebinding:
            task.cancel()

    async def _rebind_all(self, records: list[SocketRecord]) -> None:
        rebound: list[SocketRecord] = []
        closed: list[SocketRecord] = []
        waiting = iter(records)

        async def take_turns() -> None:
            for record in waiting:
                if _is_over(record):
                    record.close(record.close_code, "")
                    self._records.remove([record])
                elif await self._rebind(record):
                    rebound.append(record)
                else:
                    closed.append(record)
                    record.close(SERVICE_RESTART, RESTARTED)
                    self._records.remove([record])

        await asyncio.gather(*(take_turns() for _ in range(min(len(records), REBINDS_AT_ONCE_MAX))))
        if rebound or closed:
            self._on_event(SocketsRebound(len(rebound), len(closed)))

    async def _rebind(self, record: SocketRecord) -> bool:
        request = record.request
        assert request is not None
        try:
            while True:
                link = await self._router.link_for(None)
                try:
                    reply = await link.request(request.question)
                    break
                except ReloadingError:
                    pass  # one more reload came in between: the next generation is asked
        except ActorError:
            return False
        if isinstance(reply, Failed):
            self._on_event(UserCodeFailed(reply.error, request.method, request.path))
            return False
        if isinstance(reply, HttpReply):
            if reply.status == 101 and reply.socket and self._join(record, reply):
                return True
            link.discard(reply)
        return False

    def _join(self, old: SocketRecord, reply: HttpReply) -> bool:
        """Give the client, and all that waits of it, to the socket of `reply`; False when that cannot be."""
        record, client, request = self._records.get(reply.socket), old.client, old.request
        assert isinstance(client, ClientSocket)  # the only kind that began with a request
        assert request is not None
        if record is None or record.actor is None or record.client is not None:
            return False
        if request.agreed_protocol(reply) != old.protocol:
            return False  # the client was promised another sub-protocol, and nobody can tell it
        waiting = self._delivery.take(old)
        self._records.remove([old])
        self._records.plan_expiry(record, None)
        record.protocol, record.request = old.protocol, request
        client.hand_to(record)
        record.connect(client)
        record.dead, record.last_heard, record.close_code = old.dead, old.last_heard, old.close_code
        for message, size in waiting:
            again = replace(message, event=self._delivery.number(), socket=record.socket)
            self._delivery.emit(record, again, size)
        return True


def _is_over(record: SocketRecord) -> bool:
    """Whether the client has left, and its leaving is all there is to tell."""
    return record.last_heard and record.undone <= 1

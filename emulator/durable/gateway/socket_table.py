"""Every socket that the gateway knows, by number and oldest first: how one comes in and how it is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from durable.gateway.link import HostLink
from durable.gateway.socket_delivery import SocketDelivery
from durable.gateway.socket_record import SocketRecord, SocketRoom
from durable.limits import SOCKET_CONNECT_SECONDS_MAX

LATE_CONNECT_SECONDS = 1.0
"""How long a reply that was underway when its host ended may take to hand its socket over."""


class SocketTable(dict[int, SocketRecord]):
    """The two halves of a socket come in either order; `expire` is called when the second does not come in time."""

    def __init__(self, delivery: SocketDelivery, expire: Callable[[SocketRecord], None]) -> None:
        super().__init__()
        self._delivery = delivery
        self._expire = expire

    def add(self, room: SocketRoom, socket: int, link: HostLink) -> SocketRecord:
        record = self[socket] = SocketRecord(room, socket, link)
        self.plan_expiry(record, SOCKET_CONNECT_SECONDS_MAX)
        return record

    def remove(self, records: Collection[SocketRecord]) -> None:
        """Forget sockets and whatever was to be told about them."""
        for record in records:
            self.pop(record.socket, None)
            self.plan_expiry(record, None)
        self._delivery.drop(records)

    def end(self, records: Collection[SocketRecord]) -> None:
        """The same for closed ones that nobody wants to hear of; one whose client is still to come turns it away."""
        self.remove([record for record in records if record.client is not None or record.dead])
        unconnected = [record for record in records if record.client is None and not record.dead]
        self._delivery.drop(unconnected)
        for record in unconnected:
            record.last_heard = record.finished = True
            self.plan_expiry(record, LATE_CONNECT_SECONDS)

    def plan_expiry(self, record: SocketRecord, seconds: float | None) -> None:
        if record.expiry is not None:
            record.expiry.cancel()
        loop = asyncio.get_running_loop()
        record.expiry = None if seconds is None else loop.call_later(seconds, self._expire, record)

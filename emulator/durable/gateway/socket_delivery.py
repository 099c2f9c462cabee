"""Socket events on their way to hosts: at once when the owner is attached, later and in order when it is not.

The bounds are here, too: a client whose events pile up is not read until its actor has caught up. What an event means,
and what becomes of a socket after its last one, is the room's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from durable.gateway.link import HostLink
from durable.gateway.router import Router
from durable.gateway.socket_events import Entry, SocketEvent, SocketEvents
from durable.gateway.socket_record import SocketRecord
from durable.limits import (
    SOCKET_EVENTS_TOTAL_BYTES_MAX,
    SOCKET_EVENTS_WAITING_BYTES_MAX,
    SOCKET_EVENTS_WAITING_MAX,
)


class SocketDelivery:
    """The ledger of events, and the links they go to."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._events = SocketEvents()
        self._records: dict[int, SocketRecord] = {}  # those with events
        self._paused: set[SocketRecord] = set()
        self._held = False

    @property
    def events(self) -> int:
        return len(self._events)

    @property
    def bytes(self) -> int:
        return self._events.bytes

    def number(self) -> int:
        return self._events.number()

    def emit(self, record: SocketRecord, message: SocketEvent, size: int) -> None:
        """Send an event to the record's host, or keep it until there is one; `size` is its payload in bytes."""
        entry = self._events.add(message, size)
        self._records[record.socket] = record
        record.undone += 1
        record.undone_bytes += size
        link = None if record.waiting else self.link_of(record)
        if link is None:
            record.waiting += 1
        else:
            entry.host = link.host_number
            link.send(message)

    def link_of(self, record: SocketRecord) -> HostLink | None:
        """The host that takes the record's events; None while there is none or nothing may be delivered."""
        if self._held:
            return None
        link = self._router.owner_nowait(record.actor) if record.hibernatable else record.link
        return None if link is None or link.is_lost or link.closed_in_order else link

    def begun(self, link: HostLink, events: Iterable[int]) -> None:
        self._events.begin(link.host_number, events)

    def done(self, link: HostLink, events: Iterable[int]) -> list[SocketRecord]:
        """Forget events; returns the records whose final event was among them."""
        finished = [record for entry in self._events.finish(link.host_number, events) if (record := self._close(entry))]
        self._read_on()
        return finished

    def is_busy(self, link: HostLink) -> bool:
        """Whether the host was sent events that it has not done; looks at every event, so for a drain only."""
        return self._events.is_busy(link.host_number)

    def take(self, record: SocketRecord) -> list[tuple[SocketEvent, int]]:
        """A socket's events in order, with their sizes, for whoever delivers them under another number."""
        return [(entry.message, entry.size) for entry in self._events.of(record.socket)] if record.undone else []

    def drop(self, records: Collection[SocketRecord]) -> None:
        """Forget whatever these sockets still have to tell, and stop holding their clients up."""
        with_events = {record.socket for record in records if record.undone}
        if with_events:
            self._events.drop(with_events)
        for record in records:
            self._records.pop(record.socket, None)
            record.undone = record.undone_bytes = record.waiting = 0
            self._paused.discard(record)
            record.resume()
        self._read_on()

    # --- bounds ----------------------------------------------------------------------------------------------------
    def pause(self, record: SocketRecord) -> asyncio.Future[None] | None:
        """What a record's reader waits for before it takes the next message; None when there is room."""
        if (
            record.actor is not None
            and record.undone < SOCKET_EVENTS_WAITING_MAX
            and record.undone_bytes <= SOCKET_EVENTS_WAITING_BYTES_MAX
            and self._events.bytes <= SOCKET_EVENTS_TOTAL_BYTES_MAX
        ):
            return None
        self._paused.add(record)
        record.paused = asyncio.get_running_loop().create_future()
        return record.paused

    def _read_on(self) -> None:
        if not self._paused or self._events.bytes > SOCKET_EVENTS_TOTAL_BYTES_MAX:
            return
        for record in list(self._paused):
            # Only half way down, so that a full socket is not stopped again by its next message.
            if record.undone <= SOCKET_EVENTS_WAITING_MAX // 2 and record.actor is not None:
                self._paused.discard(record)
                record.resume()

    def _close(self, entry: Entry) -> SocketRecord | None:
        """Settle an event that is done or never will be; the record when it was its final one."""
        record = self._records[entry.message.socket]
        record.undone -= 1
        record.undone_bytes -= entry.size
        if not record.undone:
            del self._records[record.socket]
        return record if entry.final else None

    # --- hosts come and go -----------------------------------------------------------------------------------------
    def hold(self) -> None:
        self._held = True

    def end_host(self, link: HostLink, not_begun: Collection[int]) -> list[tuple[SocketRecord, SocketEvent]]:
        """Take back what the host did not begin; returns what it had begun, which is lost."""
        ended = self._events.end_host(link.host_number, not_begun)
        for entry in ended.returned:
            self._records[entry.message.socket].waiting += 1
        lost = [(self._records[entry.message.socket], entry) for entry in ended.lost]
        for _, entry in lost:
            self._close(entry)
        self._read_on()
        return [(record, entry.message) for record, entry in lost]

    def release(self) -> None:
        """Deliver what waited, in order, as far as there are hosts."""
        self._held = False
        for entry in self._events.waiting():
            record = self._records[entry.message.socket]
            link = self.link_of(record)
            if link is not None:
                record.waiting -= 1
                entry.host = link.host_number
                link.send(entry.message)

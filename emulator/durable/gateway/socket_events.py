"""The ledger of what clients did on their sockets: numbered, kept until the host reports it done, never run twice.

An event waits (no host can take it), is sent to a host, is begun there, is done. It holds no socket and sends nothing;
who does asks it what to do with a host's events when that host is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct, field

from durable.wire.messages import SocketClosed, SocketFailed, SocketMessage

SocketEvent = SocketMessage | SocketClosed | SocketFailed


class Entry(Struct, eq=False):
    """One event; `size` is its payload in bytes, `host` the number of the host it was sent to, 0 while it waits."""

    message: SocketEvent
    size: int
    host: int = 0
    begun: bool = False

    @property
    def final(self) -> bool:
        """Whether the socket has no events after this one."""
        return not isinstance(self.message, SocketMessage)


class Ended(Struct, frozen=True):
    """What a host that ended leaves: events that wait again, and those it had begun, which nobody runs any more."""

    returned: list[Entry] = field(default_factory=list[Entry])
    lost: list[Entry] = field(default_factory=list[Entry])


class SocketEvents:
    """All events that are not done, in the order of their numbers."""

    def __init__(self) -> None:
        self._last = 0
        self._entries: dict[int, Entry] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def number(self) -> int:
        """A number for the next event; numbers grow for as long as the gateway lives."""
        self._last += 1
        return self._last

    def add(self, message: SocketEvent, size: int) -> Entry:
        entry = self._entries[message.event] = Entry(message, size)
        self.bytes += size
        return entry

    def begin(self, host: int, events: Iterable[int]) -> None:
        for event in events:
            entry = self._entries.get(event)
            if entry is not None and entry.host == host:
                entry.begun = True

    def finish(self, host: int, events: Iterable[int]) -> list[Entry]:
        """Forget events that this host has done; what another host owns, or nobody knows, is ignored."""
        finished: list[Entry] = []
        for event in events:
            entry = self._entries.get(event)
            if entry is not None and entry.host == host:
                self._forget(entry)
                finished.append(entry)
        return finished

    def is_busy(self, host: int) -> bool:
        """Whether the host was sent an event that is not done."""
        return any(entry.host == host for entry in self._entries.values())

    def waiting(self) -> list[Entry]:
        """Events without a host, in order."""
        return [entry for entry in self._in_order() if not entry.host]

    def end_host(self, host: int, not_begun: Collection[int] = ()) -> Ended:
        """The host is gone. `not_begun` is its last word on what it did not run, whatever it said before."""
        ended = Ended()
        for entry in self._in_order():
            if entry.host != host:
                continue
            if entry.begun and entry.message.event not in not_begun:
                self._forget(entry)
                ended.lost.append(entry)
            else:
                entry.host, entry.begun = 0, False
                ended.returned.append(entry)
        return ended

    def of(self, socket: int) -> list[Entry]:
        """The events of one socket, in order."""
        return [entry for entry in self._in_order() if entry.message.socket == socket]

    def drop(self, sockets: Collection[int]) -> None:
        """Forget every event of these sockets: nobody is left who could want them."""
        for entry in self._in_order():
            if entry.message.socket in sockets:
                self._forget(entry)

    def _in_order(self) -> list[Entry]:
        # Numbers are given in order, and a dict keeps the order in which they were added.
        return list(self._entries.values())

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.message.event]
        self.bytes -= entry.size

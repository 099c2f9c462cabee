"""What happened lately, object by object, as the gateway saw it: requests, sockets, alarms, output, changes of hosts.

Passes every event on, so it stands between who reports and who shows. What an event says in the timeline is looked up
when somebody asks; a table for events of the floor above is handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from durable.clock import Clock
from durable.gateway import events
from durable.gateway.events import Event, OnEvent
from durable.gateway.link import HostLink
from durable.limits import TIMELINE_LEFT_ENTRIES_MAX, TIMELINE_TEXT_CHARACTERS_MAX
from durable.wire.messages import ActorKey, TimelineLeft
from durable.wire.timeline import Remembered, Rings, between

DECODER: Final = msgspec.msgpack.Decoder(list[Remembered])


class Line(NamedTuple):
    """What an event says: `Line("request", "GET /room/a", "200", 3.2)`; "" where an outcome is nothing to speak of."""

    kind: str
    what: str
    outcome: str = ""
    duration_ms: float = 0.0


Lines = Mapping[type[Event], Callable[[Any], Line]]

_LINES: Final[Lines] = {
    events.RequestServed: lambda event: Line(
        "request", f"{event.method} {event.path}", str(event.status), event.duration_ms
    ),
    events.ObjectOverloaded: lambda event: Line("request", f"{1 + event.unreported} turned away", "overloaded"),
    events.SocketOpened: lambda _event: Line("socket", "opened"),
    events.SocketGone: lambda event: Line("socket", f"closed {event.code}"),
    events.AlarmFired: lambda event: Line("alarm", f"retry {event.retry}" if event.retry else "", event.outcome),
    events.Output: lambda event: Line("output", event.text),
    events.CronRan: lambda event: Line("cron", event.cron, event.outcome),
    events.ClockMoved: lambda event: Line("clock", "frozen" if event.is_frozen else f"{event.offset_ms:+} ms"),
    events.SocketEventsLost: lambda event: Line("socket", f"{event.count} events lost with their host", "lost"),
}

_LONG_TEXTS: Final[Mapping[type[Event], str]] = {events.RequestServed: "path", events.Output: "text"}
"""Fields that may have 16 KiB, of which only as much is kept as is shown."""
_EVERYBODY: Final = "everybody"


class Happened(NamedTuple):
    """One event of the gateway's, as it is told."""

    ended_us: int
    line: Line
    event: Event


class GatewayTimeline:
    """Told of every event; bounded by objects and by events of each."""

    def __init__(self, clock: Clock, lines: Lines, rings: Rings | None = None) -> None:
        """`lines` are those of events that only the floors above know."""
        self._now = clock.monotonic
        self._lines = {**_LINES, **lines}
        self._rings = rings or Rings()
        self._left: deque[Remembered] = deque(maxlen=TIMELINE_LEFT_ENTRIES_MAX)

    def before(self, on_event: OnEvent) -> OnEvent:
        """What to call instead of `on_event`."""
        long_texts = {kind: _LONG_TEXTS.get(kind, "") for kind in self._lines}
        rings, now = self._rings, self._now

        # One function, without another in it: there is one event for each request.
        def tell(event: Event) -> None:
            long_text = long_texts.get(type(event))
            if long_text is not None:
                # An event that names no object although it could is the worker's; one that cannot concerns everybody.
                identity: str | None = getattr(event, "object_id", _EVERYBODY)
                ring = rings.get(identity) or rings.open(identity, identity)
                ring.is_used = True
                if long_text and len(getattr(event, long_text)) > TIMELINE_TEXT_CHARACTERS_MAX:
                    ring.append((now(), _shortened(event, long_text)))
                else:
                    ring.append((now(), event))
            on_event(event)

        return tell

    def listen(self, link: HostLink) -> None:
        """Take what a host leaves when it is replaced."""
        link.on(TimelineLeft, self._take_left)

    def _take_left(self, message: TimelineLeft) -> None:
        self._left.extend(sorted(DECODER.decode(message.payload), key=lambda entry: entry.ended_us))

    def left_by_hosts(
        self, actor: ActorKey | None, namespace: str, since_us: int, until_us: int
    ) -> Iterator[Remembered]:
        """What former hosts remembered of this object, of those of a namespace, or of all when it is empty."""
        for entry in self._left:
            key = entry.actor
            if key is None or not since_us < entry.ended_us <= until_us or namespace not in ("", key.namespace):
                continue
            if actor is None or actor.id == key.id:
                yield entry

    def recall(self, object_id: str | None, since_us: int, until_us: int, entries_max: int) -> list[Happened]:
        """The last events that concern one object; without an id, those of all and of the worker. The newest first."""
        rings = self._rings.all
        if object_id is not None:
            rings = [ring for ring in rings if ring.key in (_EVERYBODY, object_id)]
        found = [entry for ring in rings for entry in between(ring, since_us, until_us, entries_max)]
        found.sort(key=lambda entry: entry[0], reverse=True)
        return [
            Happened(int(ended * 1_000_000), self._lines[type(event)](event), event)
            for ended, event in found[:entries_max]
        ]


def _shortened(event: Event, field: str) -> Event:
    text: str = getattr(event, field)
    return msgspec.structs.replace(event, **{field: text[: TIMELINE_TEXT_CHARACTERS_MAX - 1] + "…"})

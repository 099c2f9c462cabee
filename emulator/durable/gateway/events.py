"""What the gateway reports to whoever shows it to the developer. Knows no terminal and no log format.

Every event is a frozen class named after what happened. Texts that came from the network are as they came: whoever
prints them escapes them.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from durable.wire.messages import ErrorReport


class Event(msgspec.Struct, frozen=True):
    """Root of every event. A msgspec struct because one is made per request: a tenth of a frozen dataclass's cost."""


class RequestServed(Event, frozen=True):
    """One HTTP request was answered; `path` is without its query, which may hold tokens."""

    method: str
    path: str
    status: int
    duration_ms: float
    class_name: str | None = None
    object_name: str | None = None
    object_id: str | None = None


class UserCodeFailed(Event, frozen=True):
    """An exception of the user's program ended a request."""

    report: ErrorReport
    method: str
    path: str
    class_name: str | None = None
    object_name: str | None = None
    object_id: str | None = None


class RequestRefused(Event, frozen=True):
    """A request that may not speak to us: from the wrong place, or without the token that our own tools have.

    `reason` is "host", "authority", "origin" or "token"; `unreported` counts those that went unmentioned before this.
    """

    reason: str
    host: str
    origin: str | None
    unreported: int = 0


class ObjectOverloaded(Event, frozen=True):
    """A request was answered 503 because too many wait for its object; `unreported` as above."""

    class_name: str
    object_name: str | None
    unreported: int = 0
    object_id: str | None = None


class MalformedRequest(Event, frozen=True):
    """Bytes that are no HTTP request, or too slow in becoming one; `unreported` as above."""

    text: str
    unreported: int = 0


class BoundBeyondLoopback(Event, frozen=True):
    """The gateway listens where other machines may reach it."""

    ip: str
    port: int


class SocketOpened(Event, frozen=True):
    """A client's WebSocket was handed to an actor."""

    class_name: str
    object_name: str | None
    object_id: str | None = None


class SocketGone(Event, frozen=True):
    """A client's WebSocket ended with this close code."""

    class_name: str
    object_name: str | None
    code: int
    object_id: str | None = None


class AlarmFired(Event, frozen=True):
    """An alarm ran; `outcome` as in `AlarmReply`.

    It began `late_ms` after its time by the emulator's clock; a retry, counted from 1, has a time of its own.
    """

    class_name: str
    object_name: str | None
    scheduled_ms: int
    outcome: str
    retry: int = 0
    late_ms: int = 0
    object_id: str | None = None


class ObjectWoke(Event, frozen=True):
    """An object was constructed for an event, or failed to be; told while somebody wants to know."""

    class_name: str
    object_name: str | None
    object_id: str | None = None


class ObjectEvicted(Event, frozen=True):
    """An object left memory: evicted when it was idle, or reset by `cause`, "ValueError: no such room"."""

    class_name: str
    object_name: str | None
    cause: str = ""
    object_id: str | None = None


class CronRan(Event, frozen=True):
    """A cron trigger had `scheduled` run; `outcome` is "done" or "failed"."""

    cron: str
    scheduled_ms: int
    outcome: str


class SocketEventsLost(Event, frozen=True):
    """A host died while it handled these socket events: they are not delivered again."""

    count: int


class AcceptedSocketsClosed(Event, frozen=True):
    """The objects that had `accept()`ed them are gone with their host: `((class, object or None, sockets), …)`."""

    objects: tuple[tuple[str, str | None, int], ...]


class SocketsRebound(Event, frozen=True):
    """What became of `accept()`ed sockets that were kept over a change of hosts: joined to the new code, or closed."""

    rebound: int
    closed: int


class SocketsDropped(Event, frozen=True):
    """A reload ended every connection, as it does in production; `messages` had not been handled yet."""

    sockets: int
    messages: int


class HostLog(Event, frozen=True):
    """One line from a host, or about one; `level` is "info", "warning" or "error"."""

    level: str
    text: str
    label: str = ""


class Output(Event, frozen=True):
    """One line that user code, or a process it started, wrote to `stream`: "stdout" or "stderr".

    The class is None when no object's code was running, the name also when the object has none.
    """

    stream: str
    text: str
    class_name: str | None = None
    object_name: str | None = None
    object_id: str | None = None


class OutputLeftOut(Event, frozen=True):
    """More lines were written than are shown: `lines` of one object, or of `others` that are not named."""

    lines: int
    class_name: str | None = None
    object_name: str | None = None
    object_id: str | None = None
    others: int = 0


class ClockMoved(Event, frozen=True):
    """Wall time is `now_ms` from now on: `offset_ms` ahead of the machine's, or standing still."""

    now_ms: int
    offset_ms: int
    is_frozen: bool


class GatewayFault(Event, frozen=True):
    """A bug of ours met a request; the request was answered 500 and the gateway goes on."""

    traceback: str


OnEvent = Callable[[Event], None]

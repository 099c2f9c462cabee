"""`GET /__durable/tail`: the events of the running emulator as lines of JSON, for as long as the client stays.

Whoever does not read is not waited for: events are counted then instead of kept. While nobody tails, no event passes
through here.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from msgspec import Struct, field

from durable.gateway.admin import Route
from durable.gateway.event_lines import LEFT_OUT, STOPPED, TAILING, encode_line
from durable.gateway.events import (
    AlarmFired,
    CronRan,
    Event,
    GatewayFault,
    HostLog,
    ObjectEvicted,
    ObjectWoke,
    OnEvent,
    Output,
    RequestServed,
    SocketGone,
    SocketOpened,
    UserCodeFailed,
)
from durable.gateway.life import Life
from durable.gateway.object_finder import AdminProblemError, ObjectFinder, ObjectRequest, bad_request
from durable.limits import (
    TAIL_EVENTS_PER_TICK_MAX,
    TAIL_TICK_SECONDS,
    TAIL_WAITING_BYTES_MAX,
    TAILS_MAX,
)

VERBOSE = (SocketOpened, SocketGone, ObjectWoke, ObjectEvicted)
"""Left out unless they are asked for."""
_BUFFER_BYTES_MAX = 2 * TAIL_WAITING_BYTES_MAX
"""What the connection takes before it counts as stalled: more than is ever given to it at once."""


class Listen(Protocol):
    """Has every event told to one more listener; None: to nobody any more."""

    def __call__(self, listener: OnEvent | None) -> None: ...


class TailRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """`?class=ChatRoom&name=general&verbose=1`, `?class=ChatRoom&id=HEX`, `?class=ChatRoom&errors=1`; nothing: all."""

    class_name: str | None = field(name="class", default=None)
    name: str | None = None
    id: str | None = None
    errors: bool = False
    verbose: bool = False


class Wanted(Struct, frozen=True):
    """What one tail shows: everything, one class or one object; perhaps failures only."""

    class_name: str | None = None
    object_id: str | None = None
    label: str | None = None
    """Of the object, as reports have it."""
    errors: bool = False
    verbose: bool = False

    def __call__(self, event: Event) -> bool:
        if not self.verbose and isinstance(event, VERBOSE):
            return False
        if self.errors and not is_failure(event):
            return False
        return self.class_name is None or self._is_about(event)

    def _is_about(self, event: Event) -> bool:
        if self.class_name == getattr(event, "class_name", None):
            return self.object_id is None or self.object_id == getattr(event, "object_id", None)
        label = event.report.label if isinstance(event, UserCodeFailed) else getattr(event, "label", "")
        return label == self.label if self.label is not None else label.startswith(f"{self.class_name} ")


def is_failure(event: Event) -> bool:
    """Whether it tells of something that went wrong."""
    match event:
        case RequestServed(status=status):
            return status >= 500
        case AlarmFired(outcome=outcome) | CronRan(outcome=outcome):
            return outcome == "failed"
        case HostLog(level=level):
            return level == "error"
        case UserCodeFailed() | GatewayFault():
            return True
        case _:
            # Those of the supervisor, which is a floor above; they are named for what went wrong.
            return type(event).__name__ in _FAILURES


_FAILURES = frozenset(
    {"ReloadFailed", "ConfigRejected", "ConstructionFailing", "HostDied", "HostBlocked", "SocketEventsLost"}
)


class Tail:
    """One client: what waits to be sent, within bounds."""

    def __init__(self, wanted: Wanted, line: Callable[[str, Event | dict[str, object]], bytes]) -> None:
        self.wanted = wanted
        self.has_news = asyncio.Event()
        self.is_over = False
        self._line = line
        self._lines: list[bytes] = []
        self._bytes = 0
        self._events = 0
        self._left_out: Counter[str] = Counter()

    def add(self, event: Event) -> None:
        if not self.wanted(event):
            return
        kind = type(event)
        # What user code prints has a bound where it is read, and takes no room from the others.
        is_full = kind is not Output and self._events >= TAIL_EVENTS_PER_TICK_MAX
        if is_full or self._bytes > TAIL_WAITING_BYTES_MAX:
            self._left_out[kind.__name__] += 1
        else:
            line = self._line(kind.__name__, event)
            self._events += kind is not Output
            self._bytes += len(line)
            self._lines.append(line)
        self.has_news.set()

    def end(self) -> None:
        self.is_over = True
        self.has_news.set()

    def take(self) -> bytes:
        """What is to be sent now."""
        lines = self._lines
        if self._left_out:
            lines.append(self._line(LEFT_OUT, dict(self._left_out)))
            self._left_out.clear()
        if self.is_over:
            lines.append(self._line(STOPPED, {}))
        self._lines, self._bytes, self._events = [], 0, 0
        self.has_news.clear()
        return b"".join(lines)


class Tails:
    """Every client that follows the emulator. `listen` brings the events while there is one."""

    def __init__(
        self,
        objects: ObjectFinder,
        life: Life,
        *,
        listen: Listen,
        clock: Callable[[], tuple[int, bool]],
        machine_seconds: Callable[[], float] = time.time,
    ) -> None:
        """`clock` says how far the emulator's is ahead of the machine's, and whether it stands still."""
        self._objects = objects
        self._life = life
        self._listen = listen
        self._machine_seconds = machine_seconds
        self._clock = clock
        self._tails: list[Tail] = []

    def __len__(self) -> int:
        return len(self._tails)

    def routes(self) -> dict[str, Route]:
        return {"/__durable/tail": Route("GET", TailRequest, self.serve, is_stream=True)}

    def end(self) -> None:
        """The emulator stops: every client is told, and its response ends."""
        for tail in self._tails:
            tail.end()

    async def serve(self, question: TailRequest, request: BaseRequest) -> StreamResponse:
        """Raises `AdminProblemError` for a question that cannot be answered."""
        wanted = await self._wanted(question)
        if len(self._tails) >= TAILS_MAX:
            raise AdminProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, "too_many", f"{TAILS_MAX} tails are running already", "end one of them"
            )
        tail = Tail(wanted, self._line)
        response = StreamResponse(headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
        response.content_type = "application/x-ndjson"
        self._add(tail)
        try:
            await response.prepare(request)
            transport = request.transport
            if transport is not None:
                transport.set_write_buffer_limits(_BUFFER_BYTES_MAX)
            await response.write(self._line(TAILING, {"class_name": wanted.class_name, "object_id": wanted.object_id}))
            while not tail.is_over:
                await tail.has_news.wait()
                await asyncio.sleep(TAIL_TICK_SECONDS)
                # A client that stands still, as with Ctrl+S, is no reason to end: it is told how much it missed.
                # Polled: below its high-water mark a transport does not tell when it is empty.
                while transport is not None and transport.get_write_buffer_size() and not tail.is_over:  # noqa: ASYNC110
                    await asyncio.sleep(TAIL_TICK_SECONDS)
                await response.write(tail.take())
            await response.write_eof()
        finally:
            self._remove(tail)
        return response

    # --- who listens --------------------------------------------------------------------------------------------------
    def _add(self, tail: Tail) -> None:
        self._tails.append(tail)
        if len(self._tails) == 1:
            self._listen(self._tell)
        if tail.wanted.verbose:
            self._life.want()

    def _remove(self, tail: Tail) -> None:
        self._tails.remove(tail)
        if not self._tails:
            self._listen(None)
        if tail.wanted.verbose:
            self._life.unwant()

    def _tell(self, event: Event) -> None:
        for tail in self._tails:
            tail.add(event)

    def _line(self, kind: str, fields: Event | dict[str, object]) -> bytes:
        return encode_line(kind, round(self._machine_seconds() * 1000), self._clock(), fields)

    async def _wanted(self, question: TailRequest) -> Wanted:
        if question.class_name is None:
            if question.name is not None or question.id is not None:
                raise bad_request("an object is named by its class and its name or id: class is missing")
            return Wanted(errors=question.errors, verbose=question.verbose)
        if question.name is None and question.id is None:
            namespace = self._objects.namespace(question.class_name)
            return Wanted(namespace.class_name, errors=question.errors, verbose=question.verbose)
        target = ObjectRequest(class_name=question.class_name, name=question.name, id=question.id)
        # It need not exist: whoever waits for its first event may tail it, too.
        namespace, actor, _ = await self._objects.find(target)
        label = f'{namespace.class_name} "{actor.name}"' if actor.name is not None else ""
        label = label or f"{namespace.class_name} {actor.id[:8]}"
        return Wanted(namespace.class_name, actor.id, label, question.errors, question.verbose)

"""What an actor writes down of itself while it works: its events, its SQL, its commits, its end. A line costs 0.3 µs.

An entry is `[ended, began, kind, what, outcome, count]`, times in seconds of the host's monotonic clock. Texts are cut
here, because what an object's code says may be as long as it likes; they are put together where somebody looks.
"""

from __future__ import annotations

import asyncio
from http import HTTPMethod
from typing import TYPE_CHECKING, Any, Final

from durable.limits import TIMELINE_TEXT_CHARACTERS_MAX

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.actor.events import Event
    from durable.actor.output_gate import OutputGate
    from durable.sdk.http import Request

OK: Final = "ok"
CANCELLED: Final = "cancelled"


def record_event(actor: Actor, event: Event, began: float, error: BaseException | None) -> None:
    """An event is over; who asked for it, if that was another object, has a line of its own about it."""
    ring = actor.ring
    if ring.is_forgotten:
        ring = actor.ring = actor.engine.timeline.open(actor.key.id, actor.key)
    ring.is_used = True
    ended = actor.engine.clock.monotonic()
    outcome = OK if error is None else failure_text(error)
    what = event.summary()
    ring.append([ended, began, event.kind, what, outcome, actor.storage_operations])
    actor.storage_operations = 0
    caller = event.caller
    if caller is not None:
        caller.ring.append([ended, began, "asks", (actor.label, what), outcome, None])


def record_end(actor: Actor) -> None:
    """The activation is over: it was reset, or left memory."""
    error = actor.activation.reset_by
    record(actor, "evict" if error is None else "reset", actor.engine.clock.monotonic(), error=error)


def record(
    actor: OutputGate,
    kind: str,
    began: float,
    what: str = "",
    error: BaseException | None = None,
    outcome: str = OK,
) -> None:
    """Anything else that began then and is over now."""
    if error is not None:
        outcome = failure_text(error)
    actor.ring.append([actor.engine.clock.monotonic(), began, kind, shortened(what), outcome, None])


def failure_text(error: BaseException) -> str:
    """`ValueError: no such room`; an exception of the user's whose text cannot be had is its type alone."""
    if isinstance(error, asyncio.CancelledError):
        return CANCELLED
    try:
        text = str(error)
    except Exception:
        text = ""
    return shortened(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def shortened(text: str) -> str:
    return text if len(text) <= TIMELINE_TEXT_CHARACTERS_MAX else text[: TIMELINE_TEXT_CHARACTERS_MAX - 1] + "…"


def outgoing_text(request: Request) -> str:
    """`GET https://example.com/room`: without the query, and without a password."""
    url = str(request.url)[: 2 * TIMELINE_TEXT_CHARACTERS_MAX].partition("?")[0]
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return shortened(f"{request.method} {scheme}{separator}{host.rpartition('@')[2]}{slash}{path}")


def path_of(method: Any, url: Any) -> str:
    """`GET /room/a`: without the query, which may hold tokens."""
    if type(method) not in (HTTPMethod, str) or type(url) is not str:
        return ""  # code has put something else there since
    # Cut first: a URL may have 16 KiB, and its path is wanted only as far as it is shown.
    path = url[: 2 * TIMELINE_TEXT_CHARACTERS_MAX].partition("?")[0]
    _, _, rest = path.partition("://")
    return shortened(f"{method} /{rest.partition('/')[2]}" if rest else f"{method} {path}")

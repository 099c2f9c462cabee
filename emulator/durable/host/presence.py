"""Whether an object is in memory, what keeps it there, and its leaving when a tool asks for it. Wakes nobody.

    {"state": "idle", "pins": [], "sockets": 2, "hibernatable_sockets": 2, "idle_seconds": 3.2, "evicted_after": 10.0}
    {"state": "failing", …, "failure": {"type": "ValueError", "message": "boom", "times": 3, "seconds": 0.3}}

The states are those of the platform's docs, "Lifecycle of a Durable Object", and "failing":

    active       an event runs or waits                    idle       nothing keeps it in memory
    pinned       no event, but something keeps it there    hibernated not in memory, its sockets are open
    failing      cannot be constructed                     inactive   not in memory
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from durable import values
from durable.limits import EVICT_SECONDS_MAX
from durable.wire.messages import CallReply, Evict, Look

if TYPE_CHECKING:
    from durable.host.host import Host

_POLL_SECONDS = 0.005
"""How often an eviction looks whether a commit has ended."""

Presence = dict[str, object]


def look(host: Host, question: Look) -> None:
    host.send(CallReply(question.id, 0, values.encode(presence_of(host, question.actor.id))))


async def evict(host: Host, question: Evict) -> None:
    """Have the object leave memory now if nothing pins it; a commit that is under way is waited for."""
    registry, actor_id = host.registry, question.actor.id
    deadline = host.loop.time() + EVICT_SECONDS_MAX
    while not (evicted := registry.evict(actor_id)) and _is_busy_for_a_moment(host, actor_id):
        if host.loop.time() >= deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    host.send(CallReply(question.id, 0, values.encode({**presence_of(host, actor_id), "evicted": evicted})))


def presence_of(host: Host, actor_id: str) -> Presence:
    actor = host.registry.live(actor_id)
    sockets = host.sockets.of(actor_id)
    found: Presence = {
        "state": "hibernated" if sockets else "inactive",
        "pins": [],
        "sockets": len(sockets),
        "hibernatable_sockets": sum(record.hibernatable for record in sockets),
    }
    if actor is not None:
        pins = host.registry.pins(actor)
        found["state"] = "active" if actor.running_events else "pinned" if pins else "idle"
        found["pins"] = [pin.to_json() for pin in pins]
        found["idle_seconds"] = round(host.clock.monotonic() - actor.last_used, 3)
        found["evicted_after"] = host.registry.idle_seconds
        return found
    failure = host.registry.constructions.failure(actor_id)
    if failure is not None:
        found["state"] = "failing"
        found["failure"] = {
            "type": type(failure.error).__name__,
            "message": str(failure.error),
            "times": failure.times,
            "seconds": round(max(0.0, failure.until - host.clock.monotonic()), 3),
        }
    return found


def _is_busy_for_a_moment(host: Host, actor_id: str) -> bool:
    actor = host.registry.live(actor_id)
    return actor is not None and all(pin.kind == "commit" for pin in host.registry.pins(actor))

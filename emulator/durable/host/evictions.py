"""Every object that can leave memory leaves it at once: what idle time does, for a developer who does not want to wait.

Events go on in between: a host may hold many thousand objects, and each takes a while to let go of.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from durable import values
from durable.actor.actor import Actor
from durable.actor.pins import Pin, call_pins
from durable.limits import EVICT_SECONDS_MAX, PINNED_OBJECTS_NAMED_MAX, SWEEP_SLICE_SECONDS
from durable.wire.messages import CallReply, EvictAll

if TYPE_CHECKING:
    from durable.host.host import Host

_POLL_SECONDS = 0.005
"""How often those that only wait for a commit are tried again."""


async def evict_all(host: Host, question: EvictAll) -> None:
    """A commit that is under way is waited for, as with one object."""
    deadline = host.loop.time() + EVICT_SECONDS_MAX
    evicted, pinned = 0, await _evict_once(host, question.namespace)
    while True:
        evicted += pinned.evicted
        if not pinned.waits_for_commits or host.loop.time() >= deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
        pinned = await _evict_once(host, question.namespace)
    named = [
        {
            "namespace": actor.key.namespace,
            "name": actor.key.name,
            "id": actor.key.id,
            "pins": [pin.to_json() for pin in pins],
        }
        for actor, pins in pinned.left[:PINNED_OBJECTS_NAMED_MAX]
    ]
    answer = {"evicted": evicted, "pinned": named, "pinned_count": len(pinned.left)}
    host.send(CallReply(question.id, 0, values.encode(answer)))


class _Pass:
    """One look at every object."""

    def __init__(self) -> None:
        self.evicted = 0
        self.left: list[tuple[Actor, list[Pin]]] = []

    @property
    def waits_for_commits(self) -> bool:
        return any(pins and all(pin.kind == "commit" for pin in pins) for _, pins in self.left)


async def _evict_once(host: Host, namespace: str) -> _Pass:
    done = _Pass()
    registry = host.registry
    calls = host.transport.pending_calls()
    until = host.loop.time() + SWEEP_SLICE_SECONDS
    for actor in registry.actors:
        if namespace not in ("", actor.key.namespace) or registry.live(actor.key.id) is not actor:
            continue
        pins = [*actor.pins(), *call_pins(actor, calls.get(actor, []))]
        if pins or actor.is_pinned:
            done.left.append((actor, pins))
        else:
            actor.evict()
            done.evicted += 1
        if host.loop.time() > until:
            await asyncio.sleep(0)
            calls = host.transport.pending_calls()
            until = host.loop.time() + SWEEP_SLICE_SECONDS
    return done

"""Which of many objects are in memory, for a listing: a line about each instead of a reason. Wakes nobody.

Events go on in between: a page has many objects, and a host may hold many thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from durable import values
from durable.actor.pins import call_pins
from durable.errors import StorageError
from durable.limits import SWEEP_SLICE_SECONDS
from durable.storage.schema_record import quick_checksums
from durable.wire.messages import ActorKey, CallReply, LookMany

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.host.host import Host


async def look_many(host: Host, question: LookMany) -> None:
    registry, loop = host.registry, host.loop
    ids = question.ids
    if ids is None:
        ids = [actor.key.id for actor in registry.actors if actor.key.namespace == question.namespace]
    calls = host.transport.pending_calls()
    until = loop.time() + SWEEP_SLICE_SECONDS
    found: list[dict[str, object]] = []
    for identity in ids:
        facts = _facts(host, identity, calls)
        if question.versions:
            facts["version"] = _version(host, ActorKey(question.namespace, identity, None))
        if len(facts) > 1:
            found.append(facts)
        if loop.time() > until:
            await asyncio.sleep(0)
            calls = host.transport.pending_calls()
            until = loop.time() + SWEEP_SLICE_SECONDS
    host.send(CallReply(question.id, 0, values.encode({"objects": found})))


def _facts(host: Host, identity: str, calls: Mapping[Actor, list[tuple[str, float]]]) -> dict[str, object]:
    """`{"id": …}` alone for one that is not in memory. The states are those of `durable.host.presence`."""
    facts: dict[str, object] = {"id": identity}
    actor = host.registry.live(identity)
    sockets = host.sockets.count(identity)
    if actor is not None:
        is_pinned = actor.is_pinned or bool(call_pins(actor, calls.get(actor, [])))
        facts["state"] = "active" if actor.running_events else "pinned" if is_pinned else "idle"
        facts["name"] = actor.key.name
        facts["idle_seconds"] = round(host.clock.monotonic() - actor.last_used, 3)
    elif host.registry.constructions.failure(identity) is not None:
        facts["state"] = "failing"
    elif sockets:
        facts["state"] = "hibernated"
    if sockets:
        facts["sockets"] = sockets
    return facts


def _version(host: Host, key: ActorKey) -> int | None:
    """None while another thread has the file, or when it cannot be read."""
    registry = host.registry
    if registry.is_lent(key.id):
        return None
    store = registry.open_store(key.id)
    if store is None:
        checksums = quick_checksums(registry.file_of(key))
        return None if checksums is None else len(checksums)
    try:
        return len(store.schema.checksums())
    except StorageError:
        return None

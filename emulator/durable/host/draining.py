"""The end of a host: what has begun goes on up to a deadline, then every file is closed and the gateway is told."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from durable.actor.events import AlarmEvent, SocketEvent
from durable.host.timeline import leave_timeline
from durable.wire.messages import Closed, Drain

if TYPE_CHECKING:
    from durable.host.host import Host

_POLL_SECONDS = 0.001
"""How often a drain looks whether the last event has ended."""


async def drain(host: Host, message: Drain) -> None:
    """Answered with `Closed`; then the host is finished."""
    registry, epochs = host.registry, host.commits.epochs
    deadline = host.loop.time() + message.deadline_seconds

    async def wait_while(condition: Callable[[], bool], deadline: float = deadline) -> None:
        # Polled: a drain is rare, and no event then pays for telling that it was the last one.
        while condition() and host.loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)

    for outgoing in host.outgoing:
        outgoing.hush()
    await wait_while(lambda: registry.is_lending)
    not_begun: list[int] = []
    for actor in registry.actors:
        # The gateway still has these and delivers them to the next host; callers wait here until the deadline.
        withdrawn = actor.withdraw_waiting((SocketEvent, AlarmEvent))
        not_begun += [event.message.event for event in withdrawn if isinstance(event, SocketEvent)]
    await wait_while(lambda: _is_busy(host))
    epoch = 0
    for actor in registry.actors:
        actor.end_turn()
        epoch = max(epoch, actor.epoch)
    await wait_while(lambda: host.index.changes_waiting > 0)
    if epochs is not None:
        await epochs.force(max(epoch, *(actor.epoch for actor in registry.actors), 0))
        # However long it takes: a thread that still writes when the files are said to be closed would write under
        # the next host's feet. Whoever waits for us ends us if it takes too long, which is safe.
        await wait_while(lambda: registry.is_lending, math.inf)
        epochs.close()
        registry.close_all()
    for outgoing in list(host.outgoing):
        outgoing.drop()
    leave_timeline(host)
    host.send(Closed(epoch, not_begun))
    host.channel.flush()
    if message.lingers:
        # Nobody waits for these: no file is open here any more, and the next host serves.
        await wait_while(lambda: host.bodies.is_sending or host.channel.unsent_bytes > 0)
    if not host.finished.done():
        host.finished.set_result(0)


def _is_busy(host: Host) -> bool:
    return (
        bool(host.worker.running)
        or host.transport.running_scopes > 0
        or host.registry.is_waiting
        or any(actor.running_events for actor in host.registry.actors)
    )

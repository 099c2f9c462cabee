"""Takes an alarm off an object when it is given up: its row first, the index once that is durable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from durable.actor.events import Event
from durable.errors import DurableError
from durable.wire.messages import ActorKey, AlarmGiveUp, IndexPut

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.host.host import Host


def clear_alarm(host: Host, given_up: AlarmGiveUp) -> None:
    """Clear the row if it still says what was given up, between the object's events or while it sleeps.

    A sleeping object is not constructed for it: its constructor may be what has failed all the time.
    """
    registry, key = host.registry, given_up.actor
    if registry.is_closed:
        return
    actor = registry.live(key.id)
    if actor is not None:
        actor.deliver(_ClearAlarm(given_up.scheduled_ms, lambda: clear_alarm(host, given_up)))
    elif registry.is_lent(key.id):
        host.background(_clear_when_free(host, given_up))
    else:
        registry.lend_sleeping(key.id)
        _clear_asleep(host, key, given_up.scheduled_ms)


async def _clear_when_free(host: Host, given_up: AlarmGiveUp) -> None:
    actor = await host.registry.lend(given_up.actor.id)
    host.registry.give_back(given_up.actor.id, actor)
    clear_alarm(host, given_up)


def _clear_asleep(host: Host, key: ActorKey, scheduled_ms: int) -> None:
    """With the file lent to us, so that nobody opens it meanwhile."""
    store = host.registry.store(key)
    try:
        if store.has_file and store.exists and store.alarm.get() == scheduled_ms:
            store.alarm.delete()
            store.commit()
            host.when_durable(host.commit(store), lambda: _say_cleared(host, key))
    except DurableError as error:
        # The row and the index still have the alarm, so it is tried again: better once too often.
        host.log_failure(error, key.name or key.id, "alarm")
    finally:
        host.registry.give_back(key.id, None)


def _say_cleared(host: Host, key: ActorKey) -> None:
    actor = host.registry.live(key.id)
    if actor is None and host.registry.store(key).alarm.now is None:
        host.send(IndexPut(0, key, None))
    # An activation that began meanwhile read the row, and tells the index itself when it moves the alarm again; what
    # the index still says then only makes the scheduler ask once too often.


class _ClearAlarm(Event):
    """The same within the object, as an event that nobody waits for."""

    __slots__ = ("_again", "_scheduled_ms")

    def __init__(self, scheduled_ms: int, again: Callable[[], None]) -> None:
        super().__init__()
        self._scheduled_ms = scheduled_ms
        self._again = again

    async def run(self, actor: Actor) -> Any:
        if actor.store.exists and actor.store.alarm.get() == self._scheduled_ms:
            actor.store.alarm.delete()

    def succeed(self, actor: Actor, result: Any) -> None:
        return

    def fail(self, actor: Actor, error: BaseException) -> None:
        # The activation ended before it came to this.
        actor.engine.loop.call_soon(self._again)

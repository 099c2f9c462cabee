"""Texts that the gateway answers for actors, without waking them (cf. workerd `io/hibernation-manager.c++`).

A pair lasts as long as its actor is in memory or has a socket: the host takes back those of actors that leave without
one, and a host that ends leaves behind only those of sockets that go on. So there are never more pairs than live actors
and sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from durable.clock import Clock
from durable.gateway.socket_delivery import SocketDelivery
from durable.gateway.socket_record import SocketRecord
from durable.gateway.websocket_frames import Frame
from durable.limits import CHANNEL_HIGH_WATER_BYTES
from durable.wire.messages import ActorKey, AutoResponded, AutoResponseState, SetAutoResponse, SocketState

_TELL_AGAIN_SECONDS = 0.1
"""When a host that was far behind is told of the last answers, if it is not any more."""


class AutoResponses:
    """Pairs by actor, and the times of the last answers that hosts have not been told."""

    def __init__(self, delivery: SocketDelivery, clock: Clock) -> None:
        self._delivery = delivery
        self._clock = clock
        self._pairs: dict[tuple[str, str], AutoResponseState] = {}
        self._untold: dict[int, SocketRecord] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._pairs)

    def set(self, message: SetAutoResponse) -> None:
        key = (message.actor.namespace, message.actor.id)
        if message.request is None and not message.event_timeout_ms:
            self._pairs.pop(key, None)
        else:
            self._pairs[key] = AutoResponseState(
                message.actor, message.request, message.response, message.event_timeout_ms
            )

    def answer(self, record: SocketRecord, text: str) -> bool:
        """Send the answer to this text, if there is one; the record is connected and hibernatable."""
        assert record.actor is not None
        assert record.client is not None
        pair = self._pairs.get((record.actor.namespace, record.actor.id))
        if pair is None or pair.request != text:
            return False
        record.client.send(Frame(pair.response, None))
        record.auto_response_ms = self._clock.wall_ms()
        self._tell(record)
        return True

    def of_next_host(
        self, owned: Callable[[ActorKey], bool], sockets: Iterable[SocketState]
    ) -> list[AutoResponseState]:
        """The pairs of a host that begins with these sockets and nobody in memory; other pairs it owns are over."""
        with_sockets = {(state.actor.namespace, state.actor.id) for state in sockets}
        for key in [key for key, pair in self._pairs.items() if key not in with_sockets and owned(pair.actor)]:
            del self._pairs[key]
        return [pair for pair in self._pairs.values() if owned(pair.actor)]

    def clear(self) -> None:
        self._pairs.clear()

    # --- when it was -----------------------------------------------------------------------------------------------
    def _tell(self, record: SocketRecord) -> None:
        link = self._delivery.link_of(record)
        if link is None:
            return  # the next host gets it with the socket
        if link.unsent_bytes <= CHANNEL_HIGH_WATER_BYTES:
            link.send(AutoResponded(record.socket, record.auto_response_ms))
            return
        # The host reads nothing at the moment, and the client asks as fast as it can: only the last time counts.
        self._untold[record.socket] = record
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TELL_AGAIN_SECONDS, self.tell_late)

    def tell_late(self) -> None:
        """Tell hosts that were far behind; runs by itself."""
        self._timer = None
        untold, self._untold = self._untold, {}
        for record in untold.values():
            self._tell(record)

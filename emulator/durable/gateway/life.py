"""Objects that come into memory and leave it, as events, while somebody wants to see them. Hosts say so only then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from durable.gateway.events import ObjectEvicted, ObjectWoke, OnEvent
from durable.gateway.link import HostLink
from durable.wire.messages import Left, TellLife, Woke


class Life:
    """Listens to every host; `want` and `unwant` come in pairs."""

    def __init__(self, on_event: OnEvent, class_name: Callable[[str], str]) -> None:
        self._on_event = on_event
        self._class_name = class_name
        self._links: set[HostLink] = set()
        self._wanted = 0

    def listen(self, link: HostLink) -> None:
        self._links.add(link)
        link.on_lost(partial(self._links.discard, link))
        link.on(Woke, self._woke)
        link.on(Left, self._left)
        if self._wanted:
            link.send(TellLife(wanted=True))

    def want(self) -> None:
        self._wanted += 1
        if self._wanted == 1:
            self._tell(wanted=True)

    def unwant(self) -> None:
        self._wanted -= 1
        if not self._wanted:
            self._tell(wanted=False)

    def _tell(self, *, wanted: bool) -> None:
        for link in self._links:
            link.send(TellLife(wanted))

    def _woke(self, message: Woke) -> None:
        actor = message.actor
        self._on_event(ObjectWoke(self._class_name(actor.namespace), actor.name, actor.id))

    def _left(self, message: Left) -> None:
        actor = message.actor
        self._on_event(ObjectEvicted(self._class_name(actor.namespace), actor.name, message.cause, actor.id))

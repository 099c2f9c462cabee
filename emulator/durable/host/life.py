"""Tells the gateway which actors come into memory and leave it, while somebody over there wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.actor.failure import error_text
from durable.wire.messages import Left, TellLife, Woke

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.host.host import Host

_CAUSE_CHARACTERS_MAX = 200


class Life:
    """`is_told` is looked at where it matters, so that nobody pays who did not ask."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.is_told = False

    def tell(self, message: TellLife) -> None:
        self.is_told = message.wanted

    def woke(self, actor: Actor) -> None:
        self._host.send(Woke(actor.key))

    def left(self, actor: Actor) -> None:
        error = actor.activation.reset_by
        cause = "" if error is None else self._host.redaction.text(error_text(error))
        self._host.send(Left(actor.key, cause[:_CAUSE_CHARACTERS_MAX]))

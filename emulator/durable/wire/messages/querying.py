"""What `durable sql CLASS --all` asks of a host: one query of many objects."""

from __future__ import annotations

from durable.wire.messages.message import ActorKey, Message


class InspectMany(Message, frozen=True, tag=103):
    """Gateway → host: run SQL that reads on each of these objects, between its turns; wakes nobody, writes nothing.

    `parameters` as in `Inspect`; `rows_max` and `seconds_max` bind each object. Answered with `Failed`, or with
    `CallReply`, whose payload is MessagePack of `[objects done, their answers]`, the latter as
    `durable.storage.sql.answers` has them. Fewer objects than were named are done when that takes long or becomes
    large: whoever asked names the others again.
    """

    id: int
    actors: list[ActorKey]
    sql: str
    rows_max: int
    seconds_max: float
    parameters: bytes = b""

    @property
    def actor(self) -> None:
        """It is not about one object."""
        return None

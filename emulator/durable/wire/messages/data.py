"""What tools ask of a host about whole objects: to copy them out, to give them another state, to delete them.

Each wakes nobody, and is answered with `CallReply` or `Failed`.
"""

from __future__ import annotations

from durable.wire.messages.message import ActorKey, Message


class CopyObject(Message, frozen=True, tag=100):
    """Gateway → host: write the object's state between two of its turns to a file. Answered with `{"bytes": 8192}`.

    `sync` False leaves it to whoever asks whether the file has to be on the disk.
    """

    id: int
    actor: ActorKey
    target: str
    sync: bool = True


class ReplaceObject(Message, frozen=True, tag=101):
    """Gateway → host: make a file as `CopyObject` wrote it the object's state, that of a new object with `create`.

    Answered with `{"undo": "<bookmark>" | None, "bytes": 8192, "alarm_ms": 1700000000000 | None, "created": False}`,
    and `"damaged": "<folder>"` for an object whose own file was damaged: where that is kept.
    """

    id: int
    actor: ActorKey
    image: str
    create: bool


class DeleteObject(Message, frozen=True, tag=102):
    """Gateway → host: have the object store nothing, and forget it. Answered as `ReplaceObject` is."""

    id: int
    actor: ActorKey

"""Durable epochs, and the index of objects that the gateway alone writes."""

from __future__ import annotations

from durable.wire.messages.message import ActorKey, Message


class EpochDurable(Message, frozen=True, tag=60):
    """Host → gateway: every write up to this epoch is on disk."""

    epoch: int


class EpochFailed(Message, frozen=True, tag=61):
    """Host → gateway: these frames will never be released: drop what `actors` said in epochs after `durable`.

    `questions` are the ids of what they asked actors of other hosts and have no answer to.
    """

    epoch: int
    actors: list[ActorKey]
    questions: list[int] = []


class IndexPut(Message, frozen=True, tag=62):
    """Host → gateway: `actor` exists and its alarm is due at `alarm_ms` (None: none).

    With an `id` the host waits for `IndexDurable` before it commits (a new object, or an alarm moved earlier);
    with id 0 it does not (an alarm moved later or cleared, after its epoch was durable).
    """

    id: int
    actor: ActorKey
    alarm_ms: int | None
    created_ms: int = 0
    new_file: bool = False
    """The object has never committed anything: the row promises a file, so the file's name goes to disk first."""


class IndexDurable(Message, frozen=True, tag=63):
    """Gateway → host: the index rows asked for under these ids are on disk; `error` is set when they cannot be."""

    ids: list[int]
    error: str = ""


class IndexRemove(Message, frozen=True, tag=64):
    """Host → gateway: the object has no data left; drop its row. Answered by `IndexDurable` when `id` is not 0."""

    id: int
    actor: ActorKey


class IndexFind(Message, frozen=True, tag=65):
    """Host → gateway: does the index know this object? Asked before an object without a file is activated."""

    id: int
    actor: ActorKey


class IndexFound(Message, frozen=True, tag=66):
    """Gateway → host: the answer to `IndexFind`; `error` is set when the index cannot be read."""

    id: int
    known: bool
    error: str = ""

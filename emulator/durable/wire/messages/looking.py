"""What tools ask of a host: to look at objects and their files, to evict them, to bring them back."""

from __future__ import annotations

import msgspec

from durable.wire.messages.message import ActorKey, Message


class Inspect(Message, frozen=True, tag=80):
    """Gateway → host: run SQL on one object's file between its turns, without waking it.

    `parameters` is a list or a dict of the value codec; empty: none.
    """

    id: int
    actor: ActorKey
    sql: str
    write: bool
    rows_max: int
    seconds_max: float
    parameters: bytes = b""


class InspectedRows(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one statement returned, as `durable.storage.sql.inspection.Inspection`; each row is a value-codec list."""

    columns: list[str]
    rows: list[bytes]
    truncated: bool = False
    rows_written: int = 0
    oversized: bool = False


class InspectReply(Message, frozen=True, tag=81):
    """What the statements returned; `error` is SQLite's message, empty when all went well."""

    id: int
    epoch: int
    results: list[InspectedRows]
    error: str = ""


class Evict(Message, frozen=True, tag=82):
    """Gateway → host: drop the live instance (tools only); answered as `Look` is, with `"evicted": true` if it was."""

    id: int
    actor: ActorKey


class EvictAll(Message, frozen=True, tag=86):
    """Gateway → host: drop every live instance of this namespace, or of all, that nothing keeps in memory.

    Answered with `CallReply`:
    `{"evicted": 12, "pinned": [{"namespace": …, "name": …, "id": …, "pins": [… as in `Look`]}], "pinned_count": 1}`.
    """

    id: int
    actor: ActorKey | None
    namespace: str


class Look(Message, frozen=True, tag=84):
    """Gateway → host: is the object in memory, and what keeps it there? Wakes nobody.

    Answered with `CallReply`, whose payload is `{"state": "idle", "pins": [{"kind": "timer", "text": "timer due in 14 s
    at main.py:12", "count": 1, …}], "sockets": 2, …}`; see `durable.host.presence`.
    """

    id: int
    actor: ActorKey


class LookMany(Message, frozen=True, tag=104):
    """Gateway → host: of these objects of a namespace, which are in memory or have sockets? Wakes nobody.

    Without `ids`: all that are in memory, of this namespace. With `versions`, how many migrations each has, too.
    Answered with `CallReply`: `{"objects": [{"id": …, "name": …, "state": "idle", "sockets": 2, "idle_seconds": 3.2,
    "version": 4}, …]}`; an object that is not named there is not in memory, and nothing more is known of it.
    """

    id: int
    actor: ActorKey | None
    namespace: str
    ids: list[str] | None = None
    versions: bool = False


class Recall(Message, frozen=True, tag=85):
    """Gateway → host: what do you remember of this object, of those of this namespace, or of all? Wakes nobody.

    The last `entries_max` things that ended after `since_us` and by `until_us`, microseconds of the monotonic clock.
    Answered with `CallReply`, whose payload is MessagePack of `list[durable.wire.timeline.Remembered]`.
    """

    id: int
    actor: ActorKey | None
    since_us: int
    until_us: int
    entries_max: int
    namespace: str = ""


class TimelineLeft(Message, frozen=True, tag=87):
    """Host → gateway, before `Closed`: what it remembers last, as in the answer to `Recall`; that ends with it."""

    payload: bytes


class Restore(Message, frozen=True, tag=83):
    """Gateway → host: bring one object back to a bookmark or a moment; with neither, say from when to when that goes.

    `moment_ms` is wall time; negative: that long ago by the host's clock. Answered with `CallReply`, whose payload is
    `{"restored": "<bookmark>", "moment_ms": 0, "undo": "<bookmark>", "bytes": 0}`, or
    `{"oldest_ms": 0, "newest_ms": 0, "segments": 1, "bytes": 0, "bookmark": "<bookmark>"}`; or with `Failed`.
    """

    id: int
    actor: ActorKey
    bookmark: str = ""
    moment_ms: int | None = None


class MigrateObject(Message, frozen=True, tag=95):
    """Gateway → host: bring the schema of one object to what the files say, between its turns; constructs nobody.

    `digest` is of the files that are meant. `todo` is "migrate", "look" for the version alone, or "try" to do it on a
    copy. `snapshot` is a folder that a copy goes to before; empty: none. Answered with `CallReply`, whose payload is
    that of `durable.actor.object_schema.Outcome`, or with `Failed`.
    """

    id: int
    actor: ActorKey
    digest: str
    todo: str = "migrate"
    snapshot: str = ""

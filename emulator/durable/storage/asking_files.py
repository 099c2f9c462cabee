"""`python -m durable.storage.asking_files STATE`: one query of many objects of a state that nobody serves.

Whoever has the state lock asks in its own process, or has a part of it done by this one, which inherits the lock.
Frames of four bytes of length and MessagePack come on standard input, a `Query` and then lists of ids, and for each
list one frame goes to standard output: `[objects done, Answers]`, in which objects have their ids as names. One before
them says that it has started. The end of the input ends it. Nothing is written, and no code of the user's runs.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from durable.clock import SystemClock
from durable.errors import StorageError
from durable.limits import (
    GC_YOUNG_OBJECTS,
    INSPECT_SECONDS_MAX,
    QUERY_BATCH_BYTES,
    QUERY_OBJECT_BYTES_MAX,
)
from durable.storage.actor_store import ActorStore
from durable.storage.file_check import missing_file
from durable.storage.layout import StateLayout
from durable.storage.quick_look import look_quickly
from durable.storage.sql.answers import Answers
from durable.storage.sql.inspection import Inspection
from durable.storage.transaction import has_file

LENGTH_BYTES: Final = 4
READY: Final = b"ready"


class Query(msgspec.Struct):
    """What every object of a namespace is asked."""

    namespace: str
    sql: str
    parameters: list[Any] | dict[str, Any]
    """Of SQLite's types."""
    rows_max: int


def ask_files(layout: StateLayout, query: Query, ids: Sequence[str]) -> tuple[int, Answers]:
    """How many of these objects were asked, and their answers: not all when those are large."""
    answers, size, done = Answers(), 0, 0
    for identity in ids:
        try:
            (*_, found) = _look(layout.object_file(query.namespace, identity), query)
            size += answers.add(identity, found)
        except StorageError as error:
            answers.fail(identity, str(error))
        done += 1
        if size >= QUERY_BATCH_BYTES:
            break
    return done, answers


def _look(path: Path, query: Query) -> list[Inspection]:
    found = look_quickly(
        path, query.sql, query.parameters, rows_max=query.rows_max,
        bytes_max=QUERY_OBJECT_BYTES_MAX, seconds_max=INSPECT_SECONDS_MAX,
    )  # fmt: skip
    if found is not None:
        return found
    if not has_file(path):
        raise missing_file(path)
    store = ActorStore(path, clock=SystemClock(), on_first_write=lambda: None)
    try:
        return store.inspect(
            query.sql, query.parameters, write=False, rows_max=query.rows_max,
            bytes_max=QUERY_OBJECT_BYTES_MAX, seconds_max=INSPECT_SECONDS_MAX,
        )  # fmt: skip
    finally:
        store.end()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """None at the end, also when that comes in the middle of a frame."""
    head = stream.read(LENGTH_BYTES)
    size = int.from_bytes(head, "big")
    frame = stream.read(size) if len(head) == LENGTH_BYTES else b""
    return frame if frame and len(frame) == size else None


def write_frame(stream: IO[bytes], frame: bytes) -> None:
    stream.write(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
    stream.flush()


def main() -> int:
    layout = StateLayout(Path(sys.argv[1]))
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    encode, ids = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(list[str])
    write_frame(answers, READY)
    gc.freeze()
    gc.set_threshold(GC_YOUNG_OBJECTS)
    if (first := read_frame(source)) is None:
        return 0
    query = msgspec.msgpack.decode(first, type=Query)
    try:
        while (frame := read_frame(source)) is not None:
            write_frame(answers, encode(ask_files(layout, query, ids.decode(frame))))
    except BrokenPipeError:
        # Whoever asked is gone.
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

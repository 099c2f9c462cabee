"""Bookmarks of `ctx.storage`: what an actor may ask of its own history."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from durable.actor.key_operations import Done
from durable.errors import JsTypeError, StorageError

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.storage.history.recovery import Recovery


def current_bookmark(actor: Actor) -> Awaitable[str]:
    """That of the commit which ends this turn, if it wrote anything; no disk is waited for."""
    return _after_commit(actor, _recovery(actor).bookmark)


def bookmark_for_time(actor: Actor, moment: Any) -> Awaitable[str]:
    return Done(_recovery(actor).bookmark_for_time(_milliseconds(moment)))


def restore_next_session(actor: Actor, bookmark: str) -> Awaitable[str]:
    """The bookmark that undoes it. Awaiting ends the turn, so that `ctx.abort()` right behind it takes nothing back."""
    undo = _recovery(actor).wish(bookmark)
    return _after_commit(actor, lambda: undo)


def _after_commit(actor: Actor, result: Callable[[], str]) -> Awaitable[str]:
    """What `result` gives when this turn is committed; now, if it wrote nothing or is part of a transaction."""
    if not actor.dirty or actor.transactions:
        return Done(result())
    future: asyncio.Future[str] = actor.engine.loop.create_future()

    def committed(_: int) -> None:
        if not future.done():
            try:
                future.set_result(result())
            except StorageError as error:
                future.set_exception(error)

    actor.emit(committed)
    return future


def _recovery(actor: Actor) -> Recovery:
    recovery = actor.usable_store().recovery
    if actor.engine.is_kv_only(actor.key.namespace):
        raise StorageError(
            "This Durable Object's storage back-end does not implement point-in-time recovery. Declare its class in"
            " new_sqlite_classes"
        )
    return recovery


def _milliseconds(moment: Any) -> int:
    """A datetime without a zone is local time, as everywhere in Python."""
    if isinstance(moment, datetime):
        return math.floor(moment.timestamp() * 1000)
    if isinstance(moment, bool) or not isinstance(moment, (int, float)):
        raise JsTypeError(
            f"get_bookmark_for_time() takes milliseconds since the epoch or a datetime, got {type(moment).__name__}"
        )
    if not math.isfinite(moment) or moment < 0:
        raise JsTypeError(f"get_bookmark_for_time() takes a point in time, got {moment}")
    return math.floor(moment)

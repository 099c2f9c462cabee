"""Keys and the alarm as user code asks for them: arguments and options, the same on `ctx.storage` and on a `txn`."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from durable.errors import JsTypeError
from durable.limits import ALARM_MS_MAX
from durable.sdk import habits
from durable.sdk.aliases import merge_options
from durable.sdk.storage import KeyOperations
from durable.storage.actor_store import ActorStore
from durable.values import Row

if TYPE_CHECKING:
    from durable.actor.actor import Actor

T = TypeVar("T")
Options = Mapping[str, Any] | None

READ_OPTIONS: Final = ("allow_concurrency", "no_cache")
WRITE_OPTIONS: Final = ("allow_unconfirmed", "allow_concurrency", "no_cache")
ALARM_OPTIONS: Final = ("allow_unconfirmed", "allow_concurrency")
LIST_BOUNDS: Final = ("start", "start_after", "end", "prefix", "reverse", "limit")
_UNDEFINED: Final[Any] = object()
"""Stands for an argument that was not given, where None is a value."""


class Done(Generic[T]):
    """An awaitable that already has its value: awaiting it never lets another event in."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, T]:
        return self._value
        yield  # pragma: no cover - makes this a generator


NOTHING: Done[None] = Done(None)


class ActorKeyOperations(KeyOperations):
    """Knows what the arguments mean; whose storage it is, and whether it may be used now, is for the two to say."""

    _actor: Actor

    @abstractmethod
    def _store(self, method: str) -> ActorStore:
        """The store, for `method`; raises when it may not be used any more."""

    def get(
        self, key: str | Iterable[str], options: Options = None, *, default: Any = _UNDEFINED, **more: Any
    ) -> Awaitable[Any]:
        kv = self._store("get").kv
        if options is not None or more:
            merge_options("get", READ_OPTIONS, options, more)
        if type(key) is str or not _is_several(key):
            return Done(kv.get(key, None if default is _UNDEFINED else default))  # type: ignore[arg-type]
        if default is not _UNDEFINED:
            raise JsTypeError("get() of several keys leaves out those that are missing; default= is for one key")
        return Done(_arriving(kv.get_many(key)))

    def put(
        self, key: str | Mapping[str, Any], value: Any = _UNDEFINED, options: Options = None, **more: Any
    ) -> Awaitable[None]:
        kv = self._store("put").kv
        if isinstance(key, Mapping):
            entries = dict(key)
            if options is not None or not (value is _UNDEFINED or value is None or isinstance(value, Mapping)):
                raise JsTypeError(
                    "put() may only be called with a single key-value pair and optional options as"
                    " put(key, value, options) or with multiple key-value pairs and optional options as"
                    f" put(entries, options), got {type(value).__name__} behind the entries"
                )
            unconfirmed = self._write_options("put", None if value is _UNDEFINED else cast("Options", value), more)
            self._write(unconfirmed, lambda: kv.put_many(entries))
        else:
            if value is _UNDEFINED:
                raise JsTypeError("put() called with undefined value.")
            if options is not None or more:
                unconfirmed = self._write_options("put", options, more)
                self._write(unconfirmed, lambda: kv.put(key, value))
            else:
                kv.put(key, value)
        return NOTHING

    def delete(self, key: str | Iterable[str], options: Options = None, **more: Any) -> Awaitable[Any]:
        kv = self._store("delete").kv
        unconfirmed = (options is not None or more) and self._write_options("delete", options, more)
        return Done(
            self._write(unconfirmed, lambda: kv.delete_many(key) if _is_several(key) else kv.delete(key))  # type: ignore[arg-type]
        )

    def list(self, options: Options = None, **more: Any) -> Awaitable[dict[str, Any]]:
        return Done(_arriving(self._store("list").kv.list(**listing("list", options, more))))

    def get_alarm(self, options: Options = None, **more: Any) -> Awaitable[int | None]:
        store = self._store("get_alarm")
        actor = self._actor
        if options is not None or more:
            merge_options("get_alarm", READ_OPTIONS, options, more)
        if actor.alarm_running and not actor.alarm_touched:
            return NOTHING
        return Done(store.alarm.get())

    def set_alarm(self, scheduled_time: float | datetime, options: Options = None, **more: Any) -> Awaitable[None]:
        store = self._store("set_alarm")
        actor = self._actor
        unconfirmed = (options is not None or more) and self._write_options("set_alarm", options, more, ALARM_OPTIONS)
        if actor.instance is not None and not actor.has_alarm_handler:
            raise JsTypeError("Your Durable Object class must have an alarm() handler in order to call setAlarm()")
        due_ms = max(_alarm_ms(scheduled_time), actor.engine.clock.wall_ms())
        self._write(unconfirmed, lambda: store.alarm.set(due_ms))
        actor.alarm_touched = True
        return NOTHING

    def delete_alarm(self, options: Options = None, **more: Any) -> Awaitable[None]:
        store = self._store("delete_alarm")
        asked = options is not None or more
        self._write(asked and self._write_options("delete_alarm", options, more, ALARM_OPTIONS), store.alarm.delete)
        self._actor.alarm_touched = True
        return NOTHING

    def _write_options(
        self, method: str, options: Options, more: Mapping[str, Any], allowed: tuple[str, ...] = WRITE_OPTIONS
    ) -> bool:
        """Whether the output gate need not wait for this write (`allow_unconfirmed`)."""
        return bool(merge_options(method, allowed, options, more).get("allow_unconfirmed"))

    def _write(self, unconfirmed: object, write: Callable[[], T]) -> T:
        return self._actor.unconfirmed(write) if unconfirmed else write()


def listing(method: str, options: Options, more: Mapping[str, Any]) -> dict[str, Any]:
    """The bounds of a listing, for the store; raises TypeError for an option that does not exist."""
    merged = merge_options(method, (*LIST_BOUNDS, *READ_OPTIONS), options, more)
    return {name: value for name, value in merged.items() if name in LIST_BOUNDS}


def _arriving(found: dict[str, Any]) -> dict[str, Any]:
    return Row(found) if habits.platform else found


def _is_several(key: object) -> bool:
    return isinstance(key, Iterable) and not isinstance(key, (str, bytes, bytearray))


def _alarm_ms(moment: float | datetime) -> int:
    """Milliseconds since the epoch. A datetime without a zone is local time, as everywhere in Python."""
    if isinstance(moment, datetime):
        try:
            seconds = moment.timestamp()
        except (OverflowError, ValueError, OSError) as error:
            # Local time at the ends of the calendar: what is no moment has no milliseconds either.
            raise JsTypeError(f"set_alarm() takes a point in time, got {moment.isoformat()}: {error}") from None
        # By way of whole microseconds: seconds in floats would make a millisecond the next one, and alarms late.
        moment = round(seconds * 1_000_000) / 1000
    elif isinstance(moment, bool) or not isinstance(moment, (int, float)):
        raise JsTypeError(f"set_alarm() takes milliseconds since the epoch or a datetime, got {type(moment).__name__}")
    if isinstance(moment, float) and not math.isfinite(moment):
        raise JsTypeError(f"set_alarm() takes a point in time, got {moment}")
    if moment <= 0:
        raise JsTypeError("setAlarm() cannot be called with an alarm time <= 0")
    if moment > ALARM_MS_MAX:
        raise JsTypeError("This API doesn't support dates after 2189.")
    return math.ceil(moment)

"""Events of web sockets that user code listens to: who wants which, and what a listener receives. Delivers nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from durable.errors import JsTypeError
from durable.sdk.aliases import CamelCase, merge_options
from durable.sdk.habits import arrived


class SocketEvent(CamelCase):
    """What a listener receives; `type` is "open", "message", "close" or "error".

    "message" has `data`, "close" has `code`, `reason` and `was_clean`, "error" has `message` and `error`, which is the
    same as an exception. `data` of an error is its message, too.
    """

    def __init__(
        self,
        type: str,
        data: str | bytes | None = None,
        code: int = 0,
        reason: str = "",
        was_clean: bool = False,
        error: BaseException | None = None,
    ) -> None:
        self.type = type
        self.data: Any = arrived(data) if isinstance(data, bytes) else data
        """`str` or `bytes`; typed so that a listener can use it as what it knows it is."""
        self.code = code
        self.reason = reason
        self.was_clean = was_clean
        self.error = error
        self.message = "" if error is None else str(error)
        self.target: Any = None

    def __repr__(self) -> str:
        return f"<SocketEvent {self.type}>"


Listener = Callable[[SocketEvent], Any]
"""A function or a coroutine function of one argument."""


class EventTarget(CamelCase):
    """Listeners by type of event, in the order in which they came."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Listener, bool]] = {}

    def add_event_listener(
        self, type: str, listener: Listener, options: Mapping[str, Any] | None = None, *, once: bool = False
    ) -> None:
        """Call `listener(event)` for each event of this type, or with `once` for the next only; it may be async.

        A listener that is there already is not added a second time.
        """
        if not callable(listener):
            raise JsTypeError(f"a listener is a function of one argument, got {_type_name(listener)}")
        chosen = merge_options("add_event_listener", ("once",), options)
        self._listeners.setdefault(type, {}).setdefault(listener, bool(chosen.get("once", once)))

    def remove_event_listener(self, type: str, listener: Listener) -> None:
        """Does nothing for a listener that is not there."""
        self._listeners.get(type, {}).pop(listener, None)

    def listeners(self, type: str) -> list[Listener]:
        """For the runtime: who gets the event that happens now."""
        wanted = self._listeners.get(type)
        if not wanted:
            return []
        found = list(wanted)
        for listener in [listener for listener, once in wanted.items() if once]:
            del wanted[listener]
        return found


def _type_name(value: object) -> str:
    return value.__class__.__name__

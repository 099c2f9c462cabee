"""Events as lines of JSON and back, for tools that follow a running emulator. Knows no connection.

    {"event": "RequestServed", "at_ms": 1769860800000, "clock": [0, false], "fields": {"method": "GET", …}}

What is told of the stream itself has the same form: `Tailing` is its first line, `LeftOut` counts events that were not
sent (`{"RequestServed": 1180}`), `Stopped` is its last line when the emulator ends.
"""

from __future__ import annotations

from typing import Any

import msgspec

from durable.errors import UserInputError
from durable.gateway.events import Event

TAILING, LEFT_OUT, STOPPED = "Tailing", "LeftOut", "Stopped"


class EventLine(msgspec.Struct, frozen=True):
    """One line. `clock` is how many milliseconds the emulator's clock is ahead, and whether it stands still."""

    event: str
    at_ms: int
    clock: tuple[int, bool]
    fields: dict[str, Any] = {}


def encode_line(event: str, at_ms: int, clock: tuple[int, bool], fields: Event | dict[str, Any]) -> bytes:
    line = {"event": event, "at_ms": at_ms, "clock": clock, "fields": fields}
    return msgspec.json.encode(line, enc_hook=_to_json) + b"\n"


def decode_line(line: bytes) -> EventLine:
    """Raises `msgspec.DecodeError` for what is no such line."""
    return msgspec.json.decode(line, type=EventLine)


def event_of(line: EventLine) -> Event | None:
    """The event of a line; None for a line about the stream, or of another version. Import its module before."""
    kind = _kinds(Event).get(line.event)
    if kind is None:
        return None
    try:
        return msgspec.convert(line.fields, kind, dec_hook=_from_json)
    except msgspec.ValidationError:
        return None


def _kinds(root: type[Event]) -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    for kind in root.__subclasses__():
        found[kind.__name__] = kind
        found |= _kinds(kind)
    return found


def _to_json(value: Any) -> object:
    if isinstance(value, UserInputError):
        return {"message": str(value), "fix": value.fix}
    return str(value)


def _from_json(kind: type, value: Any) -> object:
    if issubclass(kind, UserInputError):
        return UserInputError(str(value["message"]), fix=str(value["fix"]))
    raise NotImplementedError(kind.__name__)

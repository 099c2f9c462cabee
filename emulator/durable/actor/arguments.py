"""What a failed call was given, in a line: `text='hello wor…', tags=['a', 'b', … 98 more]`. Bounded, whatever it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from durable.actor.frames import plain
from durable.limits import REPORT_ARGUMENT_CHARACTERS_MAX, REPORT_ARGUMENTS_CHARACTERS_MAX
from durable.sdk.http import Request
from durable.wire.redaction import Redaction, looks_secret

_ITEMS = 4
"""Items of a container that are shown; the others are counted."""
_DEPTH = 2
"""Containers within containers that are shown."""
_DIGITS = 20
_PLAIN = (bool, float, type(None), date, time, timedelta, UUID, Decimal)


def shown_arguments(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any], redaction: Redaction) -> str:
    """`names` are those of the positional ones, as far as they are known."""
    parts: list[str] = []
    length = 0
    named = [*zip([*names[: len(args)], *[""] * (len(args) - len(names))], args, strict=True), *kwargs.items()]
    for name, value in named:
        shown = f"«{name}»" if name and looks_secret(name) else _shown(value, redaction, _DEPTH)
        part = f"{name}={shown}" if name and not isinstance(value, Request) else shown
        length += len(part)
        if length > REPORT_ARGUMENTS_CHARACTERS_MAX and parts:
            parts.append(f"… {len(named) - len(parts)} more")
            break
        parts.append(part)
    text, room = redaction.text(", ".join(parts)), 2 * REPORT_ARGUMENTS_CHARACTERS_MAX
    # A single one may be long, such as a dict of long strings.
    return plain(text if len(text) <= room else text[:room] + "…")


def _shown(value: Any, redaction: Redaction, depth: int) -> str:
    kind = value.__class__
    if kind is str:
        return _cut(repr(_head(value, redaction)), len(value))
    if kind is bytes or kind is bytearray:
        return _cut(f"b{_head(repr(bytes(value[: _room(redaction)]))[1:], redaction)}", len(value))
    if kind is int:
        # The decimal text of a huge number takes for ever, and Python refuses it.
        return str(value) if value.bit_length() < 64 else f"{hex(value)[:_DIGITS]}… ({value.bit_length()} bits)"
    if isinstance(value, _PLAIN) and kind.__module__ in {"builtins", "datetime", "uuid", "decimal"}:
        return repr(value)[: 4 * _DIGITS]
    if isinstance(value, Request):
        return _request(value)
    if isinstance(value, Mapping):
        return _mapping(cast("Any", value), redaction, depth)
    if isinstance(value, (list, tuple, Set)):
        opening, closing = "[]" if kind is list else "()" if kind is tuple else "{}"
        return _several(cast("Any", value), opening, closing, redaction, depth)
    return _other(value, redaction)


def _room(redaction: Redaction) -> int:
    """A secret that the cut would go through is found while it is whole."""
    return REPORT_ARGUMENT_CHARACTERS_MAX + redaction.longest


def _head(text: str, redaction: Redaction) -> str:
    """The beginning of a text, without its secrets and without a part of one that may have been cut at its end."""
    room = _room(redaction)
    head = redaction.text(text[:room])
    return head if len(text) <= room else head[: max(len(head) - redaction.longest, 0)]


def _cut(shown: str, length: int) -> str:
    """`shown` is a repr of what had `length` characters or bytes."""
    room = REPORT_ARGUMENT_CHARACTERS_MAX
    if len(shown) <= room and length <= room:
        return shown
    return shown.rstrip("'\"")[: room - 2] + "…" + (shown.lstrip("b")[0])


def _mapping(value: Mapping[Any, Any], redaction: Redaction, depth: int) -> str:
    if depth == 0:
        return "{…}" if value else "{}"
    parts: list[str] = []
    for key, item in islice(value.items(), _ITEMS):
        hidden = isinstance(key, str) and looks_secret(key)
        parts.append(f"{_shown(key, redaction, 0)}: {f'«{key}»' if hidden else _shown(item, redaction, depth - 1)}")
    return "{" + ", ".join([*parts, *_rest(len(value))]) + "}"


def _several(values: Iterable[Any], opening: str, closing: str, redaction: Redaction, depth: int) -> str:
    length = len(cast("Sequence[Any]", values))
    if depth == 0 and length:
        return f"{opening}…{closing}"
    parts = [_shown(item, redaction, depth - 1) for item in islice(values, _ITEMS)]
    return opening + ", ".join([*parts, *_rest(length)]) + closing


def _rest(length: int) -> list[str]:
    return [f"… {length - _ITEMS} more"] if length > _ITEMS else []


def _request(request: Request) -> str:
    # Without its query, which may hold tokens.
    return f"{request.method} {urlsplit(request.url).path or '/'}"


def _other(value: Any, redaction: Redaction) -> str:
    """Something with a repr of its own, which may fail."""
    try:
        shown = _head(repr(value), redaction)
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    room = 2 * REPORT_ARGUMENT_CHARACTERS_MAX
    return shown if len(shown) < room else shown[:room] + "…"

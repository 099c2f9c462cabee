"""What every message is made of: its root, who an actor is, header fields."""

from __future__ import annotations

import msgspec

Headers = list[tuple[str, str]]


class Message(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Root of every frame."""


class ActorKey(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One actor: `ActorKey("ChatRoom-9f3a…", "<64 hex>", "general")`; the name is None when it is not known."""

    namespace: str
    id: str
    name: str | None = None


WORKER = ActorKey("Default", "0" * 64)
"""Whoever holds a socket that a worker accepted: nobody is found under this id, and nothing is stored."""

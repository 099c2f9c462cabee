"""How the tools of `/__durable/*` ask hosts: what they need of the router, and the two forms of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from durable.gateway.link import HostLink, Question
from durable.wire.messages import ActorKey, CallReply, Failed


class Links(Protocol):
    """The link to an object's host."""

    async def link_for(self, actor: ActorKey | None) -> HostLink: ...


class Hosts(Links, Protocol):
    """And those to all hosts, None for one that is not there."""

    links: list[HostLink | None]


class PlacedHosts(Links, Protocol):
    """And which objects have the same one."""

    def placement(self, actor_id: str) -> int: ...


class NoRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`{}`"""


async def ask(link: HostLink, question: Callable[[int], Question]) -> CallReply | Failed:
    """One of the two answers to a tool's question."""
    reply = await link.request(question)
    if not isinstance(reply, CallReply | Failed):
        raise TypeError(f"a tool's question was answered with {type(reply).__name__}")
    return reply

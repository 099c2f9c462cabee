"""A host that says exactly what a test tells it to say, at the other end of a real channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest

from durable.gateway.events import Event
from durable.gateway.link import HostLink
from durable.wire.channel import Channel
from durable.wire.messages import FromGateway, Message
from durable.wire.socket_pair import channel_pair

M = TypeVar("M")


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def settle() -> Callable[[], Awaitable[None]]:
    """Lets all happen that can without time passing: each step of the loop looks at the channels too."""
    return _settle


class ScriptedHost:
    """The host's end of a link. `heard` is everything the gateway said, oldest first."""

    def __init__(self, host_number: int = 1, shard: int = 0) -> None:
        ours, theirs = channel_pair()
        self.events: list[Event] = []
        self.ends: list[BaseException | None] = []
        self.heard: list[Message] = []
        self.answer: Callable[[Any], None] = lambda _message: None
        self.link = HostLink(ours, host_number, shard, on_event=self.events.append, on_ended=self.ends.append)
        self.socket = theirs
        self._channel: Channel[Message] = Channel(
            theirs, FromGateway, on_messages=self._hear, on_closed=lambda _error: None
        )

    def _hear(self, messages: list[Message]) -> None:
        for message in messages:
            self.heard.append(message)
            self.answer(message)

    def say_nowait(self, *messages: Message) -> None:
        for message in messages:
            self._channel.send(message)
        self._channel.flush()

    async def say(self, *messages: Message) -> None:
        self.say_nowait(*messages)
        await _settle()

    async def said(self, kind: type[M]) -> list[M]:
        """What the gateway said of this kind, after everything settled."""
        await _settle()
        return [message for message in self.heard if isinstance(message, kind)]

    def die(self) -> None:
        self._channel.close()

    def close(self) -> None:
        self._channel.close()
        self.link.lost()


@pytest.fixture
async def new_host() -> AsyncIterator[Callable[..., Awaitable[ScriptedHost]]]:
    """Makes scripted hosts and ends them after the test."""
    hosts: list[ScriptedHost] = []

    async def make(host_number: int = 1, shard: int = 0) -> ScriptedHost:
        hosts.append(ScriptedHost(host_number, shard))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()
    await _settle()


@pytest.fixture
async def host(new_host: Callable[..., Awaitable[ScriptedHost]]) -> ScriptedHost:
    return await new_host()

"""What free functions of the sdk find while an actor runs: outgoing requests wait for the actor's writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.actor.actor import Actor
from durable.host.outgoing import fetch_outside
from durable.sdk.http import Request, Response
from durable.sdk.websocket import WebSocket

if TYPE_CHECKING:
    from durable.host.host import Host


class ActorRuntime:
    """Implements `durable.sdk.runtime.Runtime` for one activation."""

    def __init__(self, host: Host, actor: Actor) -> None:
        self._host = host
        self._actor = actor

    async def fetch(self, request: Request) -> Response:
        await self._actor.wait_durable()
        return await fetch_outside(request)

    def accept_in_memory(self, socket: WebSocket) -> None:
        self._actor.accept_socket(socket, [], hibernatable=False)

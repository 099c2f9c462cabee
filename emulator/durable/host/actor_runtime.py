"""What free functions of the sdk find while an actor runs: outgoing requests wait for the actor's writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.actor.actor import Actor
from durable.host.bodies import detached
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
        content = detached(self._actor, request.take_content())
        # The client's connections outlive the actor, so none of its tasks may be one of the actor's.
        return await self._host.loop.create_task(fetch_outside(request, content), context=self._host.context.copy())

    def accept_in_memory(self, socket: WebSocket) -> None:
        self._actor.accept_socket(socket, [], hibernatable=False)

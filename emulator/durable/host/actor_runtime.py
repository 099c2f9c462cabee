"""What free functions of the sdk find while an actor runs: all that goes outside waits for the actor's writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from durable.actor.actor import Actor
from durable.actor.events import Event
from durable.actor.memory_sockets import Heard, hear, log_failure
from durable.actor.sockets import copied_attachment
from durable.actor.state import wait_until
from durable.actor.timeline import outgoing_text, record
from durable.host.bodies import detached
from durable.host.outgoing import fetch_outside
from durable.host.outgoing_sockets import OutgoingSocket, fetch_socket, wants_socket
from durable.sdk.http import Request, Response
from durable.sdk.runtime import NEWEST
from durable.sdk.websocket import WebSocket

if TYPE_CHECKING:
    from durable.host.host import Host


class ActorRuntime:
    """Implements `durable.sdk.runtime.Runtime` for one activation, and holds its outgoing sockets."""

    def __init__(self, host: Host, actor: Actor) -> None:
        self._host = host
        self._actor = actor

    # --- Runtime ---------------------------------------------------------------------------------------------------
    @property
    def compatibility_date(self) -> str:
        return self._host.compatibility_date or NEWEST

    async def fetch(self, request: Request) -> Response:
        await self._actor.wait_durable()
        if wants_socket(request):
            return await fetch_socket(self._host, self, request)
        began = self._host.clock.monotonic()
        what = outgoing_text(request)
        try:
            response = await self._fetch(request)
        except BaseException as error:
            record(self._actor, "outgoing", began, what, error)
            raise
        record(self._actor, "outgoing", began, what, outcome=str(response.status))
        return response

    async def _fetch(self, request: Request) -> Response:
        content = detached(self._actor, request.take_content())
        # The client's connections outlive the actor, so none of its tasks may be one of the actor's.
        return await self._host.loop.create_task(fetch_outside(request, content), context=self._host.context.copy())

    def wait_until(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
        wait_until(self._actor, work)

    def accept_in_memory(self, socket: WebSocket) -> None:
        self._actor.check_usable()
        if socket.outside is not None:
            socket.outside.accept(self)
        else:
            self._actor.accept_socket(socket, [], hibernatable=False)

    def copied_attachment(self, value: Any) -> Any:
        return copied_attachment(value)

    def connect(self, socket: WebSocket, protocols: Sequence[str]) -> None:
        self._actor.check_usable()
        OutgoingSocket(self._host, self, socket, socket.url or "").open(protocols)

    # --- SocketHolder ----------------------------------------------------------------------------------------------
    def check_usable(self) -> None:
        self._actor.check_usable()

    def say(self, output: Callable[[], None]) -> None:
        actor = self._actor
        actor.emit(lambda epoch: actor.when_durable(epoch, output))

    def hear(self, socket: WebSocket, message: Heard, done: Callable[[], None]) -> None:
        if self._actor.broken is not None:
            done()
        else:
            self._host.registry.deliver(self._actor.key, _OutsideEvent(socket, message, done))

    async def wait_room(self) -> None:
        return

    def hold(self, socket: OutgoingSocket) -> None:
        self._actor.connections[socket] = (socket.url, self._host.clock.monotonic())

    def let_go(self, socket: OutgoingSocket) -> None:
        self._actor.connections.pop(socket, None)


class _OutsideEvent(Event):
    """Something that happened on a socket to the outside."""

    __slots__ = ("_done", "_message", "_socket", "label")

    def __init__(self, socket: WebSocket, message: Heard, done: Callable[[], None]) -> None:
        super().__init__()
        self.label = "outgoing socket"
        self._socket = socket
        self._message = message
        self._done = done

    async def run(self, actor: Actor) -> Any:
        await hear(self._socket, self._message, partial(log_failure, actor))

    def succeed(self, actor: Actor, result: Any) -> None:
        self._done()

    def fail(self, actor: Actor, error: BaseException) -> None:
        self._done()

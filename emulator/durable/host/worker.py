"""Workers: the stateless code in front of the actors, one instance per request."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from durable import values
from durable.actor.failure import status_of
from durable.actor.handlers import call_relaxed, maybe_await
from durable.actor.memory_sockets import Heard
from durable.actor.sockets import copied_attachment
from durable.host.client_ends import client_number
from durable.host.held_sockets import hear_in
from durable.host.outgoing import fetch_outside
from durable.host.outgoing_sockets import OutgoingSocket, fetch_socket, wants_socket
from durable.host.transport import served_by_variable
from durable.limits import INLINE_BODY_BYTES_MAX
from durable.sdk.aliases import find_handler
from durable.sdk.http import Request, Response
from durable.sdk.object import WorkerEntrypoint
from durable.sdk.runtime import NEWEST, runtime_variable
from durable.sdk.scheduled import ScheduledEvent
from durable.sdk.state import ExecutionContext
from durable.sdk.websocket import WebSocket
from durable.wire.messages import ActorKey, CallReply, Failed, HttpReply, HttpRequest, RunScheduled

if TYPE_CHECKING:
    from durable.host.bodies import PipeReader
    from durable.host.host import Host
    from durable.host.rpc_scope import Scope


DEFAULT = "Default"
"""The class that serves what comes from outside."""


class WorkerContext(ExecutionContext):
    """`ctx` of one request, and the runtime that free functions find while it runs; the holder of its sockets."""

    def __init__(self, host: Host, label: str, props: bytes = b"") -> None:
        """`label` is the class that serves the request; `props` are those of the binding that it came through."""
        self._host = host
        self._label = label
        self._context: contextvars.Context | None = None
        self.props: Any = values.decode(props) if props else {}
        self.exports = host.exports
        self.scope: Scope | None = None
        """What this request lends to other code; made by whoever needs it."""
        self._open = 1

    def wait_until(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
        async def wait() -> None:
            try:
                await work
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                self._host.log_failure(error, self._label, "wait_until")
            finally:
                self.end()

        self.begin()
        self._host.background(wait())

    def begin(self) -> None:
        """Something of this request goes on beyond its answer, until it calls `end`."""
        self._open += 1

    def end(self) -> None:
        """The answer was sent, or something that went on beyond it is over."""
        self._open -= 1
        if not self._open and self.scope is not None:
            self.scope.close()

    # --- Runtime ---------------------------------------------------------------------------------------------------
    @property
    def compatibility_date(self) -> str:
        return self._host.compatibility_date or NEWEST

    async def fetch(self, request: Request) -> Response:
        if wants_socket(request):
            return await fetch_socket(self._host, self, request)
        return await fetch_outside(request, request.take_content())

    def accept_in_memory(self, socket: WebSocket) -> None:
        self._keep_context()
        if socket.outside is not None:
            socket.outside.accept(self)
        else:
            self._host.held.accept(socket, self._keep_context())

    def copied_attachment(self, value: Any) -> Any:
        return copied_attachment(value)

    def connect(self, socket: WebSocket, protocols: Sequence[str]) -> None:
        self._keep_context()
        OutgoingSocket(self._host, self, socket, socket.url or "").open(protocols)

    def _keep_context(self) -> contextvars.Context:
        """What listeners run in: the request's context, without the list that only its log line needs."""
        if self._context is None:
            self._context = contextvars.copy_context()
            self._context.run(served_by_variable.set, None)
        return self._context

    # --- SocketHolder ----------------------------------------------------------------------------------------------
    def check_usable(self) -> None:
        return

    def say(self, output: Callable[[], None]) -> None:
        # A worker has no writes of its own to wait for.
        output()

    def hear(self, socket: WebSocket, message: Heard, done: Callable[[], None]) -> None:
        hear_in(self._host, self._keep_context(), socket, message, done)

    async def wait_room(self) -> None:
        return

    def hold(self, socket: OutgoingSocket) -> None:
        return

    def let_go(self, socket: OutgoingSocket) -> None:
        return


class Worker:
    """Serves requests from outside with the class named `Default`, and what other code asks with any entrypoint."""

    def __init__(self, host: Host, entrypoints: Mapping[str, type[WorkerEntrypoint]]) -> None:
        self._host = host
        self._entrypoints = entrypoints
        self._running: dict[int, asyncio.Task[None]] = {}
        self._numbers = host.progress.numbers

    @property
    def running(self) -> int:
        return len(self._running)

    def start(self, message: HttpRequest) -> None:
        # Here and not in the task: the first pieces of a streamed body may be right behind its request.
        body = self._host.deliveries.body_of(message)
        self._start(message.id, self._serve(message, body))

    def start_scheduled(self, message: RunScheduled) -> None:
        """A cron trigger is due."""
        self._start(message.id, self._serve_scheduled(message))

    def _start(self, request_id: int, work: Coroutine[Any, Any, None]) -> None:
        task = self._host.loop.create_task(work)
        self._running[request_id] = task
        # Not in a `finally` of the coroutine: a task that is cancelled before its first step never enters it.
        task.add_done_callback(lambda _: self._running.pop(request_id, None))

    def cancel(self, request_id: int) -> bool:
        """The client is gone; False when the request is not a running worker's."""
        task = self._running.get(request_id)
        if task is not None:
            task.cancel()
        return task is not None

    async def _serve(self, message: HttpRequest, body: bytes | PipeReader | None) -> None:
        numbers = self._numbers
        if message.id <= numbers[2] and not message.stream:
            return  # another host has it by now
        numbers[0] = message.id
        host = self._host
        served_by: list[ActorKey] = []
        served_by_variable.set(served_by)
        context: WorkerContext | None = None
        try:
            request = host.deliveries.request(message, body)
            # Asked as a service. Clients have met the assets in the gateway.
            if host.assets is not None and message.script and not message.entrypoint:
                asset = host.assets.answer(request)
                if asset is not None:
                    send_response(host, message.id, 0, asset, 0, None)
                    return
            handler, context = self._handler("fetch", "requests", "fetch(request)", message.entrypoint, message.props)
            response = await maybe_await(call_relaxed(handler, request))
            if not isinstance(response, Response):
                raise TypeError(f"fetch() must return a Response, got {type(response).__name__}")
            socket = client_number(host, response)
            sending = send_response(host, message.id, 0, response, socket, served_by[-1] if served_by else None)
            if sending is not None:
                context.begin()
                sending.add_done_callback(lambda _: context.end())
        except BaseException as error:
            self._fail(message.id, error, "fetch", served_by[-1] if served_by else None, message.entrypoint)
        finally:
            if context is not None:
                context.end()

    async def _serve_scheduled(self, message: RunScheduled) -> None:
        event = ScheduledEvent(message.cron, message.scheduled_ms)
        context: WorkerContext | None = None
        try:
            handler, context = self._handler("scheduled", "cron triggers", "scheduled(event)")
            await maybe_await(call_relaxed(handler, event, self._host.env, context))
            self._host.send(CallReply(message.id, 0, values.encode(event.retries)))
        except BaseException as error:
            self._fail(message.id, error, "scheduled", None)
        finally:
            if context is not None:
                context.end()

    def entrypoint(self, name: str, props: bytes = b"") -> tuple[Any, WorkerContext]:
        """A new instance of the entrypoint `name` ("" for `Default`), and its context, which is the current one now.

        To be followed by the context's `end`. Raises TypeError when there is no such class.
        """
        cls = self._entrypoints.get(name or DEFAULT)
        if cls is None:
            known = ", ".join(sorted(self._entrypoints)) or "none"
            raise TypeError(
                f"the main module has no entrypoint {name or DEFAULT}: its classes that inherit from WorkerEntrypoint "
                f"are {known}"
            )
        context = WorkerContext(self._host, cls.__name__, props)
        runtime_variable.set(context)
        instance: Any = cls.__new__(cls)
        instance.ctx, instance.env = context, self._host.env
        instance.__init__(context, self._host.env)
        return instance, context

    def _handler(
        self, method: str, what: str, shape: str, name: str = "", props: bytes = b""
    ) -> tuple[Any, WorkerContext]:
        """The method of a new entrypoint, and its context; raises TypeError when there is none."""
        if not name and DEFAULT not in self._entrypoints:
            raise TypeError(
                f"the main module has no entrypoint for {what}: define class Default(WorkerEntrypoint) with {shape}"
            )
        instance, context = self.entrypoint(name, props)
        handler = find_handler(instance, method)
        if handler is None:
            raise TypeError(f"{type(instance).__name__} has no {shape} method")
        return handler, context

    def _fail(
        self, request_id: int, error: BaseException, method: str, served_by: ActorKey | None, entrypoint: str = ""
    ) -> None:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            # The client has gone. A cancellation of the program's own is a failure like any other.
            raise error
        report = self._host.report(error, entrypoint or DEFAULT, method)
        self._host.send(Failed(request_id, 0, report, status_of(report), served_by))


def send_response(
    host: Host, request_id: int, epoch: int, response: Response, socket: int, served_by: ActorKey | None
) -> asyncio.Task[None] | None:
    """Answer a request of the gateway; small bodies inside the frame, others as a stream, by the task returned."""
    content = response.take_content()
    stream, body = 0, b""
    if isinstance(content, bytes) and len(content) <= INLINE_BODY_BYTES_MAX:
        body = content
    elif content is not None:
        stream = host.bodies.announce()
    host.send(
        HttpReply(
            request_id, epoch, response.status, response.reason, response.headers.items(), body, stream,
            socket, served_by,
        )
    )  # fmt: skip
    if stream and content is not None:
        return host.spawn(host.bodies.send_all(stream, content))
    return None

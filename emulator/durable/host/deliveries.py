"""What the gateway brings for actors and workers: each message becomes an event, and its end becomes the answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from durable import values
from durable.actor.actor import Actor
from durable.actor.events import AlarmEvent, CallEvent, Event, FetchEvent, SocketEvent
from durable.actor.failure import status_of
from durable.errors import DataCloneError
from durable.host.bodies import PipeReader
from durable.host.client_ends import client_number
from durable.host.transport import handed_over
from durable.host.worker import send_response
from durable.limits import RPC_PAYLOAD_BYTES_MAX
from durable.sdk.http import Request, Response
from durable.wire import messages as wire

if TYPE_CHECKING:
    from durable.host.host import Host


class Deliveries:
    """Remembers by request what is not answered yet, for whoever cancels it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._events: dict[int, Event] = {}
        self._numbers = host.progress.numbers

    def body_of(self, message: wire.HttpRequest) -> bytes | PipeReader | None:
        """To be called as the message arrives: pieces of a body that nobody expects are dropped."""
        return self._host.bodies.incoming(message.stream) if message.stream else (message.body or None)

    def request(self, message: wire.HttpRequest, body: bytes | PipeReader | None) -> Request:
        """The sdk's request for a message of the gateway."""
        request = Request(message.url, method=message.method, headers=message.headers)
        request.replace_content(body)
        return request

    def http_request(self, message: wire.HttpRequest) -> None:
        if message.actor is None:
            self._host.worker.start(message)
            return
        self._numbers[1] = message.id
        event = FetchEvent(self.request(message, self.body_of(message)), partial(self._answer_fetch, message.id))
        self._events[message.id] = event
        self._host.registry.deliver(message.actor, event)

    def _answer_fetch(self, request_id: int, actor: Actor, response: Any, error: BaseException | None) -> None:
        self._events.pop(request_id, None)
        if error is not None:
            self._answer_error(request_id, actor, error, "fetch")
            return
        assert isinstance(response, Response)
        socket = client_number(self._host, response)
        ready = handed_over(actor, response)
        actor.emit(lambda epoch: send_response(self._host, request_id, epoch, ready, socket, actor.key))

    def call(self, message: wire.Call) -> None:
        self._numbers[1] = message.id
        try:
            args, kwargs = values.decode(message.payload)
        except ValueError as error:
            self._host.send(wire.Failed(message.id, 0, self._host.report(error, "", message.method)))
            return
        event = CallEvent(message.method, args, kwargs, partial(self._answer_call, message.id, message.method))
        self._events[message.id] = event
        self._host.registry.deliver(message.actor, event)

    def _answer_call(
        self, request_id: int, method: str, actor: Actor, result: Any, error: BaseException | None
    ) -> None:
        self._events.pop(request_id, None)
        try:
            payload = b"" if error is not None else values.encode(result)
            if len(payload) > RPC_PAYLOAD_BYTES_MAX:
                raise DataCloneError(
                    "Serialized RPC arguments or return values are limited to 32MiB, "
                    f"but the size of this value was: {len(payload)} bytes."
                )
        except DataCloneError as refused:
            error, payload = refused, b""
        if error is not None:
            self._answer_error(request_id, actor, error, method)
        else:
            actor.emit(lambda epoch: self._host.send(wire.CallReply(request_id, epoch, payload)))

    def _answer_error(self, request_id: int, actor: Actor, error: BaseException, method: str) -> None:
        report = self._host.report_to_caller(actor, error, method)
        broken = actor.broken is not None
        actor.emit(
            lambda epoch: self._host.send(wire.Failed(request_id, epoch, report, status_of(report), actor.key, broken))
        )

    def cancel(self, message: wire.Cancel) -> None:
        if not self._host.worker.cancel(message.id):
            event = self._events.pop(message.id, None)
            if event is not None:
                event.cancel()

    def socket_event(self, message: wire.SocketMessage | wire.SocketClosed | wire.SocketFailed) -> None:
        record = self._host.sockets.get(message.socket)
        if record is None:
            # A worker's, or its actor was reset and has forgotten it.
            self._host.held.deliver(message)
            return
        self._host.registry.deliver(record.actor, SocketEvent(message))

    def auto_responded(self, message: wire.AutoResponded) -> None:
        record = self._host.sockets.get(message.socket)
        if record is not None:
            record.auto_response_ms = message.wall_ms

    def alarm_due(self, message: wire.AlarmDue) -> None:
        self._host.registry.deliver(message.actor, AlarmEvent(message))

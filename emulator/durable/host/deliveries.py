"""What the gateway brings for actors and workers: each message becomes an event, and its end becomes the answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from durable.actor.actor import Actor
from durable.actor.events import AlarmEvent, CallEvent, Event, FetchEvent, SocketEvent
from durable.actor.failure import status_of
from durable.errors import DataCloneError, DurableError, RefusedError
from durable.host.bodies import PipeReader
from durable.host.client_ends import client_number
from durable.host.rpc_outcomes import handed_over
from durable.host.rpc_scope import EntrypointScope, Scope
from durable.host.rpc_targets import DISPOSED
from durable.host.worker import send_response
from durable.sdk.http import Request, Response
from durable.sdk.stub import Destination
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
        # As on the platform: who hands it on, to assets or to the outside, hands redirects on to the client.
        request = Request(message.url, method=message.method, headers=message.headers, redirect="manual")
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

        def send(epoch: int) -> None:
            _ = send_response(self._host, request_id, epoch, ready, socket, actor.key)

        actor.emit(send)

    def call(self, message: wire.Call) -> None:
        if message.actor is not None:
            self._numbers[1] = message.id
        try:
            (args, kwargs), stubs = self._host.transport.transit.unpacked(message.payload, message.luggage)
        except (ValueError, DurableError) as error:
            self._host.send(wire.Failed(message.id, 0, self._host.report(error, "", message.method)))
            return
        settle = partial(self._answer_call, message.id, message.method)
        event = CallEvent(message.method, args, kwargs, settle, None, None, stubs)
        if message.actor is not None:
            self._events[message.id] = event
            self._host.registry.deliver(message.actor, event)
        elif message.target is not None:
            self._call_target(message, message.target, event)
        else:
            self._events[message.id] = event
            destination = Destination("", message.entrypoint, message.props)
            EntrypointScope(self._host, destination, message.id).deliver(event)

    def _call_target(self, message: wire.Call, key: wire.StubKey, event: CallEvent) -> None:
        self._numbers[0] = max(self._numbers[0], message.id)
        target = self._host.transport.targets.local(key)
        broken = None if target is None else target.home.broken
        if target is None or broken is not None:
            report = self._host.report(broken or RefusedError(DISPOSED), "", message.method)
            self._host.send(wire.Failed(message.id, 0, report, broken=broken is not None))
            return
        event.target = target.value
        self._events[message.id] = event
        self._host.transport.deliver_home(target.home, event)

    def _answer_call(
        self, request_id: int, method: str, actor: Actor | Scope, result: Any, error: BaseException | None
    ) -> None:
        self._events.pop(request_id, None)
        if error is not None:
            self._answer_error(request_id, actor, error, method)
            return
        try:
            payload, luggage, packed = self._host.transport.transit.encoded(result, actor)
        except DataCloneError as refused:
            self._answer_error(request_id, actor, refused, method)
            return

        def send(epoch: int) -> None:
            self._host.send(wire.CallReply(request_id, epoch, payload, packed))
            if luggage is not None:
                self._host.transport.transit.sent(luggage, packed, epoch)

        actor.emit(send)

    def _answer_error(self, request_id: int, actor: Actor | Scope, error: BaseException, method: str) -> None:
        report = self._host.report_to_caller(actor, error, method)
        broken = actor.broken is not None
        key = actor.key if isinstance(actor, Actor) else None
        actor.emit(
            lambda epoch: self._host.send(wire.Failed(request_id, epoch, report, status_of(report), key, broken))
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

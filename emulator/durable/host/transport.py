"""Stubs to actors: inside this host directly, to another host through the gateway. Values are copied either way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from durable.actor.actor import Actor
from durable.actor.events import CallEvent, FetchEvent
from durable.actor.failure import raise_from_report
from durable.actor.timeline import path_of
from durable.actor.turn import actor_variable
from durable.host.bodies import detached
from durable.host.client_ends import far_end
from durable.host.pending_call import PendingCall, PendingRpc
from durable.host.rpc_outcomes import Outcomes, object_id
from durable.host.rpc_scope import EntrypointScope, Scope
from durable.host.rpc_targets import LocalTarget, Target, Targets
from durable.host.rpc_transit import Transit
from durable.host.timeline import record_asked
from durable.limits import INLINE_BODY_BYTES_MAX
from durable.sdk.http import Headers, Request, Response
from durable.sdk.stub import ActorReceiver, Destination, Receiver, ServiceReceiver
from durable.wire.messages import ActorKey, Call, CallReply, Cancel, Failed, HttpReply, HttpRequest, StubKey

if TYPE_CHECKING:
    from durable.host.host import Host

served_by_variable: ContextVar[list[ActorKey] | None] = ContextVar("durable_served_by", default=None)
"""The actors a worker request asked, for the request log."""

_HERE = Destination()


class _Question(NamedTuple):
    """Asked of another host: whose answer, through which stub, who asked, when, and what."""

    future: asyncio.Future[Any]
    receiver: Receiver
    caller: Actor | None
    since: float
    what: str
    over_http: bool


class _Asked:
    """A question to another host, for whoever does not want the answer any more."""

    __slots__ = ("_number", "_transport")

    def __init__(self, transport: Transport, number: int) -> None:
        self._transport = transport
        self._number = number

    def cancel(self) -> None:
        self._transport.cancel(self._number)


class Transport:
    """Implements `durable.sdk.stub.Transport` for everything that runs in one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._next_id = 0
        self._remote: dict[int, _Question] = {}
        self.targets = Targets(host)
        self.transit = Transit(host, self.targets)
        self.outcomes = Outcomes(host)
        self.running_scopes = 0
        """Calls of entrypoints, and of the functions of worker requests, that are not over."""

    # --- calls ----------------------------------------------------------------------------------------------------
    def call(self, receiver: ActorReceiver, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PendingRpc:
        caller = _caller()
        future = self._future(receiver)
        key = receiver.key or _keyed(receiver)
        if caller is None:
            _note(key)
        if future.done():
            return PendingRpc(future)
        if receiver.script or not self._host.owns(key.id):
            return self._call_far(caller, future, receiver, method, args, kwargs, Destination(receiver.script), key)
        args, kwargs, stubs = self.transit.copied(caller, args, kwargs)
        settle = partial(self.outcomes.settle, caller, future, receiver, method)
        event = CallEvent(method, args, kwargs, settle, caller, None, stubs)
        deliver = self._host.registry.deliver
        if caller is None:
            deliver(key, event)
        else:

            def send(epoch: int) -> None:
                if epoch:
                    caller.when_durable(epoch, partial(deliver, key, event))
                else:
                    deliver(key, event)

            caller.emit_request(send)
        return PendingRpc(future, event)

    def call_service(
        self, receiver: ServiceReceiver, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> PendingRpc:
        caller = _caller()
        # Of this call alone: what becomes of the instance that serves it does not break the stub.
        receiver = ServiceReceiver(receiver.destination)
        future = self._future(receiver)
        destination = receiver.destination
        if self._is_elsewhere(destination):
            return self._call_far(caller, future, receiver, method, args, kwargs, destination)
        args, kwargs, stubs = self.transit.copied(caller, args, kwargs)
        settle = partial(self.outcomes.settle, caller, future, receiver, method)
        event = CallEvent(method, args, kwargs, settle, caller, None, stubs)
        self._deliver_to(caller, EntrypointScope(self._host, destination), event)
        return PendingRpc(future, event)

    def call_target(self, target: Target, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PendingRpc:
        """Of a function, with an empty `method`, or of an RpcTarget."""
        caller = _caller()
        future = self._future(target)
        if future.done():
            return PendingRpc(future)
        if not isinstance(target, LocalTarget):
            return self._call_far(caller, future, target, method, args, kwargs, _HERE, target=target.key)
        args, kwargs, stubs = self.transit.copied(caller, args, kwargs)
        home = target.home
        settle = partial(self.outcomes.settle, caller, future, target, method)
        event = CallEvent(method, args, kwargs, settle, caller, target.value, stubs)
        self._deliver_to(caller, home, event)
        return PendingRpc(future, event)

    def _call_far(
        self,
        caller: Actor | None,
        future: asyncio.Future[Any],
        receiver: Receiver,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        destination: Destination,
        key: ActorKey | None = None,
        target: StubKey | None = None,
    ) -> PendingRpc:
        payload, luggage, packed = self.transit.encoded((args, kwargs), caller)
        number = self._ask(future, receiver, caller, method)

        def send(epoch: int) -> None:
            self._host.send(
                Call(
                    number, key, method, payload, epoch, destination.script, destination.entrypoint,
                    destination.props, target, packed,
                )
            )  # fmt: skip
            if luggage is not None:
                self.transit.sent(luggage, packed, epoch)

        self._say(caller, send)
        return PendingRpc(future, _Asked(self, number))

    # --- fetch ------------------------------------------------------------------------------------------------------
    def fetch(self, receiver: ActorReceiver, request: Request) -> PendingCall:
        caller = _caller()
        future = self._future(receiver, over_http=True)
        key = receiver.key or _keyed(receiver)
        if caller is None:
            _note(key)
        if future.done():
            return PendingCall(future)
        content = detached(caller, request.take_content())
        if receiver.script or not self._host.owns(key.id):
            return self._fetch_far(caller, future, receiver, request, content, Destination(receiver.script), key)
        event = self._fetch_event(caller, future, receiver, request, content)
        registry = self._host.registry
        if caller is None:
            registry.deliver(key, event)
        else:
            caller.emit_request(lambda epoch: caller.when_durable(epoch, lambda: registry.deliver(key, event)))
        return PendingCall(future, event)

    def fetch_service(self, receiver: ServiceReceiver, request: Request) -> PendingCall:
        caller = _caller()
        # Of this call alone: what becomes of the instance that serves it does not break the stub.
        receiver = ServiceReceiver(receiver.destination)
        future = self._future(receiver, over_http=True)
        destination = receiver.destination
        content = detached(caller, request.take_content())
        if self._is_elsewhere(destination):
            return self._fetch_far(caller, future, receiver, request, content, destination)
        event = self._fetch_event(caller, future, receiver, request, content)
        self._deliver_to(caller, EntrypointScope(self._host, destination), event)
        return PendingCall(future, event)

    def _fetch_event(
        self, caller: Actor | None, future: asyncio.Future[Any], receiver: Receiver, request: Request, content: Any
    ) -> FetchEvent:
        request.replace_content(content)
        settle = partial(self.outcomes.settle_fetch, caller, future, receiver, "fetch")
        return FetchEvent(Request(request), settle, caller)

    def _fetch_far(
        self,
        caller: Actor | None,
        future: asyncio.Future[Any],
        receiver: Receiver,
        request: Request,
        content: Any,
        destination: Destination,
        key: ActorKey | None = None,
    ) -> PendingCall:
        number = self._ask(future, receiver, caller, path_of(request.method, request.url), over_http=True)
        stream, body = 0, b""
        if isinstance(content, bytes) and len(content) <= INLINE_BODY_BYTES_MAX:
            body = content
        elif content is not None:
            stream = self._host.bodies.announce()
        message = partial(
            HttpRequest, number, key, request.method, request.url, request.headers.items(), body, stream,
            (request.headers.get("upgrade") or "").lower() == "websocket",
            script=destination.script, entrypoint=destination.entrypoint, props=destination.props,
        )  # fmt: skip

        def send(epoch: int) -> None:
            self._host.send(message(epoch=epoch))
            if stream and content is not None:
                self._host.background(self._host.bodies.send_all(stream, content))

        self._say(caller, send)
        return PendingCall(future, _Asked(self, number))

    # --- answers ----------------------------------------------------------------------------------------------------
    def answered(self, message: HttpReply | CallReply | Failed) -> None:
        """The gateway brings what another host answered."""
        question = self._remote.pop(message.id, None)
        if question is not None and question.caller is not None:
            record_asked(question.caller, question.since, _label(question.receiver), question.what, message)
        if question is None or question.future.done():
            self._unwanted(message)
            return
        future, receiver = question.future, question.receiver
        try:
            if isinstance(message, Failed):
                error = raise_from_report(message.error, object_id=object_id(receiver), over_http=question.over_http)
                self.outcomes.fail(future, receiver, error, broken=message.broken)
            elif isinstance(message, CallReply):
                future.set_result(self.transit.unpacked(message.payload, message.luggage)[0])
            else:
                future.set_result(self._response(message))
        except Exception as error:
            self.outcomes.fail(future, receiver, error)

    def _unwanted(self, message: HttpReply | CallReply | Failed) -> None:
        if isinstance(message, HttpReply) and message.stream:
            self._host.bodies.refuse(message.stream)
        if isinstance(message, CallReply) and message.luggage is not None:
            self.transit.refuse(message.luggage)

    def _response(self, message: HttpReply) -> Response:
        content = self._host.bodies.incoming(message.stream) if message.stream else (message.body or None)
        headers = Headers(message.headers)
        socket = far_end(message.socket, headers) if message.socket else None
        response = Response(None, message.status, message.reason, headers, socket)
        response.replace_content(content)
        return response

    def _future(self, receiver: Receiver, *, over_http: bool = False) -> asyncio.Future[Any]:
        """Of an answer; it is done already when the stub is broken."""
        future: asyncio.Future[Any] = self._host.loop.create_future()
        activation = receiver.activation
        if receiver.broken is None and activation is not None and activation.reset_by is not None:
            report = self._host.report(activation.reset_by, "", "")
            receiver.broken = raise_from_report(report, object_id=object_id(receiver), over_http=over_http)
        if receiver.broken is not None:
            future.set_exception(receiver.broken)
        return future

    def _ask(
        self,
        future: asyncio.Future[Any],
        receiver: Receiver,
        caller: Actor | None,
        what: str,
        *,
        over_http: bool = False,
    ) -> int:
        self._next_id += 1
        since = self._host.clock.monotonic()
        self._remote[self._next_id] = _Question(future, receiver, caller, since, what, over_http)
        return self._next_id

    def questions_of(self, callers: list[ActorKey]) -> list[int]:
        """What these actors have asked other hosts and have no answer to."""
        asked_by = {caller.id for caller in callers}
        return [
            number
            for number, question in self._remote.items()
            if question.caller is not None and question.caller.key.id in asked_by
        ]

    def pending_calls(self) -> dict[Actor, list[tuple[str, float]]]:
        """What each actor has asked of others and has no answer to: of whom, and since when by the host's clock.

        Found by looking at every event of this host, so that no call pays for it.
        """
        found: dict[Actor, list[tuple[str, float]]] = {}
        settlers = (self.outcomes.settle, self.outcomes.settle_fetch)
        for actor in self._host.registry.actors:
            for event, since in actor.delivered_events():
                settle: Any = getattr(event, "settle", None)
                if isinstance(settle, partial) and settle.func in settlers and settle.args[0] is not None:
                    found.setdefault(settle.args[0], []).append((f"{event.label} of {actor.label}", since))
        for question in self._remote.values():
            if question.caller is not None:
                what = f"an object of another process, {_label(question.receiver)}"
                found.setdefault(question.caller, []).append((what, question.since))
        return found

    def cancel(self, number: int) -> None:
        """Nobody wants the answer to this question any more."""
        if self._remote.pop(number, None) is not None:
            self._host.send(Cancel(number))

    # --- on the way out ---------------------------------------------------------------------------------------------
    def _say(self, caller: Actor | None, output: Callable[[int], None]) -> None:
        """What a caller sends out waits for its own writes; a worker has none."""
        if caller is None:
            output(0)
        else:
            caller.emit_request(output)

    def _deliver_to(self, caller: Actor | None, home: Actor | Scope, event: CallEvent | FetchEvent) -> None:
        if caller is None:
            self.deliver_home(home, event)
        else:
            caller.emit_request(lambda epoch: caller.when_durable(epoch, lambda: self.deliver_home(home, event)))

    def deliver_home(self, home: Actor | Scope, event: CallEvent | FetchEvent) -> None:
        """To this activation, whether or not another one would be found under its key."""
        files = self._host.registry.files
        if files.crowded and isinstance(home, Actor) and home.broken is None:
            files.hold(home)
        home.deliver(event)

    def _is_elsewhere(self, destination: Destination) -> bool:
        return destination.script not in ("", self._host.script)


def _caller() -> Actor | None:
    """The actor whose code runs now, if any; raises for one that is over."""
    caller = actor_variable.get()
    if caller is not None:
        caller.check_usable()
    return caller


def _keyed(receiver: ActorReceiver) -> ActorKey:
    id = receiver.id
    receiver.key = key = ActorKey(id.namespace_key, str(id), id.name)
    return key


def _note(key: ActorKey) -> None:
    served_by = served_by_variable.get()
    if served_by is not None:
        served_by.append(key)


def _label(receiver: Receiver) -> str:
    """`Counter "a"`, for people."""
    if isinstance(receiver, ActorReceiver):
        id = receiver.id
        class_name = id.namespace_key.rpartition("-")[0]
        return f'{class_name} "{id.name}"' if id.name is not None else f"{class_name} {str(id)[:8]}"
    if isinstance(receiver, ServiceReceiver):
        destination = receiver.destination
        return f"{destination.entrypoint or 'Default'} of {destination.script or 'this worker'}"
    return "a stub"

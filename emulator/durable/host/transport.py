"""Stubs to actors: inside this host directly, to another host through the gateway. Values are copied either way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from durable import values
from durable.actor.actor import Actor
from durable.actor.events import CallEvent, Event, FetchEvent
from durable.actor.failure import raise_from_report
from durable.actor.timeline import path_of
from durable.actor.turn import actor_variable
from durable.errors import ActorResetError, DataCloneError
from durable.host.bodies import detached, pump_from_actor
from durable.host.client_ends import far_end, handed_on
from durable.host.pending_call import PendingCall
from durable.host.timeline import record_asked
from durable.limits import INLINE_BODY_BYTES_MAX, RPC_PAYLOAD_BYTES_MAX
from durable.sdk.http import Headers, Request, Response
from durable.sdk.ids import DurableObjectId
from durable.sdk.stub import DurableObjectStub
from durable.wire.messages import ActorKey, Call, CallReply, Cancel, Failed, HttpReply, HttpRequest

if TYPE_CHECKING:
    from durable.host.host import Host

served_by_variable: ContextVar[list[ActorKey] | None] = ContextVar("durable_served_by", default=None)
"""The actors a worker request asked, for the request log."""


class Transport:
    """Implements `durable.sdk.stub.ActorTransport` for everything that runs in one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._next_id = 0
        self._remote: dict[int, tuple[asyncio.Future[Any], DurableObjectStub, Actor | None, float, str]] = {}
        """Questions to other hosts by their id: whose answer, through which stub, who asked, when, and what."""

    def call(
        self,
        actor: DurableObjectId,
        stub: DurableObjectStub,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> PendingCall:
        caller = _caller()
        future = self._future(stub)
        key = _key(actor)
        if future.done():
            return PendingCall(future, _nothing)
        if self._host.owns(key.id):
            settle = partial(self._settle, caller, future, stub, method)
            event = CallEvent(method, values.copy(args), values.copy(kwargs), settle, caller)
            self._deliver(caller, key, event)
            return PendingCall(future, event.cancel)
        payload = values.encode((args, kwargs))
        if len(payload) > RPC_PAYLOAD_BYTES_MAX:
            raise DataCloneError(
                "Serialized RPC arguments or return values are limited to 32MiB, "
                f"but the size of this value was: {len(payload)} bytes."
            )
        request_id = self._ask(future, stub, caller, method)
        self._say(caller, lambda epoch: self._host.send(Call(request_id, key, method, payload, epoch)))
        return PendingCall(future, partial(self._cancel_remote, request_id))

    def fetch_actor(self, actor: DurableObjectId, stub: DurableObjectStub, request: Request) -> PendingCall:
        caller = _caller()
        future = self._future(stub)
        key = _key(actor)
        if future.done():
            return PendingCall(future, _nothing)
        content = detached(caller, request.take_content())
        if self._host.owns(key.id):
            request.replace_content(content)
            event = FetchEvent(Request(request), partial(self._settle, caller, future, stub, "fetch"), caller)
            self._deliver(caller, key, event)
            return PendingCall(future, event.cancel)
        request_id = self._ask(future, stub, caller, path_of(request.method, request.url))
        stream, body = 0, b""
        if isinstance(content, bytes) and len(content) <= INLINE_BODY_BYTES_MAX:
            body = content
        elif content is not None:
            stream = self._host.bodies.announce()
        message = partial(
            HttpRequest, request_id, key, request.method, request.url, request.headers.items(), body, stream,
            request.headers.get("upgrade", "").lower() == "websocket",  # type: ignore[union-attr]
        )  # fmt: skip

        def send(epoch: int) -> None:
            self._host.send(message(epoch))
            if stream and content is not None:
                self._host.background(self._host.bodies.send_all(stream, content))

        self._say(caller, send)
        return PendingCall(future, partial(self._cancel_remote, request_id))

    def answered(self, message: HttpReply | CallReply | Failed) -> None:
        """The gateway brings what another host answered."""
        future, stub, caller, since, what = self._remote.pop(message.id, (None, None, None, 0.0, ""))
        if caller is not None and stub is not None:
            record_asked(caller, since, stub.id, what, message)
        if future is None or stub is None or future.done():
            if isinstance(message, HttpReply) and message.stream:
                self._host.bodies.refuse(message.stream)
            return
        try:
            if isinstance(message, Failed):
                self._fail(
                    future, stub, raise_from_report(message.error, object_id=str(stub.id)), broken=message.broken
                )
            elif isinstance(message, CallReply):
                future.set_result(values.decode(message.payload))
            else:
                future.set_result(self._response(message))
        except Exception as error:
            self._fail(future, stub, error)

    def _response(self, message: HttpReply) -> Response:
        content = self._host.bodies.incoming(message.stream) if message.stream else (message.body or None)
        headers = Headers(message.headers)
        socket = far_end(message.socket, headers) if message.socket else None
        response = Response(None, message.status, message.reason, headers, socket)
        response.replace_content(content)
        return response

    def _future(self, stub: DurableObjectStub) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._host.loop.create_future()
        if stub.broken is None and stub.activation is not None and stub.activation.reset_by is not None:
            report = self._host.report(stub.activation.reset_by, "", "")
            stub.broken = raise_from_report(report, object_id=str(stub.id))
        if stub.broken is not None:
            future.set_exception(stub.broken)
        served_by = served_by_variable.get()
        if served_by is not None:
            served_by.append(_key(stub.id))
        return future

    def _ask(self, future: asyncio.Future[Any], stub: DurableObjectStub, caller: Actor | None, what: str) -> int:
        self._next_id += 1
        self._remote[self._next_id] = (future, stub, caller, self._host.clock.monotonic(), what)
        return self._next_id

    def questions_of(self, callers: list[ActorKey]) -> list[int]:
        """What these actors have asked other hosts and have no answer to."""
        asked_by = {caller.id for caller in callers}
        return [
            number
            for number, (_, _, caller, _, _) in self._remote.items()
            if caller is not None and caller.key.id in asked_by
        ]

    def pending_calls(self) -> dict[Actor, list[tuple[str, float]]]:
        """What each actor has asked of others and has no answer to: of whom, and since when by the host's clock.

        Found by looking at every event of this host, so that no call pays for it.
        """
        found: dict[Actor, list[tuple[str, float]]] = {}
        for actor in self._host.registry.actors:
            for event, since in actor.delivered_events():
                settle: Any = getattr(event, "settle", None)
                if isinstance(settle, partial) and settle.func == self._settle and settle.args[0] is not None:
                    found.setdefault(settle.args[0], []).append((f"{event.label} of {actor.label}", since))
        for _, stub, caller, since, _ in self._remote.values():
            if caller is not None:
                found.setdefault(caller, []).append((f"an object of another process, {stub.id}", since))
        return found

    def _cancel_remote(self, request_id: int) -> None:
        if self._remote.pop(request_id, None) is not None:
            self._host.send(Cancel(request_id))

    def _say(self, caller: Actor | None, output: Callable[[int], None]) -> None:
        """What a caller sends out waits for its own writes; a worker has none."""
        if caller is None:
            output(0)
        else:
            caller.emit_request(output)

    def _deliver(self, caller: Actor | None, key: ActorKey, event: Event) -> None:
        registry = self._host.registry
        if caller is None:
            registry.deliver(key, event)
        else:
            caller.emit_request(lambda epoch: caller.when_durable(epoch, lambda: registry.deliver(key, event)))

    def _settle(
        self,
        caller: Actor | None,
        future: asyncio.Future[Any],
        stub: DurableObjectStub,
        method: str,
        actor: Actor,
        result: Any,
        error: BaseException | None,
    ) -> None:
        # `caller` is there for whoever looks what the caller waits for: see `pending_calls`.
        host = self._host
        stub.activation = actor.activation

        def lost(failure: BaseException) -> None:
            reset = host.report(ActorResetError(f"Durable Object was reset: {failure}"), actor.label, method)
            self._fail(future, stub, raise_from_report(reset, object_id=actor.key.id), broken=True)

        if error is not None:
            # Through the report even here: the caller gets an exception of its own, never the callee's object.
            report = host.report_to_caller(actor, error, method)
            broken = actor.broken is not None

            def fail() -> None:
                self._fail(future, stub, raise_from_report(report, object_id=actor.key.id), broken=broken)

            actor.emit(lambda epoch: actor.when_durable(epoch, fail, lost))
            return
        if isinstance(result, Response):
            result = handed_on(host, result, handed_over(actor, result))

        def resolve() -> None:
            if not future.done():
                future.set_result(result)

        def let_out(epoch: int) -> None:
            if epoch:
                actor.when_durable(epoch, resolve, lost)
            else:
                resolve()

        actor.emit(let_out)

    def _fail(
        self, future: asyncio.Future[Any], stub: DurableObjectStub, error: BaseException, *, broken: bool = False
    ) -> None:
        if broken and stub.broken is None:
            stub.broken = error
        if not future.done():
            # A call that nobody awaits is reported by the loop: it has a report of its own.
            future.set_exception(error)


def handed_over(actor: Actor, response: Response) -> Response:
    """A response that leaves its actor: a streamed body is run by the actor from now on."""
    content = response.take_content()
    if content is not None and not isinstance(content, bytes):
        content = pump_from_actor(actor, content)
    # An object of its own: the actor may keep its response, and answer somebody else with it.
    return response.with_content(content)


def _caller() -> Actor | None:
    """The actor whose code runs now, if any; raises for one that is over."""
    caller = actor_variable.get()
    if caller is not None:
        caller.check_usable()
    return caller


def _key(actor: DurableObjectId) -> ActorKey:
    return ActorKey(actor.namespace_key, str(actor), actor.name)


def _nothing() -> None:
    return None

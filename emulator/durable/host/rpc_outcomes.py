"""How calls that ran in this host end for who made them: an answer that may leave now, or a failure of their own."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from durable.actor.actor import Actor
from durable.actor.failure import raise_from_report
from durable.errors import ActorResetError
from durable.host.bodies import pump_from_actor
from durable.host.client_ends import handed_on
from durable.host.rpc_scope import Scope
from durable.sdk.http import Response
from durable.sdk.stub import ActorReceiver, Receiver

if TYPE_CHECKING:
    from durable.host.host import Host


class Outcomes:
    """Of one host. Its methods are what events are given to settle with."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def settle(
        self,
        caller: Actor | None,
        future: asyncio.Future[Any],
        receiver: Receiver,
        method: str,
        actor: Actor,
        result: Any,
        error: BaseException | None,
        *,
        over_http: bool = False,
    ) -> None:
        # `caller` is there for whoever looks what the caller waits for: see `pending_calls`.
        receiver.activation = actor.activation
        if error is None:
            actor.emit(partial(self._let_out, actor, future, receiver, method, result, over_http))
            return
        host = self._host
        # Through the report even here: the caller gets an exception of its own, never the callee's object.
        report = host.report_to_caller(actor, error, method)
        broken = actor.broken is not None
        asked = object_id(receiver)

        def tell() -> None:
            failure = raise_from_report(report, object_id=asked, over_http=over_http)
            self.fail(future, receiver, failure, broken=broken)

        lost = partial(self._lost, actor, future, receiver, method, over_http)
        actor.emit(lambda epoch: actor.when_durable(epoch, tell, lost))

    def settle_fetch(
        self,
        caller: Actor | None,
        future: asyncio.Future[Any],
        receiver: Receiver,
        method: str,
        actor: Actor,
        result: Any,
        error: BaseException | None,
    ) -> None:
        if error is None:
            result = handed_on(self._host, result, handed_over(actor, result))
        self.settle(caller, future, receiver, method, actor, result, error, over_http=True)

    def _let_out(
        self,
        actor: Actor,
        future: asyncio.Future[Any],
        receiver: Receiver,
        method: str,
        result: Any,
        over_http: bool,
        epoch: int,
    ) -> None:
        if not epoch:
            if not future.done():
                future.set_result(result)
            return

        def resolve() -> None:
            if not future.done():
                future.set_result(result)

        actor.when_durable(epoch, resolve, partial(self._lost, actor, future, receiver, method, over_http))

    def _lost(
        self,
        actor: Actor,
        future: asyncio.Future[Any],
        receiver: Receiver,
        method: str,
        over_http: bool,
        failure: BaseException,
    ) -> None:
        reset = self._host.report(ActorResetError(f"Durable Object was reset: {failure}"), actor.label, method)
        error = raise_from_report(reset, object_id=object_id(receiver), over_http=over_http)
        self.fail(future, receiver, error, broken=True)

    def fail(
        self, future: asyncio.Future[Any], receiver: Receiver, error: BaseException, *, broken: bool = False
    ) -> None:
        if broken and receiver.broken is None:
            receiver.broken = error
        if not future.done():
            # A call that nobody awaits is reported by the loop: it has a report of its own.
            future.set_exception(error)


def handed_over(actor: Actor | Scope, response: Response) -> Response:
    """A response that leaves its actor: a streamed body is run by the actor from now on."""
    content = response.take_content()
    if content is not None and not isinstance(content, bytes) and isinstance(actor, Actor):
        content = pump_from_actor(actor, content)
    # An object of its own: the actor may keep its response, and answer somebody else with it.
    return response.with_content(content)


def object_id(receiver: Receiver) -> str | None:
    """The id that errors name."""
    return str(receiver.id) if isinstance(receiver, ActorReceiver) else None

"""Where a worker's request stands in for an actor: its functions run here when others call them, while it lasts."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from durable.actor.actor import Activation
from durable.actor.events import CallEvent, FetchEvent
from durable.actor.output_gate import Output
from durable.errors import RefusedError
from durable.sdk.runtime import runtime_variable
from durable.sdk.stub import Destination
from durable.wire.messages import WORKER

if TYPE_CHECKING:
    from durable.host.host import Host
    from durable.host.rpc_targets import LocalTarget


class Scope:
    """One request, as far as its stubs are concerned. Has what a call asks of an actor; there are no gates here."""

    constructing = False
    key = WORKER

    def __init__(self, host: Host, label: str) -> None:
        self.engine = host
        self.label = label
        self.activation = Activation()
        self.broken: BaseException | None = None
        self.exports = 0
        """Targets of its own that others hold."""
        self.exported: set[LocalTarget] = set()
        self._context = contextvars.copy_context()

    def close(self) -> None:
        """The request is over: nobody can call it any more."""
        if self.broken is None:
            self.broken = self.activation.reset_by = RefusedError(
                "the request that this stub came from is over: what a worker has sent away can be called while its "
                "request runs, what an object has sent away for as long as anybody holds a stub of it"
            )
            for target in list(self.exported):
                target.forget()

    def unheld(self) -> None:
        """Nobody can call it at the moment."""

    def deliver(self, event: CallEvent | FetchEvent) -> None:
        """As an actor's; the event begins in a task of its own."""
        if self.broken is not None:
            event.settled = True
            event.fail(self, self.broken)  # type: ignore[arg-type]
            return
        event.task = self.engine.spawn(self._run(event), self._context.copy())

    async def _run(self, event: CallEvent | FetchEvent) -> None:
        transport = self.engine.transport
        transport.running_scopes += 1
        try:
            result = await self._result(event)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            event.settled = True
            event.fail(self, error)  # type: ignore[arg-type]
        else:
            event.settled = True
            try:
                event.succeed(self, result)  # type: ignore[arg-type]
            except Exception as refused:
                event.fail(self, refused)  # type: ignore[arg-type]
        finally:
            transport.running_scopes -= 1
            self._answered()

    async def _result(self, event: CallEvent | FetchEvent) -> Any:
        return await event.run(self)  # type: ignore[arg-type]

    def _answered(self) -> None:
        """An event is over."""

    # --- the gates of an actor ----------------------------------------------------------------------------------
    def check_usable(self) -> None:
        return

    def emit(self, output: Output) -> None:
        output(0)

    emit_request = emit

    def when_durable(self, epoch: int, then: Callable[[], None], lost: Any = None) -> None:
        then()


class EntrypointScope(Scope):
    """One call of an entrypoint, in an instance of its own. Lasts until nobody holds a stub that it returned."""

    def __init__(self, host: Host, destination: Destination, number: int = 0) -> None:
        """`number` is that of the gateway's question."""
        super().__init__(host, destination.entrypoint or "Default")
        self.instance: Any = None
        self._destination = destination
        self._number = number
        self._ends: Callable[[], None] | None = None
        self._is_answered = False
        # What the caller has in its context, such as the actor that it is, is none of the entrypoint's business.
        self._context = host.context.copy()

    async def _result(self, event: CallEvent | FetchEvent) -> Any:
        if self.instance is None:
            # Here, where the task begins: see `Progress`.
            numbers = self.engine.progress.numbers
            numbers[0] = max(numbers[0], self._number)
            chosen = self._destination
            self.instance, context = self.engine.worker.entrypoint(chosen.entrypoint, chosen.props)
            context.scope, self._ends = self, context.end
            # Its functions, when they are called later, run in what it runs in.
            self._context = contextvars.copy_context()
        return await event.run(self)  # type: ignore[arg-type]

    def _answered(self) -> None:
        self._is_answered = True
        if not self.exports:
            self.unheld()

    def unheld(self) -> None:
        if self._is_answered:
            ends, self._ends = self._ends, None
            if ends is not None:
                ends()


def scope_now(host: Host) -> Scope | None:
    """The scope of the worker's request whose code runs; None outside of one."""
    context: Any = runtime_variable.get(None)
    if context is None or not hasattr(context, "scope"):
        return None
    if context.scope is None:
        context.scope = Scope(host, getattr(context, "label", "Default"))
    scope: Scope = context.scope
    return scope

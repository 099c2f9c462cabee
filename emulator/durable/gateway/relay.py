"""What one host asks of an actor that another host owns. Carries messages; knows nothing of what they ask.

A worker or an actor of shard 0 calls an actor of shard 1: the question comes up one link, goes down another, and the
answer takes the same way back under the asker's own id. Questions arrive here only when the writes behind them are
durable. A hold does not stop them: they are made by events that already run, and a drain waits for those.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from durable.errors import ActorError, HostGoneError, OverloadedError
from durable.gateway.events import GatewayFault, OnEvent
from durable.gateway.link import HostLink, Reply
from durable.gateway.router import Router
from durable.gateway.streams import BodyReader, pump
from durable.limits import RELAYED_REQUESTS_MAX
from durable.wire.messages import Call, Cancel, ErrorReport, Failed, HttpReply, HttpRequest


@dataclass(frozen=True, slots=True)
class RelayStatistics:
    """`open` questions are not answered yet, `relayed` counts all there ever were."""

    open: int
    relayed: int


class Relay:
    """Serves the questions of every link it is given."""

    def __init__(self, router: Router, on_event: OnEvent) -> None:
        self._router = router
        self._on_event = on_event
        self._open: dict[HostLink, dict[int, asyncio.Task[None]]] = {}
        self._relayed = 0

    def serve(self, link: HostLink) -> None:
        """Take the questions of this host from now until it is lost."""
        self._open[link] = {}
        link.on(HttpRequest, lambda question: self._ask(link, question))
        link.on(Call, lambda question: self._ask(link, question))
        link.on(Cancel, lambda cancel: self._cancel(link, cancel.id))
        link.on_lost(lambda: self._forget(link))

    def statistics(self) -> RelayStatistics:
        return RelayStatistics(open=sum(map(len, self._open.values())), relayed=self._relayed)

    def _ask(self, asker: HostLink, question: HttpRequest | Call) -> None:
        body: BodyReader | None = None
        if isinstance(question, HttpRequest) and question.stream:
            # Registered before the next message is handled, which may be its first piece.
            body = asker.bodies.expect(question.stream)
        tasks = self._open.get(asker)
        if tasks is None or len(tasks) >= RELAYED_REQUESTS_MAX:
            if body is not None:
                body.cancel()
            overloaded = OverloadedError(f"This process has {RELAYED_REQUESTS_MAX} requests open to other objects.")
            asker.send(Failed(question.id, 0, report_of(overloaded), 503))
            return
        self._relayed += 1
        task = asyncio.ensure_future(self._relay(asker, question, body))
        tasks[question.id] = task

        # Not in a `finally` of the coroutine: a task that is cancelled before its first step never enters it.
        def over(_task: asyncio.Task[None]) -> None:
            tasks.pop(question.id, None)
            if body is not None:
                body.cancel()

        task.add_done_callback(over)

    async def _relay(self, asker: HostLink, question: HttpRequest | Call, body: BodyReader | None) -> None:
        pumping: asyncio.Task[None] | None = None
        try:
            owner = await self._router.link_for(question.actor, through_hold=True)
            if body is None:
                try:
                    reply = await owner.request(_renumbered(question))
                except HostGoneError as error:
                    owner, reply = await self._router.ask_again(_renumbered(question), error, through_hold=True)
            else:
                writer = owner.bodies.open()
                # The task's first step comes after request() has sent the question, so the body follows it.
                pumping = asyncio.ensure_future(pump(body, writer))
                reply = await owner.request(_renumbered(question, stream=writer.stream))
            await self._answer(asker, owner, question.id, reply)
        except ActorError as error:
            asker.send(Failed(question.id, 0, report_of(error), 503))
        except Exception as error:
            self._on_event(GatewayFault(traceback.format_exc()))
            asker.send(Failed(question.id, 0, report_of(error), 500))
        finally:
            if pumping is not None:
                pumping.cancel()

    async def _answer(self, asker: HostLink, owner: HostLink, question: int, reply: Reply) -> None:
        if not isinstance(reply, HttpReply) or not reply.stream:
            asker.send(msgspec.structs.replace(reply, id=question, epoch=0))
            return
        reader = owner.reply_body(reply)
        writer = asker.bodies.open()
        asker.send(msgspec.structs.replace(reply, id=question, epoch=0, stream=writer.stream))
        await pump(reader, writer)

    def _cancel(self, asker: HostLink, question: int) -> None:
        task = self._open.get(asker, {}).get(question)
        if task is not None:
            task.cancel()

    def _forget(self, asker: HostLink) -> None:
        for task in self._open.pop(asker, {}).values():
            task.cancel()


def _renumbered(question: Any, **changes: Any) -> Callable[[int], Any]:
    return lambda identity: msgspec.structs.replace(question, id=identity, epoch=0, **changes)


def report_of(error: BaseException) -> ErrorReport:
    """An error of the gateway's own, as hosts carry errors to the code that called."""
    flags = [flag for flag in ("durable_object_reset", "overloaded", "retryable") if getattr(error, flag, False)]
    kind = type(error)
    return ErrorReport(
        type=kind.__name__, message=str(error), module=kind.__module__, qualname=kind.__qualname__, flags=flags
    )

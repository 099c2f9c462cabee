"""What one host asks of an actor that another host owns. Carries messages; knows nothing of what they ask.

A worker or an actor of shard 0 calls an actor of shard 1: the question comes up one link, goes down another, and the
answer takes the same way back under the asker's own id. Questions arrive here only when the writes behind them are
durable. A hold does not stop them: they are made by events that already run, and a drain waits for those.

A call whose host is there is handed on at once, and its answer as well: no task is made for it. Everything else, a
request with a body, a call that waits for a host, has a task; while one has not sent its question, none overtakes it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from durable.errors import ActorError, HostGoneError, OverloadedError
from durable.gateway.events import GatewayFault, OnEvent
from durable.gateway.link import HostLink, Question, Reply
from durable.gateway.router import Router
from durable.gateway.streams import BodyReader, BodyWriter, pump
from durable.gateway.stub_holders import StubHolders
from durable.limits import RELAYED_REQUESTS_MAX
from durable.wire.messages import (
    ActorKey,
    Call,
    CallReply,
    Cancel,
    ErrorReport,
    Failed,
    HttpReply,
    HttpRequest,
    StubCount,
)


class Destination(Protocol):
    """The hosts of one worker; a Router is one."""

    async def link_for(self, actor: ActorKey | None, *, through_hold: bool = False) -> HostLink: ...
    async def ask_again(
        self, question: Callable[[int], Question], error: HostGoneError, *, through_hold: bool = False
    ) -> tuple[HostLink, Reply]: ...


class RelayStatistics(Struct, frozen=True):
    """`open` questions are not answered yet, `relayed` counts all there ever were."""

    open: int
    relayed: int


_Body = tuple[BodyReader, BodyWriter]


class _Open:
    """What one host has asked and has no answer to."""

    __slots__ = ("asked", "counts", "tasks", "unsent")

    def __init__(self) -> None:
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.asked: dict[int, tuple[HostLink, int]] = {}
        """Without a task: whom, and under which id."""
        self.unsent = 0
        """Tasks that have not sent their question."""
        self.counts: list[StubCount] = []
        """Stubs that it has let go of, behind questions that are not sent."""


class Relay:
    """Serves the questions of every link it is given."""

    def __init__(
        self,
        router: Router,
        on_event: OnEvent,
        route: Callable[[HttpRequest | Call], Destination] | None = None,
        holders: StubHolders | None = None,
    ) -> None:
        """`route` says whose hosts take a question: those of another worker, when it names one.

        What it raises, an ActorError with a sentence, is the answer. `holders` are shared by the relays of all workers.
        """
        self._router = router
        self._on_event = on_event
        self._route = route or self._own_router
        self._holders = holders or StubHolders(self._own_link)
        self._open: dict[HostLink, _Open] = {}
        self._relayed = 0

    def serve(self, link: HostLink) -> None:
        """Take the questions of this host from now until it is lost."""
        self._open[link] = _Open()
        link.on(HttpRequest, lambda question: self._ask(link, question))
        link.on(Call, lambda question: self._ask(link, question))
        link.on(Cancel, lambda cancel: self._cancel(link, cancel.id))
        link.on(StubCount, lambda count: self._let_go(link, count))
        link.on_lost(lambda: self._forget(link))

    def statistics(self) -> RelayStatistics:
        still = sum(len(each.tasks) + len(each.asked) for each in self._open.values())
        return RelayStatistics(open=still, relayed=self._relayed)

    def _own_router(self, question: HttpRequest | Call) -> Destination:
        return self._router

    def _own_link(self, number: int) -> HostLink | None:
        return next((link for link in self._open if link.host_number == number), None)

    # --- a question comes ---------------------------------------------------------------------------------------------
    def _ask(self, asker: HostLink, question: HttpRequest | Call) -> None:
        # Registered before the next message is handled, which may be the first piece of one.
        bodies = [asker.bodies.expect(stream) for stream in _streams(question)]
        still = self._open.get(asker)
        if still is None or len(still.tasks) + len(still.asked) >= RELAYED_REQUESTS_MAX:
            for body in bodies:
                body.cancel()
            asker.unload(question)
            overloaded = OverloadedError(f"This process has {RELAYED_REQUESTS_MAX} requests open to other objects.")
            asker.send(Failed(question.id, 0, report_of(overloaded), 503))
            return
        self._relayed += 1
        if type(question) is Call and not still.unsent and not question.script and question.luggage is None:
            if question.target is None:
                owner = self._router.owner_nowait(question.actor)
            else:
                owner = self._holders.find(question.target)
            if owner is not None and not owner.is_lost:
                self._hand_on(asker, still, question, owner)
                return
        still.unsent += 1
        task = asyncio.ensure_future(self._relay(asker, still, question, bodies))
        self._keep(still, question.id, task, bodies)

    def _keep(self, still: _Open, number: int, task: asyncio.Task[None], bodies: list[BodyReader]) -> None:
        still.tasks[number] = task

        # Not in a `finally` of the coroutine: a task that is cancelled before its first step never enters it.
        def over(_task: asyncio.Task[None]) -> None:
            still.tasks.pop(number, None)
            for body in bodies:
                body.cancel()

        task.add_done_callback(over)

    def _hand_on(self, asker: HostLink, still: _Open, question: Call, owner: HostLink) -> None:
        """The short way."""
        number = question.id

        def answer(reply: Reply) -> None:
            del still.asked[number]
            if type(reply) is CallReply and reply.luggage is None:
                asker.send(CallReply(number, 0, reply.payload))
                return
            bodies = self._answer(asker, owner, number, reply)
            if bodies:
                work = partial(_pump_all, bodies)
                self._keep(still, number, asyncio.ensure_future(self._guarded(asker, question, work)), [])

        def gone(error: ActorError) -> None:
            del still.asked[number]
            work = partial(self._ask_again, asker, question, error)
            self._keep(still, number, asyncio.ensure_future(self._guarded(asker, question, work)), [])

        identity = owner.ask(lambda identity: msgspec.structs.replace(question, id=identity, epoch=0), answer, gone)
        still.asked[number] = owner, identity

    async def _ask_again(self, asker: HostLink, question: Call, error: ActorError) -> None:
        if not isinstance(error, HostGoneError) or question.target is not None:
            raise error
        owner, reply = await self._router.ask_again(_renumbered(question), error, through_hold=True)
        await _pump_all(self._answer(asker, owner, question.id, reply))

    async def _relay(
        self, asker: HostLink, still: _Open, question: HttpRequest | Call, bodies: list[BodyReader]
    ) -> None:
        sent = False

        def is_sent() -> None:
            nonlocal sent
            if not sent:
                sent = True
                still.unsent -= 1
                while still.counts and not still.unsent:
                    self._holders.released(asker, still.counts.pop(0))

        try:
            await self._guarded(asker, question, partial(self._carry, asker, question, bodies, is_sent))
        finally:
            is_sent()

    async def _carry(
        self, asker: HostLink, question: HttpRequest | Call, bodies: list[BodyReader], is_sent: Callable[[], None]
    ) -> None:
        """The long way: to whoever takes the question, with all that goes beside it."""
        destination = self._route(question)
        target = question.target if isinstance(question, Call) else None
        if target is None:
            owner = await destination.link_for(question.actor, through_hold=True)
        else:
            owner = self._holders.owner(target)
        pumping: list[asyncio.Task[None]] = []
        try:
            streams: list[int] = []
            for body in bodies:
                writer = owner.bodies.open()
                streams.append(writer.stream)
                # The task's first step comes after request() has sent the question, so the body follows it.
                pumping.append(asyncio.ensure_future(pump(body, writer)))
            packed = question.luggage if isinstance(question, Call) else None
            if packed is not None:
                self._holders.carried(asker, owner, packed.stubs)
            try:
                renumbered = _renumbered(question, **_with_streams(question, streams))
                answering = await self._request(asker, owner, question.id, renumbered, is_sent)
            except HostGoneError as error:
                if bodies or packed is not None or target is not None:
                    raise
                owner, reply = await destination.ask_again(_renumbered(question), error, through_hold=True)
                answering = self._answer(asker, owner, question.id, reply)
            await _pump_all(answering)
        finally:
            for task in pumping:
                task.cancel()

    async def _request(
        self,
        asker: HostLink,
        owner: HostLink,
        number: int,
        question: Callable[[int], Question],
        is_sent: Callable[[], None],
    ) -> list[_Body]:
        """Ask, and answer as the answer comes, for its sender may let go next of what it brings. Returns its bodies."""
        if owner.is_lost:
            return self._answer(asker, owner, number, await owner.request(question))
        answered: asyncio.Future[list[_Body]] = asyncio.get_running_loop().create_future()

        def came(reply: Reply) -> None:
            bodies = self._answer(asker, owner, number, reply)
            if not answered.done():
                answered.set_result(bodies)
                return
            for reader, _ in bodies:
                reader.cancel()

        def gone(error: ActorError) -> None:
            if not answered.done():
                answered.set_exception(error)

        identity = owner.ask(question, came, gone)
        is_sent()
        try:
            return await answered
        except asyncio.CancelledError:
            owner.withdraw(identity)
            raise

    async def _guarded(
        self, asker: HostLink, question: HttpRequest | Call, work: Callable[[], Awaitable[None]]
    ) -> None:
        """Whatever fails is the answer."""
        is_broken = isinstance(question, Call) and question.target is not None
        try:
            await work()
        except ActorError as error:
            asker.send(Failed(question.id, 0, report_of(error), 503, broken=is_broken))
        except Exception as error:
            self._on_event(GatewayFault(traceback.format_exc()))
            asker.send(Failed(question.id, 0, report_of(error), 500, broken=is_broken))

    # --- its answer ---------------------------------------------------------------------------------------------------
    def _answer(self, asker: HostLink, owner: HostLink, question: int, reply: Reply) -> list[_Body]:
        """Hand the answer on, now; returns the bodies that follow it."""
        if asker.is_lost:
            owner.discard(reply)
            return []
        streams = _streams(reply)
        if isinstance(reply, CallReply) and reply.luggage is not None:
            self._holders.carried(owner, asker, reply.luggage.stubs)
        writers = [asker.bodies.open() for _ in streams]
        changes = _with_streams(reply, [writer.stream for writer in writers])
        asker.send(msgspec.structs.replace(reply, id=question, epoch=0, **changes))
        return [(owner.body(stream), writer) for stream, writer in zip(streams, writers, strict=True)]

    def _let_go(self, holder: HostLink, count: StubCount) -> None:
        still = self._open.get(holder)
        if still is not None and still.unsent:
            still.counts.append(count)
        else:
            self._holders.released(holder, count)

    def _cancel(self, asker: HostLink, question: int) -> None:
        still = self._open.get(asker)
        if still is None:
            return
        task = still.tasks.get(question)
        if task is not None:
            task.cancel()
        elif question in still.asked:
            owner, identity = still.asked.pop(question)
            owner.withdraw(identity)

    def _forget(self, asker: HostLink) -> None:
        still = self._open.pop(asker, None)
        if still is not None:
            for task in list(still.tasks.values()):
                task.cancel()
            for owner, identity in still.asked.values():
                owner.withdraw(identity)
            still.asked.clear()
        self._holders.lost(asker)


async def _pump_all(bodies: list[_Body]) -> None:
    if bodies:
        await asyncio.gather(*(pump(reader, writer) for reader, writer in bodies))


def _streams(message: HttpRequest | Call | Reply) -> list[int]:
    """The bodies that follow a message."""
    if isinstance(message, (HttpRequest, HttpReply)):
        return [message.stream] if message.stream else []
    if isinstance(message, (Call, CallReply)) and message.luggage is not None:
        return message.luggage.streams
    return []


def _with_streams(message: HttpRequest | Call | Reply, streams: list[int]) -> dict[str, Any]:
    """What of a message changes when its bodies have these numbers."""
    if not streams:
        return {}
    if isinstance(message, (Call, CallReply)):
        return {"luggage": msgspec.structs.replace(message.luggage, streams=streams)}  # type: ignore[type-var]
    return {"stream": streams[0]}


def _renumbered(question: Any, **changes: Any) -> Callable[[int], Any]:
    return lambda identity: msgspec.structs.replace(question, id=identity, epoch=0, **changes)


def report_of(error: BaseException) -> ErrorReport:
    """An error of the gateway's own, as hosts carry errors to the code that called."""
    flags = [flag for flag in ("durable_object_reset", "overloaded", "retryable") if getattr(error, flag, False)]
    kind = type(error)
    return ErrorReport(
        type=kind.__name__, message=str(error), module=kind.__module__, qualname=kind.__qualname__, flags=flags
    )

"""`/__durable/events`: what happened lately to one object or to all, from the gateway and the hosts, merged by time.

Wakes nobody. A host that is stuck, or gone, is left out and named: that is when somebody looks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from durable.clock import Clock
from durable.errors import DurableError
from durable.gateway.admin import Route
from durable.gateway.link import HostLink
from durable.gateway.object_finder import (
    AdminProblemError,
    Json,
    Namespaces,
    ObjectFinder,
    ObjectIndex,
    ObjectRequest,
    bad_request,
)
from durable.gateway.timeline import DECODER, GatewayTimeline, Happened
from durable.limits import TIMELINE_ANSWER_ENTRIES_MAX, TIMELINE_ANSWER_SECONDS
from durable.wire.messages import ActorKey, CallReply, Recall
from durable.wire.timeline import Remembered, sayable


class Hosts(Protocol):
    """What is needed of the router."""

    links: list[HostLink | None]

    def placement(self, actor_id: str) -> int: ...


class EventsRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`?class=ChatRoom&name=general&limit=200`, `?class=ChatRoom&id=HEX`, `?class=ChatRoom`, or nothing: everybody's.

    `since` is the `next` of an earlier answer.
    """

    class_name: str | None = msgspec.field(name="class", default=None)
    name: str | None = None
    id: str | None = None
    limit: int = 200
    since: int = 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Whose timeline, and which part of it; of all objects when neither is given."""

    actor: ActorKey | None
    namespace: str
    class_name: str
    since_us: int
    until_us: int
    entries_max: int


class TimelineTools:
    """The answer below `/__durable/events`."""

    def __init__(
        self,
        timeline: GatewayTimeline,
        hosts: Hosts,
        clock: Clock,
        index: ObjectIndex,
        namespaces: Namespaces,
        *,
        machine_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._timeline = timeline
        self._hosts = hosts
        self._clock = clock
        self._namespaces = namespaces
        self._objects = ObjectFinder(index, namespaces)
        self._machine_seconds = machine_seconds

    def routes(self) -> dict[str, Route]:
        return {"/__durable/events": Route("GET", EventsRequest, self._events)}

    async def _events(self, request: EventsRequest) -> Json:
        if not 1 <= request.limit <= TIMELINE_ANSWER_ENTRIES_MAX:
            raise bad_request(f"limit is between 1 and {TIMELINE_ANSWER_ENTRIES_MAX}, not {request.limit}")
        # Up to just before now: what ends from here on has a later end, in whatever process, and comes with the next
        # question. One more than is answered, to know whether there are more.
        until_us = int(self._clock.monotonic() * 1_000_000) - 1
        wanted, missing = await self._wanted(request, until_us)
        told, silent = await self._ask_hosts(wanted)
        told += [self._of_gateway(happened) for happened in self._of(wanted)]
        if not told and missing is not None and not request.since:
            raise missing
        told.sort(key=lambda event: event.ended_us)
        left_out = len(told) > request.limit
        shown = sorted(told[-request.limit :], key=lambda event: event.ended_us - event.duration_us)
        started_ms = self._machine_seconds() * 1000 - self._clock.monotonic() * 1000
        return {
            "events": [event.to_json(started_ms) for event in shown],
            "next": until_us,
            "left_out": left_out,
            "silent_hosts": silent,
        }

    async def _wanted(self, request: EventsRequest, until_us: int) -> tuple[_Wanted, AdminProblemError | None]:
        """And what to say if nothing is found, when the object is not known."""
        more = (request.since, until_us, request.limit + 1)
        if request.class_name is None:
            if request.name is not None or request.id is not None:
                raise bad_request("an object is named by its class and its name or id: class is missing")
            return _Wanted(None, "", "", *more), None
        if request.name is None and request.id is None:
            namespace = self._objects.namespace(request.class_name)
            return _Wanted(None, namespace.key, namespace.class_name, *more), None
        target = ObjectRequest(class_name=request.class_name, name=request.name, id=request.id)
        namespace, actor, is_known = await self._objects.find(target)
        missing = None if is_known else await self._objects.no_such_object(namespace, actor)
        return _Wanted(actor, namespace.key, namespace.class_name, *more), missing

    # --- the gateway's own --------------------------------------------------------------------------------------------
    def _of(self, wanted: _Wanted) -> list[Happened]:
        object_id = None if wanted.actor is None else wanted.actor.id
        found = self._timeline.recall(object_id, wanted.since_us, wanted.until_us, wanted.entries_max)
        if wanted.actor is not None:
            shard = self._hosts.placement(wanted.actor.id)
            return [each for each in found if getattr(each.event, "shard", shard) == shard]
        if wanted.class_name:
            return [each for each in found if getattr(each.event, "class_name", "") == wanted.class_name]
        return found

    def _of_gateway(self, happened: Happened) -> _Told:
        event, line = happened.event, happened.line
        duration_us = round(line.duration_ms * 1000)
        return _Told(
            happened.ended_us, duration_us, line.kind, sayable(line.what), sayable(line.outcome), None,
            getattr(event, "class_name", None), getattr(event, "object_name", None), getattr(event, "object_id", None),
            "gateway",
        )  # fmt: skip

    # --- the hosts' ---------------------------------------------------------------------------------------------------
    async def _ask_hosts(self, wanted: _Wanted) -> tuple[list[_Told], list[Json]]:
        """What they remember, and which of them did not say."""
        shards = range(len(self._hosts.links))
        if wanted.actor is not None:
            shards = range(at := self._hosts.placement(wanted.actor.id), at + 1)
        answers = await asyncio.gather(*(self._ask(shard, wanted) for shard in shards))
        names = {space.key: space.class_name for space in self._namespaces().values()}
        left = self._timeline.left_by_hosts(wanted.actor, wanted.namespace, wanted.since_us, wanted.until_us)
        told = [_of_host(entry, names) for entry in left]
        silent: list[Json] = []
        for shard, answer in zip(shards, answers, strict=True):
            if isinstance(answer, str):
                silent.append({"shard": shard, "reason": answer})
            else:
                told += [_of_host(entry, names) for entry in answer]
        return told, silent

    async def _ask(self, shard: int, wanted: _Wanted) -> list[Remembered] | str:
        link = self._hosts.links[shard]
        if link is None:
            return "no process runs"

        def question(identity: int) -> Recall:
            return Recall(
                identity, wanted.actor, wanted.since_us, wanted.until_us, wanted.entries_max, wanted.namespace
            )

        try:
            async with asyncio.timeout(TIMELINE_ANSWER_SECONDS):
                reply = await link.request(question)
        except TimeoutError:
            return f"it did not answer within {TIMELINE_ANSWER_SECONDS:g} s"
        except DurableError as error:
            return str(error)
        if not isinstance(reply, CallReply):
            raise TypeError(f"a host was asked what it remembers and answered with {type(reply).__name__}")
        return DECODER.decode(reply.payload)


@dataclass(frozen=True, slots=True)
class _Told:
    """One event as it is answered."""

    ended_us: int
    duration_us: int
    kind: str
    what: str
    outcome: str
    count: int | None
    class_name: str | None
    name: str | None
    id: str | None
    source: str

    def to_json(self, started_ms: float) -> Json:
        """`started_ms` is the machine's time when its monotonic clock stood at 0."""
        event: Json = {
            "at_ms": round(started_ms + (self.ended_us - self.duration_us) / 1000, 3),
            "duration_ms": self.duration_us / 1000,
            "kind": self.kind,
            "what": self.what,
            "outcome": self.outcome,
            "class": self.class_name,
            "name": self.name,
            "id": self.id,
            "source": self.source,
        }
        if self.count is not None:
            event["rows" if self.kind == "sql" else "storage_operations"] = self.count
        return event


def _of_host(entry: Remembered, class_names: dict[str, str]) -> _Told:
    actor = entry.actor
    class_name = None if actor is None else class_names.get(actor.namespace, actor.namespace)
    name, identity = (None, None) if actor is None else (actor.name, actor.id)
    return _Told(
        entry.ended_us, entry.duration_us, entry.kind, entry.what, entry.outcome, entry.count, class_name, name,
        identity, "host",
    )  # fmt: skip

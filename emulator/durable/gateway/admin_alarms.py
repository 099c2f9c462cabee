"""`/__durable/alarms/*`: what is due, one alarm now, and the clock in the hand of tools. Listing wakes nobody."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

import msgspec

from durable.clock import SystemClock
from durable.errors import UserInputError
from durable.gateway.admin import Route
from durable.gateway.asking_hosts import NoRequest
from durable.gateway.driven_alarms import AlarmState
from durable.gateway.object_finder import (
    AdminProblemError,
    Json,
    Namespaces,
    ObjectFinder,
    ObjectIndex,
    ObjectRequest,
    bad_request,
    named,
)
from durable.gateway.time_control import Advance, TimeControl
from durable.limits import ADVANCE_ANSWER_SECONDS, ALARM_FIRE_ANSWER_SECONDS, ALARM_MS_MAX, ALARMS_LISTED_MAX
from durable.storage.index import IndexRow
from durable.wire.messages import ActorKey, NamespaceInfo


class AlarmIndex(ObjectIndex, Protocol):
    async def due(self, namespace: str, before_ms: int, limit: int) -> tuple[IndexRow, ...]: ...


class Alarms(Protocol):
    """What the tools need of the alarm scheduler."""

    def state_of(self, actor: ActorKey) -> AlarmState: ...
    async def fire(self, actor: ActorKey, scheduled_ms: int, seconds_max: float) -> str: ...


class ListRequest(msgspec.Struct, forbid_unknown_fields=True):
    limit: int = 100


class AdvanceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """By so many milliseconds; 0 runs what is due now."""

    duration_ms: int


class AlarmTools:
    """The answers below `/__durable/alarms`."""

    def __init__(
        self, alarms: Alarms, time: TimeControl, clock: SystemClock, index: AlarmIndex, namespaces: Namespaces
    ) -> None:
        self._alarms = alarms
        self._time = time
        self._clock = clock
        self._index = index
        self._namespaces = namespaces
        self._objects = ObjectFinder(index, namespaces)

    def routes(self) -> dict[str, Route]:
        return {
            "/__durable/alarms/list": Route("POST", ListRequest, self._list),
            "/__durable/alarms/fire": Route("POST", ObjectRequest, self._fire),
            "/__durable/alarms/advance": Route("POST", AdvanceRequest, self._advance),
            "/__durable/alarms/progress": Route("POST", NoRequest, self._progress),
            "/__durable/alarms/stop": Route("POST", NoRequest, self._stop),
            "/__durable/alarms/freeze": Route("POST", NoRequest, self._freeze),
            "/__durable/alarms/resume": Route("POST", NoRequest, self._resume),
            "/__durable/alarms/reset": Route("POST", NoRequest, self._reset),
        }

    # --- alarms -------------------------------------------------------------------------------------------------------
    async def _list(self, request: ListRequest) -> Json:
        if not 1 <= request.limit <= ALARMS_LISTED_MAX:
            raise bad_request(f"limit is between 1 and {ALARMS_LISTED_MAX}, not {request.limit}")
        spaces = {space.key: space for space in self._namespaces().values()}
        found = [
            (space, row)
            for space in spaces.values()
            # One more than is shown, to know whether there are more.
            for row in await self._index.due(space.key, ALARM_MS_MAX + 1, request.limit + 1)
        ]
        found.sort(key=lambda entry: (entry[1].alarm_ms or 0, entry[1].id))
        shown = [self._alarm(space, row) for space, row in found[: request.limit]]
        return self._clock_answer() | {"alarms": shown, "truncated": len(found) > request.limit}

    def _alarm(self, space: NamespaceInfo, row: IndexRow) -> Json:
        state = self._alarms.state_of(ActorKey(space.key, row.id, row.name))
        return {
            "class": space.class_name,
            "name": row.name,
            "id": row.id,
            "due_ms": row.alarm_ms,
            "state": state.state,
            "retry_count": state.retry_count,
        }

    async def _fire(self, request: ObjectRequest) -> Json:
        namespace, actor, _ = await self._objects.find(request)
        row = await self._objects.row(namespace, actor)
        if row is None:
            raise await self._objects.no_such_object(namespace, actor)
        if row.alarm_ms is None:
            raise AdminProblemError(
                HTTPStatus.CONFLICT, "no_alarm", f"{named(namespace, actor)} has no alarm set", "durable alarms list"
            )
        outcome = await self._alarms.fire(actor, row.alarm_ms, ALARM_FIRE_ANSWER_SECONDS)
        if outcome == "busy":
            raise AdminProblemError(
                HTTPStatus.CONFLICT,
                "alarm_running",
                f"the alarm of {named(namespace, actor)} is running already",
                "wait for its end: durable alarms list",
            )
        fired: Json = {"class": namespace.class_name, "name": actor.name, "id": actor.id}
        return fired | {"due_ms": row.alarm_ms, "outcome": outcome}

    # --- the clock ----------------------------------------------------------------------------------------------------
    async def _advance(self, request: AdvanceRequest) -> Json:
        self._time.begin_advance(duration_ms=request.duration_ms)
        return await self._progress(NoRequest())

    async def _progress(self, _request: NoRequest) -> Json:
        """How far the advance is, at once when it has ended and otherwise after a while."""
        advance = self._require_advance()
        await self._time.wait_advance(ADVANCE_ANSWER_SECONDS)
        return self._advance_answer(advance)

    async def _stop(self, _request: NoRequest) -> Json:
        advance = self._require_advance()
        await self._time.stop_advance()
        return self._advance_answer(advance)

    def _require_advance(self) -> Advance:
        if self._time.advancing is None:
            raise UserInputError("the clock was not advanced since the start", fix="durable alarms advance 2h")
        return self._time.advancing

    async def _freeze(self, _request: NoRequest) -> Json:
        await self._time.freeze()
        return self._clock_answer()

    async def _resume(self, _request: NoRequest) -> Json:
        await self._time.resume()
        return self._clock_answer()

    async def _reset(self, _request: NoRequest) -> Json:
        await self._time.reset()
        return self._clock_answer()

    def _clock_answer(self) -> Json:
        return {
            "now_ms": self._clock.wall_ms(),
            "offset_ms": self._clock.offset_ms,
            "frozen": self._clock.is_frozen,
        }

    def _advance_answer(self, advance: Advance) -> Json:
        return {
            "from_ms": advance.from_ms,
            "to_ms": advance.to_ms,
            "now_ms": advance.now_ms,
            "alarms": advance.alarms,
            "ended": advance.ended,
            "failure": advance.failure,
            "offset_ms": self._clock.offset_ms,
            "frozen": self._clock.is_frozen and advance.ended,
        }

"""`/__durable/alarms/*` without a network: what is listed, what is refused, what comes of an advance."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from durable.clock import SystemClock
from durable.gateway.admin import Admin
from durable.gateway.admin_alarms import AlarmTools
from durable.gateway.driven_alarms import AlarmState
from durable.gateway.time_control import TimeControl
from durable.sdk.ids import id_from_name
from durable.storage.index import IndexRow
from durable.wire.messages import ActorKey, NamespaceInfo
from tests.unit.gateway.test_admin import Body

KEY = "Room-9f3a"
START_MS = 1_700_000_000_000


class Index:
    def __init__(self) -> None:
        names = [("b", START_MS + 2), ("a", START_MS + 1), ("none", None)]
        self.rows = [IndexRow(id_from_name(KEY, name), name, 1, 1, due_ms, 0) for name, due_ms in names]

    async def get(self, namespace: str, identity: str) -> IndexRow | None:
        return next((row for row in self.rows if row.id == identity), None)

    async def names(self, namespace: str, limit: int) -> tuple[str, ...]:
        return tuple(row.name or "" for row in self.rows)

    async def due(self, namespace: str, before_ms: int, limit: int) -> tuple[IndexRow, ...]:
        set_rows = [row for row in self.rows if row.alarm_ms is not None and row.alarm_ms < before_ms]
        return tuple(sorted(set_rows, key=lambda row: row.alarm_ms or 0)[:limit])


class Bench:
    def __init__(self) -> None:
        self.clock = SystemClock()
        self.clock.stand_at(START_MS)
        self.fired: list[tuple[str | None, int]] = []
        self.outcome = "done"
        self.blocked: asyncio.Event | None = None
        self.time = TimeControl(self.clock, [self], keep=lambda _: None, fired=lambda: 0, on_event=lambda _: None)
        room = NamespaceInfo(KEY, "Room")
        spaces = {"Room": room, "ROOMS": room}
        index = Index()
        tools = AlarmTools(self, self.time, self.clock, index, lambda: spaces)
        self.admin = Admin(
            "t0ken", None, index, namespaces=lambda: spaces, status=dict, migrate=None, reload=None,  # type: ignore[arg-type]
            more=tools.routes,
        )  # fmt: skip

    # the alarms
    def state_of(self, actor: ActorKey) -> AlarmState:
        return AlarmState("retrying", 3) if actor.name == "a" else AlarmState("waiting", 0)

    async def fire(self, actor: ActorKey, scheduled_ms: int, seconds_max: float) -> str:
        self.fired.append((actor.name, scheduled_ms))
        return self.outcome

    # what is due
    async def next_due_ms(self, until_ms: int) -> int | None:
        return None

    async def run_due(self) -> None:
        if self.blocked is not None:
            await self.blocked.wait()

    def clock_moved(self) -> None:
        return

    def hold(self) -> None:
        return

    def release(self) -> None:
        return

    async def ask(self, word: str, body: Any = None, method: str = "POST") -> tuple[int, dict[str, Any]]:
        request = make_mocked_request(
            method,
            f"/__durable/alarms/{word}",
            headers={"Authorization": "Bearer t0ken"},
            payload=Body(json.dumps(body or {}).encode()),  # type: ignore[arg-type]
        )
        response = await self.admin.handle(request)
        assert isinstance(response, web.Response)
        assert response.text is not None
        return response.status, json.loads(response.text)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_alarms_of_a_class_are_listed_once_whatever_names_it_has(bench: Bench) -> None:
    status, answer = await bench.ask("list")
    assert status == 200
    assert [(alarm["name"], alarm["state"], alarm["retry_count"]) for alarm in answer["alarms"]] == [
        ("a", "retrying", 3), ("b", "waiting", 0),
    ]  # fmt: skip
    assert (answer["truncated"], answer["now_ms"], answer["frozen"]) == (False, START_MS, True)
    assert (await bench.ask("list", {"limit": 1}))[1]["truncated"] is True


async def test_an_alarm_is_fired_by_the_time_that_the_index_knows(bench: Bench) -> None:
    status, answer = await bench.ask("fire", {"class": "ROOMS", "name": "b"})
    assert (status, answer["outcome"], answer["due_ms"], answer["class"]) == (200, "done", START_MS + 2, "Room")
    assert bench.fired == [("b", START_MS + 2)]


@pytest.mark.parametrize(
    ("word", "body", "status", "code"),
    [
        ("list", {"limit": 0}, 400, "bad_request"),
        ("list", {"limit": 10_001}, 400, "bad_request"),
        ("list", {"limit": "all"}, 400, "bad_request"),
        ("fire", {"class": "Hall", "name": "a"}, 404, "no_such_class"),
        ("fire", {"class": "Room", "name": "zz"}, 404, "no_such_object"),
        ("fire", {"class": "Room", "name": "none"}, 409, "no_alarm"),
        ("fire", {"class": "Room"}, 400, "bad_request"),
        ("fire", {"class": "Room", "id": "xyz"}, 400, "bad_request"),
        ("advance", {}, 400, "bad_request"),
        ("advance", {"duration_ms": 1.5}, 400, "bad_request"),
        ("advance", {"duration_ms": True}, 400, "bad_request"),
        ("advance", {"duration_ms": 2**63}, 400, "configuration"),
        ("advance", {"duration_ms": -1}, 400, "configuration"),
        ("advance", {"duration_ms": 10**13}, 400, "configuration"),
        ("progress", {}, 400, "configuration"),
        ("stop", {}, 400, "configuration"),
        ("freeze", {"at": 5}, 400, "bad_request"),
        ("thaw", {}, 404, "no_such_path"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    bench: Bench, word: str, body: dict[str, Any], status: int, code: str
) -> None:
    got, answer = await bench.ask(word, body)
    assert (got, answer["error"]["code"]) == (status, code)
    assert bench.fired == []
    assert bench.clock.wall_ms() == START_MS


async def test_a_running_alarm_is_not_fired_again(bench: Bench) -> None:
    bench.outcome = "busy"
    status, answer = await bench.ask("fire", {"class": "Room", "name": "b"})
    assert (status, answer["error"]["code"]) == (409, "alarm_running")


@pytest.mark.parametrize("word", ["list", "fire", "advance", "progress", "stop", "freeze", "resume", "reset"])
async def test_nothing_is_done_by_a_get(bench: Bench, word: str) -> None:
    assert (await bench.ask(word, method="GET"))[0] == 405


async def test_an_advance_is_begun_followed_and_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable.gateway.admin_alarms.ADVANCE_ANSWER_SECONDS", 0.01)
    bench.blocked = asyncio.Event()
    _, begun = await bench.ask("advance", {"duration_ms": 1000})
    assert (begun["ended"], begun["to_ms"] - begun["from_ms"]) == (False, 1000)
    _, again = await bench.ask("advance", {"duration_ms": 1})
    assert again["error"]["fix"].startswith("wait for that")
    assert (await bench.ask("progress"))[1]["ended"] is False

    _, stopped = await bench.ask("stop")
    assert (stopped["ended"], stopped["failure"], stopped["now_ms"]) == (True, "it was stopped", START_MS)
    bench.blocked = None
    _, done = await bench.ask("advance", {"duration_ms": 1000})
    assert (done["ended"], done["failure"], done["now_ms"]) == (True, "", START_MS + 1000)
    assert (await bench.ask("reset"))[1]["frozen"] is False

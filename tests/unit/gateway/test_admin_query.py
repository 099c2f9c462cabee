"""`/__durable/query` without a network: pages, pieces, hosts that die, and clients that do not read or are gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from durable import values
from durable.errors import ActorError, HostGoneError, ReloadingError
from durable.gateway import admin_query as module
from durable.gateway.admin_query import QueryRequest, QueryTools
from durable.gateway.object_finder import AdminProblemError
from durable.limits import QUERY_PAGES_AHEAD, QUERY_TRIES_MAX
from durable.storage.index import IndexRow
from durable.wire.messages import CallReply, ErrorReport, Failed, InspectMany, NamespaceInfo

KEY = "Room-9f3a"


class Link:
    """One host, which answers as the test says; by default each object says its name."""

    def __init__(self) -> None:
        self.asked: list[InspectMany] = []
        self.at_once = 0
        self.failures: list[Exception | Failed] = []
        self.done_max = 1000
        self.gate: asyncio.Event | None = None

    async def request(self, question: Callable[[int], InspectMany]) -> Any:
        message = question(1)
        self.asked.append(message)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Failed):
                return failure
            raise failure
        actors = message.actors[: self.done_max]
        rows = [[actor.name, 1] for actor in actors]
        answers = {"objects": len(rows), "tables": [{"columns": ["n"], "rows": rows}], "failed": [], "cut": []}
        return CallReply(1, 0, msgspec.msgpack.encode((len(rows), msgspec.json.encode(answers))))


class Bench:
    def __init__(self, objects: int, hosts: int = 1) -> None:
        self.links = [Link() for _ in range(hosts)]
        self.rows = [IndexRow(f"{number:064x}", f"room {number}", 1, 1, None) for number in range(objects)]
        room = NamespaceInfo(KEY, "Room")
        self.tools = QueryTools(self, self, lambda: {"Room": room})
        self.sent: list[bytes] = []
        self.reads: Callable[[], Awaitable[None]] | None = None

    # --- as hosts and index
    def placement(self, actor_id: str) -> int:
        return int(actor_id, 16) % len(self.links)

    async def link_for(self, actor: Any) -> Any:
        return self.links[self.placement(actor.id)]

    async def get(self, namespace: str, identity: str) -> IndexRow | None:
        return None

    async def names(self, namespace: str, limit: int) -> tuple[str, ...]:
        return ()

    async def page(self, namespace: str, after: str | None = None, limit: int = 100) -> tuple[IndexRow, ...]:
        return tuple(row for row in self.rows if after is None or row.id > after)[:limit]

    async def count(self, namespace: str) -> int:
        return len(self.rows)

    # --- as a client
    async def write(self, data: bytes) -> None:
        self.sent.append(bytes(data))
        if self.reads is not None:
            await self.reads()

    async def ask(self, **fields: Any) -> list[Any]:
        writer = mock.Mock(write_headers=mock.AsyncMock(), write=self.write, write_eof=mock.AsyncMock())
        request = make_mocked_request("POST", "/__durable/query", writer=writer)
        question = msgspec.convert({"class": "Room", "sql": "SELECT 1", **fields}, QueryRequest)
        await self.tools.routes()["/__durable/query"].answer(question, request)
        return self.lines

    @property
    def lines(self) -> list[Any]:
        assert all(piece.endswith(b"\n") for piece in self.sent)
        return [json.loads(line) for piece in self.sent for line in piece.splitlines()]

    @property
    def labels(self) -> list[str]:
        tables = [table for line in self.lines for table in line.get("tables", [])]
        return [row[0] for table in tables for row in table["rows"]]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUERY_BATCH_OBJECTS", 3)


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("objects", [0, 1, 3, 10])
async def test_every_object_is_asked_once_and_the_end_is_told(objects: int, hosts: int) -> None:
    bench = Bench(objects, hosts)
    lines = await bench.ask()
    assert lines[0] == {"total": objects}
    assert lines[-1] == {"end": True}
    assert sorted(bench.labels) == sorted(f"room {number}" for number in range(objects))
    assert sum(line["seen"] for line in lines[1:-1]) == objects
    assert sum(line["objects"] for line in lines[1:-1]) == objects


async def test_objects_of_one_host_come_in_the_order_of_their_ids() -> None:
    bench = Bench(10)
    await bench.ask()
    assert bench.labels == [f"room {number}" for number in range(10)]


async def test_what_did_not_fit_is_asked_for_again() -> None:
    bench = Bench(7)
    bench.links[0].done_max = 2
    lines = await bench.ask()
    assert bench.labels == [f"room {number}" for number in range(7)]
    assert [len(message.actors) for message in bench.links[0].asked] == [3, 3, 1, 1, 1]
    assert sum(line["seen"] for line in lines[1:-1]) == 7


async def test_a_pattern_picks_objects_and_what_it_leaves_out_was_seen() -> None:
    bench = Bench(12)
    lines = await bench.ask(where_name="room 1?")
    assert bench.labels == ["room 10", "room 11"]
    assert [len(message.actors) for message in bench.links[0].asked] == [2]
    assert sum(line["seen"] for line in lines[1:-1]) == 12


async def test_the_question_reaches_the_host_as_it_was_asked() -> None:
    bench = Bench(1)
    await bench.ask(sql="SELECT ?", parameters=[{"$bytes": "AP8="}], rows_max=7)
    (message,) = bench.links[0].asked
    assert (message.sql, message.rows_max, values.decode(message.parameters)) == ("SELECT ?", 7, [b"\x00\xff"])


@pytest.mark.parametrize(
    "failure",
    [HostGoneError("it was killed"), ReloadingError("reloaded"), Failed(1, 0, ErrorReport("E", "bug", "", ""))],
)
async def test_a_host_that_dies_is_asked_again(failure: Any) -> None:
    bench = Bench(4)
    bench.links[0].failures = [failure, failure]
    assert (await bench.ask())[-1] == {"end": True}
    assert bench.labels == [f"room {number}" for number in range(4)]


async def test_one_that_never_answers_ends_the_query_with_the_reason() -> None:
    bench = Bench(4)
    bench.links[0].failures = [HostGoneError("it was killed") for _ in range(100)]
    lines = await bench.ask()
    assert lines[-1] == {"error": {"code": "host_crashed", "message": "it was killed"}}
    assert len(bench.links[0].asked) <= 2 * QUERY_TRIES_MAX


@pytest.mark.parametrize("done", [0, 4])
async def test_a_host_that_answers_for_others_is_not_believed(done: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(3)
    payload = msgspec.msgpack.encode((done, b"{}"))
    monkeypatch.setattr(Link, "request", mock.AsyncMock(return_value=CallReply(1, 0, payload)))
    lines = await bench.ask()
    assert f"answered about {done}" in lines[-1]["error"]["message"]


async def test_nothing_is_worked_ahead_for_a_client_that_does_not_read() -> None:
    bench = Bench(100)
    stands = asyncio.Event()
    bench.reads = stands.wait  # type: ignore[assignment]
    asking = asyncio.ensure_future(bench.ask())
    for _ in range(100):
        await asyncio.sleep(0)
    assert bench.links[0].asked == []  # the first line is on its way
    bench.reads = None
    stands.set()
    stands = asyncio.Event()

    async def read_nothing() -> None:
        if len(bench.sent) > 1:
            await stands.wait()

    bench.reads = read_nothing
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(bench.links[0].asked) == 1 + QUERY_PAGES_AHEAD
    stands.set()
    assert (await asking)[-1] == {"end": True}


async def test_a_client_that_is_gone_ends_it_and_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUERIES_MAX", 1)
    bench = Bench(10)
    bench.links[0].gate = asyncio.Event()
    asking = asyncio.ensure_future(bench.ask())
    while len(bench.links[0].asked) < 2:
        await asyncio.sleep(0)
    with pytest.raises(AdminProblemError, match="running already"):
        await bench.ask()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(bench.links[0].asked) == 2
    assert len(asyncio.all_tasks()) == 1
    bench.links[0].gate = None
    bench.sent.clear()
    assert (await bench.ask())[-1] == {"end": True}


async def test_a_connection_that_breaks_while_it_is_written_to_leaves_nothing_behind() -> None:
    bench = Bench(10)

    async def broken() -> None:
        if len(bench.sent) > 2:
            raise ConnectionResetError

    bench.reads = broken
    with pytest.raises(ConnectionResetError):
        await bench.ask()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("rows_max", [0, 10_001])
async def test_bounds_of_rows_are_checked(rows_max: int) -> None:
    with pytest.raises(AdminProblemError, match="rows_max is between"):
        await Bench(1).ask(rows_max=rows_max)


async def test_a_class_that_is_not_there_is_refused_before_anything_is_sent() -> None:
    bench = Bench(1)
    with pytest.raises(AdminProblemError, match="no class or binding"):
        await bench.ask(**{"class": "Rooom"})
    assert bench.sent == []


async def test_errors_of_routing_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(3)
    monkeypatch.setattr(Bench, "link_for", mock.AsyncMock(side_effect=ActorError("the emulator is stopping")))
    assert (await bench.ask())[-1]["error"]["message"] == "the emulator is stopping"

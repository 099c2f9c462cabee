"""A host from load to drain: what a restart keeps, what a drain waits for and gives back, idle eviction, tools."""

from __future__ import annotations

import asyncio
from typing import Any

from durable import values
from durable.clock import ManualClock
from durable.wire import messages as wire
from durable.wire.messages import ActorKey
from tests.integration.conftest import KEY

PROGRAM = """
import asyncio
from contextvars import ContextVar
from durable import DurableObject, Response, WorkerEntrypoint, WebSocketPair

SETTING = ContextVar("setting")
SETTING.set("at import")

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.gate = asyncio.Event()
        self.log = []

    def fetch(self):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws, message):
        self.log.append(message)
        await self.ctx.storage.put(message, True)
        if message == "wait":
            await self.gate.wait()
            await self.ctx.storage.put("waited", True)

    def note(self, what):
        self.log.append(what)
        return list(self.log)

    async def wait(self):
        await self.gate.wait()
        return "waited"

    def open(self):
        self.gate.set()

    async def put(self, key, value):
        await self.ctx.storage.put(key, value)

    async def get(self, key):
        return await self.ctx.storage.get(key)

    async def section(self):
        async def work():
            await self.gate.wait()
        await self.ctx.block_concurrency_while(work)

    async def transaction(self):
        async def work(txn):
            await txn.put("open", True)
            await self.gate.wait()
        await self.ctx.storage.transaction(work)

    def keep_writing(self):
        async def write():
            try:
                await self.gate.wait()
            finally:
                self.ctx.storage.kv.put("too late", True)
        self.ctx.wait_until(write())

    def sleep_in_background(self):
        self.task = asyncio.create_task(self.gate.wait())

    def table(self):
        self.ctx.storage.sql.exec("CREATE TABLE t(n INTEGER, b BLOB)")
        self.ctx.storage.sql.exec("INSERT INTO t VALUES(1, x'00ff'), (2, NULL)")

    def rows(self):
        return self.ctx.storage.sql.exec("SELECT n FROM t").to_array()

    async def ask(self, name):
        return await self.env.THINGS.get_by_name(name).note("asked")

    def setting(self):
        return SETTING.get("nothing")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        SETTING.set("by a request")
        thing = self.env.THINGS.get_by_name("a")
        return Response.json([await thing.setting(), await thing.ask("b")])
"""


async def start(gateway: Any, **options: Any) -> Any:
    await gateway.start(PROGRAM, **options)
    return gateway


async def connect(gateway: Any) -> int:
    reply = await gateway.fetch("/", name="a", upgrade=True)
    socket: int = reply.socket
    return socket


async def drained(gateway: Any, seconds: float = 5.0) -> wire.Closed:
    gateway.send(wire.Drain(seconds))
    closed: wire.Closed = (await gateway.until(lambda: gateway.of(wire.Closed)))[0]
    return closed


def inspect(gateway: Any, sql: str, *, write: bool = False, rows_max: int = 10, name: str = "a") -> Any:
    return gateway.ask(lambda number: wire.Inspect(number, gateway.key(name), sql, write, rows_max, 5.0))


# --- eviction -----------------------------------------------------------------------------------------------------
async def test_an_idle_actor_is_evicted_and_its_file_closed(gateway: Any) -> None:
    clock = ManualClock()
    await start(gateway, idle_seconds=10.0, clock=clock)
    await gateway.call("put", "n", 1)
    clock.advance(9)
    gateway.host.registry.sweep()
    assert gateway.host.registry.live(gateway.key().id) is not None
    assert await gateway.call("note", "still here") == ["still here"]
    clock.advance(11)
    gateway.host.registry.sweep()
    assert gateway.host.registry.actors == []
    assert gateway.host.registry.stores == []
    assert await gateway.call("note", "again") == ["again"]
    assert await gateway.call("get", "n") == 1


async def test_whatever_runs_or_waits_keeps_an_actor_in_memory(gateway: Any) -> None:
    clock = ManualClock()
    await start(gateway, idle_seconds=10.0, clock=clock)
    waiting = gateway.send_call("wait")
    await gateway.call("sleep_in_background", name="b")
    clock.advance(100)
    gateway.host.registry.sweep()
    assert len(gateway.host.registry.actors) == 2
    await gateway.call("open")
    await gateway.call("open", name="b")
    await waiting
    await gateway.step_until(lambda: not any(actor.pins() for actor in gateway.host.registry.actors))
    clock.advance(100)
    gateway.host.registry.sweep()
    assert gateway.host.registry.actors == []


async def test_an_evict_message_says_whether_there_was_something_to_evict(gateway: Any) -> None:
    await start(gateway)
    await gateway.call("note", "x")
    answers = [await gateway.ask(lambda number: wire.Evict(number, gateway.key())) for _ in range(2)]
    found = [values.decode(answer.payload) for answer in answers]
    assert [(answer["evicted"], answer["state"]) for answer in found] == [(True, "inactive"), (False, "inactive")]


async def test_all_are_evicted_when_their_commits_are_through_but_the_pinned(gateway: Any) -> None:
    await start(gateway)
    for name in "abc":
        await gateway.call("note", "x", name=name)
    gateway.host.registry.live(gateway.key("c").id).hold()
    asked = asyncio.ensure_future(gateway.ask(lambda number: wire.EvictAll(number, None, KEY)))
    await gateway.step_until(lambda: len(gateway.host.registry.actors) == 1)
    assert not asked.done()
    gateway.host.registry.live(gateway.key("c").id).release()
    answer = values.decode((await asked).payload)
    assert (answer["evicted"], answer["pinned"], answer["pinned_count"]) == (3, [], 0)


async def test_those_of_another_class_are_not_evicted(gateway: Any) -> None:
    await start(gateway)
    await gateway.call("note", "x")
    answer = await gateway.ask(lambda number: wire.EvictAll(number, None, "Other-0123456789ab"))
    assert values.decode(answer.payload) == {"evicted": 0, "pinned": [], "pinned_count": 0}
    assert len(gateway.host.registry.actors) == 1


# --- drain --------------------------------------------------------------------------------------------------------
async def test_a_drain_waits_for_running_events_and_gives_back_those_not_begun(gateway: Any) -> None:
    await start(gateway)
    socket = await connect(gateway)
    section = gateway.send_call("section")
    await gateway.settled()
    gateway.send(wire.SocketMessage(1, socket, "not begun", None))
    gateway.send(wire.SocketMessage(2, socket, "nor this", None))
    await gateway.settled()
    gateway.send(wire.Drain(5.0))
    await gateway.settled()
    assert gateway.of(wire.Closed) == []
    gateway.host.registry.live(gateway.key().id).instance.gate.set()
    await section
    closed = (await gateway.until(lambda: gateway.of(wire.Closed)))[0]
    assert closed.not_begun == [1, 2]
    assert gateway.of(wire.Begun) == []


async def test_calls_of_events_that_run_are_still_answered_during_a_drain(gateway: Any) -> None:
    await start(gateway)
    waiting = gateway.send_call("wait")
    await gateway.settled()
    gateway.send(wire.Drain(5.0))
    asked = gateway.send_call("ask", "b")
    assert values.decode((await asked).payload) == ["asked"]
    await gateway.call("open")
    assert values.decode((await waiting).payload) == "waited"
    await gateway.until(lambda: gateway.of(wire.Closed))


async def test_an_event_that_outlives_the_deadline_is_not_answered_and_writes_nothing_more(
    gateway: Any, tmp_path: Any
) -> None:
    await start(gateway)
    socket = await connect(gateway)
    await gateway.call("keep_writing")
    gateway.send(wire.SocketMessage(1, socket, "wait", None))
    waiting, transaction = gateway.send_call("wait"), gateway.send_call("transaction", name="b")
    await gateway.settled()
    assert (await drained(gateway, 0.01)).not_begun == []
    for name in "ab":
        gateway.send_call("put", "late", name, name=name)
    await gateway.host.finished
    for _ in range(20):
        await asyncio.sleep(0)
    assert gateway.host.registry.stores == []
    assert not waiting.done()
    assert not transaction.done()
    assert gateway.of(wire.Done, wire.SocketClose) == []
    gateway.channel.close()

    second = type(gateway)(tmp_path)
    await second.start(PROGRAM)
    kept = [await second.call("get", key) for key in ("wait", "waited", "too late", "late")]
    assert kept == [True, None, None, None]
    assert await second.call("get", "open", name="b") is None
    await second.stop()


async def test_a_restart_keeps_what_is_stored_and_loses_what_is_in_memory(gateway: Any, tmp_path: Any) -> None:
    await start(gateway)
    await gateway.call("put", "n", 1)
    await gateway.call("note", "x")
    await gateway.stop()
    second = type(gateway)(tmp_path)
    await second.start(PROGRAM)
    assert await second.call("get", "n") == 1
    assert await second.call("note", "y") == ["y"]
    await second.stop()


# --- looking ------------------------------------------------------------------------------------------------------
async def test_a_tool_reads_rows_of_a_sleeping_and_of_a_live_object(gateway: Any) -> None:
    await start(gateway)
    await gateway.call("table")
    for evicted in (False, True):
        if evicted:
            assert gateway.host.registry.evict(gateway.key().id)
        found = await inspect(gateway, "SELECT n, b FROM t ORDER BY n")
        [result] = found.results
        assert (result.columns, result.truncated, found.error) == (["n", "b"], False, "")
        assert [values.decode(row) for row in result.rows] == [[1, b"\x00\xff"], [2, None]]
        assert (gateway.host.registry.live(gateway.key().id) is None) == evicted
    assert (await inspect(gateway, "SELECT * FROM t", rows_max=1)).results[0].truncated


async def test_a_tool_writes_only_when_it_says_so_and_the_actor_sees_it(gateway: Any) -> None:
    await start(gateway)
    await gateway.call("table")
    refused = await inspect(gateway, "DELETE FROM t")
    assert "not authorized" in refused.error or "read" in refused.error
    written = await inspect(gateway, "DELETE FROM t WHERE n = 1", write=True)
    assert (written.error, written.results) == ("", [wire.InspectedRows([], [], rows_written=1)])
    assert written.epoch > 0
    assert await gateway.call("rows") == [{"n": 2}]


async def test_a_tool_gives_values_and_gets_the_rows_of_every_statement(gateway: Any) -> None:
    await start(gateway)
    await gateway.call("table")
    await gateway.call("put", "cart", {"apples": 3})
    query = "SELECT n FROM t WHERE n > :least; SELECT key, value FROM kv; SELECT b FROM t WHERE n = :least"
    found = await gateway.ask(
        lambda number: wire.Inspect(number, gateway.key("a"), query, False, 10, 5.0, values.encode({"least": 1}))
    )
    assert found.error == ""
    assert [[values.decode(row) for row in result.rows] for result in found.results] == [
        [[2]],
        [["cart", '{"apples": 3}']],
        [[b"\x00\xff"]],
    ]


async def test_statements_that_write_are_undone_together_and_the_actor_goes_on(gateway: Any) -> None:
    await start(gateway)
    await gateway.call("table")
    found = await inspect(gateway, "DELETE FROM t; INSERT INTO nowhere VALUES (1)", write=True)
    assert "no such table: nowhere" in found.error
    assert (found.results, found.epoch) == ([], 0)
    assert await gateway.call("rows") == [{"n": 1}, {"n": 2}]


async def test_a_tools_mistake_is_its_answer(gateway: Any) -> None:
    await start(gateway)
    await gateway.call("table")
    found = await inspect(gateway, "SELEC 1")
    assert found.error.startswith('near "SELEC": syntax error')
    assert await gateway.call("rows") == [{"n": 1}, {"n": 2}]


async def test_events_wait_while_a_tool_looks_at_their_sleeping_object(gateway: Any) -> None:
    await start(gateway)
    await gateway.call("table")
    gateway.host.registry.evict(gateway.key().id)
    slow = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < 1000000) SELECT count(*) FROM c"
    looking = inspect(gateway, slow)
    await gateway.settled()
    first, second = gateway.send_call("note", 1), gateway.send_call("rows")
    other = gateway.send_call("note", 2, name="b")
    await other
    assert not looking.done()
    assert gateway.host.registry.live(gateway.key().id) is None
    found = await looking
    assert [values.decode(row) for row in found.results[0].rows] == [[1000000]]
    assert values.decode((await first).payload) == [1]
    assert values.decode((await second).payload) == [{"n": 1}, {"n": 2}]


async def test_a_tool_waits_for_an_open_transaction(gateway: Any) -> None:
    await start(gateway)
    transaction = gateway.send_call("transaction")
    await gateway.settled()
    looking = inspect(gateway, "SELECT 1 AS one")
    await gateway.settled()
    assert not looking.done()
    gateway.host.registry.live(gateway.key().id).instance.gate.set()
    await transaction
    assert (await looking).results[0].columns == ["one"]


async def test_an_object_without_data_is_told_and_not_made(gateway: Any) -> None:
    await start(gateway)
    found = await inspect(gateway, "SELECT 1")
    assert found.error == f"object {gateway.key().id} has no data"
    assert not gateway.host.registry.store(gateway.key()).path.exists()


# --- what an actor begins with ------------------------------------------------------------------------------------
async def test_an_actor_knows_what_was_set_at_import_and_nothing_of_the_request_that_woke_it(gateway: Any) -> None:
    await start(gateway)
    reply = await gateway.fetch("/")
    assert reply.body == b'["at import",["asked"]]'
    assert reply.served_by == gateway.key()


class TickingClock(ManualClock):
    """A millisecond later each time somebody looks, as if everything took so long."""

    def monotonic(self) -> float:
        self.advance(0.001)
        return super().monotonic()


async def test_a_sweep_with_many_files_to_close_lets_events_in_between(gateway: Any) -> None:
    clock = TickingClock()
    await start(gateway, idle_seconds=10.0, clock=clock)
    for number in range(20):
        await gateway.call("put", "key", number, name=str(number))
    registry = gateway.host.registry
    await gateway.until(lambda: gateway.host.durable_epoch >= max(store.undurable_epoch for store in registry.stores))

    clock.advance(60)
    registry.sweep()

    assert not registry.actors
    left = len(registry.stores)
    assert 0 < left < 20
    await asyncio.sleep(0)
    assert 0 < len(registry.stores) < left
    assert await gateway.call("get", "key", name="19") == 19  # not closed under its feet
    await gateway.step_until(lambda: len(registry.stores) == 1)


async def test_a_message_that_no_handler_survives_does_not_swallow_the_next(gateway: Any) -> None:
    await start(gateway)
    # No namespace has a key like this one, so there is no file for it either.
    gateway.send(wire.Call(900, ActorKey("../escape", "f" * 64), "note", values.encode(((), {}))))
    assert await gateway.call("note", "next") == ["next"]

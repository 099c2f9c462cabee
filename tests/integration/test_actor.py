"""One actor with real storage: turns, gates, critical sections, resets, alarms, as the platform has them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from durable.errors import ActorResetError
from durable.wire import messages as wire

PROGRAM = """
import asyncio
from durable import DurableObject, Response, WorkerEntrypoint

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.log = []
        self.gate = asyncio.Event()

    async def read_modify_write(self):
        n = await self.ctx.storage.get("n", default=0)
        await self.ctx.storage.put("n", n + 1)
        return n + 1

    def record(self, what):
        self.log.append(what)
        return list(self.log)

    async def between(self, what):
        self.log.append(what + "1")
        await self.gate.wait()
        self.log.append(what + "2")

    def open(self):
        self.gate.set()

    async def section(self, what):
        async def work():
            self.log.append(what + "1")
            await asyncio.sleep(0.001)
            self.log.append(what + "2")
            return what
        return await self.ctx.block_concurrency_while(work)

    async def failing_section(self):
        async def work():
            raise LookupError("nothing here")
        try:
            await self.ctx.block_concurrency_while(work)
        except BaseException:
            self.log.append("caught")
        return "went on"

    async def transaction(self, fail):
        async def work(txn):
            await txn.put("t", 1)
            await asyncio.sleep(0.001)
            if fail:
                raise ValueError("no")
            return "done"
        return await self.ctx.storage.transaction(work)

    async def put(self, key, value):
        await self.ctx.storage.put(key, value)

    async def get(self, key):
        return await self.ctx.storage.get(key, default="missing")

    async def put_then_raise(self):
        await self.ctx.storage.put("kept", 1)
        self.log.append("in memory")
        raise ValueError("boo")

    async def put_then_abort(self):
        await self.ctx.storage.put("gone", 1)
        self.ctx.abort("enough")

    async def put_wait_put_abort(self):
        await self.ctx.storage.put("first", 1)
        await asyncio.sleep(0)
        await self.ctx.storage.put("second", 1)
        self.ctx.abort("enough")

    async def call_other(self, name):
        await self.ctx.storage.put("called", name)
        return await self.env.THINGS.get_by_name(name).record("called by " + self.ctx.id.name)

    def echo(self, *args, **kwargs):
        return args, kwargs

    def same(self, value):
        self.held = value
        return value

    def mutate_held(self):
        self.held.append(4)
        return self.held

    async def set_alarm(self, when):
        await self.ctx.storage.set_alarm(when)
        return await self.ctx.storage.get_alarm()

    async def get_alarm(self):
        return await self.ctx.storage.get_alarm()

    async def alarm(self, info):
        self.log.append(["alarm", info.retry_count, await self.ctx.storage.get_alarm()])
        await self.ctx.storage.put("alarm ran", True)
        if "fail" in self.log:
            raise RuntimeError("not today")

    async def foreign_keys(self):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
        sql.exec("CREATE TABLE child(id INTEGER REFERENCES parent(id))")
        sql.exec("PRAGMA defer_foreign_keys = on")
        sql.exec("INSERT INTO child VALUES(7)")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        thing = self.env.THINGS.get_by_name("a")
        if request.url.endswith("/raise"):
            return Response(await thing.put_then_raise())
        if request.url.endswith("/order"):
            pending = [thing.record(n) for n in range(5)]
            return Response.json(await pending[-1])
        if request.url.endswith("/broken"):
            seen = []
            for _ in range(2):
                try:
                    await thing.put_then_abort()
                except Exception as error:
                    seen.append([type(error).__name__, str(error), error.durable_object_reset])
            seen.append(await self.env.THINGS.get_by_name("a").get("gone"))
            return Response.json(seen)
        return Response("ok " + self.env.COLOUR)
"""


async def test_a_worker_answers_with_its_variables(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/")
    assert (reply.status, reply.body) == (200, b"ok blue")


async def test_read_modify_write_of_concurrent_events_is_never_interleaved(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    results = await asyncio.gather(*(gateway.call("read_modify_write") for _ in range(20)))
    assert results == list(range(1, 21))


async def test_events_interleave_where_they_await_something_real(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    waiting = [gateway.send_call("between", what) for what in "ab"]
    await gateway.call("open")
    await asyncio.gather(*waiting)
    assert await gateway.call("record", "end") == ["a1", "b1", "a2", "b2", "end"]


async def test_calls_on_one_stub_are_delivered_in_order_even_when_nobody_awaits_them(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/order")
    assert reply.body == b"[0,1,2,3,4]"


async def test_critical_sections_run_alone_and_the_queue_keeps_its_order(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    results = await asyncio.gather(*(gateway.call("section", what) for what in "abc"))
    assert results == ["a", "b", "c"]
    assert await gateway.call("record", "end") == ["a1", "a2", "b1", "b2", "c1", "c2", "end"]


async def test_a_failed_critical_section_resets_the_actor_and_its_caller_never_goes_on(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    await gateway.call("record", "before")
    failing, queued = gateway.send_call("failing_section"), gateway.send_call("record", "queued")
    for future in (failing, queued):
        reply = await future
        assert isinstance(reply, wire.Failed)
        assert (reply.error.type, reply.error.message) == ("LookupError", "nothing here")
        assert reply.error.flags == ["durable_object_reset"]
    assert await gateway.call("record", "fresh") == ["fresh"]


async def test_a_transaction_commits_or_rolls_back_as_a_whole_and_readers_wait(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    failing, reading = gateway.send_call("transaction", True), gateway.send_call("get", "t")
    assert (await failing).error.message == "no"
    assert (await reading).payload == (await gateway.send_call("get", "t")).payload
    assert await gateway.call("get", "t") == "missing"
    assert await gateway.call("transaction", False) == "done"
    assert await gateway.call("get", "t") == 1


async def test_an_exception_keeps_writes_and_memory(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(ValueError, match="boo") as raised:
        await gateway.call("put_then_raise")
    assert vars(raised.value)["remote"] is True
    assert await gateway.call("get", "kept") == 1
    assert await gateway.call("record", "end") == ["in memory", "end"]


async def test_abort_discards_the_open_turn_and_nothing_before_it(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(ActorResetError, match="enough") as raised:
        await gateway.call("put_then_abort")
    assert raised.value.durable_object_reset is True
    assert await gateway.call("get", "gone") == "missing"
    with pytest.raises(ActorResetError, match="enough"):
        await gateway.call("put_wait_put_abort")
    assert await gateway.call("get", "first") == 1
    assert await gateway.call("get", "second") == "missing"


async def test_a_stub_whose_actor_was_reset_stays_broken_and_a_fresh_one_works(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/broken")
    assert reply.body == b'[["ActorResetError","enough",true],["ActorResetError","enough",true],"missing"]'


async def test_a_violated_deferred_constraint_resets_the_actor(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(ActorResetError, match="was reset: .* constraints violated: FOREIGN KEY constraint failed"):
        await gateway.call("foreign_keys")
    assert await gateway.call("get", "x") == "missing"


async def test_values_are_copied_in_both_directions(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    assert await gateway.call("echo", 1, (2, {3}), a=b"4") == ((1, (2, {3})), {"a": b"4"})
    assert await gateway.call("same", [1, 2, 3]) == [1, 2, 3]
    assert await gateway.call("mutate_held") == [1, 2, 3, 4]


async def test_a_failure_names_the_object_the_method_and_the_users_line(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    failed = await gateway.fetch("/raise")
    assert isinstance(failed, wire.Failed)
    assert failed.error.label == 'Thing "a"'
    users = [(frame.function, frame.source) for frame in failed.error.frames if frame.user]
    assert users == [
        ("fetch", "return Response(await thing.put_then_raise())"),
        ("put_then_raise", 'raise ValueError("boo")'),
    ]


async def test_an_actor_calls_another_and_both_write(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    assert await gateway.call("call_other", "b") == ["called by a"]
    assert await gateway.call("get", "called") == "b"


async def test_nothing_leaves_before_its_epoch_is_durable(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    await gateway.call("put", "n", 1)
    reply = await gateway.send_call("put", "n", 2)
    assert reply.epoch > 0
    kinds = [type(message).__name__ for message in gateway.messages if getattr(message, "epoch", 0) == reply.epoch]
    assert "CallReply" in kinds
    await gateway.until(lambda: gateway.durable >= reply.epoch)


async def test_a_new_object_is_in_the_index_before_it_commits(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    gateway.answers_index = False
    asked = gateway.send_call("put", "n", 1)
    await gateway.until(lambda: gateway.index_asked)
    behind = gateway.send_call("record", "x")
    other = gateway.send_call("record", "y", name="b")
    await other
    assert not asked.done()
    assert not behind.done()
    gateway.answer_index()
    await asyncio.gather(asked, behind)
    assert gateway.key().id in gateway.index


async def test_an_earlier_alarm_reaches_the_index_before_the_commit_and_a_later_one_after(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    now = time.time_ns() // 1_000_000
    assert await gateway.call("set_alarm", now + 50_000) == now + 50_000
    assert gateway.index[gateway.key().id] == now + 50_000
    await gateway.call("set_alarm", now + 10_000)
    assert [put.id > 0 for put in gateway.of(wire.IndexPut)] == [True, True]
    await gateway.call("set_alarm", now + 90_000)
    await gateway.until(lambda: gateway.index[gateway.key().id] == now + 90_000)
    assert gateway.of(wire.IndexPut)[-1].id == 0


async def run_alarm(gateway: Any, scheduled_ms: int, retry: int = 0) -> wire.AlarmReply:
    reply: wire.AlarmReply = await gateway.ask(lambda n: wire.AlarmDue(n, gateway.key(), scheduled_ms, retry))
    await gateway.until(lambda: reply.epoch <= gateway.durable)
    return reply


async def test_a_due_alarm_runs_with_no_alarm_set_and_is_gone_afterwards(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    due = await gateway.call("set_alarm", 1)
    reply = await run_alarm(gateway, due)
    assert (reply.outcome, reply.alarm_ms) == ("done", None)
    assert await gateway.call("record", "end") == [["alarm", 0, None], "end"]
    assert await gateway.call("get_alarm") is None
    await gateway.until(lambda: gateway.index[gateway.key().id] is None)


async def test_a_failed_alarm_keeps_its_time_and_its_writes(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    await gateway.call("record", "fail")
    due = await gateway.call("set_alarm", 1)
    reply = await run_alarm(gateway, due, retry=2)
    assert (reply.outcome, reply.alarm_ms, reply.replaced) == ("failed", due, False)
    assert await gateway.call("get", "alarm ran") is True
    assert gateway.of(wire.Log)[-1].error.message == "not today"


async def test_an_alarm_that_is_not_due_is_not_run(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    later = time.time_ns() // 1_000_000 + 60_000
    await gateway.call("set_alarm", later)
    reply = await run_alarm(gateway, 1)
    assert (reply.outcome, reply.alarm_ms) == ("stale", later)


async def test_data_is_there_in_the_next_host(gateway: Any, tmp_path: Any) -> None:
    await gateway.start(PROGRAM)
    await gateway.call("put", "n", {"a": [1, 2.5, None]})
    closed = await gateway.stop()
    assert closed.not_begun == []
    second = type(gateway)(tmp_path)
    await second.start(PROGRAM)
    assert await second.call("get", "n") == {"a": [1, 2.5, None]}
    await second.stop()


async def test_a_tool_looks_in_without_waking_the_actor(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    missing = await gateway.ask(lambda n: wire.Inspect(n, gateway.key(), "SELECT 1", False, 10, 1.0))
    assert missing.error.endswith("has no data")
    assert gateway.host.registry.actors == []

"""What goes wrong in an actor's code, and who is told: nobody waits for ever, nothing lost is acknowledged."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from durable.actor.failure import RemoteError
from durable.clock import ManualClock
from durable.errors import ActorError, ActorResetError, DurableError
from durable.limits import CONSTRUCTION_SECONDS_FIRST
from durable.wire import messages as wire

PROGRAM = """
import asyncio
import functools
import os
import sys
from durable import DurableObject, DurableObjectAbort, Request, Response, WorkerEntrypoint

CONSTRUCTIONS = []
USED = Response("used")

class Odd(Exception):
    def __init__(self, code, *, hint):
        super().__init__(f"code {code}")
        self.code = code
        self._hint = hint
    def __str__(self):
        return f"{self.code}: {self._hint}"

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.log = []
        CONSTRUCTIONS.append(ctx.id.name)
        if ctx.id.name == "fails once" and len(CONSTRUCTIONS) == 1:
            raise SystemExit("not yet")
        if ctx.id.name == "aborts":
            ctx.abort("in the constructor")
        if ctx.id.name == "raises abort":
            raise DurableObjectAbort("by hand")

    def fetch(self):
        return USED

    async def put(self, key, value):
        await self.ctx.storage.put(key, value)

    async def get(self, key):
        return await self.ctx.storage.get(key, default="missing")

    def record(self, what):
        self.log.append(what)
        return list(self.log)

    async def arecord(self, what):
        return self.record(what)

    def _private(self):
        return "secret"

    def raise_abort(self):
        raise DurableObjectAbort("by hand")

    async def araise_abort(self):
        raise DurableObjectAbort("by hand")

    def swallow_abort(self):
        try:
            self.ctx.abort("swallowed")
        except BaseException:
            pass
        return self.ctx.storage.kv.put("after", 1)

    async def leave(self, how):
        raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "cancel": asyncio.CancelledError}[how]("left")

    async def leave_in_task(self):
        task = asyncio.create_task(self.leave("exit"))
        try:
            await task
        except Exception as error:
            return [type(error).__name__, str(error)]

    async def leave_in_section(self):
        async def work():
            sys.exit("in a section")
        await self.ctx.block_concurrency_while(work)

    def leave_later(self):
        self.ctx.wait_until(self.leave("exit"))

    async def odd(self):
        error = Odd(7, hint="more")
        error.add_note("a note")
        raise error

    def undecodable(self):
        return b"\\xff".decode()

    def unprintable(self):
        raise ValueError("half \\ud800")

    def chained(self):
        try:
            {}["key"]
        except KeyError as error:
            raise LookupError("chained") from error

    def unsendable_header(self):
        pass

    async def set_then_wait(self):
        await self.ctx.storage.put("n", 1)
        await asyncio.Event().wait()

    async def wait_for_ever(self):
        await asyncio.Event().wait()

    async def late_section(self):
        await self.ctx.storage.put("n", 1)
        self.log.append("before")
        self.ctx.storage.sql.exec("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
        self.ctx.storage.sql.exec("CREATE TABLE child(id INTEGER REFERENCES parent(id))")
        self.ctx.storage.sql.exec("PRAGMA defer_foreign_keys = on")
        self.ctx.storage.sql.exec("INSERT INTO child VALUES(7)")
        await asyncio.Event().wait()

    async def sync_in_transaction(self):
        async def work(txn):
            await txn.put("n", 1)
            await self.ctx.storage.sync()
            return "synced"
        return await self.ctx.storage.transaction(work)

    async def call_in_transaction(self):
        async def work(txn):
            await txn.put("n", 1)
            return await self.env.THINGS.get_by_name("other").record("asked")
        return await self.ctx.storage.transaction(work)

    async def tools(self):
        async with asyncio.timeout(5):
            async with asyncio.TaskGroup() as group:
                first = group.create_task(self.arecord("in a group"))
                second = group.create_task(asyncio.to_thread(sum, [1, 2]))
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            self.log.append("timed out")
        return [first.result(), second.result(), self.log]

    async def storage_in_thread(self):
        await asyncio.to_thread(self.ctx.storage.kv.put, "k", 1)

    async def later(self):
        done = asyncio.Event()
        def write():
            self.ctx.storage.kv.put("later", "written")
            done.set()
        asyncio.get_running_loop().call_later(0, write)
        await done.wait()

    async def no_coroutine(self):
        asyncio.create_task(42)

    async def a_to_b_to_a(self):
        self.ctx.storage.kv.put("n", 1)
        return await self.env.THINGS.get_by_name("b").back("a")

    async def back(self, name):
        return await self.env.THINGS.get_by_name(name).record("back")

    async def self_call(self):
        return await self.env.THINGS.get_by_name(self.ctx.id.name).record("self")

    async def generator(self):
        yield 1

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.split("/")[3]
        things = self.env.THINGS
        if path == "cancelled":
            raise asyncio.CancelledError
        if path == "put":
            await things.get_by_name("a").put("n", request.url)
            return Response("stored")
        if path == "used":
            await things.get_by_name("a").fetch(request)
            return await things.get_by_name("b").fetch(request)
        if path == "hang":
            await things.get_by_name("a").wait_for_ever()
        if path == "served":
            return Response.json(len(await things.get_by_name("a").fan_out()))
        if path == "header":
            return Response("x", headers={"x": "half \\ud800"})
        if path == "callable":
            return Response("callable")
"""


class HeldDisk:
    """Syncs only when it is told to, well or badly."""

    def __init__(self) -> None:
        self.fails = False

    def sync_file(self, descriptor: int) -> None:
        if self.fails:
            raise OSError(5, "Input/output error")

    def sync_folder(self, path: str) -> None:
        return


async def test_a_caller_in_the_same_host_is_not_told_of_a_write_that_the_disk_refused(gateway: Any) -> None:
    disk = HeldDisk()
    await gateway.start(PROGRAM, disk=disk)
    assert (await gateway.fetch("/put/1")).body == b"stored"
    disk.fails = True
    failed = await gateway.fetch("/put/2")
    assert isinstance(failed, wire.Failed)
    assert failed.error.type == "ActorResetError"
    assert "durable_object_reset" in failed.error.flags
    assert gateway.of(wire.EpochFailed)[-1].actors == [gateway.key()]
    disk.fails = False
    assert (await gateway.fetch("/put/3")).body == b"stored"


async def test_an_epoch_that_failed_names_objects_whose_activation_is_over(gateway: Any) -> None:
    disk = HeldDisk()
    await gateway.start(PROGRAM, disk=disk)
    await gateway.call("put", "n", 1)
    disk.fails = True
    putting, aborting = gateway.send_call("put", "n", 2), gateway.send_call("raise_abort")
    reply = await putting
    await aborting
    await gateway.until(lambda: gateway.of(wire.EpochFailed))
    assert gateway.of(wire.EpochFailed)[0] == wire.EpochFailed(reply.epoch, [gateway.key()])
    disk.fails = False
    assert await gateway.call("record", "fresh") == ["fresh"]


async def test_a_constructor_that_failed_runs_again_after_a_pause(gateway: Any) -> None:
    clock = ManualClock()
    await gateway.start(PROGRAM, clock=clock)
    failed = await gateway.send_call("record", 1, name="fails once")
    assert (failed.error.type, failed.error.message) == ("SystemExit", "not yet")
    assert "durable_object_reset" in failed.error.flags
    clock.advance(CONSTRUCTION_SECONDS_FIRST)
    assert await gateway.call("record", 2, name="fails once") == [2]


@pytest.mark.parametrize(("name", "reason"), [("aborts", "in the constructor"), ("raises abort", "by hand")])
async def test_a_constructor_that_aborts_fails_its_event(gateway: Any, name: str, reason: str) -> None:
    await gateway.start(PROGRAM)
    for _ in range(2):
        with pytest.raises(ActorResetError, match=reason):
            await gateway.call("record", 1, name=name)


async def test_an_object_whose_file_is_damaged_fails_its_events_and_no_others(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    path = gateway.host.registry.store(gateway.key()).path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is no database" * 100)
    damaged, other = gateway.send_call("record", 1), gateway.send_call("record", 2, name="b")
    assert (await damaged).error.type == "StorageCorruptError"
    assert isinstance(await other, wire.CallReply)


async def test_an_object_whose_class_is_gone_says_so(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    key = wire.ActorKey("Gone-0123456789ab", "0" * 64)
    other = gateway.send_call("record", 1)
    failed = await gateway.ask(lambda number: wire.Call(number, key, "record", b""))
    assert failed.error.type == "CorruptValueError"
    reply = await gateway.ask(lambda number: wire.HttpRequest(number, key, "GET", "http://localhost/", []))
    assert reply.error.message == "no class serves namespace Gone-0123456789ab"
    await other


@pytest.mark.parametrize("method", ["raise_abort", "araise_abort"])
async def test_an_abort_raised_by_hand_is_an_abort(gateway: Any, method: str) -> None:
    await gateway.start(PROGRAM)
    await gateway.call("record", "before")
    with pytest.raises(ActorResetError, match="by hand"):
        await gateway.call(method)
    assert await gateway.call("record", "fresh") == ["fresh"]


async def test_code_that_swallows_its_abort_writes_nothing_more(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(ActorResetError, match="swallowed"):
        await gateway.call("swallow_abort")
    assert await gateway.call("get", "after") == "missing"


@pytest.mark.parametrize("how", ["exit", "interrupt", "cancel"])
async def test_leaving_an_event_by_any_exception_is_its_answer(gateway: Any, how: str) -> None:
    await gateway.start(PROGRAM)
    failed = await gateway.send_call("leave", how)
    types = {"exit": "SystemExit", "interrupt": "KeyboardInterrupt", "cancel": "CancelledError"}
    assert (failed.error.type, failed.error.message) == (types[how], "left")
    assert await gateway.call("record", 1) == [1]


async def test_sys_exit_in_a_task_ends_the_task_and_not_the_host(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    assert await gateway.call("leave_in_task") == ["ActorError", 'SystemExit in a task of Thing "a": left']
    await gateway.call("leave_later")
    await gateway.until(lambda: gateway.of(wire.Log))
    assert gateway.of(wire.Log)[0].text == "SystemExit: left"
    failed = await gateway.send_call("leave_in_section")
    assert failed.error.message == 'SystemExit in a task of Thing "a": in a section'
    assert "durable_object_reset" in failed.error.flags
    assert await gateway.call("record", 1) == [1]


async def test_a_worker_that_is_cancelled_by_its_own_code_still_answers(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    failed = await gateway.fetch("/cancelled")
    assert (failed.error.type, failed.status) == ("CancelledError", 500)


async def test_a_response_that_was_used_up_is_an_error_and_not_a_silence(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    failed = await gateway.fetch("/used")
    assert (failed.error.type, failed.error.message) == ("OSError", "Body already used")
    direct = await gateway.fetch("/", name="c")
    assert (direct.error.type, direct.error.message) == ("OSError", "Body already used")


async def test_a_header_that_cannot_be_sent_is_an_error_and_not_a_silence(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    failed = await gateway.fetch("/header")
    assert failed.error.type == "WireError"
    assert "HttpReply cannot be encoded: 'utf-8' codec can't encode character '\\ud800'" in failed.error.message


async def test_a_request_whose_client_left_at_once_leaves_nothing_behind(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    await gateway.call("record", 1)
    for number, request in enumerate(
        (
            wire.HttpRequest(900, None, "GET", "http://localhost/hang", []),
            wire.HttpRequest(901, gateway.key(), "GET", "http://localhost/", []),
        )
    ):
        gateway.send(request)
        gateway.send(wire.Cancel(900 + number))
    await gateway.settled()
    await gateway.call("record", 2)
    assert gateway.host.worker.running == 0
    assert gateway.host.registry.evict(gateway.key().id)


async def test_cancelling_a_request_cancels_what_it_waits_for(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    gateway.send(wire.HttpRequest(900, None, "GET", "http://localhost/hang", []))
    await gateway.call("record", 1)
    assert not gateway.host.registry.evict(gateway.key().id)
    gateway.send(wire.Cancel(900))
    await gateway.step_until(lambda: gateway.host.registry.evict(gateway.key().id))


async def test_an_exception_of_the_programs_own_type_arrives_with_all_it_carries(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(Exception, match="7: more") as raised:
        await gateway.call("odd")
    assert type(raised.value).__name__ == "Odd"
    assert (vars(raised.value)["code"], raised.value.__notes__) == (7, ["a note"])


async def test_exceptions_of_the_language_keep_their_text(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(UnicodeDecodeError, match="can't decode byte 0xff in position 0: invalid start byte"):
        await gateway.call("undecodable")
    with pytest.raises(RemoteError, match=r"half \\ud800"):
        await gateway.call("unprintable")
    with pytest.raises(LookupError, match="chained") as raised:
        await gateway.call("chained")
    assert "KeyError: 'key'" in str(raised.value.__cause__)
    assert "direct cause" in str(raised.value.__cause__)


async def test_what_the_class_does_not_define_is_not_callable(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    # As on the platform, which hides no name that begins with one underscore.
    await gateway.call("_private")
    for name in ("__init__", "ctx", "env", "log"):
        with pytest.raises(TypeError, match=f'does not implement the method "{name}"'):
            await gateway.call(name)


async def test_a_turn_whose_commit_failed_ends_what_waited_behind_it(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(ActorResetError, match="constraints violated: FOREIGN KEY constraint failed"):
        await gateway.call("late_section")
    assert await gateway.call("get", "n") == "missing"
    assert [task for task in asyncio.all_tasks() if "late_section" in repr(task)] == []


async def test_sync_and_calls_inside_a_transaction_do_not_wait_for_its_end(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    assert await gateway.call("sync_in_transaction") == "synced"
    assert await gateway.call("call_in_transaction") == ["asked"]


async def test_the_tools_of_asyncio_work_inside_an_actor(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    assert await gateway.call("tools") == [["in a group"], 3, ["in a group", "timed out"]]
    await gateway.call("later")
    assert await gateway.call("get", "later") == "written"
    with pytest.raises(DurableError, match="an actor's storage belongs to the thread that runs the actor"):
        await gateway.call("storage_in_thread")
    with pytest.raises(TypeError, match="a coroutine was expected, got 42"):
        await gateway.call("no_coroutine")
    assert gateway.host.registry.evict(gateway.key().id)


async def test_calls_may_go_in_circles(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    assert await gateway.call("a_to_b_to_a") == ["back"]
    assert await gateway.call("self_call") == ["back", "self"]


async def test_a_result_that_cannot_be_sent_is_an_error(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(TypeError, match="async_generator"):
        await gateway.call("generator")


async def test_a_storm_of_calls_beyond_the_bound_is_told_so(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable.actor.actor.MAILBOX_EVENTS_MAX", 2)
    await gateway.start(PROGRAM)
    gateway.answers_index = False
    first = gateway.send_call("put", "n", 1)
    await gateway.until(lambda: gateway.index_asked)
    waiting = [gateway.send_call("arecord", n) for n in range(4)]
    await gateway.settled()
    gateway.answer_index()
    await first
    replies = [await future for future in waiting]
    assert [type(reply) for reply in replies] == [wire.CallReply, wire.CallReply, wire.Failed, wire.Failed]
    assert {(reply.status, *reply.error.flags) for reply in replies[2:]} == {(503, "overloaded")}


ALARMS = """
import asyncio
from durable import DurableObject, DurableObjectAbort

class Thing(DurableObject):
    async def schedule(self, mode):
        await self.ctx.storage.put("mode", mode)
        await self.ctx.storage.set_alarm(1)
        return await self.ctx.storage.get_alarm()

    async def get_alarm(self):
        return await self.ctx.storage.get_alarm()

    async def alarm(self):
        storage = self.ctx.storage
        mode = await storage.get("mode")
        if mode == "undone":
            async def work(txn):
                await txn.set_alarm(4_000_000_000_000)
                raise ValueError("undone")
            try:
                await storage.transaction(work)
            except ValueError:
                pass
            def sync_work():
                storage.set_alarm(4_000_000_000_000)
                raise ValueError("undone")
            try:
                storage.transaction_sync(sync_work)
            except ValueError:
                pass
        elif mode == "abort":
            await storage.set_alarm(4_000_000_000_000)
            self.ctx.abort("with the alarm set")
        elif mode == "commit then abort":
            await storage.set_alarm(4_000_000_000_000)
            await asyncio.sleep(0)
            self.ctx.abort("with the alarm set")
        elif mode == "set and fail":
            await storage.set_alarm(4_000_000_000_000)
            raise ValueError("set")
        elif mode == "delete and fail":
            await storage.delete_alarm()
            raise ValueError("deleted")
        elif mode == "delete all":
            await storage.delete_all()
        elif mode == "set":
            await storage.set_alarm(4_000_000_000_000)
"""
LATER = 4_000_000_000_000


@pytest.mark.parametrize(
    ("mode", "outcome", "alarm_ms", "replaced"),
    [
        ("nothing", "done", None, False),
        ("set", "done", LATER, False),
        ("undone", "done", None, False),
        ("delete all", "done", None, False),
        ("set and fail", "failed", LATER, True),
        ("delete and fail", "failed", None, True),
        ("abort", "failed", "due", False),
        ("commit then abort", "failed", LATER, True),
    ],
)
async def test_an_alarm_reply_says_what_the_row_says_now(
    gateway: Any, mode: str, outcome: str, alarm_ms: Any, replaced: bool
) -> None:
    await gateway.start(ALARMS)
    due = await gateway.call("schedule", mode)
    reply = await gateway.ask(lambda number: wire.AlarmDue(number, gateway.key(), due, 0))
    expected = due if alarm_ms == "due" else alarm_ms
    assert (reply.outcome, reply.alarm_ms, reply.replaced) == (outcome, expected, replaced)
    await gateway.until(lambda: reply.epoch <= gateway.durable)
    assert await gateway.call("get_alarm") == expected


async def test_an_alarm_of_an_object_without_data_is_stale(gateway: Any) -> None:
    await gateway.start(ALARMS)
    reply = await gateway.ask(lambda number: wire.AlarmDue(number, gateway.key(), 1, 0))
    assert (reply.outcome, reply.alarm_ms) == ("stale", None)


async def test_an_alarm_that_is_given_up_is_cleared_only_if_nobody_moved_it(gateway: Any) -> None:
    await gateway.start(ALARMS)
    due = await gateway.call("schedule", "nothing")
    gateway.send(wire.AlarmGiveUp(0, gateway.key(), due + 1))
    assert await gateway.call("get_alarm") == due
    gateway.send(wire.AlarmGiveUp(0, gateway.key(), due))
    assert await gateway.call("get_alarm") is None


async def test_a_class_without_alarm_drops_the_alarm_of_an_earlier_program(gateway: Any, tmp_path: Any) -> None:
    await gateway.start(ALARMS)
    await gateway.call("schedule", "nothing")
    await gateway.stop()
    second = type(gateway)(tmp_path)
    await second.start("from durable import DurableObject\nclass Thing(DurableObject):\n    pass\n")
    now = time.time_ns() // 1_000_000
    reply = await second.ask(lambda number: wire.AlarmDue(number, gateway.key(), now, 0))
    assert (reply.outcome, reply.alarm_ms) == ("missing", None)
    assert second.of(wire.Log)[0].level == "warning"
    await second.stop()


async def test_an_error_of_the_actor_is_one_of_ours() -> None:
    assert issubclass(ActorResetError, ActorError)

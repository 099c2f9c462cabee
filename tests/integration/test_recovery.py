"""Point-in-time recovery in a running host: bookmarks, restores that objects ask for, and those of tools."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import apsw
import pytest

from durable import limits, values
from durable.actor.failure import raise_from_report
from durable.clock import ManualClock
from durable.errors import ActorResetError, StorageError
from durable.storage.history import archive as archive_module
from durable.wire import messages as wire
from tests.integration.conftest import KEY, Gateway

PROGRAM = """
from durable import DurableObject

class Thing(DurableObject):
    constructed = 0

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        Thing.constructed += 1
        self.seen = ctx.storage.kv.get("n", None)

    async def put(self, n, **more):
        await self.ctx.storage.put({"n": n, **more})
        return await self.ctx.storage.get_current_bookmark()

    async def get(self):
        return [self.ctx.storage.kv.get("n", None), self.seen]

    async def mark(self):
        return await self.ctx.storage.getCurrentBookmark()

    async def mark_at(self, ms):
        return await self.ctx.storage.get_bookmark_for_time(ms)

    async def go_back(self, bookmark, abort=True):
        undo = await self.ctx.storage.on_next_session_restore_bookmark(bookmark)
        if abort:
            self.ctx.abort("going back")
        return undo

    async def go_back_at_once(self, bookmark):
        await self.ctx.storage.on_next_session_restore_bookmark(bookmark)
        self.ctx.abort("going back")

    async def go_back_in_vain(self, bookmark):
        def work():
            self.ctx.storage._actor.store.recovery.wish(bookmark)
            raise ValueError("no")
        try:
            self.ctx.storage.transaction_sync(work)
        except ValueError:
            pass

    async def marks_in_transaction(self):
        found = [await self.ctx.storage.get_current_bookmark()]
        async def work(txn):
            await self.ctx.storage.put("n", "inside")
            found.append(await self.ctx.storage.get_current_bookmark())
        await self.ctx.storage.transaction(work)
        found.append(await self.ctx.storage.get_current_bookmark())
        return found

    async def fill(self, pages):
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, body BLOB)")
        self.ctx.storage.sql.exec("INSERT INTO t (body) VALUES (zeroblob(?))", pages * 4000)
        return await self.ctx.storage.get_current_bookmark()

    async def count(self):
        return self.ctx.storage.sql.exec("SELECT count(*) AS n FROM t").one()["n"]

    async def alarm_at(self, ms):
        await self.ctx.storage.set_alarm(ms)
        return await self.ctx.storage.get_current_bookmark()

    async def no_alarm(self):
        await self.ctx.storage.delete_alarm()

    async def delete_everything(self):
        await self.ctx.storage.delete_all()

    async def alarm(self, info):
        pass

    async def wait(self):
        import asyncio
        await asyncio.sleep(3600)
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def kept(gateway: Gateway, clock: ManualClock) -> Gateway:
    await gateway.start(PROGRAM, pitr_days=30, clock=clock)
    return gateway


def history(gateway: Gateway, name: str = "a") -> Path:
    key = gateway.key(name)
    return gateway.folder / "state" / KEY / key.id[:2] / f"{key.id}.history"


async def restore(gateway: Gateway, name: str = "a", **at: Any) -> dict[str, Any]:
    reply = await gateway.ask(lambda number: wire.Restore(number, gateway.key(name), **at))
    if isinstance(reply, wire.Failed):
        raise raise_from_report(reply.error)
    return values.decode(reply.payload)


async def aborted(gateway: Gateway, *args: Any) -> None:
    with pytest.raises(ActorResetError, match="going back"):
        await gateway.call("go_back", *args)


# --- asking ---------------------------------------------------------------------------------------------------
async def test_a_bookmark_is_that_of_the_commit_that_ends_the_turn(kept: Gateway) -> None:
    marks = [await kept.call("put", number) for number in range(3)]

    assert marks == sorted(set(marks))
    assert await kept.call("mark") == marks[-1]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{8}-00000000-[0-9a-f]{32}", marks[0])


async def test_inside_a_transaction_it_is_the_last_commit_before_it(kept: Gateway) -> None:
    await kept.call("put", 1)
    before, inside, after = await kept.call("marks_in_transaction")

    assert before == inside < after


async def test_a_moment_has_the_bookmark_of_the_last_commit(kept: Gateway, clock: ManualClock) -> None:
    marks = {}
    for number in range(3):
        clock.advance(10)
        marks[clock.wall_ms()] = await kept.call("put", number)
    clock.advance(10)

    assert [await kept.call("mark_at", ms + 9000) for ms in marks] == list(marks.values())
    for wrong, sentence in (
        ("now", "takes milliseconds since the epoch or a datetime, got str"),
        (True, "takes milliseconds since the epoch or a datetime, got bool"),
        (float("nan"), "takes a point in time, got nan"),
    ):
        with pytest.raises(TypeError, match=sentence):
            await kept.call("mark_at", wrong)


async def test_without_history_every_question_says_how_to_switch_it_on(gateway: Gateway) -> None:
    await gateway.start(PROGRAM)
    for question in (("mark",), ("mark_at", 5), ("go_back", "x")):
        with pytest.raises(StorageError, match=r"point-in-time recovery is off: pitr_days is 0 in \[dev\]"):
            await gateway.call(*question)


async def test_a_class_without_sqlite_has_no_bookmarks(gateway: Gateway) -> None:
    await gateway.start(PROGRAM.replace(".kv.get", ".sync and (lambda *_: None)"), pitr_days=30, sqlite=False)
    for question in (("mark",), ("mark_at", 5)):
        with pytest.raises(
            StorageError, match="does not implement point-in-time recovery. Declare its class in new_sql"
        ):
            await gateway.call(*question)


# --- asking to be restored ------------------------------------------------------------------------------------
async def test_the_next_activation_begins_with_the_state_that_was_asked_for(kept: Gateway) -> None:
    first = await kept.call("put", 1)
    await kept.call("put", 2)
    await aborted(kept, first)

    assert await kept.call("get") == [1, 1]  # the constructor saw it, too


async def test_an_abort_right_behind_the_question_does_not_take_it_back(kept: Gateway) -> None:
    first = await kept.call("put", 1)
    await kept.call("put", 2)
    with pytest.raises(ActorResetError, match="going back"):
        await kept.call("go_back_at_once", first)

    assert await kept.call("get") == [1, 1]


async def test_an_undo_bookmark_is_good_for_nothing_before_its_restore(kept: Gateway) -> None:
    first = await kept.call("put", 1)
    undo = await kept.call("go_back", first, abort=False)

    with pytest.raises(StorageError, match="undoes a restore that was not made yet"):
        await kept.call("go_back", undo)


async def test_undoing_leads_to_what_the_restore_ended(kept: Gateway) -> None:
    first = await kept.call("put", 1)
    await kept.call("put", 2)
    undo = await kept.call("go_back", first, abort=False)
    kept.send(wire.Evict(999, kept.key()))
    await kept.settled()
    assert await kept.call("get") == [1, 1]
    await aborted(kept, undo)

    assert await kept.call("get") == [2, 2]


async def test_a_wish_that_was_rolled_back_is_none(kept: Gateway) -> None:
    first = await kept.call("put", 1)
    await kept.call("put", 2)
    await kept.call("go_back_in_vain", first)
    kept.send(wire.Evict(999, kept.key()))
    await kept.settled()

    assert await kept.call("get") == [2, 2]


async def test_calls_that_come_during_a_restore_wait_and_find_the_restored_state(kept: Gateway) -> None:
    first = await kept.call("put", 1)
    await kept.call("put", 2)
    await aborted(kept, first)
    answers = await asyncio.gather(*(kept.call("get") for _ in range(20)))

    assert answers == [[1, 1]] * 20


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("yesterday", "a bookmark looks like 00000007-"),
        (f"00000000-00000001-00000000-{'0' * 32}", "belongs to another object"),
    ],
)
async def test_what_cannot_be_restored_is_refused_at_once(kept: Gateway, text: str, sentence: str) -> None:
    await kept.call("put", 1)
    with pytest.raises(StorageError, match=sentence):
        await kept.call("go_back", text)
    assert await kept.call("get") == [1, None]


async def test_a_restore_that_fails_is_told_and_the_object_goes_on_as_it_was(kept: Gateway) -> None:
    first = await kept.call("put", 1)
    store = kept.host.registry.store(kept.key())
    await kept.host.commits.flush()
    assert store.checkpoint()
    await kept.call("put", 2)
    await kept.call("go_back", first, abort=False)
    (history(kept) / "00000000.wal").unlink()
    kept.send(wire.Evict(999, kept.key()))
    await kept.settled()

    assert await kept.call("get") == [2, 2]
    told = [log for log in kept.of(wire.Log) if log.error is not None and log.error.method == "restore"]
    assert len(told) == 1
    assert "00000000-" in told[0].text
    kept.send(wire.Evict(998, kept.key()))
    await kept.settled()
    assert await kept.call("get") == [2, 2]
    assert len([log for log in kept.of(wire.Log) if log.error is not None]) == 1


# --- rotation under load --------------------------------------------------------------------------------------
async def test_logs_are_archived_between_turns_and_every_commit_stays_restorable(
    gateway: Gateway, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_LOG_FRAMES", 100)
    monkeypatch.setattr(archive_module, "HISTORY_BASE_BYTES", 1_000_000)
    await gateway.start(PROGRAM, pitr_days=30, clock=clock)
    marks = []
    for _ in range(40):
        clock.advance(1)
        marks.append(await gateway.call("fill", 20))
    await gateway.step_until(lambda: not gateway.host.registry.is_lending)
    archived = list(history(gateway).glob("*.wal"))
    assert len(archived) >= 2
    assert list(history(gateway).glob("*.base"))
    assert marks == sorted(set(marks))

    for number in (3, 37, 0, 20):
        await restore(gateway, bookmark=marks[number])
        assert await gateway.call("count") == number + 1


async def test_calls_keep_coming_while_logs_are_archived(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_LOG_FRAMES", 50)
    await gateway.start(PROGRAM, pitr_days=30)
    for _ in range(10):
        await asyncio.gather(*(gateway.call("fill", 5) for _ in range(20)))
    assert await gateway.call("count") == 200
    await gateway.stop()

    assert len(list(history(gateway).glob("*.wal"))) >= 3


async def test_a_break_is_told_to_the_developer(gateway: Gateway, tmp_path: Path) -> None:
    await gateway.start(PROGRAM, pitr_days=30)
    await gateway.call("put", 1)
    await gateway.stop()
    file = history(gateway).with_suffix(".sqlite")
    other = apsw.Connection(str(file))
    other.execute("SELECT * FROM _cf_KV").fetchall()
    other.close()
    again = Gateway(tmp_path)
    again.index = gateway.index
    await again.start(PROGRAM, pitr_days=30)
    mark = await again.call("put", 2)
    told = [log.text for log in again.of(wire.Log)]
    assert len(told) == 1
    assert f"{file}: the history of this object begins anew, because its write-ahead log was replaced" in told[0]
    await again.call("put", 3)
    await restore(again, bookmark=mark)
    assert await again.call("get") == [2, 2]
    await again.stop()


# --- tools ----------------------------------------------------------------------------------------------------
async def test_a_tool_restores_a_live_object_and_whoever_waits_is_told(kept: Gateway) -> None:
    first = await kept.call("put", 1)
    await kept.call("put", 2)
    waiting = kept.send_call("wait")
    await kept.settled()
    done = await restore(kept, bookmark=first)

    failed = await waiting
    assert failed.error.message == f"Durable Object was reset because it was restored to {first}."
    assert done["restored"] == first
    assert done["bytes"] == history(kept).with_suffix(".sqlite").stat().st_size
    assert await kept.call("get") == [1, 1]
    await restore(kept, bookmark=done["undo"])
    assert await kept.call("get") == [2, 2]


async def test_a_tool_restores_to_a_moment_or_to_some_time_ago(kept: Gateway, clock: ManualClock) -> None:
    for number in range(4):
        clock.advance(60)
        await kept.call("put", number)
    now = clock.wall_ms()
    done = await restore(kept, moment_ms=now - 60_000)
    assert await kept.call("get") == [2, 2]
    assert done["moment_ms"] == now - 60_000
    clock.advance(60)
    await restore(kept, moment_ms=-(3 * 60_000))

    assert await kept.call("get") == [1, 1]


async def test_a_tool_is_told_what_there_is(kept: Gateway, clock: ManualClock) -> None:
    first_ms = clock.wall_ms()
    await kept.call("put", 0)
    clock.advance(100)
    mark = await kept.call("put", 1)

    reach = await restore(kept)
    assert {name: reach[name] for name in ("oldest_ms", "newest_ms", "segments", "bookmark")} == {
        "oldest_ms": first_ms, "newest_ms": first_ms + 100_000, "segments": 1, "bookmark": mark,
    }  # fmt: skip
    assert reach["bytes"] > 0


async def test_a_tool_is_refused_what_cannot_be_and_the_object_does_not_notice(
    kept: Gateway, clock: ManualClock
) -> None:
    await kept.call("put", 1)
    for at in ({"bookmark": "x"}, {"moment_ms": clock.wall_ms() + 5}, {"moment_ms": 5}):
        with pytest.raises(StorageError):
            await restore(kept, **at)
    assert await kept.call("get") == [1, None]
    with pytest.raises(Exception, match="has no data and no history"):
        await restore(kept, name="nobody", moment_ms=5)


async def test_an_earlier_alarm_is_indexed_before_the_restore_and_none_after_it(
    kept: Gateway, clock: ManualClock
) -> None:
    due = clock.wall_ms() + 60_000
    none = await kept.call("put", 1)
    early = await kept.call("alarm_at", due)
    await kept.call("alarm_at", due + 60_000)
    key = kept.key()
    kept.answers_index = False
    done = asyncio.ensure_future(restore(kept, bookmark=early))
    await kept.until(lambda: [put for put in kept.index_asked if put.id and put.alarm_ms == due])
    assert not history(kept).exists()  # nothing was decided yet
    kept.answers_index = True
    kept.answer_index()
    await done
    await kept.settled()
    assert kept.index[key.id] == due
    await restore(kept, bookmark=none)
    await kept.settled()

    assert kept.index[key.id] is None


async def test_an_object_that_was_removed_because_it_was_empty_comes_back(gateway: Gateway, clock: ManualClock) -> None:
    await gateway.start(PROGRAM, pitr_days=30, clock=clock, idle_seconds=1.0)
    mark = await gateway.call("put", 1)
    await gateway.call("delete_everything")
    file = history(gateway).with_suffix(".sqlite")
    clock.advance(5)
    gateway.host.registry.sweep()
    gateway.host.registry.sweep()
    await gateway.step_until(lambda: not file.exists())
    assert gateway.key().id not in gateway.index
    await gateway.step_until(lambda: not gateway.host.registry.is_lending)

    await restore(gateway, bookmark=mark)

    assert gateway.key().id in gateway.index
    assert await gateway.call("get") == [1, 1]


async def test_history_that_is_too_old_goes_while_its_object_sleeps(
    kept: Gateway, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "HISTORY_BASE_BYTES", 1)
    for number in range(3):
        await kept.call("put", number)
        await kept.host.commits.flush()
        assert kept.host.registry.store(kept.key()).checkpoint()
    before = len(list(history(kept).iterdir()))
    real_now = 4_000_000_000_000  # bases carry the machine's own time
    clock.jump((real_now - clock.wall_ms()) / 1000)
    await kept.host.checkpoints.sweep_folder(int(kept.key().id[:2], 16))

    assert len(list(history(kept).iterdir())) < before
    assert await kept.call("get") == [2, None]

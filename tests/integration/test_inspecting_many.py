"""One query of many objects in a host: who is asked how, what is bounded, and that nobody is woken by it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from durable import values
from durable.host import inspecting_many
from durable.storage.quick_look import look_quickly
from durable.wire import messages as wire
from durable.wire.messages import ActorKey
from tests.conformance.held_disk import HeldDisk
from tests.integration.conftest import Gateway

PROGRAM = """\
import asyncio

from durable import DurableObject

CONSTRUCTED = []
AT = asyncio.Event()
GO = asyncio.Event()


class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        CONSTRUCTED.append(ctx.id.name)

    def write(self, *numbers):
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t(n INTEGER)")
        for number in numbers:
            self.ctx.storage.sql.exec("INSERT INTO t VALUES (?)", number)

    async def in_transaction(self):
        async def callback(_transaction):
            self.write(99)
            AT.set()
            await GO.wait()
        await self.ctx.storage.transaction(callback)

    def constructed(self):
        return CONSTRUCTED
"""
NAMES = [f"thing {number}" for number in range(40)]


async def query(gateway: Gateway, names: list[str], sql: str = "SELECT n FROM t", **fields: Any) -> tuple[int, Any]:
    """How many objects were done, and their answers."""
    reply = await asked(gateway, [gateway.key(name) for name in names], sql, **fields)
    assert isinstance(reply, wire.CallReply), reply
    done, answers = msgspec.msgpack.decode(reply.payload, type=tuple[int, bytes])
    return done, json.loads(answers)


def asked(
    gateway: Gateway, keys: list[ActorKey], sql: str, *, rows_max: int = 100, seconds_max: float = 5.0,
    parameters: bytes = b"",
) -> asyncio.Future[Any]:  # fmt: skip
    return gateway.ask(lambda number: wire.InspectMany(number, keys, sql, rows_max, seconds_max, parameters))


async def sleeping(gateway: Gateway, names: list[str]) -> None:
    """Objects that each have stored their number, and are on the disk alone."""
    await gateway.start(PROGRAM)
    for number, name in enumerate(names):
        await gateway.call("write", number, name=name)
    for name in names:
        await gateway.ask(lambda number, name=name: wire.Evict(number, gateway.key(name)))  # type: ignore[misc]
    registry = gateway.host.registry
    await gateway.step_until(lambda: all(registry.live(gateway.key(name).id) is None for name in names))
    registry.sweep()
    await gateway.step_until(lambda: all(registry.is_at_rest(gateway.key(name).id) for name in names))


def traces(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(each): (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.rglob("*") if each.is_file()}


async def test_sleeping_objects_answer_in_order_and_stay_asleep(gateway: Gateway) -> None:
    await sleeping(gateway, NAMES)
    constructed = len(await gateway.call("constructed", name="another"))
    before = traces(gateway.folder / "state")

    done, answers = await query(gateway, NAMES)

    assert done == 40
    assert answers == {
        "objects": 40,
        "tables": [{"columns": ["n"], "rows": [[name, number] for number, name in enumerate(NAMES)]}],
        "failed": [],
        "cut": [],
    }
    assert len(await gateway.call("constructed", name="another")) == constructed
    assert all(gateway.host.registry.is_at_rest(gateway.key(name).id) for name in NAMES)
    assert traces(gateway.folder / "state") == before
    assert not gateway.host.registry.is_lending


async def test_live_objects_show_what_they_wrote_last(gateway: Gateway) -> None:
    await sleeping(gateway, ["a", "b"])
    await gateway.call("write", 7, name="b")
    _, answers = await query(gateway, ["a", "b"])
    assert answers["tables"][0]["rows"] == [["a", 0], ["b", 1], ["b", 7]]


async def test_parameters_and_several_statements_reach_every_object(gateway: Gateway) -> None:
    await sleeping(gateway, ["a", "b"])
    await gateway.call("write", 7, name="b")
    sql = "SELECT 'not shown'; SELECT n AS m FROM t WHERE n >= :least"
    _, answers = await query(gateway, ["a", "b"], sql, parameters=values.encode({"least": 1}))
    assert answers["tables"] == [{"columns": ["m"], "rows": [["b", 1], ["b", 7]]}]


@pytest.mark.parametrize("is_live", [True, False])
async def test_nothing_can_be_written(gateway: Gateway, is_live: bool) -> None:
    await sleeping(gateway, ["a"])
    if is_live:
        await gateway.call("write", 7)
    before = traces(gateway.folder / "state")
    _, answers = await query(gateway, ["a"], "DELETE FROM t")
    (failed,) = answers["failed"]
    assert failed[0] == "a"
    assert "this tool only reads" in failed[1]
    assert traces(gateway.folder / "state") == before


async def test_one_that_fails_does_not_hinder_the_others(gateway: Gateway) -> None:
    await sleeping(gateway, ["a", "b", "c"])
    path = gateway.host.registry.file_of(gateway.key("b"))
    path.write_bytes(b"garbage" * 1000)
    done, answers = await query(gateway, ["a", "b", "c"])
    assert done == 3
    assert answers["tables"][0]["rows"] == [["a", 0], ["c", 2]]
    assert [label for label, _ in answers["failed"]] == ["b"]


async def test_a_missing_file_is_told_and_an_object_that_vanished_is_not(gateway: Gateway) -> None:
    await sleeping(gateway, ["a", "b"])
    for name in ("a", "b"):
        path = gateway.host.registry.file_of(gateway.key(name))
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
    del gateway.index[gateway.key("b").id]
    done, answers = await query(gateway, ["a", "b"])
    assert done == 2
    assert answers["objects"] == 1
    ((label, message),) = answers["failed"]
    assert label == "a"
    assert "is missing" in message
    assert not gateway.host.registry.file_of(gateway.key("b")).exists()


async def test_an_object_in_the_middle_of_a_transaction_is_waited_for_and_then_told(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspecting_many, "QUERY_BUSY_SECONDS_MAX", 0.01)
    await sleeping(gateway, ["a", "b"])
    module = __import__("main")
    call = gateway.send_call("in_transaction", name="a")
    await module.AT.wait()
    _, answers = await query(gateway, ["a", "b"])
    assert answers["tables"][0]["rows"] == [["b", 1]]
    assert "is busy" in answers["failed"][0][1]

    module.GO.set()
    await gateway.call_sent(call)
    _, answers = await query(gateway, ["a"])
    assert answers["tables"][0]["rows"] == [["a", 0], ["a", 99]]


async def test_an_objects_events_wait_for_its_file_and_then_come(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sleeping(gateway, ["a"])
    began, go = threading.Event(), threading.Event()
    look: Callable[..., Any] = look_quickly

    def slow(*arguments: Any, **caps: Any) -> Any:
        began.set()
        assert go.wait(20)
        return look(*arguments, **caps)

    monkeypatch.setattr(inspecting_many, "look_quickly", slow)
    asking = asyncio.ensure_future(query(gateway, ["a"]))
    await gateway.step_until(began.is_set)
    call = gateway.send_call("write", 7)
    await gateway.settled()
    assert gateway.host.registry.live(gateway.key().id) is None
    go.set()
    _, answers = await asking
    assert answers["tables"][0]["rows"] == [["a", 0]]
    await gateway.call_sent(call)


async def test_large_answers_come_in_pieces(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting_many, "QUERY_BATCH_BYTES", 1000)
    await sleeping(gateway, NAMES[:4])
    done, answers = await query(gateway, NAMES[:4], "SELECT printf('%1000s', n) AS text FROM t")
    assert 1 <= done < 4
    assert answers["objects"] == done


async def test_slow_queries_come_in_pieces_and_their_neighbours_are_not_kept(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspecting_many, "QUERY_BATCH_SECONDS", 0.0)
    await sleeping(gateway, NAMES[:4])
    done, answers = await query(gateway, NAMES[:4])
    assert (done, answers["objects"]) == (1, 1)

    monkeypatch.undo()
    monkeypatch.setattr(inspecting_many, "QUERY_LENT_SECONDS", 0.0)
    lent: list[int] = []
    monkeypatch.setattr(inspecting_many.Inquiry, "_look_in_thread", _counting(lent))
    await query(gateway, NAMES[:4])
    assert lent == [1, 1, 1, 1]


def _counting(lent: list[int]) -> Any:
    look = inspecting_many.Inquiry._look_in_thread

    def counted(inquiry: Any, files: list[Path]) -> Any:
        lent.append(len(files))
        return look(inquiry, files)

    return counted


async def test_quick_ones_are_read_many_at_a_time(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting_many, "QUERY_LENT_SECONDS", 60.0)
    await sleeping(gateway, NAMES)
    lent: list[int] = []
    monkeypatch.setattr(inspecting_many.Inquiry, "_look_in_thread", _counting(lent))
    await query(gateway, NAMES)
    assert lent == [1, 2, 4, 8, 16, 9]


async def test_each_object_has_its_own_bounds(gateway: Gateway) -> None:
    await sleeping(gateway, ["a", "b"])
    for name in ("a", "b"):
        await gateway.call("write", 5, 6, name=name)
    _, answers = await query(gateway, ["a", "b"], rows_max=2)
    assert answers["tables"][0]["rows"] == [["a", 0], ["a", 5], ["b", 1], ["b", 5]]
    assert answers["cut"] == ["a", "b"]
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    _, answers = await query(gateway, ["a", "b"], endless, seconds_max=0.01)
    assert len(answers["failed"]) == 2
    assert "took longer" in answers["failed"][0][1]


async def test_an_unnamed_object_is_called_by_its_id(gateway: Gateway) -> None:
    await sleeping(gateway, ["a"])
    key = gateway.key("a")
    reply = await asked(gateway, [ActorKey(key.namespace, key.id)], "SELECT n FROM t")
    _, answers = msgspec.msgpack.decode(reply.payload, type=tuple[int, bytes])
    assert json.loads(answers)["tables"][0]["rows"] == [[key.id, 0]]


async def test_a_process_that_is_replaced_opens_no_file_any_more(gateway: Gateway) -> None:
    await sleeping(gateway, ["a"])
    inquiry = inspecting_many.Inquiry(gateway.host, wire.InspectMany(1, [gateway.key("a")], "SELECT 1", 1, 1.0))
    await gateway.stop()
    with pytest.raises(RuntimeError, match="being replaced"):
        await inquiry.run()


async def test_an_answer_that_shows_what_is_not_on_the_disk_yet_waits_for_it(gateway: Gateway) -> None:
    disk = HeldDisk()
    await gateway.start(PROGRAM, disk=disk)
    await gateway.call("write", 1)
    settled = await asked(gateway, [gateway.key("a")], "SELECT n FROM t")
    assert settled.epoch <= gateway.durable
    with disk.held():
        call = gateway.send_call("write", 2)
        await gateway.step_until(lambda: gateway.host.registry.store(gateway.key("a")).undurable_epoch)
        reply = await asked(gateway, [gateway.key("a")], "SELECT n FROM t")
        _, answers = msgspec.msgpack.decode(reply.payload, type=tuple[int, bytes])
        assert json.loads(answers)["tables"][0]["rows"] == [["a", 1], ["a", 2]]
        assert reply.epoch > gateway.durable
    await gateway.call_sent(call)
    assert reply.epoch <= gateway.durable


async def test_the_worst_text_that_an_object_may_return_fits_into_a_message(gateway: Gateway) -> None:
    await sleeping(gateway, ["a"])
    text = "replace(hex(zeroblob(1000000)), '0', char(1))"
    _, answers = await query(gateway, ["a"], f"SELECT {text} AS text UNION ALL SELECT {text}")
    assert answers["tables"][0]["rows"] == 2 * [["a", 2_000_000 * "\x01"]]


async def test_more_than_that_is_cut_and_told(gateway: Gateway) -> None:
    await sleeping(gateway, ["a"])
    await gateway.call("write", 5, name="b")
    three = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3)"
    for name in ("a", "b"):
        _, answers = await query(gateway, [name], f"{three} SELECT i, zeroblob(1900000) FROM n")
        assert [row[1] for row in answers["tables"][0]["rows"]] == [1, 2]
        assert answers["cut"] == [name]


async def test_no_more_files_are_read_than_a_message_holds(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting_many, "QUERY_LENT_SECONDS", 60.0)
    await sleeping(gateway, NAMES)
    read: list[Path] = []

    def counting(path: Path, *arguments: Any, **caps: Any) -> Any:
        read.append(path)
        return look_quickly(path, *arguments, **caps)

    monkeypatch.setattr(inspecting_many, "look_quickly", counting)
    done, answers = await query(gateway, NAMES, "SELECT zeroblob(CASE WHEN n < 7 THEN 0 ELSE 1000000 END) FROM t")
    assert done == len(read) == answers["objects"] == 9
    assert all(gateway.host.registry.is_at_rest(gateway.key(name).id) for name in NAMES)

"""An object that stores nothing any more ends with its activation: first its row in the index, then its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.storage.layout import StateLayout
from durable.wire import messages as wire

from .conftest import KEY, Gateway

PROGRAM = """
from durable import DurableObject

class Thing(DurableObject):
    def put(self, value):
        self.ctx.storage.kv.put("key", value)

    def get(self):
        return self.ctx.storage.kv.get("key")

    def delete(self):
        return self.ctx.storage.kv.delete("key")

    async def empty(self):
        await self.ctx.storage.delete_all()

    async def alarm(self):
        pass

    async def schedule(self):
        await self.ctx.storage.set_alarm(4102444800000)

    def table(self):
        self.ctx.storage.sql.exec("CREATE TABLE t(n)")

    def refuse(self):
        self.ctx.storage.kv.put("key", 1)
        self.ctx.abort("no")

    def reset(self):
        self.ctx.abort("no")
"""


@pytest.fixture
async def gateway(gateway: Gateway) -> Gateway:
    await gateway.start(PROGRAM)
    return gateway


def path_of(gateway: Gateway) -> Path:
    return StateLayout(gateway.folder / "state").object_file(KEY, gateway.key().id)


async def fall_asleep(gateway: Gateway) -> None:
    registry = gateway.host.registry
    await gateway.step_until(lambda: registry.evict(gateway.key().id))
    registry.sweep()


async def asleep(gateway: Gateway) -> None:
    """Wait until the object's file is closed, or gone."""
    await fall_asleep(gateway)
    await gateway.step_until(lambda: not gateway.host.registry.stores)


@pytest.mark.parametrize("method", ["empty", "delete"])
async def test_an_emptied_object_leaves_neither_row_nor_file(gateway: Gateway, method: str) -> None:
    await gateway.call("put", 1)
    await gateway.call(method)
    assert path_of(gateway).exists()

    await asleep(gateway)

    assert gateway.index == {}
    assert [name.name for name in path_of(gateway).parent.iterdir() if name.suffix in (".sqlite", ".sqlite-wal")] == []
    assert await gateway.call("get") is None
    await gateway.call("put", 2)
    assert list(gateway.index) == [gateway.key().id]
    assert await gateway.call("get") == 2


@pytest.mark.parametrize("method", ["schedule", "table"])
async def test_an_alarm_or_a_table_is_enough_to_stay(gateway: Gateway, method: str) -> None:
    await gateway.call("put", 1)
    await gateway.call("empty")
    await gateway.call(method)

    await asleep(gateway)

    assert list(gateway.index) == [gateway.key().id]
    assert path_of(gateway).exists()


async def test_an_object_that_was_emptied_and_filled_again_stays(gateway: Gateway) -> None:
    await gateway.call("put", 1)
    await gateway.call("empty")
    await gateway.call("put", 2)

    await asleep(gateway)

    assert await gateway.call("get") == 2


async def test_an_object_emptied_while_its_file_had_to_be_closed_ends_too(gateway: Gateway) -> None:
    await gateway.call("put", 1)
    await gateway.call("empty")
    gateway.host.registry.store(gateway.key()).suspend()

    await asleep(gateway)

    assert gateway.index == {}
    assert not path_of(gateway).exists()


async def test_an_event_that_comes_during_the_removal_waits_and_begins_anew(gateway: Gateway) -> None:
    await gateway.call("put", 1)
    await gateway.call("empty")
    gateway.holds_removals = True
    await fall_asleep(gateway)
    await gateway.until(lambda: gateway.of(wire.IndexRemove))

    sent = gateway.send_call("put", 2)
    await gateway.settled()
    assert not sent.done()
    assert gateway.host.registry.live(gateway.key().id) is None
    gateway.answer_removals()

    assert isinstance(await sent, wire.CallReply)
    assert await gateway.call("get") == 2
    assert list(gateway.index) == [gateway.key().id]


async def test_an_event_that_comes_before_the_removal_prevents_it(gateway: Gateway) -> None:
    await gateway.call("put", 1)
    await gateway.call("empty")
    await fall_asleep(gateway)

    await gateway.call("put", 2)

    assert await gateway.call("get") == 2
    assert path_of(gateway).exists()
    assert list(gateway.index) == [gateway.key().id]


async def test_a_crash_between_row_and_file_leaves_a_file_that_is_adopted(gateway: Gateway) -> None:
    await gateway.call("put", 1)
    await gateway.call("empty")
    gateway.holds_removals = True
    await fall_asleep(gateway)
    await gateway.until(lambda: gateway.of(wire.IndexRemove))
    path = path_of(gateway)
    image = path.read_bytes()
    gateway.answer_removals()
    await gateway.step_until(lambda: not gateway.host.registry.stores)
    # The row is gone; the process had died before the file was.
    path.write_bytes(image)

    assert await gateway.call("get") is None
    await gateway.call("put", 3)

    assert list(gateway.index) == [gateway.key().id]
    assert await gateway.call("get") == 3


async def test_an_object_whose_first_commit_never_came_ends_too(gateway: Gateway) -> None:
    gateway.answers_index = False
    sent = gateway.send_call("put", 1)
    await gateway.until(lambda: gateway.index_asked)
    actor = gateway.host.registry.live(gateway.key().id)
    assert actor is not None
    actor.reset(RuntimeError("something broke it"))
    assert isinstance(await sent, wire.Failed)
    gateway.answers_index = True
    gateway.answer_index()
    await gateway.settled()
    assert gateway.index

    gateway.host.registry.sweep()
    await gateway.step_until(lambda: not gateway.host.registry.stores)

    assert gateway.index == {}
    assert not path_of(gateway).exists()


async def test_an_object_that_the_index_could_not_forget_keeps_its_file(gateway: Gateway) -> None:
    await gateway.call("put", 1)
    await gateway.call("empty")
    gateway.holds_removals = True
    await fall_asleep(gateway)
    await gateway.until(lambda: gateway.of(wire.IndexRemove))

    gateway.answer_removals("the disk is full")
    await gateway.step_until(lambda: not gateway.host.registry.stores)
    await gateway.until(lambda: gateway.of(wire.Log))

    assert path_of(gateway).exists()
    assert "the disk is full" in gateway.of(wire.Log)[0].text
    assert await gateway.call("get") is None

"""Functions and RpcTargets over RPC: where they run, how long they live. Each is played in one host and across two."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from durable import RpcTarget
from durable.errors import DataCloneError, HostGoneError, RefusedError
from durable.sdk.rpc import RpcStub
from tests.integration.paired import Keeping, Pair, paired, part


@pytest.fixture(params=[1, 2], ids=["one host", "two hosts"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    async with paired(tmp_path, request.param, Keeping) as found:
        yield found


class Room(RpcTarget):
    def __init__(self, owner: Keeping) -> None:
        self.owner = owner
        self.secret = lambda: "instance attributes are not callable"

    def post(self, text: str) -> int:
        self.owner.heard.append(text)
        return len(self.owner.heard)

    async def slowly(self, text: str) -> str:
        await asyncio.sleep(0)
        return text.upper()

    def dispose(self) -> None:
        self.owner.heard.append("disposed")


async def test_a_function_that_was_sent_runs_in_the_object_that_sent_it(pair: Pair) -> None:
    async def call_it(thing: Keeping, function: Any) -> Any:
        assert isinstance(function, RpcStub)
        return [await function(1), await function("two")]

    async def send_it(thing: Keeping, other: Any) -> Any:
        def hear(what: Any) -> Any:
            thing.heard.append(what)
            return thing.ctx.id.name

        return [await other.play(part(call_it), hear), thing.heard]

    name = pair.name("a")
    assert await pair.run(send_it) == [[name, name], [1, "two"]]
    await pair.until(lambda: pair.exported == 0)


async def test_a_stub_that_came_as_an_argument_ends_with_the_call_unless_it_was_duplicated(pair: Pair) -> None:
    def keep_it(thing: Keeping, function: Any) -> None:
        thing.kept = [function, function.dup()]

    async def use_it(thing: Keeping) -> Any:
        ended, kept = thing.kept
        with pytest.raises(RefusedError, match=r"RPC stub used after being disposed\."):
            await ended()
        with pytest.raises(RefusedError, match="disposed"):
            ended.dup()
        return await kept()

    async def send_it(thing: Keeping, other: Any) -> Any:
        await other.play(part(keep_it), lambda: "still there")
        return await other.play(part(use_it))

    def drop_it(thing: Keeping, other: Any) -> None:
        thing.kept[1].dispose()
        thing.kept[1].dispose()

    assert await pair.run(send_it) == "still there"
    assert pair.exported == 1
    assert pair.pinned("a"), "who holds a function of an object keeps the object in memory"
    await pair.run(drop_it, on="b")
    await pair.until(lambda: pair.exported == 0)
    await pair.until(lambda: not pair.pinned("a"))


async def test_a_result_with_a_stub_lives_until_nobody_refers_to_it(pair: Pair) -> None:
    def give(thing: Keeping) -> Any:
        return {"f": lambda number: number + 1, "n": 1}

    async def take(thing: Keeping, other: Any) -> Any:
        thing.kept = await other.play(part(give))
        return [await thing.kept["f"](4), thing.kept["n"]]

    async def later(thing: Keeping, other: Any) -> Any:
        found = await thing.kept["f"](5)
        thing.kept = None
        gc.collect()
        return found

    assert await pair.run(take) == [5, 1]
    assert pair.pinned("b")
    assert await pair.run(later) == 6
    await pair.until(lambda: pair.exported == 0 and not pair.pinned("b"))


async def test_a_method_is_called_on_what_is_not_there_yet(pair: Pair) -> None:
    def give(thing: Keeping) -> Any:
        return {"f": lambda number: number + 1, "room": Room(thing), "inner": {"f": lambda: "deep"}}

    def give_function(thing: Keeping) -> Any:
        return lambda number: number * 2

    async def take(thing: Keeping, other: Any) -> Any:
        found = other.play(part(give))
        numbers = [found.f(5), found.room.post("hello"), found.inner.f(), other.play(part(give_function))(21)]
        return await asyncio.gather(*numbers[:3])

    async def members(thing: Keeping, other: Any) -> Any:
        pending = other.play(part(lambda thing: {"a": {"b": 7}}))
        return [await pending.a.b, await pending.a, (await pending)["a"]["b"]]

    async def refused(thing: Keeping, other: Any) -> Any:
        with pytest.raises(TypeError, match=r"Can't pipeline on RPC that did not return an object\."):
            await other.play(part(lambda thing: 5)).method()
        with pytest.raises(TypeError, match='"nothing" is not a function'):
            await other.play(part(lambda thing: {})).nothing()
        with pytest.raises(ZeroDivisionError):
            await other.play(part(lambda thing: 1 // 0)).method()

    with pytest.raises(TypeError, match="'PendingRpc' object is not callable"):
        await pair.run(take)
    assert await pair.run(members) == [7, {"b": 7}, 7]
    await pair.run(refused)


async def test_a_target_has_methods_and_nothing_else(pair: Pair) -> None:
    def give(thing: Keeping) -> Any:
        return Room(thing)

    async def take(thing: Keeping, other: Any) -> Any:
        with await other.play(part(give)) as room:
            for name in ("secret", "owner", "nothing", "heard"):
                with pytest.raises(TypeError, match=f'does not implement the method "{name}"'):
                    await getattr(room, name)()
            with pytest.raises(TypeError, match="not a function"):
                await room()
            return [await room.post("one"), await room.slowly("two"), await other.play(part(give)).post("three")]

    def heard(thing: Keeping, other: Any) -> Any:
        return thing.heard

    assert await pair.run(take) == [1, "TWO", 2]
    await pair.until(lambda: pair.exported == 0)
    assert sorted(await pair.run(heard, on="b")) == ["disposed", "disposed", "one", "three"]


async def test_a_function_goes_from_hand_to_hand_and_home_again(pair: Pair) -> None:
    def home(thing: Keeping, function: Any) -> Any:
        return function

    async def send_it(thing: Keeping, other: Any) -> Any:
        back = await other.play(part(home), lambda: thing.ctx.id.name)
        assert isinstance(back, RpcStub)
        return await back()

    async def pass_on(thing: Keeping, other: Any) -> Any:
        # From b to a, which sends it on to b: it runs in b all the same.
        return await other.play(part(lambda a, f: a.env.THINGS.get_by_name(thing.ctx.id.name).play(again, f)), mine)

    async def call(thing: Keeping, function: Any) -> Any:
        return [thing.ctx.id.name, await function()]

    again = part(call)

    def mine() -> str:
        return "mine"

    assert await pair.run(send_it) == pair.name("a")
    assert await pair.run(pass_on, on="b") == [pair.name("b"), "mine"]
    await pair.until(lambda: pair.exported == 0)


async def test_a_stub_that_was_to_go_with_what_is_refused_is_not_lost(pair: Pair) -> None:
    class Own:
        pass

    async def take(thing: Keeping, other: Any) -> Any:
        function = await other.play(part(lambda thing: lambda: "still there"))
        for _ in range(2):
            with pytest.raises(DataCloneError):
                await other.play(1, [function, print, Own()])
            gc.collect()
            await asyncio.sleep(0)
        return await function()

    assert await pair.run(take) == "still there"
    gc.collect()
    await pair.until(lambda: pair.exported == 0)


async def test_a_stub_whose_object_was_reset_stays_broken_and_a_fresh_one_works(pair: Pair) -> None:
    def abort(thing: Keeping) -> Any:
        thing.ctx.abort("enough")

    async def take(thing: Keeping, other: Any) -> Any:
        errors = []
        for number in (abort, lambda thing: "a new instance"):
            with pytest.raises(Exception, match="enough") as raised:
                await other.play(part(number))
            errors.append(raised.value)
        assert errors[0] is errors[1]
        return await thing.env.THINGS.get_by_name(other.name).play(part(lambda thing: "a new instance"))

    assert await pair.run(take) == "a new instance"


async def test_what_a_reset_object_lent_is_let_go_whoever_holds_it(pair: Pair) -> None:
    lent: list[weakref.ref[Any]] = []

    def give(thing: Keeping) -> Any:
        room = Room(thing)
        lent.append(weakref.ref(room))
        return room

    async def take(thing: Keeping, other: Any) -> Any:
        thing.kept = await other.play(part(give))
        with pytest.raises(Exception, match="enough"):
            await other.play(part(lambda thing: thing.ctx.abort("enough")))

    await pair.run(take)
    gc.collect()
    assert lent[0]() is None


async def test_an_object_that_was_reset_breaks_the_stubs_of_its_functions(pair: Pair) -> None:
    def give(thing: Keeping) -> Any:
        return lambda: "alive"

    def abort(thing: Keeping) -> Any:
        thing.ctx.abort("enough")

    async def take(thing: Keeping, other: Any) -> Any:
        function = await other.play(part(give))
        assert await function() == "alive"
        name = other.name
        with pytest.raises(Exception, match="enough"):
            await thing.env.THINGS.get_by_name(name).play(part(abort))
        fresh = await thing.env.THINGS.get_by_name(name).play(part(give))
        for _ in range(2):
            with pytest.raises(Exception, match="enough") as raised:
                await function()
            assert raised.value.durable_object_reset  # type: ignore[attr-defined]
        return await fresh()

    assert await pair.run(take) == "alive"


async def test_what_a_function_raises_arrives_as_what_it_is(pair: Pair) -> None:
    async def call(thing: Keeping, function: Any) -> Any:
        try:
            await function()
        except LookupError as error:
            return [type(error).__name__, error.args, error.remote]  # type: ignore[attr-defined]

    def fail() -> None:
        raise KeyError("what")

    async def send_it(thing: Keeping, other: Any) -> Any:
        return await other.play(part(call), fail)

    assert await pair.run(send_it) == ["KeyError", ("what",), True]


async def test_writes_of_a_function_are_durable_before_its_answer_is_out(pair: Pair) -> None:
    async def call(thing: Keeping, function: Any) -> Any:
        return await function()

    async def send_it(thing: Keeping, other: Any) -> Any:
        async def write() -> Any:
            await thing.ctx.storage.put("written", 1)
            return await thing.ctx.storage.get("written")

        return await other.play(part(call), write)

    assert await pair.run(send_it) == 1
    assert pair.exported == 0


async def test_five_calls_on_one_stub_are_delivered_in_order(pair: Pair) -> None:
    def bump(thing: Keeping, number: int, callback: Any = None) -> int:
        thing.heard.append(number)
        return len(thing.heard)

    async def take(thing: Keeping, other: Any) -> Any:
        # One with a function takes the longer way through the gateway: none may overtake it.
        calls = [other.play_plainly(part(bump), n, *([print] if n == 2 else [])) for n in range(6)]
        return await asyncio.gather(*calls)

    async def fetched(thing: Keeping, other: Any) -> Any:
        return thing.heard

    assert await pair.run(take) == [1, 2, 3, 4, 5, 6]
    assert await pair.run(fetched, on="b") == [0, 1, 2, 3, 4, 5]


async def test_a_class_is_a_function_and_an_object_of_the_programs_own_class_is_not(pair: Pair) -> None:
    class Own:
        pass

    async def make(thing: Keeping, cls: Any) -> Any:
        return await (await cls("x")).read()

    class Made(RpcTarget):
        def __init__(self, text: str) -> None:
            self.text = text

        def read(self) -> str:
            return self.text

    async def send_it(thing: Keeping, other: Any) -> Any:
        with pytest.raises(DataCloneError, match="cannot be stored or sent"):
            await other.play(1, [print, Own()])
        with pytest.raises(DataCloneError, match="await it first"):
            await other.play(1, {"later": other.play(part(lambda thing: 1))})
        return await other.play(part(make), Made)

    assert await pair.run(send_it) == "x"
    gc.collect()
    await pair.until(lambda: pair.exported == 0)


async def test_stubs_of_objects_and_of_entrypoints_are_values(pair: Pair) -> None:
    async def use(thing: Keeping, stub: Any) -> Any:
        return [stub.name, await stub.play(part(lambda thing: thing.ctx.id.name))]

    async def send_it(thing: Keeping, other: Any) -> Any:
        return await other.play(part(use), thing.env.THINGS.get_by_name(thing.ctx.id.name))

    name = pair.name("a")
    assert await pair.run(send_it) == [name, name]


async def test_what_is_too_large_is_refused_on_both_ways(pair: Pair) -> None:
    text = "x" * (33 * 1024 * 1024)

    async def take(thing: Keeping, other: Any) -> Any:
        for many in (text, [text[: 2**20]] * 33, {"f": print, "text": text}, text.encode()):
            with pytest.raises(DataCloneError, match=r"limited to 32MiB, but the size of this value was: 34\d{6} byte"):
                await other.play(part(lambda thing, many: 1), many)
        for number in (1, 2):
            with pytest.raises(DataCloneError, match="limited to 32MiB") as raised:
                await other.play(part(lambda thing, number: text if number == 1 else [text, print]), number)
            assert raised.value.remote
        almost = "x" * (31 * 1024 * 1024)
        return len(await other.play(part(lambda thing, many: many), almost))

    assert await pair.run(take) == 31 * 1024 * 1024
    assert pair.exported == 0


async def test_nothing_is_left_of_a_call_that_was_refused_or_given_up(pair: Pair) -> None:
    async def wait_for_ever(thing: Keeping, function: Any) -> Any:
        thing.kept = function
        await asyncio.Event().wait()

    async def take(thing: Keeping, other: Any) -> Any:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await other.play(part(wait_for_ever), lambda: 1)
        with pytest.raises(TypeError):
            await other.no_such_method(lambda: 1)

    async def forget(thing: Keeping, other: Any) -> Any:
        thing.kept = None
        gc.collect()

    await pair.run(take)
    await pair.run(forget, on="b")
    await pair.until(lambda: pair.exported == 0)


@pytest.fixture
async def far(tmp_path: Path) -> AsyncIterator[Pair]:
    async with paired(tmp_path, 2, Keeping) as found:
        yield found


async def test_a_host_that_is_gone_breaks_the_stubs_of_its_functions_and_holds_nothing(far: Pair) -> None:
    def keep(thing: Keeping, function: Any) -> Any:
        thing.kept = function.dup()
        return print

    async def trade(thing: Keeping, other: Any) -> Any:
        thing.kept = await other.play(part(keep), abs)
        return await thing.kept("over there")

    async def use(thing: Keeping, other: Any) -> Any:
        with pytest.raises(HostGoneError) as raised:
            await thing.kept("nobody")
        return [raised.value.retryable, str(raised.value)]

    await far.run(trade)
    assert far.hosts[0].transport.targets.statistics() == (1, 1)
    far.lose("b")
    await far.until(lambda: far.hosts[0].transport.targets.statistics()[0] == 0)
    assert await far.run(use) == [True, "The process that held what this stub calls has ended; ask for a new stub."]

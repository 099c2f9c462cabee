"""Async KV."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from durable import DataCloneError, SqlError
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


async def _letters(thing: Thing) -> Any:
    storage: Any = thing.ctx.storage
    await storage.put({key: key.upper() for key in "badc"})
    return storage


@FACTS.inside("4.2 get of a missing key is None, or the default")
async def missing(thing: Thing) -> None:
    storage = thing.ctx.storage
    assert await storage.get("k") is None
    assert await storage.get("k", default=7) == 7


@FACTS.inside("4.2 a stored None is not a missing key (here; the platform cannot tell)")
async def stored_none(thing: Thing) -> None:
    await thing.ctx.storage.put("k", None)
    assert await thing.ctx.storage.get("k", default=7) is None
    assert await thing.ctx.storage.list() == {"k": None}


@FACTS.inside("4.2 get of several keys is sorted by key")
async def several_sorted(thing: Thing) -> None:
    storage = await _letters(thing)
    assert list((await storage.get(["d", "b", "a", "b"])).items()) == [("a", "A"), ("b", "B"), ("d", "D")]


@FACTS.inside("4.2 get of several keys leaves the missing ones out")
async def several_missing(thing: Thing) -> None:
    storage = await _letters(thing)
    assert await storage.get(["zz", "a"]) == {"a": "A"}
    with pytest.raises(TypeError, match="default= is for one key"):
        await storage.get(["zz"], default=1)


@FACTS.inside("4.2 put of several entries stores all of them")
async def put_several(thing: Thing) -> None:
    await thing.ctx.storage.put({"a": 1, "b": None})
    assert await thing.ctx.storage.list() == {"a": 1, "b": None}


@FACTS.inside("4.2 put of several entries stores none when one is refused")
async def put_atomic(thing: Thing) -> None:
    for bad in (object(), b"x" * 3_000_000):
        with pytest.raises((DataCloneError, SqlError)):
            await thing.ctx.storage.put({"a": 1, "b": bad})
    assert await thing.ctx.storage.list() == {}


@FACTS.inside("4.2 delete says whether the key existed")
async def delete_one(thing: Thing) -> None:
    storage = await _letters(thing)
    assert await storage.delete("a") is True
    assert await storage.delete("a") is False


@FACTS.inside("4.2 delete of several keys counts those that existed")
async def delete_several(thing: Thing) -> None:
    storage = await _letters(thing)
    assert await storage.delete(["a", "zz", "b"]) == 2
    assert await storage.list() == {"c": "C", "d": "D"}


@FACTS.inside("4.2 list is sorted by the UTF-8 bytes of the keys")
async def byte_order(thing: Thing) -> None:
    await thing.ctx.storage.put(dict.fromkeys(["é", "a", "Z", "5", "\U0001f600", "\uffee"], 0))
    assert list(await thing.ctx.storage.list()) == ["5", "Z", "a", "é", "\uffee", "\U0001f600"]


LISTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "start is inclusive": ({"start": "b"}, "bcd"),
    "start_after is exclusive": ({"start_after": "b"}, "cd"),
    "end is exclusive": ({"end": "c"}, "ab"),
    "start and end bound both sides": ({"start": "b", "end": "d"}, "bc"),
    "prefix selects": ({"prefix": "b"}, "b"),
    "prefix and start are both kept": ({"prefix": "b", "start": "a"}, "b"),
    "limit gives the first ones": ({"limit": 2}, "ab"),
    "reverse flips the order": ({"reverse": True}, "dcba"),
    "reverse does not flip start_after": ({"start_after": "b", "reverse": True}, "dc"),
    "reverse does not flip start and end": ({"start": "b", "end": "d", "reverse": True}, "cb"),
    "reverse with limit gives the last ones": ({"reverse": True, "limit": 2}, "dc"),
    "an empty range is empty": ({"start": "b", "end": "b"}, ""),
    "an inverted range is empty": ({"start": "d", "end": "a"}, ""),
}
for what, (options, keys) in LISTINGS.items():

    @FACTS.inside(f"4.2 list: {what}")
    async def listing(thing: Thing, options: dict[str, Any] = options, keys: str = keys) -> None:
        storage = await _letters(thing)
        assert list(await storage.list(**options)) == list(keys)
        assert list(await storage.list(options)) == list(keys)
        assert list(storage.kv.list(**options)) == [(key, key.upper()) for key in keys]


@FACTS.inside("4.2 options are keywords or one dict, in either spelling, on every method")
async def options_everywhere(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    read: list[dict[str, Any]] = [
        {},
        {"allow_concurrency": True, "no_cache": True},
        {"allowConcurrency": True, "noCache": False},
    ]
    write = [*read, {"allow_unconfirmed": True}, {"allowUnconfirmed": False}]
    alarm = [{"allow_concurrency": True}, {"allowUnconfirmed": True}]
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        *[(storage.get, ("a",), each) for each in read],
        *[(storage.get, (["a", "b"],), each) for each in read],
        *[(storage.list, (), each) for each in [*read, {"startAfter": "a"}, {"start_after": "a"}]],
        *[(storage.put, ("a", 1), each) for each in write],
        *[(storage.put, ({"a": 1, "b": 2},), each) for each in write],
        *[(storage.delete, ("x",), each) for each in write],
        *[(storage.delete, (["x", "y"],), each) for each in write],
        *[(storage.set_alarm, (4_000_000_000_000,), each) for each in alarm],
        *[(storage.get_alarm, (), each) for each in read],
        *[(storage.delete_alarm, (), each) for each in alarm],
        *[(storage.delete_all, (), each) for each in write],
    ]
    for method, args, each in calls:
        by_dict, by_keyword = await method(*args, each), await method(*args, **each)
        assert by_dict == by_keyword


@FACTS.inside("4.2 an option that does not exist is refused with the one that was meant")
async def unknown_options(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    for method, args in [
        (storage.get, ("a",)), (storage.put, ("a", 1)), (storage.put, ({"a": 1},)), (storage.delete, ("a",)),
        (storage.list, ()), (storage.get_alarm, ()), (storage.set_alarm, (4_000_000_000_000,)),
        (storage.delete_alarm, ()), (storage.delete_all, ()),
    ]:  # fmt: skip
        for wrong in ({"allow_concurency": True}, {"allowConcurency": True}):
            with pytest.raises(TypeError, match=r"has no option 'allow.*\(did you mean 'allow_concurrency'\?\)"):
                await method(*args, wrong)
            with pytest.raises(TypeError, match="has no option"):
                await method(*args, **wrong)
    with pytest.raises(TypeError, match="takes its options as a dict or as keywords, got int"):
        await storage.get("a", 5)


@FACTS.inside("4.2 put without a value is a TypeError")
async def put_nothing(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    with pytest.raises(TypeError) as caught:
        await storage.put("x")
    assert str(caught.value) == "put() called with undefined value."


@FACTS.inside("4.2 put of entries with something else behind them is a TypeError")
async def put_mixed(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    for args in [({"a": 1}, "value"), ({"a": 1}, 5), ({"a": 1}, {}, {})]:
        with pytest.raises(TypeError, match="put\\(\\) may only be called with a single key-value pair and optional"):
            await storage.put(*args)
    assert await storage.list() == {}


@FACTS.inside("4.2 list with start and start_after is a TypeError")
async def both_starts(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    for call in (storage.list, storage.kv.list):
        with pytest.raises(TypeError) as caught:
            await call({"start": "a", "startAfter": "b"})
        assert str(caught.value) == "list() cannot be called with both start and start_after values."


@FACTS.inside("4.2 a limit of zero or less is a TypeError")
async def limits(thing: Thing) -> None:
    for limit in (0, -1):
        with pytest.raises(TypeError, match="List limit must be positive"):
            await thing.ctx.storage.list(limit=limit)


@FACTS.inside("4.2 a value that cannot be stored is a DataCloneError")
async def not_stored(thing: Thing) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in (object(), lambda: None, 1j, cycle, {"deep": [range(3)]}):
        with pytest.raises(DataCloneError):
            await thing.ctx.storage.put("k", value)
    assert await thing.ctx.storage.get("k") is None


@FACTS.inside("4.2 an entry that is too big is SQLITE_TOOBIG")
async def too_big(thing: Thing) -> None:
    await thing.ctx.storage.put("k", b"x" * (2 * 1024 * 1024 - 100))
    with pytest.raises(SqlError, match="^string or blob too big.*: SQLITE_TOOBIG$"):
        await thing.ctx.storage.put("k", b"x" * (2 * 1024 * 1024))


@FACTS.inside("4.2 an int as a key is its digits")
async def int_key(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.put(5, 1)
    assert await storage.list() == {"5": 1}
    assert await storage.get(5) == 1
    assert await storage.get([5]) == {"5": 1}
    assert await storage.delete(5) is True


@FACTS.inside("4.2 what is neither text nor a number is no key (here; the platform makes text of it)")
async def no_key(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    for key in (None, True, 1.5, b"k"):
        with pytest.raises(TypeError, match=f"a key is a str, got {type(key).__name__}"):
            await storage.put(key, 1)


@FACTS.inside("4.2 the empty text is a key")
async def empty_key(thing: Thing) -> None:
    await thing.ctx.storage.put("", 1)
    assert await thing.ctx.storage.get("") == 1
    assert await thing.ctx.storage.list() == {"": 1}


@FACTS.inside("4.2 more than 128 keys at once are accepted: a documented maximum that nothing enforces")
async def many_keys(thing: Thing) -> None:
    keys = [f"k{number:03}" for number in range(300)]
    await thing.ctx.storage.put(dict.fromkeys(keys, 1))
    assert list(await thing.ctx.storage.get(keys)) == keys
    assert await thing.ctx.storage.delete(keys) == 300


@FACTS.inside("4.2 a key has at most 2048 bytes")
async def long_key(thing: Thing) -> None:
    await thing.ctx.storage.put("k" * 2048, 1)
    with pytest.raises(SqlError, match="a key may have 2048 bytes, got 2049"):
        await thing.ctx.storage.put("k" * 2049, 1)


@FACTS.driven("4.2 values keep their Python types")
async def types(stage: Stage) -> None:
    value = [
        None, True, 1, 2**70, -(2**70), 1.0, float("inf"), "é", b"\x00\xff", [1, [2]], (1, (2,)), {"a": {"b": 1}},
        {1: "a", (1, 2): "b"}, {1, "a"}, datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1), date(2024, 1, 1),
        UUID(int=7), Decimal("1.50"),
    ]  # fmt: skip
    await stage.run(lambda thing: thing.ctx.storage.put("k", value))
    await stage.restart()
    found = await stage.run(lambda thing: thing.ctx.storage.get("k"))

    assert found == value
    assert [type(each) for each in found] == [type(each) for each in value]


@FACTS.inside("4.2 a value is copied on the way in and out")
async def copied(thing: Thing) -> None:
    value = [1]
    await thing.ctx.storage.put("k", value)
    value.append(2)
    (await thing.ctx.storage.get("k")).append(3)
    assert await thing.ctx.storage.get("k") == [1]


@FACTS.inside("4.2 an operation is done when its call returns, awaited or not")
async def at_once(thing: Thing) -> None:
    _ = thing.ctx.storage.put("k", 1)
    assert thing.ctx.storage.kv.get("k") == 1

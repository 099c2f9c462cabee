"""Bindings, and values that cross: stored, sent, read from SQL. Python's meaning is kept where JavaScript's differs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from durable.values import Row
from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage

FACTS = Facts()

ECHO = """
class Thing(_Base, platform.DurableObject):
    def echo(self, *args, **kwargs):
        return args[0] if len(args) == 1 and not kwargs else [list(args), kwargs]

    def kind(self, value):
        return type(value).__name__
"""


@FACTS.both("1.5 env has namespaces, and variables as text; another name is an AttributeError")
def bindings(thing: Any, platform: Any) -> None:
    assert thing.env.COLOUR == "blue"
    assert type(thing.env.COLOUR) is str
    with pytest.raises(AttributeError, match="env has no 'NOTHING'"):
        _ = thing.env.NOTHING


@FACTS.both("1.5 a namespace makes ids and stubs; options are keywords or one dict", program=ECHO)
async def namespace(thing: Any, platform: Any) -> None:
    space: Any = thing.env.THINGS
    named = space.idFromName("b")
    assert space.idFromString(named.toString()).equals(named)
    assert len(str(space.newUniqueId(jurisdiction="eu"))) == 64
    assert len(str(space.newUniqueId(platform.to_js({"jurisdiction": "eu"})))) == 64
    stubs = [space.get(named, locationHint="enam"), space.get(named, {"locationHint": "enam"}), space.getByName("b")]
    assert [await stub.echo(1) for stub in stubs] == [1, 1, 1]
    assert {stub.id.toString() for stub in stubs} == {named.toString()}
    assert [stub.name for stub in stubs] == ["b", "b", "b"]


@FACTS.both("1.5 options of storage are keywords, or a dict behind the other arguments, in the platform's spelling")
async def options(thing: Any, platform: Any) -> None:
    storage: Any = thing.ctx.storage
    await storage.put("a1", 1, allowUnconfirmed=True)
    await storage.put("a2", 2, {"allowUnconfirmed": True})
    await storage.put({"a3": 3, "b": 4})
    assert list(await storage.list(prefix="a", limit=2, reverse=True)) == ["a3", "a2"]
    assert list(await storage.list({"prefix": "a", "startAfter": "a1"})) == ["a2", "a3"]
    assert list(await storage.list(platform.to_js({"prefix": "a", "end": "a3"}))) == ["a1", "a2"]
    assert await storage.get(["b", "zz", "a1"]) == {"a1": 1, "b": 4}
    assert await storage.get(platform.to_js(["b", "a1"])) == {"a1": 1, "b": 4}


@FACTS.both("1.5 a cursor is iterated, is true, has no len() and counts anew each time it is asked")
def cursor(thing: Any, platform: Any) -> None:
    sql = thing.ctx.storage.sql
    sql.exec("CREATE TABLE t(n)")
    sql.exec("INSERT INTO t VALUES (1.5), (2.5), (3.5)")
    rows = sql.exec("SELECT n FROM t")
    assert rows
    with pytest.raises(TypeError, match="has no len"):
        len(rows)
    before = rows.rowsRead
    assert [row.n for row in rows] == [1.5, 2.5, 3.5]
    assert before < rows.rowsRead
    assert rows.columnNames == ["n"]
    assert sql.exec("SELECT n FROM t").toArray() == [{"n": 1.5}, {"n": 2.5}, {"n": 3.5}]


@FACTS.both("1.5 rows are dicts whose columns are attributes, too")
def rows(thing: Any, platform: Any) -> None:
    row: Any = thing.ctx.storage.sql.exec("SELECT 'x' AS name, NULL AS none").one()
    assert dict in type(row).__mro__
    assert (row["name"], row.name, row.none) == ("x", "x", None)
    with pytest.raises(AttributeError, match="no column 'other'"):
        _ = row.other


CROSSING = [
    None, True, False, 1, -(2**53) + 1, 2**70, 1.0, 1.5, float("inf"), "text", "", b"bytes", [1, [2]], (1, (2,)),
    bytearray(b"x"), {"a": {"b": [None]}}, {1: "a"}, {1, 2}, frozenset({3}), datetime(2020, 1, 2, 3, 4, 5, 678000, UTC),
]  # fmt: skip


async def crossed(thing: Any, value: Any) -> list[Any]:
    """What comes of it: stored with await, stored without, returned by another object."""
    await thing.ctx.storage.put("key", value)
    thing.ctx.storage.kv.put("other", value)
    return [
        await thing.ctx.storage.get("key"), thing.ctx.storage.kv.get("other"),
        await thing.env.THINGS.getByName("b").echo(value),
    ]  # fmt: skip


@FACTS.both("1.5 values keep their Python type and meaning, stored or sent", program=ECHO)
async def values(thing: Any, platform: Any) -> None:
    for value in CROSSING:
        for found in await crossed(thing, value):
            assert found == value
            assert isinstance(found, type(value))
    for each in (1.0, 1, True, (1,), [1]):
        assert await thing.env.THINGS.getByName("b").kind(each) == type(each).__name__


@FACTS.both("1.5 what to_js makes crosses as what it stands for", program=ECHO)
async def from_javascript(thing: Any, platform: Any) -> None:
    value = platform.to_js({"list": [1, (2,)], "bytes": b"x", "set": {1}, "inner": {"none": None}})
    for found in await crossed(thing, value):
        assert found["bytes"] == b"x"
        assert (found["inner"], found["set"]) == ({"none": None}, {1})
        assert [found["list"][0], *found["list"][1]] == [1, 2]
        assert isinstance(found, dict)
        assert isinstance(found["list"], list)


@FACTS.cloudflare(
    "1.5 dicts arrive with their items as attributes, at every depth, and can be set by attribute", program=ECHO
)
async def dicts(thing: Any, platform: Any) -> None:
    value = {"user": {"name": "Ann"}, "list": [{"n": 1}]}
    for found in await crossed(thing, value):
        assert (found.user.name, found.list[0].n) == ("Ann", 1)
        found.user.name = "Bob"
        assert found == {"user": {"name": "Bob"}, "list": [{"n": 1}]}
        with pytest.raises(AttributeError):
            _ = found.missing
    listed = await thing.ctx.storage.list()
    assert listed.key.user.name == "Ann"
    assert (await thing.ctx.storage.get(["key"])).key.user.name == "Ann"


@FACTS.inside("1.5 in a program that does not import workers they are plain")
async def plain(thing: Any) -> None:
    await thing.ctx.storage.put("key", {"a": {"b": b"x"}})
    found = await thing.ctx.storage.get("key")
    assert (type(found), type(found["a"]), type(found["a"]["b"])) == (dict, dict, bytes)


@FACTS.cloudflare("1.5 bytes arrive as bytes that have what a buffer has there", program=ECHO)
async def buffers(thing: Any, platform: Any) -> None:
    thing.ctx.storage.sql.exec("CREATE TABLE t(b BLOB)")
    thing.ctx.storage.sql.exec("INSERT INTO t VALUES(?)", b"abc")
    row = thing.ctx.storage.sql.exec("SELECT b FROM t").one()
    for found in [*await crossed(thing, b"abc"), row.b]:
        assert (found, bytes(found), found.to_bytes(), found.tobytes()) == (b"abc",) * 4
        assert (found.nbytes, found.byteLength, len(found), bytes(found.to_memoryview())) == (3, 3, 3, b"abc")


@FACTS.both("1.5 what has no counterpart is refused by type and place, as a DataCloneError", program=ECHO)
async def refused(thing: Any, platform: Any) -> None:
    class Own:
        pass

    for value in (Own(), 1j, range(3)):
        with pytest.raises(TypeError, match=r"value.*: <class .*> cannot be stored or sent") as caught:
            await thing.ctx.storage.put("key", value)
        error: Any = caught.value
        assert (type(error).__name__, error.name) == ("DataCloneError", "DataCloneError")
        assert isinstance(error, platform.JsException)


@FACTS.both("1.5 a coroutine that was not awaited is refused before it leaves", program=ECHO)
async def coroutine(thing: Any, platform: Any) -> None:
    async def late() -> int:
        return 1

    work = late()
    with pytest.raises(TypeError, match="await it first"):
        await thing.ctx.storage.put("key", work)
    work.close()


@FACTS.both_driven(
    '1.5 what the platform would refuse or change is an error under portability = "error"',
    program=ECHO, portability="error",
)  # fmt: skip
async def strict(stage: Stage, platform: Any) -> None:
    async def part(thing: Any) -> list[str]:
        found: list[str] = []
        for value in ((1,), bytearray(b"x"), 2**53, {1: "a"}):
            with pytest.raises(TypeError) as caught:
                await thing.ctx.storage.put("key", value)
            found.append(getattr(caught.value, "kind", str(caught.value)))
        return found

    assert await stage.run(part) == ["value-tuple", "value-bytearray", "value-large-int", "value-keys"]


@FACTS.cloudflare_driven(
    "1.5 and told once by default, in a program that imports workers", program=ECHO, portability="auto"
)
async def told(stage: Stage, platform: Any) -> None:
    async def part(thing: Any) -> None:
        for _ in range(2):
            await thing.ctx.storage.put("key", (1,))

    await stage.run(part)
    told = [m.text for m in stage.gateway.of(wire.Log) if "value-tuple" in m.text]
    assert len(told) == 1


@FACTS.cloudflare("1.5 python_to_rpc and python_from_rpc go there and back")
def there_and_back(thing: Any, platform: Any) -> None:
    sent = platform.python_to_rpc({"a": [1, {"b": None}], "c": b"x"})
    assert (sent.a.length, sent.a[1].b, sent.c.byteLength) == (2, platform.jsnull, 1)
    assert isinstance(sent, platform.JsProxy)
    back = platform.python_from_rpc(sent)
    assert (type(back), type(back.a), type(back.a[1])) == (Row, list, Row)
    assert back.a == [1, {"b": None}]

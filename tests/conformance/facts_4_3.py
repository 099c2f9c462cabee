"""Sync KV: `storage.kv`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from durable import StorageError
from tests.conformance.stage import Facts, Thing

FACTS = Facts()


@FACTS.inside("4.3 get, put and delete are synchronous, one key at a time")
def synchronous(thing: Thing) -> None:
    kv: Any = thing.ctx.storage.kv
    assert kv.put("k", [1]) is None
    assert kv.get("k") == [1]
    assert kv.get("missing") is None
    assert kv.get("missing", 7) == 7
    assert (kv.delete("k"), kv.delete("k")) == (True, False)
    with pytest.raises(TypeError):
        kv.get(["a", "b"])


@FACTS.inside("4.3 list is a lazy iterator of pairs")
def lazy(thing: Thing) -> None:
    kv: Any = thing.ctx.storage.kv
    for key in "abc":
        kv.put(key, key.upper())
    entries = kv.list()

    assert isinstance(entries, Iterator)
    assert next(entries) == ("a", "A")
    kv.put("bb", "late")
    kv.delete("c")
    assert list(entries) == [("b", "B"), ("bb", "late")]
    assert list(entries) == []


@FACTS.inside("4.3 the iterator's next() says done for ever")
def protocol(thing: Thing) -> None:
    kv: Any = thing.ctx.storage.kv
    kv.put("a", 1)
    entries = kv.list()

    assert entries.next() == {"done": False, "value": ["a", 1]}
    assert entries.next() == {"done": True}
    assert entries.next() == {"done": True}


@FACTS.inside("4.3 list takes the options of the async list")
def options(thing: Thing) -> None:
    kv: Any = thing.ctx.storage.kv
    for key in "abcd":
        kv.put(key, 0)

    assert [key for key, _ in kv.list({"startAfter": "a", "reverse": True, "limit": 2})] == ["d", "c"]
    assert [key for key, _ in kv.list(prefix="b")] == ["b"]
    with pytest.raises(TypeError, match="kv.list\\(\\) has no option 'limits' \\(did you mean 'limit'\\?\\)"):
        kv.list(limits=2)


@FACTS.inside("4.3 put of None stores None, and so does put without a value: it does not throw as the async one does")
def put_none(thing: Thing) -> None:
    kv: Any = thing.ctx.storage.kv
    kv.put("a", None)
    kv.put("b")
    assert dict(kv.list()) == {"a": None, "b": None}


@FACTS.inside("4.3 a second list invalidates an iterator that is not finished")
async def invalidated(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.put({"a": 1, "b": 2})
    first = storage.kv.list()
    next(first)
    second = storage.kv.list()

    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            next(first)
        assert str(caught.value).startswith(
            "kv.list() iterator was invalidated because a new call to kv.list() was started. Only one kv.list()"
            " iterator can exist at a time."
        )
    assert list(second) == [("a", 1), ("b", 2)]


@FACTS.inside("4.3 an async list invalidates it too")
async def invalidated_by_async(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.put({"a": 1, "b": 2})
    first = storage.kv.list()
    await storage.list()

    with pytest.raises(StorageError, match="kv.list\\(\\) iterator was invalidated"):
        next(first)


@FACTS.inside("4.3 a finished iterator is not invalidated")
def finished(thing: Thing) -> None:
    kv: Any = thing.ctx.storage.kv
    kv.put("a", 1)
    first = kv.list()
    assert list(first) == [("a", 1)]
    kv.list()
    assert list(first) == []


@FACTS.inside("4.3 an iterator outlives nothing that deletes all keys")
async def deleted(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.put({"a": 1, "b": 2})
    entries = storage.kv.list()
    next(entries)
    await storage.delete_all()

    with pytest.raises(StorageError, match="canceled because the database was deleted"):
        next(entries)


@FACTS.inside("4.3 it shares its data with the async methods")
async def shared(thing: Thing) -> None:
    storage: Any = thing.ctx.storage
    await storage.put("a", 1)
    storage.kv.put("b", 2)

    assert storage.kv.get("a") == 1
    assert await storage.get("b") == 2


@FACTS.inside("4.3 without SQLite the getter succeeds and its use throws", sqlite=False)
def no_sqlite(thing: Thing) -> None:
    kv: Any = thing.ctx.storage.kv
    for use in (lambda: kv.get("a"), lambda: kv.put("a", 1), lambda: kv.delete("a"), kv.list):
        with pytest.raises(StorageError, match="The storage.kv \\(synchronous KV\\) API is only available for SQLite"):
            use()

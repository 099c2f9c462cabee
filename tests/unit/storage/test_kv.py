"""Keys and values of one object."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from durable.errors import DataCloneError, SqlError
from durable.storage.actor_store import ActorStore

MISSING = object()


@pytest.fixture
def letters(store: ActorStore) -> ActorStore:
    store.kv.put_many({key: key.upper() for key in "badc"})
    return store


def test_a_stored_none_is_not_a_missing_key(store: ActorStore) -> None:
    store.kv.put("nothing", None)

    assert store.kv.get("nothing", MISSING) is None
    assert store.kv.get("else", MISSING) is MISSING
    assert store.kv.get("else") is None


def test_looking_for_a_key_makes_no_file(store: ActorStore, object_file: Path) -> None:
    assert store.kv.get("a", 1) == 1
    assert store.kv.get_many(["a"]) == {}
    assert store.kv.list() == {}
    assert store.kv.delete("a") is False
    assert store.kv.delete_many(["a", "b"]) == 0

    assert not object_file.exists()
    assert not store.exists


def test_values_keep_their_types_in_the_file(open_store: Callable[[], ActorStore]) -> None:
    value = {"when": datetime(2024, 1, 1, tzinfo=UTC), "price": Decimal("1.50"), "pair": (1, {2}), "big": 2**80}
    first = open_store()
    first.kv.put("k", value)
    first.commit()

    assert open_store().kv.get("k") == value


def test_a_value_is_copied_in_and_out(store: ActorStore) -> None:
    value = [1]
    store.kv.put("k", value)
    value.append(2)
    store.kv.get("k").append(3)

    assert store.kv.get("k") == [1]


def test_several_keys_come_sorted_and_without_the_missing_ones(letters: ActorStore) -> None:
    found = letters.kv.get_many(["d", "zz", "a", "d"])

    assert list(found.items()) == [("a", "A"), ("d", "D")]


def test_delete_says_what_existed(letters: ActorStore) -> None:
    assert letters.kv.delete("a") is True
    assert letters.kv.delete("a") is False
    assert letters.kv.delete_many(["b", "nope", "c"]) == 2
    assert letters.kv.list() == {"d": "D"}


def test_put_replaces(store: ActorStore) -> None:
    store.kv.put("k", 1)
    store.kv.put("k", 2)

    assert store.kv.list() == {"k": 2}


def test_the_order_is_that_of_the_keys_bytes(store: ActorStore) -> None:
    keys = ["b", "é", "5", "a", "Z", "\U0001f600", "\uffee", ""]
    store.kv.put_many(dict.fromkeys(keys, 0))

    assert list(store.kv.list()) == ["", "5", "Z", "a", "b", "é", "\uffee", "\U0001f600"]
    assert list(store.kv.list()) == sorted(keys, key=str.encode)


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, "abcd"),
        ({"start": "b"}, "bcd"),
        ({"start_after": "b"}, "cd"),
        ({"end": "c"}, "ab"),
        ({"start": "b", "end": "d"}, "bc"),
        ({"start": "b", "end": "d", "reverse": True}, "cb"),
        ({"start_after": "b", "reverse": True}, "dc"),
        ({"reverse": True, "limit": 2}, "dc"),
        ({"limit": 2}, "ab"),
        ({"limit": 99}, "abcd"),
        ({"limit": 10**30}, "abcd"),
        ({"prefix": "b"}, "b"),
        ({"prefix": "b", "start": "a"}, "b"),
        ({"prefix": "b", "start": "c"}, ""),
        ({"prefix": ""}, "abcd"),
        ({"prefix": "x"}, ""),
        ({"start": "d", "end": "a"}, ""),
        ({"start": "b", "end": "b"}, ""),
        ({"start_after": "b", "end": "c"}, ""),
        ({"start": "", "end": ""}, ""),
    ],
)
def test_list_takes_the_options_of_the_platform(letters: ActorStore, options: dict[str, Any], keys: str) -> None:
    assert list(letters.kv.list(**options)) == list(keys)


def test_a_prefix_ends_where_the_next_one_begins(store: ActorStore) -> None:
    last = "\U0010ffff"
    store.kv.put_many(dict.fromkeys(["p", "p" + last, "p" + last + "x", "q", "\ud7ff", "\ud7ffx", "\ue000", last], 0))

    assert list(store.kv.list(prefix="p")) == ["p", "p" + last, "p" + last + "x"]
    assert list(store.kv.list(prefix="p" + last)) == ["p" + last, "p" + last + "x"]
    assert list(store.kv.list(prefix="\ud7ff")) == ["\ud7ff", "\ud7ffx"]
    assert list(store.kv.list(prefix=last)) == [last]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "a", "start_after": "a"}, "list() cannot be called with both start and start_after values."),
        ({"limit": 0}, "List limit must be positive, got 0."),
        ({"limit": -1}, "List limit must be positive, got -1."),
        ({"limit": 1.5}, "list() takes an int as limit, got float"),
        ({"limit": True}, "list() takes an int as limit, got bool"),
        ({"start": b"a"}, "a key is a str, got bytes"),
    ],
)
def test_wrong_options_are_refused(store: ActorStore, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        store.kv.list(**options)

    assert str(caught.value) == message


def test_a_number_is_taken_as_its_digits_as_on_the_platform(store: ActorStore) -> None:
    store.kv.put(5, "five")  # type: ignore[arg-type]

    assert store.kv.list() == {"5": "five"}
    assert store.kv.get("5") == "five"


@pytest.mark.parametrize("key", [None, 1.5, b"k", True, ("a",), ["a"]])
def test_what_is_no_key_is_refused(store: ActorStore, key: Any) -> None:
    for use in (store.kv.get, store.kv.delete, lambda key: store.kv.put(key, 1), lambda key: store.kv.get_many([key])):
        with pytest.raises(TypeError) as caught:
            use(key)
        assert str(caught.value) == f"a key is a str, got {type(key).__name__}"


def test_a_key_of_2048_bytes_fits_and_one_more_does_not(store: ActorStore) -> None:
    store.kv.put("é" * 1024, 1)

    assert store.kv.get("é" * 1024) == 1
    with pytest.raises(SqlError) as caught:
        store.kv.put("é" * 1024 + "x", 1)
    assert str(caught.value).startswith("a key may have 2048 bytes, got 2049: 'éééé")
    with pytest.raises(TypeError, match="the key has a lone surrogate at index 1"):
        store.kv.get("a\ud800")


def test_an_entry_of_2_mib_fits_and_a_larger_one_is_refused_before_it_is_written(store: ActorStore) -> None:
    room = 2 * 1024 * 1024
    store.kv.put("k", b"x" * (room - 64))
    assert len(store.kv.get("k")) == room - 64

    with pytest.raises(SqlError) as caught:
        store.kv.put("k", b"x" * room)
    assert str(caught.value).startswith("string or blob too big (the value of 'k' takes 2097158 bytes encoded")
    assert str(caught.value).endswith(": SQLITE_TOOBIG")
    assert len(store.kv.get("k")) == room - 64


@pytest.mark.parametrize("bad", [object(), b"x" * 3_000_000])
def test_of_several_entries_all_are_stored_or_none(store: ActorStore, bad: object) -> None:
    with pytest.raises((DataCloneError, SqlError)):
        store.kv.put_many({"a": 1, "b": bad, "c": 3})

    assert store.kv.list() == {}


def test_a_value_that_cannot_be_kept_is_refused_with_its_place(store: ActorStore) -> None:
    with pytest.raises(DataCloneError, match=r"value\['f'\]: <class 'function'> cannot be stored or sent"):
        store.kv.put("k", {"f": lambda: None})


def test_rolling_back_the_put_that_made_the_table_leaves_keys_usable(store: ActorStore) -> None:
    for undo in (lambda name: store.rollback_to(name), lambda name: store.rollback()):
        name = store.savepoint()
        store.kv.put("a", 1)
        undo(name)
        assert store.kv.get("a", MISSING) is MISSING

    store.kv.put("a", 2)
    assert store.kv.get("a") == 2

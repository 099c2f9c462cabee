"""A page of objects in every order: against a sort of everything, and that no file is made or opened."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from durable.errors import StorageCorruptError, UserInputError
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.listing_place import ListingPlace, place_of
from durable.storage.object_listing import SORTS, Space, StoredObject, Wish, list_objects

ROOM = Space("Room", "Room-0123456789ab")
CALL = Space("Call", "Call-0123456789ab")


def identity(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    layout = StateLayout(tmp_path / "state")
    layout.ensure()
    return layout


def fill(layout: StateLayout, space: Space, numbers: Sequence[int]) -> None:
    """Every third without a name, half of them with an alarm; sizes, times and moments that often are the same."""
    layout.ensure_namespace(space.key)
    index = NamespaceIndex(layout.index_file(space.key))
    rows: list[IndexRow] = []
    for number in numbers:
        name = None if number % 3 == 0 else f"room {number % 50} é" if number % 2 else f"room {number}"
        rows.append(IndexRow(identity(number), name, number % 7, 0, number % 5 if number % 2 else None))
        file = layout.object_file(space.key, identity(number))
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * (number % 4))
        log = Path(f"{file}-wal")
        log.write_bytes(b"x" * (number % 3))
        for each in (file, log):
            os.utime(each, ns=(0, (number % 6) * 1_000_000_000))
        Path(f"{file}-times").write_bytes(b"not counted")
    index.put_many(rows)
    index.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> StateLayout:
    """To be read only."""
    layout = StateLayout(tmp_path_factory.mktemp("made") / "state")
    layout.ensure()
    fill(layout, ROOM, range(60))
    fill(layout, CALL, range(60, 100))
    return layout


@pytest.fixture
def filled(made: StateLayout, tmp_path: Path) -> StateLayout:
    shutil.copytree(made.state, tmp_path / "state")
    return StateLayout(tmp_path / "state")


def everything(layout: StateLayout, spaces: Sequence[Space], wish: Wish) -> list[StoredObject]:
    """All pages, with as many on each as are wished for."""
    found: list[StoredObject] = []
    while True:
        listing = list_objects(layout, spaces, wish)
        assert len(listing.objects) <= wish.limit
        found += listing.objects
        if listing.after is None:
            assert listing.count == len(found)
            return found
        assert len(listing.objects) == wish.limit
        place = place_of(listing.after.to_word(), wish.sort)
        wish = Wish(wish.sort, wish.limit, wish.reverse, wish.name_glob, place)


def value(each: StoredObject, sort: str) -> str | int | None:
    return {
        "name": each.known.name,
        "created": each.known.created_ms,
        "alarm": each.known.alarm_ms,
        "size": each.bytes,
        "used": each.used_ms,
    }[sort]


@pytest.mark.parametrize(
    ("sort", "reverse", "limit", "glob"), list(product(SORTS, (False, True), (1, 7, 100), (None, "room 1*")))
)
def test_pages_joined_are_everything_once_and_in_order(
    made: StateLayout, sort: str, reverse: bool, limit: int, glob: str | None
) -> None:
    found = everything(made, [ROOM, CALL], Wish(sort, limit, reverse, glob))

    named = [number for number in range(100) if number % 3]
    wanted = range(100) if glob is None else named
    ids = {
        identity(number)
        for number in wanted
        if glob is None or str(number % 50 if number % 2 else number).startswith("1")
    }
    assert {each.known.id for each in found} == ids
    assert len(found) == len(ids)
    descending = (sort in ("size", "used", "created")) != reverse

    def order(each: StoredObject) -> tuple[object, ...]:
        by = value(each, sort)
        if sort == "name":
            return each.space.class_name, by, each.known.id
        return by, each.space.class_name, each.known.id

    with_value = [each for each in found if value(each, sort) is not None]
    assert [order(each) for each in with_value] == sorted((order(each) for each in with_value), reverse=descending)
    if sort == "alarm":
        assert all(value(each, sort) is None for each in found[len(with_value) :])


def test_by_name_classes_come_one_after_the_other_and_nameless_objects_last_in_each(filled: StateLayout) -> None:
    found = everything(filled, [ROOM, CALL], Wish("name", 9))

    assert [each.space.class_name for each in found] == ["Call"] * 40 + ["Room"] * 60
    assert [each.known.name is None for each in found[:40]] == [False] * 26 + [True] * 14


def test_size_and_time_are_those_of_the_file_and_its_log(filled: StateLayout) -> None:
    found = everything(filled, [ROOM], Wish("size", 100))

    by_id = {each.known.id: each for each in found}
    assert by_id[identity(11)].bytes == 11 % 4 + 11 % 3
    assert by_id[identity(11)].used_ms == 5_000
    assert by_id[identity(11)] in list_objects(filled, [ROOM], Wish("created", 100)).objects


def test_an_object_without_a_file_has_no_size_and_no_time(filled: StateLayout) -> None:
    for suffix in ("", "-wal"):
        Path(f"{filled.object_file(ROOM.key, identity(11))}{suffix}").unlink()

    for sort in SORTS:
        found = {each.known.id: each for each in everything(filled, [ROOM], Wish(sort, 100))}
        assert (found[identity(11)].bytes, found[identity(11)].used_ms) == (0, None)


def test_a_link_in_place_of_a_file_is_not_followed(filled: StateLayout, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 1000)
    file = filled.object_file(ROOM.key, identity(11))
    file.unlink()
    file.symlink_to(large)

    for sort in ("name", "size"):
        assert max(each.bytes for each in everything(filled, [ROOM], Wish(sort, 100))) < 1000


def test_what_is_in_memory_is_newer_than_its_files(filled: StateLayout) -> None:
    listing = list_objects(filled, [ROOM], Wish("used", 1), used_ms={identity(12): 9_000, identity(13): 1})

    assert [(each.known.id, each.used_ms) for each in listing.objects] == [(identity(12), 9_000)]


def test_a_narrowed_listing_has_these_objects_alone_known_or_not(filled: StateLayout) -> None:
    among = {ROOM.key: {identity(10): "another name", identity(12): "its name", identity(999): "stored nothing"}}

    for sort in SORTS:
        listing = list_objects(filled, [ROOM, CALL], Wish(sort, 10), among=among)
        found = {each.known.id: each.known for each in listing.objects}
        assert listing.count == 3
        assert found[identity(10)].name == "room 10"
        assert (found[identity(12)].name, found[identity(12)].created_ms) == ("its name", 5)
        assert (found[identity(999)].name, found[identity(999)].created_ms) == ("stored nothing", None)


def test_a_class_without_an_index_has_no_objects_and_gets_none(layout: StateLayout) -> None:
    for sort in SORTS:
        assert list_objects(layout, [ROOM], Wish(sort, 10)).objects == ()
    assert list_objects(layout, [ROOM], Wish("name", 10), among={ROOM.key: {identity(1): "a"}}).count == 1

    assert not layout.namespace_folder(ROOM.key).exists()


def test_an_index_that_is_none_is_refused(layout: StateLayout) -> None:
    layout.ensure_namespace(ROOM.key)
    layout.index_file(ROOM.key).write_bytes(b"nothing that SQLite knows" * 100)

    with pytest.raises(StorageCorruptError, match=r"index\.sqlite"):
        list_objects(layout, [ROOM], Wish("name", 10))


def test_looking_changes_no_file(filled: StateLayout) -> None:
    def files() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_size)
            for path in filled.state.rglob("*")
            if path.is_file()
        }

    before = files()
    for sort in SORTS:
        everything(filled, [ROOM, CALL], Wish(sort, 7))

    assert files() == before


# --- the word for a place --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("by", ["room é", "a\ud800b", 'quoted " and \n more', "", None])
def test_a_place_is_a_word_of_letters_and_comes_back(by: str | None) -> None:
    place = ListingPlace("name", by, "Room", identity(1))

    assert place.to_word().replace("-", "").replace("_", "").isalnum()
    assert place.to_word()[0].isalpha()
    assert place_of(place.to_word(), "name") == place


@pytest.mark.parametrize("word", ["", "x", "é", "WzFd", "bnVsbA", "W" * 100_000, "-" * 64])
def test_what_no_listing_has_said_is_refused(word: str) -> None:
    with pytest.raises(UserInputError, match="--after is not a place in a listing"):
        place_of(word, "name")


@pytest.mark.parametrize("place", [ListingPlace("size", 1, "Room", "0"), ListingPlace("alarm", "x", "Room", "0")])
def test_a_place_of_another_order_is_refused(place: ListingPlace) -> None:
    with pytest.raises(UserInputError, match="--after is from a listing that was sorted by"):
        place_of(place.to_word(), "alarm")

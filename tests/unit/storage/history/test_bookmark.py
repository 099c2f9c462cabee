"""The text of bookmarks."""

from __future__ import annotations

import pytest

from durable.errors import StorageError
from durable.storage.history.bookmark import (
    Bookmark,
    Position,
    bookmark_at,
    chain_of,
    looks_like_bookmark,
    parse_bookmark,
    undo_bookmark,
)

ID = "ab" * 32


def test_a_bookmark_looks_like_the_platforms() -> None:
    text = str(bookmark_at(Position(7, 42), ID))

    assert text == f"00000007-0000002a-00000000-{chain_of(ID)}"
    assert parse_bookmark(text, ID) == Bookmark(7, 42, 0, chain_of(ID))
    assert looks_like_bookmark(text)
    assert not looks_like_bookmark("2026-01-31T12:00:00Z")


def test_later_states_have_greater_bookmarks_and_undoing_comes_last_of_its_segment() -> None:
    places = [Position(0, 1), Position(0, 10), Position(0, 4096), Position(1, 0), Position(16, 3), Position(256, 1)]
    texts = [str(bookmark_at(place, ID)) for place in places]

    assert texts == sorted(texts)
    undo = str(undo_bookmark(Position(0, 10), "x", 5, ID))
    assert texts[2] < undo < texts[3]


def test_the_same_question_has_the_same_undo_bookmark_and_another_has_another() -> None:
    undo = undo_bookmark(Position(0, 10), "x", 5, ID)

    assert undo == undo_bookmark(Position(0, 10), "x", 5, ID)
    others = [
        undo_bookmark(Position(0, 11), "x", 5, ID),
        undo_bookmark(Position(0, 10), "y", 5, ID),
        undo_bookmark(Position(0, 10), "x", 6, ID),
    ]
    assert len({undo.nonce, *(other.nonce for other in others)}) == 4
    assert undo.nonce


@pytest.mark.parametrize("text", ["", "now", "0" * 59, f"0000000G-0000002a-00000000-{'0' * 32}", f" {'0' * 58}"])
def test_what_is_no_bookmark_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(StorageError, match=r"a bookmark looks like 00000007-0000002a-00000000-0c3e87bb.*got '"):
        parse_bookmark(text, ID)


def test_another_objects_bookmark_is_refused() -> None:
    text = str(bookmark_at(Position(1, 2), "cd" * 32))

    with pytest.raises(StorageError) as caught:
        parse_bookmark(text, ID)

    assert str(caught.value) == f"the bookmark {text} belongs to another object; use one that this object returned"


def test_a_bookmark_is_a_text() -> None:
    with pytest.raises(TypeError, match="a bookmark is a str, got int"):
        parse_bookmark(7, ID)  # type: ignore[arg-type]

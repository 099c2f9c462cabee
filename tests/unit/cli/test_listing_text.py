"""The table of `durable objects list`: what fits, what is left out, what is cut and what is escaped."""

from __future__ import annotations

from datetime import datetime

import pytest

from durable_cli.console import Ink
from durable_cli.data.listing_types import ListedObject, ListPage, ListQuery, every_object
from durable_cli.text.listings import page_end_text, page_text

NOW_MS = 1_800_000_000_000
PLAIN = Ink(False)


def listed(name: str | None, **facts: object) -> ListedObject:
    known: dict[str, object] = {
        "class_name": "Room", "namespace": "Room-0123456789ab", "id": "ab" * 32, "name": name, "bytes": 8192,
        "created_ms": NOW_MS - 90_061_000, "used_ms": NOW_MS - 61_000, "alarm_ms": None, "schema_version": None,
        "state": "stopped",
    }  # fmt: skip
    return ListedObject(**{**known, **facts})  # type: ignore[arg-type]


def text(*objects: ListedObject, query: ListQuery | None = None, width: int = 80) -> str:
    page = ListPage(objects, count=len(objects), now_ms=NOW_MS)
    return page_text(page, query or ListQuery("Room"), PLAIN, width=width, now_ms=NOW_MS)


def test_columns_that_say_nothing_are_left_out() -> None:
    assert text(listed("general"), listed("a", bytes=0, used_ms=None)) == (
        "name        size  last used\n"
        "general  8.0 KiB   1m1s ago\n"
        "a              -          -"
    )  # fmt: skip


def test_a_column_is_there_when_one_object_has_something_to_say() -> None:
    found = text(
        listed("general", alarm_ms=NOW_MS + 9_000_500, sockets=12, schema_version=4, state="hibernated"),
        listed("lobby", alarm_ms=NOW_MS, state="inactive", used_ms=NOW_MS),
        listed("x", state="unknown"),
        query=ListQuery(sort="alarm"),
    )

    lines = found.splitlines()
    assert lines[0].split() == [
        "class", "name", "size", "last", "used", "alarm", "sockets", "schema", "state",
    ]  # fmt: skip
    assert lines[1].endswith("in 2h30m       12       4  hibernated")
    assert lines[2].split()[:5] == ["Room", "lobby", "8.0", "KiB", "now"]
    assert lines[2].endswith("due        -       -  asleep")
    assert lines[3].endswith("unknown: its process is busy")


def test_by_creation_its_moment_stands_in_place_of_the_last_use() -> None:
    lines = text(listed("general"), query=ListQuery("Room", sort="created")).splitlines()

    assert lines[0].split() == ["name", "size", "created"]
    assert lines[1].split("  ")[2] == datetime.fromtimestamp(NOW_MS / 1000 - 90_061).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize("width", [40, 80, 132])
def test_a_long_name_is_cut_in_its_middle_and_a_line_fits(width: int) -> None:
    name = "/".join(f"part {number}" for number in range(100))

    lines = text(listed(name), listed("b"), width=width).splitlines()

    assert {len(line) for line in lines} <= {width, *(len(line) for line in lines if "…" not in line)}
    assert "…" in lines[1]
    assert lines[1].startswith("part 0")
    assert "part 99  " in lines[1]


def test_without_a_terminal_a_name_is_whole() -> None:
    assert f"\n{'n' * 1000}  8.0 KiB" in text(listed("n" * 1000), width=0)


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    lines = text(listed("日本語"), listed("e\u0301"), listed("abcdef")).splitlines()

    assert lines[1:] == [
        "日本語  8.0 KiB   1m1s ago",
        "e\u0301       8.0 KiB   1m1s ago",
        "abcdef  8.0 KiB   1m1s ago",
    ]
    assert text(listed("日" * 100), width=33).splitlines()[1] == "日日日…日日日  8.0 KiB   1m1s ago"


def test_a_hostile_name_is_harmless_wherever_it_stands() -> None:
    hostile = "\x1b[2J\u202e\r\n\x9b"
    query = ListQuery(hostile, name_glob=hostile)
    page = ListPage((listed(hostile, class_name=hostile),), after="Wx", count=2)

    said = text(listed(hostile, class_name=hostile), query=ListQuery()) + page_end_text(page, query)
    said += page_end_text(ListPage(()), query) + page_end_text(ListPage(()), ListQuery(hostile))

    assert all(character.isprintable() or character == "\n" for character in said)
    assert said.count("\n") == 1


def test_an_object_without_a_name_is_shown_by_the_option_that_names_it() -> None:
    assert f"--id {'ab' * 32}" in text(listed(None), width=0)


def test_the_end_names_the_command_for_the_next_page_with_all_that_was_asked() -> None:
    query = ListQuery("Room", name_glob="a b*", sort="size", reverse=True, live_only=True, limit=7)

    assert page_end_text(ListPage((listed("a"),), after="WxY", count=20), query) == (
        "1 of 20 objects; the next ones: "
        "durable objects list Room --name 'a b*' --sort size --reverse --live --limit 7 --after WxY"
    )
    assert page_end_text(ListPage((listed("a"),), after="WxY", count=20), ListQuery()).endswith("list --after WxY")
    assert page_end_text(ListPage((listed("a"),), count=1), query) == ""


@pytest.mark.parametrize(
    ("query", "is_running", "told"),
    [
        (ListQuery(), True, "There are no objects yet."),
        (ListQuery("Room"), False, "There are no objects of Room yet."),
        (ListQuery("Room", name_glob="x*"), True, 'No object of Room has a name like "x*".'),
        (ListQuery(live_only=True), True, "No object is in memory."),
        (ListQuery("Room", live_only=True), False, "No object of Room is in memory: no emulator runs here."),
        (ListQuery(after="Wx"), True, "There are no more."),
    ],
)
def test_an_empty_page_says_why(query: ListQuery, is_running: bool, told: str) -> None:
    assert page_end_text(ListPage((), is_running=is_running), query) == told


def test_every_object_follows_the_pages_to_their_end() -> None:
    asked: list[ListQuery] = []
    pages = [ListPage((listed("a"), listed("b")), after="W1"), ListPage((listed("c"),))]

    def list_page(query: ListQuery) -> ListPage:
        asked.append(query)
        return pages[len(asked) - 1]

    query = ListQuery("Room", name_glob="*")
    assert [each.name for each in every_object(list_page, query)] == ["a", "b", "c"]
    assert asked == [query, ListQuery("Room", name_glob="*", after="W1")]

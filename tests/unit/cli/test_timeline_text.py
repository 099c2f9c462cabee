from __future__ import annotations

from typing import Any

from durable_cli.console import Ink
from durable_cli.text.timelines import timeline_text

AT_MS = 1_700_000_000_123.4


def event(kind: str, what: str, outcome: str = "ok", **more: Any) -> dict[str, Any]:
    return {
        "at_ms": AT_MS, "duration_ms": 0.25, "kind": kind, "what": what, "outcome": outcome, "class": "Room",
        "name": "a", "id": "f" * 64, "source": "host", **more,
    }  # fmt: skip


def shown(*events: dict[str, Any], of_one: bool = True, colour: bool = False, **more: Any) -> list[str]:
    answer = {"events": events, "left_out": False, "silent_hosts": [], **more}
    return [line[14:] for line in timeline_text(answer, Ink(colour), of_one=of_one).splitlines()]


def test_lines_stand_below_each_other_with_how_long_it_took() -> None:
    assert shown(
        event("request", "GET /room/a", "200", duration_ms=12.6),
        event("sql", "SELECT *\n  FROM t", rows=1),
        event("call", "say", storage_operations=2, duration_ms=1500.0),
        event("evict", "", duration_ms=0),
    ) == [
        "    13 ms  request    GET /room/a  200",
        "  0.25 ms  sql        SELECT * FROM t  1 row",
        "    1.5 s  call       say  2 storage operations",
        "           evict",
    ]


def test_what_failed_is_red_and_what_went_well_says_nothing() -> None:
    assert shown(event("call", "say", "ValueError: no such room"))[0].endswith("say  ValueError: no such room")
    assert "\x1b[31mValueError" in timeline_text(
        {"events": [event("call", "say", "ValueError: x")], "left_out": False, "silent_hosts": []},
        Ink(True),
        of_one=True,
    )


def test_objects_are_named_where_there_are_several() -> None:
    assert shown(event("call", "say"), of_one=False) == ['  0.25 ms  call       Room "a" say']
    assert shown(event("call", "say", name=None), of_one=False) == ["  0.25 ms  call       Room ffffffff say"]
    assert shown(event("reload", "main.py") | {"class": None}, of_one=False) == ["  0.25 ms  reload     main.py"]


def test_what_code_and_clients_said_cannot_move_the_cursor() -> None:
    line = "".join(shown(event("sql", "SELECT '\x1b[2J'", "\x1b]0;x\x07", name="\u202e"), of_one=False))
    assert line.isprintable()


def test_what_is_missing_is_said() -> None:
    answer = {
        "events": [], "left_out": True, "silent_hosts": [{"shard": 0, "reason": "it did not answer within 1 s"}],
    }  # fmt: skip
    assert timeline_text(answer, Ink(False), of_one=True).splitlines() == [
        "… and more before these: --limit shows them",
        "without what host 0 remembers: it did not answer within 1 s",
    ]


def test_nothing_is_said_to_be_nothing() -> None:
    answer = {"events": [], "left_out": False, "silent_hosts": []}
    assert timeline_text(answer, Ink(False), of_one=True) == "nothing has happened yet"

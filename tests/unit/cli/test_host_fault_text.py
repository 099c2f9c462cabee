"""Lines about hosts that hang, block or die."""

from __future__ import annotations

import json

from durable.supervisor.events import BlockedLoop, HostBlocked, HostDied
from durable.wire.messages import Frame
from durable_cli.console import Ink
from durable_cli.text.events import JsonFormatter, PrettyFormatter
from durable_cli.text.host_faults import FRAMES_SHOWN_MAX

ENGINE = Frame("/lib/durable/actor/turn.py", 70, "send", "return self._coroutine.send(value)", False)
SPIN = Frame("main.py", 12, "spin", "while True:", True)
FETCH = Frame("main.py", 30, "fetch", "return self.spin()", True)


def shown(event: object) -> str:
    return PrettyFormatter(Ink(False)).text(event)


def test_a_blocked_host_shows_the_users_lines_whose_they_are_and_what_happens_next() -> None:
    event = HostBlocked(4711, 0, 1.0, 30.0, (SPIN, ENGINE, FETCH), ('Room "general"',))

    assert shown(event) == (
        'the host (pid 4711) has not answered for 1.0 s: it is at main.py:12 in spin (Room "general")\n'
        "  main.py:12 in spin\n"
        "    while True:\n"
        "  main.py:30 in fetch\n"
        "    return self.spin()\n"
        "  all of its objects wait; it is replaced after 30 s (watchdog_seconds in [dev])"
    )


def test_a_blocked_host_without_a_stack_says_why_and_without_a_limit_says_so() -> None:
    event = HostBlocked(4711, 0, 1.25, 0.0, (), (), "the process was halted by a signal")

    assert shown(event) == (
        "the host (pid 4711) has not answered for 1.2 s: the process was halted by a signal\n"
        "  all of its objects wait, for ever if need be: watchdog_seconds in [dev] is 0"
    )


def test_without_frames_of_the_users_the_innermost_are_shown() -> None:
    assert shown(HostBlocked(1, 0, 1.0, 30.0, (ENGINE,), ())).splitlines()[1:3] == [
        "  /lib/durable/actor/turn.py:70 in send",
        "    return self._coroutine.send(value)",
    ]


def test_a_blocking_call_is_one_line_with_what_to_write_instead() -> None:
    event = BlockedLoop('Room "general"', "main.py", 31, "nap", "time.sleep(0.4)", 403.7, "use await asyncio.sleep")

    assert shown(event) == (
        'Room "general": time.sleep(0.4) blocked every object of this process for about 400 ms: main.py:31; '
        "use await asyncio.sleep"
    )


def test_a_dead_host_shows_where_it_was() -> None:
    died = HostDied(12, 0, "exited with code 3 in main.py:12 in spin (while True:)", (SPIN, ENGINE, FETCH))
    heading = "the host (pid 12) exited with code 3 in main.py:12 in spin (while True:); starting another"

    assert shown(died).splitlines() == [
        heading,
        "  main.py:12 in spin",
        "    while True:",
        "  main.py:30 in fetch",
        "    return self.spin()",
    ]
    assert shown(HostDied(12, 0, died.cause, (SPIN, ENGINE))) == heading


def test_a_deep_recursion_is_folded() -> None:
    lines = shown(HostDied(12, 0, "died", (SPIN,) * 100)).splitlines()

    assert len(lines) == 1 + 2 * FRAMES_SHOWN_MAX + 1
    assert lines[-1] == f"  … {100 - FRAMES_SHOWN_MAX} more of yours"


def test_what_user_code_named_cannot_move_the_cursor() -> None:
    hostile = Frame("ma\x1b[2Jin.py", 1, "f\x9b", "x = '\x1b]0;title\x07'", True)
    events = [
        HostBlocked(1, 0, 1.0, 30.0, (hostile,), ("Room \x1b[31m",)),
        BlockedLoop("Room \x1b[31m", "m\x1b", 1, "f", "\x07", 400.0, "\x1b"),
        HostDied(1, 0, "died in ma\x1b[2Jin.py", (hostile, hostile)),
    ]

    for event in events:
        assert not set("\x1b\x07\x9b") & set(shown(event))


def test_frames_are_objects_in_json() -> None:
    line = json.loads(JsonFormatter().text(HostBlocked(1, 0, 1.0, 30.0, (SPIN,), ("a",))))

    assert line["event"] == "host_blocked"
    assert line["frames"] == [{"file": "main.py", "line": 12, "function": "spin", "user": True}]
    assert line["running"] == ["a"]

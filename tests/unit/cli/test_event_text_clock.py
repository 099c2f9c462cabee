"""The log while the clock is not the machine's."""

from __future__ import annotations

import json

from durable.gateway import events as gateway
from durable_cli.console import Ink
from durable_cli.text.events import JsonFormatter, PrettyFormatter

FIRED = gateway.AlarmFired("Trial", "ada", 1, "done")
DAY_MS = 86_400_000


def test_every_line_is_marked_while_the_clock_is_moved_and_none_when_it_is_not() -> None:
    formatter = PrettyFormatter(Ink(False))
    assert formatter.text(FIRED) == 'alarm done Trial "ada"'
    formatter.clock = lambda: (14 * DAY_MS, False)
    assert formatter.text(FIRED) == '[+14d] alarm done Trial "ada"'
    formatter.clock = lambda: (-1, True)
    assert formatter.text(FIRED) == '[frozen] alarm done Trial "ada"'


def test_json_lines_carry_the_offset_while_there_is_one() -> None:
    formatter = JsonFormatter()
    assert "clock_offset_ms" not in json.loads(formatter.text(FIRED))
    formatter.clock = lambda: (DAY_MS, True)
    line = json.loads(formatter.text(FIRED))
    assert (line["clock_offset_ms"], line["clock_frozen"], line["event"]) == (DAY_MS, True, "alarm_fired")


def test_a_move_of_the_clock_is_told_with_the_way_back() -> None:
    formatter = PrettyFormatter(Ink(False), quiet=True)
    moved, back = gateway.ClockMoved(1_700_000_000_000, DAY_MS, False), gateway.ClockMoved(1_700_000_000_000, 0, False)
    assert formatter.wanted(moved)
    assert formatter.text(moved).endswith(", +1d; durable alarms reset goes back")
    assert formatter.text(back).endswith(", the machine's time")

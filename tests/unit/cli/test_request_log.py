from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable

from durable_cli.dev.request_log import (
    BOUNDED_LINES_MAX,
    LINES_PER_TICK_MAX,
    TICK_SECONDS,
    BackgroundWriter,
    RequestLog,
)


class Request:
    def __init__(self, text: str = "GET /") -> None:
        self.text = text


class Alarm(Request): ...


class Hidden(Request): ...


class Printed(Request): ...


class Words:
    """Counts how often it is asked, because that is what costs at high rates."""

    def __init__(self) -> None:
        self.asked = 0

    def wanted(self, event: object) -> bool:
        return not isinstance(event, Hidden)

    def is_bounded(self, event: object) -> bool:
        return isinstance(event, Printed)

    def text(self, event: object) -> str:
        self.asked += 1
        assert isinstance(event, Request)
        return event.text

    def left_out(self, counts: Counter[str]) -> str:
        return "\n".join(f"… {count} more {name}" for name, count in counts.items())


class Paper:
    def __init__(self) -> None:
        self.idle = True
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)


class Ticks:
    """The event loop's `call_later`, stepped by the test."""

    def __init__(self) -> None:
        self.planned: list[Callable[[], None]] = []

    def __call__(self, seconds: float, function: Callable[[], None]) -> None:
        assert seconds == TICK_SECONDS
        self.planned.append(function)

    def step(self) -> None:
        planned, self.planned = self.planned, []
        for function in planned:
            function()


def make() -> tuple[RequestLog, Words, Paper, Ticks]:
    words, paper, ticks = Words(), Paper(), Ticks()
    return RequestLog(words, paper, ticks), words, paper, ticks


def test_the_lines_of_one_tick_are_written_in_one_go() -> None:
    log, _, paper, ticks = make()
    log.add(Request("one"))
    log.say("two")
    log.add(Request("three"))
    assert paper.written == []
    ticks.step()
    assert paper.written == ["one\ntwo\nthree\n"]


def test_one_tick_is_planned_for_many_lines_and_none_for_none() -> None:
    log, _, paper, ticks = make()
    log.add(Request())
    log.add(Request())
    assert len(ticks.planned) == 1
    ticks.step()
    assert ticks.planned == []
    log.add(Request())
    assert len(ticks.planned) == 1
    assert len(paper.written) == 1


def test_a_flood_shows_its_first_lines_and_counts_the_rest_without_formatting_it() -> None:
    log, words, paper, ticks = make()
    for _ in range(1500):
        log.add(Request())
    log.add(Alarm())
    ticks.step()
    lines = paper.written[0].splitlines()
    assert lines[LINES_PER_TICK_MAX:] == [f"… {1500 - LINES_PER_TICK_MAX} more Request", "… 1 more Alarm"]
    assert words.asked == LINES_PER_TICK_MAX


def test_the_next_tick_starts_anew() -> None:
    log, _, paper, ticks = make()
    for _ in range(LINES_PER_TICK_MAX + 1):
        log.add(Request())
    ticks.step()
    log.add(Request("later"))
    ticks.step()
    assert paper.written[1] == "later\n"


def test_long_texts_fill_a_tick_by_their_lines() -> None:
    log, _, paper, ticks = make()
    for _ in range(LINES_PER_TICK_MAX):
        log.add(Request("a\nb"))
    ticks.step()
    assert paper.written[0].endswith(f"… {LINES_PER_TICK_MAX // 2} more Request\n")


def test_events_that_nobody_wants_plan_nothing() -> None:
    log, words, _, ticks = make()
    log.add(Hidden())
    assert ticks.planned == []
    assert words.asked == 0


def test_a_terminal_that_stands_still_costs_lines_not_memory() -> None:
    log, _, paper, ticks = make()
    paper.idle = False
    for _ in range(10):
        for _ in range(LINES_PER_TICK_MAX):
            log.add(Request())
        ticks.step()
    assert paper.written == []
    paper.idle = True
    ticks.step()
    assert paper.written[0].endswith(f"… {9 * LINES_PER_TICK_MAX} more Request\n")
    assert paper.written[0].count("\n") == LINES_PER_TICK_MAX + 1


def test_flush_writes_at_once_and_nothing_twice() -> None:
    log, _, paper, ticks = make()
    log.say("last words")
    log.flush()
    log.flush()
    ticks.step()
    assert paper.written == ["last words\n"]


def test_the_writer_writes_in_order_and_ends() -> None:
    stream = io.StringIO()
    writer = BackgroundWriter(stream)
    for number in range(100):
        writer.write(f"{number}\n")
    writer.close()
    assert stream.getvalue().splitlines() == [str(number) for number in range(100)]
    assert writer.idle


def test_the_writer_is_not_idle_while_the_terminal_stands_still() -> None:
    resume = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            resume.wait(10)
            return super().write(text)

    stream = Stuck()
    writer = BackgroundWriter(stream)
    writer.write("x")
    assert not writer.idle
    resume.set()
    writer.close()
    assert stream.getvalue() == "x"


def test_a_reader_that_went_away_is_no_error() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    writer = BackgroundWriter(Closed())
    writer.write("x")
    writer.write("y")
    writer.close()
    assert writer.idle


def test_what_has_a_bound_of_its_own_takes_no_room_from_the_others() -> None:
    log, _, paper, ticks = make()
    for number in range(LINES_PER_TICK_MAX * 3):
        log.add(Printed(f"line {number}"))
    log.add(Request("GET /"))
    ticks.step()
    lines = "".join(paper.written).splitlines()
    assert lines == [f"line {number}" for number in range(LINES_PER_TICK_MAX * 3)] + ["GET /"]


def test_for_a_terminal_that_stands_still_not_even_that_is_kept() -> None:
    log, _, paper, ticks = make()
    paper.idle = False
    for _ in range(BOUNDED_LINES_MAX + 7):
        log.add(Printed("line"))
    paper.idle = True
    ticks.step()
    lines = "".join(paper.written).splitlines()
    assert (len(lines), lines[-1]) == (BOUNDED_LINES_MAX + 1, "… 7 more Printed")

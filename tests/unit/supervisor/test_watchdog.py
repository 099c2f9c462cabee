"""Silence is counted in looks of the gateway's own loop, and told, and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from durable.clock import ManualClock
from durable.gateway.events import Event
from durable.gateway.link import HostLink
from durable.limits import PASS_ON_SECONDS, WATCHDOG_LOOK_SECONDS
from durable.supervisor.events import HostBlocked
from durable.supervisor.stacks import Stack
from durable.supervisor.watchdog import Pulse, Watchdog
from durable.wire.messages import ActorKey, Call, Frame, HttpRequest, Ping

FRAME = Frame("main.py", 12, "spin", "while True:", True)


class Link:
    """Says what the test has the host say."""

    def __init__(self) -> None:
        self.reads = 0
        self.pings: list[Ping] = []
        self.questions: list[Any] = []

    def send(self, ping: Ping) -> None:
        self.pings.append(ping)

    def running(self) -> list[Any]:
        return self.questions


class Host:
    def __init__(self, pid: int = 1) -> None:
        self.pid = pid
        self.shard = 0
        self.said = Link()
        self.link = cast("HostLink", self.said)
        self.pulse = Pulse()
        self.is_excused = self.is_halted = False
        self.label = ""
        self.stack: Stack | None = Stack((FRAME,))
        self.stopped: list[str] = []
        self.silent: list[bool] = []
        self.given_back = 0
        self.answers_looks = False

    async def look(self) -> Stack | None:
        if self.answers_looks:
            self.answer()
            self.pulse.alive()
        return self.stack

    def set_silent(self, silent: bool) -> None:
        self.silent.append(silent)

    async def give_back(self) -> None:
        self.given_back += 1

    def stop_for(self, reason: str) -> None:
        self.stopped.append(reason)

    def answer(self) -> None:
        self.said.reads += 1
        self.pulse.answered = self.pulse.asked


class Bench:
    def __init__(self, *hosts: Host, limit_seconds: float = 30.0) -> None:
        self.clock = ManualClock()
        self.events: list[Event] = []
        self.watchdog = Watchdog(
            lambda: hosts,
            clock=self.clock,
            limit_seconds=lambda: limit_seconds,
            on_event=self.events.append,
            run=self._run,
        )

    def _run(self, work: Coroutine[None, None, None]) -> None:
        with pytest.raises(StopIteration):
            work.send(None)

    def pass_seconds(self, seconds: float, *answering: Host) -> None:
        for _ in range(round(seconds / WATCHDOG_LOOK_SECONDS)):
            self.clock.advance(WATCHDOG_LOOK_SECONDS)
            self.watchdog.look()
            for host in answering:
                host.answer()


def test_a_host_that_answers_is_asked_twice_a_second_and_nothing_is_told() -> None:
    host = Host()
    bench = Bench(host)

    bench.pass_seconds(10, host)

    assert len(host.said.pings) == 20
    assert bench.events == []
    assert host.stopped == []


def test_a_silent_host_is_told_once_and_asked_no_second_question() -> None:
    host = Host()
    host.label = 'Room "a"'
    bench = Bench(host)

    bench.pass_seconds(20)

    assert len(host.said.pings) == 1
    assert bench.events == [HostBlocked(1, 0, 1.0, 30.0, (FRAME,), ('Room "a"',))]
    assert host.stopped == []


def test_a_host_is_stopped_at_the_limit_once_and_with_its_line() -> None:
    host = Host()
    host.label = 'Room "a"'
    bench = Bench(host, limit_seconds=2)

    bench.pass_seconds(5)

    assert host.stopped == [
        'was stopped: it did not answer for 2 s; it was at main.py:12 in spin (while True:), for Room "a"'
    ]


def test_without_a_limit_it_is_told_and_never_stopped() -> None:
    host = Host()
    bench = Bench(host, limit_seconds=0)

    bench.pass_seconds(3600)

    assert len(bench.events) == 1
    assert host.stopped == []


def test_a_short_limit_is_warned_of_half_way() -> None:
    host = Host()
    bench = Bench(host, limit_seconds=1)

    bench.pass_seconds(2)

    assert [event.seconds for event in bench.events if isinstance(event, HostBlocked)] == [0.5]
    assert len(host.stopped) == 1


def test_any_word_of_the_host_ends_the_silence_and_a_new_one_is_told_again() -> None:
    host = Host()
    bench = Bench(host, limit_seconds=3)

    bench.pass_seconds(2)
    host.answer()
    bench.pass_seconds(2)

    assert len(bench.events) == 2
    assert host.stopped == []


def test_an_answer_while_its_stack_is_read_saves_the_host() -> None:
    host = Host()
    bench = Bench(host, limit_seconds=2)
    bench.pass_seconds(1.75)
    host.answers_looks = True

    bench.pass_seconds(0.5)

    assert host.stopped == []
    host.answers_looks = False
    bench.pass_seconds(3)
    assert len(host.stopped) == 1


def test_time_in_which_the_gateway_did_not_run_counts_as_one_look() -> None:
    host = Host()
    bench = Bench(host, limit_seconds=2)
    bench.pass_seconds(0.5)

    for _ in range(2):
        bench.clock.advance(8 * 3600)
        bench.watchdog.look()
        host.answer()

    assert bench.events == []
    assert host.stopped == []


def test_a_host_that_a_debugger_holds_is_given_all_the_time() -> None:
    host = Host()
    host.is_excused = True
    bench = Bench(host, limit_seconds=2)

    bench.pass_seconds(600)

    assert bench.events == []
    assert host.stopped == []
    host.is_excused = False
    bench.pass_seconds(3)
    assert len(host.stopped) == 1


def test_what_was_asked_is_named_where_the_host_cannot_say_which_object_it_is() -> None:
    host = Host()
    room = ActorKey("Room-0123", "a" * 64, "general")
    host.said.questions = [
        HttpRequest(1, None, "GET", "http://localhost:8787/room/general?token=1", []),
        Call(2, room, "post", b""),
    ]
    bench = Bench(host)

    bench.pass_seconds(2)

    (event,) = bench.events
    assert isinstance(event, HostBlocked)
    assert event.running == ("GET /room/general", 'post of Room "general"')


def test_a_missing_stack_is_explained() -> None:
    halted, taken = Host(1), Host(2)
    halted.is_halted = True
    taken.pulse.shows_stack = False
    halted.stack = taken.stack = None
    bench = Bench(halted, taken, limit_seconds=2)

    bench.pass_seconds(3)

    assert [event.no_frames_because for event in bench.events if isinstance(event, HostBlocked)] == [
        "the process was halted by a signal",
        "its code has taken SIGUSR1, which shows where it is",
    ]
    assert halted.stopped == ["was stopped: it did not answer for 2 s after the process was halted by a signal"]


def test_others_get_what_a_silent_host_has_not_begun_where_there_are_others() -> None:
    stuck, fine = Host(1), Host(2)
    bench = Bench(stuck, fine)

    bench.pass_seconds(PASS_ON_SECONDS + 1, fine)
    assert (stuck.silent, stuck.given_back) == ([True], 1)
    assert (fine.silent, fine.given_back) == ([], 0)
    stuck.answer()
    bench.pass_seconds(1, fine, stuck)
    assert stuck.silent == [True, False]

    alone = Host()
    Bench(alone).pass_seconds(5)
    assert alone.silent == []


async def test_it_looks_by_itself_from_start_to_stop() -> None:
    host = Host()
    bench = Bench(host)
    looked = asyncio.Event()
    bench.watchdog.look = looked.set  # type: ignore[method-assign]

    bench.watchdog.start()
    async with asyncio.timeout(10):
        await looked.wait()
    bench.watchdog.stop()

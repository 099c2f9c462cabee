"""The clock in the developer's hand: what is kept, what hosts are told, and how an advance goes on and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable.clock import ClockSetting, SystemClock
from durable.errors import UserInputError
from durable.gateway.events import ClockMoved, GatewayFault
from durable.gateway.time_control import TimeControl
from durable.wire.messages import ClockSet

START_MS = 1_700_000_000_000


class Link:
    def __init__(self, said: list[object]) -> None:
        self.said = said
        self.lost: list[Callable[[], None]] = []
        self.send: Callable[[ClockSet], None] = said.append

    def on_lost(self, callback: Callable[[], None]) -> None:
        self.lost.append(callback)


class Moments:
    """Something due at moments; each run is noted with the time that it saw, and may set another moment."""

    def __init__(self, bench: Bench, moments: list[int], again: Callable[[int], int | None] = lambda _: None) -> None:
        self.bench = bench
        self.moments = moments
        self.again = again
        self.blocked: asyncio.Event | None = None
        self.held = False

    async def next_due_ms(self, until_ms: int) -> int | None:
        return min((moment for moment in self.moments if moment <= until_ms), default=None)

    async def run_due(self) -> None:
        assert self.held
        now_ms = self.bench.clock.wall_ms()
        for moment in sorted(moment for moment in self.moments if moment <= now_ms):
            if self.blocked is not None:
                await self.blocked.wait()
            self.moments.remove(moment)
            self.bench.ran.append((moment, self.bench.clock.wall_ms()))
            following = self.again(moment)
            if following is not None:
                self.moments.append(following)

    def clock_moved(self) -> None:
        self.bench.said.append("looked")

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False


class Bench:
    def __init__(self) -> None:
        self.clock = SystemClock()
        self.kept: list[ClockSetting] = []
        self.said: list[object] = []
        self.events: list[Any] = []
        self.ran: list[tuple[int, int]] = []
        self.sources: list[Moments] = []
        self.time = TimeControl(
            self.clock,
            self.sources,
            keep=self.kept.append,
            fired=lambda: len(self.ran),
            on_event=self.events.append,
        )

    def due(self, *moments: int, again: Callable[[int], int | None] = lambda _: None) -> Moments:
        self.sources.append(Moments(self, list(moments), again))
        return self.sources[-1]

    def stand(self) -> Bench:
        self.clock.stand_at(START_MS)
        return self


async def test_hosts_are_told_before_anything_looks_at_the_new_time_and_the_state_keeps_it() -> None:
    bench = Bench().stand()
    bench.due()
    bench.time.listen(Link(bench.said))
    assert bench.said == [ClockSet(0, START_MS)]

    await bench.time.reset()

    assert bench.said[1:] == [ClockSet(0, None), "looked"]
    assert bench.kept == [ClockSetting()]
    assert [(event.offset_ms, event.is_frozen) for event in bench.events] == [(0, False)]


async def test_a_host_of_the_machines_time_is_told_nothing_and_one_that_is_gone_neither() -> None:
    bench = Bench()
    link = Link([])
    bench.time.listen(link)
    assert link.said == []

    link.lost[0]()
    await bench.time.freeze()
    assert link.said == []


async def test_freezing_twice_and_resuming_twice_is_doing_it_once() -> None:
    bench = Bench()
    for _ in range(2):
        await bench.time.freeze()
    assert len(bench.kept) == 1
    for _ in range(2):
        await bench.time.resume()
    assert len(bench.kept) == 2
    assert bench.clock.setting.frozen_ms is None


async def test_moments_of_several_sources_are_run_in_order_each_at_its_own_time() -> None:
    bench = Bench().stand()
    bench.due(START_MS + 5000, START_MS + 1000, START_MS + 90_000)
    bench.due(START_MS + 3000, again=lambda moment: moment + 1500 if moment == START_MS + 3000 else None)

    advance = bench.time.begin_advance(duration_ms=60_000)
    await bench.time.wait_advance()

    assert [saw - START_MS for _, saw in bench.ran] == [1000, 3000, 4500, 5000]
    assert all(moment == saw for moment, saw in bench.ran)
    assert (advance.ended, advance.failure, advance.alarms, advance.now_ms) == (True, "", 4, START_MS + 60_000)
    assert bench.clock.setting == ClockSetting(0, START_MS + 60_000)
    assert bench.kept[-1] == bench.clock.setting
    assert not any(source.held for source in bench.sources)
    assert [type(event) for event in bench.events] == [ClockMoved]


async def test_what_is_due_again_at_once_lets_a_millisecond_pass() -> None:
    bench = Bench().stand()
    bench.due(START_MS + 1, again=lambda moment: moment)

    bench.time.begin_advance(duration_ms=4)
    await bench.time.wait_advance()

    assert [saw - START_MS for _, saw in bench.ran] == [1, 2, 3, 4]


async def test_a_running_clock_is_moved_by_the_whole_duration_however_long_its_alarms_take() -> None:
    bench = Bench()
    bench.due()

    bench.time.begin_advance(duration_ms=7_200_000)
    await bench.time.wait_advance()

    assert bench.clock.setting == ClockSetting(7_200_000)


async def test_an_advance_that_is_stopped_leaves_the_clock_where_it_got_to() -> None:
    bench = Bench().stand()
    bench.due(START_MS + 1000)
    stuck = bench.due(START_MS + 2000)
    advance = bench.time.begin_advance(duration_ms=60_000)
    stuck.blocked = asyncio.Event()
    while not bench.ran or bench.clock.wall_ms() < START_MS + 2000:
        await asyncio.sleep(0)

    with pytest.raises(UserInputError, match="being advanced already"):
        bench.time.begin_advance(duration_ms=1)
    await bench.time.freeze()

    assert (advance.ended, advance.failure, advance.now_ms) == (True, "it was stopped", START_MS + 2000)
    assert bench.clock.setting == ClockSetting(0, START_MS + 2000)
    assert not stuck.held


async def test_a_source_that_fails_ends_the_advance_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench().stand()
    source = bench.due(START_MS + 1000)

    async def broken(_until_ms: int) -> int | None:
        raise OSError("disk")

    monkeypatch.setattr(source, "next_due_ms", broken)
    advance = bench.time.begin_advance(duration_ms=60_000)
    await bench.time.wait_advance()

    assert advance.failure == "OSError: disk"
    assert [type(event) for event in bench.events] == [GatewayFault, ClockMoved]
    assert bench.clock.wall_ms() == START_MS


async def test_the_clock_goes_neither_back_nor_beyond_the_last_alarm() -> None:
    bench = Bench().stand()
    with pytest.raises(UserInputError, match="not set back"):
        bench.time.begin_advance(duration_ms=-1)
    with pytest.raises(UserInputError, match="2189"):
        bench.time.begin_advance(duration_ms=10**13)
    assert bench.clock.wall_ms() == START_MS


async def test_the_next_moment_is_the_earliest_of_all_sources() -> None:
    bench = Bench().stand()
    assert await bench.time.next_due_ms() is None
    bench.due(START_MS + 9)
    bench.due(START_MS + 4, START_MS + 8)
    assert await bench.time.next_due_ms() == START_MS + 4

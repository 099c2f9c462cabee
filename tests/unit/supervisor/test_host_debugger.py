"""What a host at a prompt keeps from counting, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable.limits import DEBUGGER_STOPS_MAX
from durable.supervisor.events import DebuggerContinued, DebuggerStopped
from durable.supervisor.host_debugger import HostDebugger
from durable.wire.messages import DebuggerEntered, DebuggerLeft, DebuggerListening


class Room:
    """A link, and who listens to the debugger."""

    def __init__(self) -> None:
        self.handlers: dict[type, Callable[[Any], None]] = {}
        self.events: list[object] = []
        self.silent: list[bool] = []
        self.debugger = HostDebugger(self, 7, self.events.append, self.silent.append)  # type: ignore[arg-type]

    def on(self, kind: type, handler: Callable[[Any], None]) -> None:
        self.handlers[kind] = handler

    def says(self, message: object) -> None:
        self.handlers[type(message)](message)

    def stops(self, number: int) -> None:
        self.says(DebuggerEntered(number, 'Room "a"', "Room.f", "main.py", 12))


@pytest.fixture
def room() -> Room:
    return Room()


async def test_a_stop_is_told_and_its_end_when_no_other_stands(room: Room) -> None:
    room.stops(1)
    room.stops(2)
    assert room.debugger.is_stopped
    room.says(DebuggerLeft(1))
    assert room.debugger.is_watching
    assert room.events == [DebuggerStopped(7, 'Room "a"', "Room.f", "main.py", 12)] * 2
    # The end of the second thread's stop may be said before that of the first.
    room.says(DebuggerLeft(2))
    room.says(DebuggerLeft(2))
    assert not room.debugger.is_watching
    assert room.events[2:] == [DebuggerContinued(7)]
    assert room.silent == [True, True, False]


async def test_time_at_the_prompt_does_not_count(room: Room) -> None:
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    room.stops(1)
    waiting = asyncio.ensure_future(room.debugger.wait(answer, 0.0))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    room.says(DebuggerLeft(1))
    await waiting
    assert not answer.done()


async def test_without_a_stop_it_counts(room: Room) -> None:
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await room.debugger.wait(answer, 0.0)
    assert not answer.done()


async def test_an_answer_ends_the_waiting_even_at_a_prompt(room: Room) -> None:
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    room.stops(1)
    waiting = asyncio.ensure_future(room.debugger.wait(answer, 0.0))
    await asyncio.sleep(0)
    answer.set_result(1)
    await waiting


@pytest.mark.parametrize("end", ["the host is gone", "the emulator stops"])
async def test_whatever_ends_it_nobody_waits_on(room: Room, end: str) -> None:
    room.stops(1)
    waiting = asyncio.ensure_future(room.debugger.wait_continued())
    await asyncio.sleep(0)
    assert not waiting.done()
    if end == "the host is gone":
        room.debugger.host_gone()
        room.debugger.host_gone()
        assert room.events[1:] == [DebuggerContinued(7, died=True)]
    else:
        room.debugger.forget()
    await waiting
    assert not room.debugger.is_stopped


async def test_a_host_cannot_make_us_remember_more_than_so_many_stops(room: Room) -> None:
    for number in range(DEBUGGER_STOPS_MAX + 5):
        room.stops(number)
    assert len(room.events) == DEBUGGER_STOPS_MAX


async def test_an_editor_keeps_the_watchdog_off_and_nothing_else(room: Room) -> None:
    room.says(DebuggerListening(4711))
    room.debugger.clients += 1
    assert room.debugger.port == 4711
    assert room.debugger.is_watching
    assert not room.debugger.is_stopped

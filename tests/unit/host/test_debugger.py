"""When a host says that it stops, waits, and goes on. The terminal itself is met in the acceptance tests."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from durable.errors import DebuggerUnavailableError
from durable.host import debugger as room
from durable.host.debugger import Debugger, PdbFinder, Place
from durable.wire.messages import DebuggerEntered, DebuggerLeft, Message

PLACE = Place('Room "a"', "Room.f", "main.py", 12)
ENTERED = DebuggerEntered(1, 'Room "a"', "Room.f", "main.py", 12)


class FakeHost:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.said: list[Message] = []
        self.sent = 0

    def send(self, message: Message) -> None:
        self.said.append(message)

    def send_now(self) -> None:
        self.sent = len(self.said)

    def own_file(self, file: str) -> str | None:
        return None


class FakeTerminal:
    def __init__(self, descriptor: int, stop: int) -> None:
        self.stop = stop
        self.kept = False
        self.prompts = 0

    def begin_prompt(self, interrupted: object) -> None:
        self.kept = False
        self.prompts += 1

    def keep(self) -> None:
        self.kept = True

    def close(self) -> None:
        pass


@pytest.fixture
def foreground(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process groups that have the terminal, look by look; the last one stays."""
    groups = [1]
    monkeypatch.setattr(room, "Terminal", FakeTerminal)
    system: Any = SimpleNamespace(**{name: getattr(os, name) for name in ("O_RDWR", "O_NOCTTY", "O_CLOEXEC")})
    system.open = lambda *_: 99
    system.getpgrp = lambda: 1
    system.tcgetpgrp = lambda _: groups.pop(0) if len(groups) > 1 else groups[0]
    monkeypatch.setattr(room, "os", system)
    monkeypatch.setattr(room, "POLL_SECONDS", 0.0005)
    return groups


async def test_it_says_so_before_it_waits_and_when_it_is_over(foreground: list[int]) -> None:
    host = FakeHost()
    foreground[:] = [5, 5, 1]
    with Debugger(host, terminal=True).prompt(PLACE, interrupted=signal.SIG_IGN):
        assert (host.said, host.sent, foreground) == ([ENTERED], 1, [1])
    assert (host.said, host.sent) == ([ENTERED, DebuggerLeft(1)], 2)


async def test_without_a_terminal_it_says_nothing_and_raises(foreground: list[int]) -> None:
    host = FakeHost()
    with pytest.raises(DebuggerUnavailableError, match=r"^main\.py:12 stops in the debugger, and there is no terminal"):
        with Debugger(host, terminal=False).prompt(PLACE, interrupted=signal.SIG_IGN):
            raise AssertionError("nobody could type anything")
    assert host.said == []


async def test_a_terminal_that_cannot_be_opened_is_none(foreground: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> int:
        raise OSError(6, "No such device or address")

    monkeypatch.setattr("durable.host.debugger.os.open", gone)
    host = FakeHost()
    with pytest.raises(DebuggerUnavailableError):
        with Debugger(host, terminal=True).prompt(PLACE, interrupted=signal.SIG_IGN):
            raise AssertionError("nobody could type anything")
    assert host.said == []


async def test_between_two_steps_the_terminal_stays_for_a_moment(
    foreground: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "STEP_SECONDS", 0.0)
    host = FakeHost()
    debugger = Debugger(host, terminal=True)
    for _ in range(3):
        with debugger.prompt(PLACE, interrupted=signal.SIG_IGN) as terminal:
            terminal.keep()
    assert host.said == [ENTERED]
    for _ in range(5):
        await asyncio.sleep(0)
    assert host.said == [ENTERED, DebuggerLeft(1)]


async def test_a_thread_that_stops_is_said_although_the_loop_stands_at_the_next_stop(foreground: list[int]) -> None:
    host = FakeHost()
    debugger = Debugger(host, terminal=True)
    inside, go_on = threading.Event(), threading.Event()

    def stop() -> None:
        with debugger.prompt(PLACE, interrupted=signal.SIG_IGN):
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=stop)
    thread.start()
    assert inside.wait(10)
    threading.Timer(0.02, go_on.set).start()
    # The loop does not run from here on: what the thread has to say must not wait for it.
    with debugger.prompt(PLACE, interrupted=signal.SIG_IGN):
        assert [type(message) for message in host.said] == [DebuggerEntered, DebuggerLeft, DebuggerEntered]
    thread.join()


async def test_time_at_the_prompt_is_nobodys_time(foreground: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(room, "stood_still", told.append)
    times = iter([10.0, 25.0])
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: next(times)))
    with Debugger(FakeHost(), terminal=True).prompt(PLACE, interrupted=signal.SIG_IGN):
        pass
    assert told == [15.0]


def test_whoever_looks_for_pdb_without_importing_it_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    adapted: list[ModuleType] = []
    monkeypatch.delitem(sys.modules, "pdb", raising=False)
    finder: Any = PdbFinder(adapted.append)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    for _ in range(2):
        assert importlib.util.find_spec("pdb") is not None
    assert adapted == []
    module = importlib.import_module("pdb")
    assert adapted == [module]

"""Who has the terminal: on a pseudo-terminal whose session is another one, so that nothing here is ever halted."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from durable.supervisor.events import DebuggerContinued, DebuggerStopped
from durable_cli.dev import terminal_handover
from durable_cli.dev.terminal_handover import TerminalHandover


class Diary:
    """Keys, log and writer: what was asked of them, in order."""

    def __init__(self) -> None:
        self.is_written = True
        self.told: list[str] = []

    def suspend(self) -> None:
        self.told.append("keys off")

    def resume(self) -> None:
        self.told.append("keys on")

    def flush(self) -> None:
        self.told.append("flush")

    def hold(self) -> None:
        self.told.append("hold")

    def release(self) -> None:
        self.told.append("release")

    def write(self, text: str) -> None:
        self.told.append("settle")


class Groups:
    """The foreground as the kernel would keep it; ours is 1."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.foreground = 1
        self.dead: set[int] = set()
        monkeypatch.setattr(os, "getpgrp", lambda: 1)
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: self.foreground)
        monkeypatch.setattr(os, "tcsetpgrp", self._set)

    def _set(self, _: int, group: int) -> None:
        if group in self.dead:
            raise PermissionError
        self.foreground = group


@pytest.fixture
def terminal() -> Iterator[int]:
    hand, terminal = os.openpty()
    yield terminal
    os.close(hand)
    os.close(terminal)


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    return Groups(monkeypatch)


def stopped(pid: int, *, terminal: bool = True) -> DebuggerStopped:
    return DebuggerStopped(pid, 'Room "a"', "Room.f", "main.py", 12, terminal=terminal)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_is_lent_after_the_log_was_written_and_comes_back_as_it_was(terminal: int, groups: Groups) -> None:
    diary = Diary()
    before = termios.tcgetattr(terminal)
    handover = TerminalHandover(diary, diary, diary, terminal)

    handover.hear(stopped(7))
    await turns()
    assert (groups.foreground, diary.told) == (7, ["flush", "hold", "keys off"])
    assert termios.tcgetattr(terminal)[6][termios.VSUSP] == b"\x00"

    handover.hear(DebuggerContinued(7))
    assert (groups.foreground, diary.told[3:]) == (1, ["keys on", "release"])
    assert termios.tcgetattr(terminal) == before


async def test_whoever_stops_meanwhile_waits_for_his_turn(terminal: int, groups: Groups) -> None:
    diary = Diary()
    handover = TerminalHandover(diary, diary, diary, terminal)
    for pid in (7, 8, 9, 7):
        handover.hear(stopped(pid))
        await turns()
    assert groups.foreground == 7
    handover.hear(DebuggerContinued(8))
    handover.hear(DebuggerContinued(7))
    await turns()
    assert groups.foreground == 9
    handover.hear(DebuggerContinued(9, died=True))
    await turns()
    assert groups.foreground == 1
    assert diary.told[-1] == "settle"


async def test_a_host_that_dies_at_that_moment_costs_nothing(terminal: int, groups: Groups) -> None:
    diary = Diary()
    handover = TerminalHandover(diary, diary, diary, terminal)
    groups.dead.add(7)
    handover.hear(stopped(7))
    await turns()
    assert (groups.foreground, diary.told[-3:]) == (1, ["keys on", "release", "settle"])
    handover.hear(DebuggerContinued(7, died=True))
    handover.hear(stopped(8))
    await turns()
    assert groups.foreground == 8


async def test_a_debugger_that_talks_elsewhere_and_other_events_change_nothing(terminal: int, groups: Groups) -> None:
    diary = Diary()
    handover = TerminalHandover(diary, diary, diary, terminal)
    for event in (stopped(7, terminal=False), DebuggerContinued(7), object()):
        handover.hear(event)
    await turns()
    handover.end()
    assert (groups.foreground, diary.told) == (1, [])


async def test_in_the_background_it_waits_for_the_foreground(
    terminal: int, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_handover, "_BACKGROUND_SECONDS", 0.0)
    diary = Diary()
    handover = TerminalHandover(diary, diary, diary, terminal)
    groups.foreground = 99  # the shell's, after Ctrl+Z and `bg`
    handover.hear(stopped(7))
    await turns()
    assert groups.foreground == 99
    assert "keys off" not in diary.told

    groups.foreground = 1
    await turns()
    assert groups.foreground == 7
    handover.end()
    assert groups.foreground == 1


def test_without_the_block_of_the_signal_the_kernel_would_halt_us() -> None:
    """The twin: what `_take_back` does, without what protects it."""
    code = (
        "import os, signal, sys, time\n"
        "os.setsid(); hand, terminal = os.openpty()\n"
        "import fcntl, termios; fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.setpgid(0, 0)\n"
        "    if sys.argv[1] == 'blocked': signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})\n"
        "    os.tcsetpgrp(terminal, os.getpgrp()); os._exit(0)\n"
        "_, status = os.waitpid(child, os.WUNTRACED)\n"
        "print(os.WIFSTOPPED(status)); os.kill(child, signal.SIGKILL) if os.WIFSTOPPED(status) else None\n"
    )

    def halted(how: str) -> str:
        return subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True).stdout

    assert signal.SIGTTOU
    assert (halted("blocked"), halted("plain")) == ("False\n", "True\n")

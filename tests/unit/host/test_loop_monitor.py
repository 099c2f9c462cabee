"""A step of user code that takes long is named once, with its line, its object and what to write instead."""

from __future__ import annotations

import asyncio
import linecache
import sys
from collections.abc import Callable
from typing import Any

import pytest

from durable.clock import ManualClock
from durable.host.loop_monitor import LoopMonitor
from durable.wire.messages import Frame, LoopBlocked

FILE = "/project/main.py"


class Bench:
    """The loop is the test's own; the thread that looks is played by the program, in the midst of its steps."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.said: list[LoopBlocked] = []
        self.shown: list[str] = []
        self.monitor = LoopMonitor(
            asyncio.get_running_loop().call_soon_threadsafe,
            own_file=lambda file: "main.py" if file == FILE else None,
            say=self.said.append,
            show=self.shown.append,
            now=self.clock.monotonic,
        )

    def look(self, seconds: float = 0.0) -> float:
        """Let time pass, then look at whoever calls this."""
        self.clock.advance(seconds)
        return self.monitor.look(sys._getframe(1))

    def idle(self, seconds: float = 0.05) -> None:
        self.clock.advance(seconds)
        self.monitor.look(None)

    async def step(self, source: str, file: str = FILE) -> None:
        """Run a line of the user's as a callback of the loop; `look` is at its hand."""
        self.idle()
        linecache.cache[file] = (len(source), None, [source + "\n"], file)
        code = compile(source, file, "exec")
        over = asyncio.get_running_loop().create_future()

        def callback() -> None:
            exec(code, {"look": self.look, "time": _Time})
            over.set_result(None)

        asyncio.get_running_loop().call_soon(callback)
        await over
        # What it was asked to do when the loop runs again.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        linecache.cache.pop(file)


class _Time:
    sleep: Callable[..., Any] = staticmethod(lambda *_: None)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_step_that_lasts_over_two_looks_is_named_once(bench: Bench) -> None:
    await bench.step("look(0.05); look(0.3); time.sleep(0.4)")
    await bench.step("look(0.05); look(0.3); time.sleep(0.4)")

    (blocked,) = bench.said
    assert blocked.frame == Frame("main.py", 1, "<module>", "look(0.05); look(0.3); time.sleep(0.4)", True)
    assert blocked.milliseconds == pytest.approx(325)
    assert blocked.fix == "use await asyncio.sleep"


async def test_steps_that_are_short_are_no_matter_how_many_there_are(bench: Bench) -> None:
    for _ in range(20):
        await bench.step("look(0.05)")

    assert bench.said == []


async def test_a_step_of_less_than_the_bound_is_not_named(bench: Bench) -> None:
    await bench.step("look(0.05); look(0.06)")

    assert bench.said == []


async def test_what_takes_long_without_code_of_the_users_is_not_named(bench: Bench) -> None:
    await bench.step("look(0.05); look(0.3)", file="/site-packages/package.py")

    assert bench.said == []


async def test_a_step_that_a_debugger_holds_is_not_named(bench: Bench) -> None:
    source = "def stop():\n    look(0.05)\n    look(60)\n"
    debugger: dict[str, Any] = {"look": bench.look}
    exec(compile(source, "/usr/lib/python3.11/bdb.py", "exec"), debugger)
    _Time.sleep = debugger["stop"]

    await bench.step("time.sleep(); look(0.3); look(0.3)")

    assert bench.said == []


async def test_code_that_held_the_interpreter_is_named_though_it_was_seen_only_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = iter([0.0, 3.0, 3.0, 3.0])
    monkeypatch.setattr("durable.host.loop_monitor.process_time", lambda: next(busy))

    await bench.step("look(3)")

    assert [round(blocked.milliseconds) for blocked in bench.said] == [3000]


async def test_a_gap_in_which_the_process_did_nothing_is_nobodys(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable.host.loop_monitor.process_time", lambda: 0.0)

    await bench.step("look(3600)")

    assert bench.said == []


@pytest.mark.parametrize(
    ("source", "fix"),
    [
        ("subprocess.run(['ls'])", "use await asyncio.create_subprocess_exec"),
        ("os.system('ls')", "use await asyncio.create_subprocess_shell"),
        ("requests.get(url)", "use await fetch(), or await asyncio.to_thread"),
        ("urlopen(url)", "use await fetch(), or await asyncio.to_thread"),
        ("self.ctx.storage.sql.exec(query)", "an index, or smaller steps with an await between them"),
        ("compute(table)", "use await asyncio.to_thread for what takes long"),
    ],
)
async def test_what_to_write_instead_follows_from_the_line(bench: Bench, source: str, fix: str) -> None:
    await bench.step(f"look(0.05); look(0.3)  # {source}")

    assert [blocked.fix for blocked in bench.said] == [fix]


async def test_places_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable.host.loop_monitor.BLOCKED_PLACES_TOLD_MAX", 3)
    for number in range(5):
        await bench.step("\n" * number + "look(0.05); look(0.3)")

    assert len(bench.said) == 3


async def test_what_was_found_at_work_is_looked_at_again_soon(bench: Bench) -> None:
    found: list[float] = []
    _Time.sleep = lambda: found.extend([bench.look(0.05), bench.look(0.02), bench.look(0.05)])

    await bench.step("time.sleep()")

    assert found[0] < found[1] == found[2]

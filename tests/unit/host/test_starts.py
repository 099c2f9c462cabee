"""Threads and processes: told where they are started, and no longer when nobody wants to know."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import CodeType
from typing import Any

import pytest

from durable.host import guard
from durable.host.starts import watch_starts
from durable.sdk import portability


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    lines: list[tuple[str, str]] = []

    def watch(kind: str, what: str, code: CodeType | None = None) -> None:
        lines.append((kind, what))

    portability.watch = watch
    yield lines
    portability.watch = None


def start_thread() -> None:
    thread = threading.Thread(target=int, name="counting")
    thread.start()
    thread.join()


def test_a_thread_is_told_by_its_name_until_the_end(told: list[tuple[str, str]]) -> None:
    loop = asyncio.new_event_loop()
    unwatch = watch_starts(loop)
    start_thread()
    assert told == [("thread", "the thread 'counting' is started")]

    unwatch()
    start_thread()
    loop.close()

    assert len(told) == 1


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_function_in_a_thread_that_is_there_already_is_told_too(told: list[tuple[str, str]], kind: str) -> None:
    new_loop: Any = asyncio.new_event_loop if kind == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    async def work() -> None:
        unwatch = watch_starts(asyncio.get_running_loop())
        await asyncio.to_thread(int)
        await asyncio.to_thread(int)
        unwatch()
        await asyncio.to_thread(int)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work())

    assert [what for _, what in told].count("a function runs in a thread") == 2


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_process_of_the_loop_is_told(told: list[tuple[str, str]], kind: str) -> None:
    new_loop: Any = asyncio.new_event_loop if kind == "asyncio" else pytest.importorskip("uvloop").new_event_loop

    async def work() -> None:
        unwatch = watch_starts(asyncio.get_running_loop())
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await process.wait()
        unwatch()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work())

    assert told == [("process", "a process is started")]


EVENTS = {
    "import subprocess; subprocess.run(['true'])": "a process is started",
    "import os; os.system('true')": "a process is started",
    "import os; os.posix_spawn('/bin/true', ['true'], {})": "a process is started",
    "import os; os.fork() or os._exit(0)": "this process is forked",
    "import os; os.execv('/bin/true', ['true'])": "this process is replaced by another program",
}


@pytest.mark.parametrize("code", EVENTS)
@pytest.mark.parametrize("watches", [True, False])
def test_every_way_to_a_process_is_told(code: str, watches: bool, tmp_path: Any) -> None:
    # In an interpreter of its own: an audit hook stays for the life of the process.
    program = (
        "import sys\n"
        "from durable.sdk import portability\n"
        f"from durable.host.guard import Guard\nGuard({str(tmp_path)!r}).install()\n"
        "def watch(kind, what, code=None): print(kind, what, flush=True)\n"
        + ("portability.watch = watch\n" if watches else "")
        + code
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[:1] == ([f"process {EVENTS[code]}"] if watches else [])


def test_every_event_that_is_told_says_what_it_is() -> None:
    assert set(EVENTS.values()) == set(guard._STARTS.values())

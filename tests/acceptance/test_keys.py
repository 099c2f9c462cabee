"""The keys of `durable dev` on a real terminal: words follow the state, and no mistake of theirs ends anything."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.running_dev import WAIT_SECONDS, Dev
from tests.acceptance.test_cli_dev import Keyboard
from tests.settings import settings

CONFIG = settings("Room", "ROOMS")
PROGRAM = """\
import asyncio
from datetime import timedelta

import durable
from durable import DurableObject, Response, WorkerEntrypoint


class Room(DurableObject):
    async def fetch(self, request):
        if request.url.endswith("/alarm"):
            await self.ctx.storage.set_alarm(durable.now() + timedelta(hours=5))
        if request.url.endswith("/timer"):
            asyncio.get_running_loop().call_later(3600, print)
        return Response("ok")

    async def alarm(self):
        print("alarm ran")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ROOMS.get_by_name(request.url.split("/")[3]).fetch(request)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def keyboard(app: Path) -> Iterator[Keyboard]:
    keyboard = Keyboard(app)
    keyboard.wait_seen("[q] quit")
    yield keyboard
    keyboard.close()


def get(keyboard: Keyboard, path: str) -> str:
    address = re.search(r"Ready on http://([0-9.:]+)", keyboard.seen)
    assert address is not None
    with closing(http.client.HTTPConnection(address[1], timeout=WAIT_SECONDS)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def help_of(keyboard: Keyboard) -> str:
    before = keyboard.seen.count("[q] quit")
    keyboard.press("h")
    keyboard.wait(lambda: keyboard.seen.count("[q] quit") > before)
    return next(line for line in reversed(keyboard.seen.splitlines()) if "[q] quit" in line)


def ends_well(keyboard: Keyboard) -> bool:
    keyboard.press("q")
    return keyboard.process.wait(WAIT_SECONDS) == 0


def test_the_next_alarm_has_a_key_while_there_is_one(keyboard: Keyboard) -> None:
    assert "[a]" not in help_of(keyboard)
    keyboard.press("a")
    keyboard.wait_seen("no alarm is set")
    assert get(keyboard, "/a/alarm") == "ok"
    assert "[a] next alarm, in 4h59m" in help_of(keyboard) or "[a] next alarm, in 5h" in help_of(keyboard)
    keyboard.press("a")
    keyboard.wait_seen("1 alarm ran")
    assert "[a]" not in help_of(keyboard)
    assert ends_well(keyboard)


def test_the_key_that_stops_time_makes_it_go_on(keyboard: Keyboard) -> None:
    assert "[f] freeze time" in help_of(keyboard)
    keyboard.press("f")
    keyboard.wait_seen("[f] resume time")
    assert "[f] resume time" in help_of(keyboard)
    keyboard.press("f")
    keyboard.wait_seen("ms; durable alarms reset goes back")
    assert "[f] freeze time" in help_of(keyboard)


def test_a_broken_program_is_loaded_again(keyboard: Keyboard, app: Path) -> None:
    assert "[r] reload" in help_of(keyboard)
    (app / "main.py").write_text("def broken(:\n")
    keyboard.wait_seen("[r] load again")
    assert "[r] load again" in help_of(keyboard)
    (app / "main.py").write_text(PROGRAM)
    keyboard.wait_seen("reloaded in ")
    assert "[r] reload" in help_of(keyboard)


def test_the_clock_is_advanced_by_what_is_typed(keyboard: Keyboard) -> None:
    get(keyboard, "/a/alarm")
    keyboard.press("t")
    keyboard.wait_seen("advance the clock by")
    keyboard.press("9h")
    keyboard.press("\x7f")
    keyboard.press("x\n")
    keyboard.wait_seen('advance: "9x" is not a duration')
    keyboard.press("t")
    keyboard.wait(lambda: keyboard.seen.count("advance the clock by") == 2)
    keyboard.press("\x1b")
    keyboard.wait_seen("(left)")
    assert "[q] quit" in help_of(keyboard)  # h is a key again
    keyboard.press("t")
    keyboard.wait(lambda: keyboard.seen.count("advance the clock by") == 3)
    keyboard.press("6h\n")
    keyboard.wait_seen("1 alarm ran")
    keyboard.wait_seen("+6h; durable alarms reset goes back")
    assert ends_well(keyboard)


def test_every_object_leaves_memory_but_the_pinned(keyboard: Keyboard) -> None:
    for path in ("/a/x", "/b/x", "/c/timer"):
        get(keyboard, path)
    keyboard.press("e")
    keyboard.wait_seen('2 objects have left memory; 1 stays: Room "c" (timer due in ')
    keyboard.press("e")
    keyboard.wait_seen("no object has left memory; 1 stays")


def test_the_host_is_replaced_by_a_fresh_process(keyboard: Keyboard) -> None:
    get(keyboard, "/a/x")
    keyboard.press("s")
    keyboard.wait_seen("restarted: pid ")
    old, new = re.findall(r"restarted: pid (\d+) → (\d+)", keyboard.seen)[0]
    assert old != new
    assert get(keyboard, "/a/x") == "ok"
    assert ends_well(keyboard)


def test_without_a_terminal_there_are_no_keys(app: Path, start_dev: Callable[..., Dev]) -> None:
    run = start_dev(app).wait_ready()
    run.end()
    assert "[q]" not in "\n".join(run.err)

"""`durable dev` as a user meets it: a real process, real signals, a real terminal where keys are concerned."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.running_dev import DURABLE, WAIT_SECONDS, Dev, typed
from tests.settings import settings

CONFIG = (
    settings("Room", "ROOMS")
    + """
[vars]
GREETING = "hello"
"""
)

PROGRAM = """\
import asyncio
from urllib.parse import urlsplit

from durable import DurableObject, Response, WorkerEntrypoint


class Room(DurableObject):
    async def fetch(self, request):
        path = urlsplit(request.url).path
        if path.startswith("/boom"):
            raise ValueError("kaboom from the room")
        if path.startswith("/slow"):
            await asyncio.sleep(60)
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS hits(n INTEGER)")
        sql.exec("INSERT INTO hits VALUES(1)")
        return Response.json(sql.exec("SELECT count(*) AS n FROM hits").one()["n"])


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        parts = urlsplit(request.url).path.split("/")
        if len(parts) < 3:
            return Response(self.env.GREETING)
        return await self.env.ROOMS.get_by_name(parts[2]).fetch(request)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def dev(app: Path, start_dev: Callable[..., Dev]) -> Callable[..., Dev]:
    """`dev("--quiet")` starts one in the app's folder."""
    return partial(start_dev, app)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_says_ready_serves_and_ends_with_0(dev, number: int) -> None:
    run = dev()
    run.wait_ready()
    assert run.get("/") == (200, "hello")
    assert run.end(number) == 0
    assert run.out == [f"Ready on {run.url}"]
    assert "Traceback" not in "\n".join(run.err)


def test_the_start_shows_the_bindings_and_no_secret(dev, app: Path) -> None:
    (app / ".dev.vars").write_text("API_KEY=hunter2\n")
    run = dev()
    run.wait_ready()
    run.end()
    text = "\n".join(run.err)
    assert "env.ROOMS" in text
    assert "Durable Object" in text
    assert "env.API_KEY" in text
    assert "hunter2" not in text


def test_a_request_is_told_with_class_object_status_and_time(dev) -> None:
    run = dev()
    run.wait_ready()
    assert run.get("/room/a") == (200, "1")
    run.wait_told("GET /room/a 200 ")
    line = next(line for line in run.err if line.startswith("GET /room/a"))
    words = line.split()
    assert words[:3] == ["GET", "/room/a", "200"]
    assert words[4:] == ["ms", "Room", '"a"']
    float(words[3])


def test_an_exception_shows_the_users_file_and_line_first(dev) -> None:
    run = dev()
    run.wait_ready()
    status, _ = run.get("/boom/a")
    assert status == 500
    run.wait_told("ValueError: kaboom from the room")
    start = next(index for index, line in enumerate(run.err) if "ValueError: kaboom" in line)
    line_number = PROGRAM.splitlines().index('            raise ValueError("kaboom from the room")') + 1
    assert run.err[start + 1].strip() == f"main.py:{line_number} in fetch"
    marked = next(line for line in run.err[start:] if line.strip().startswith(f"> {line_number} │ "))
    assert marked.endswith('raise ValueError("kaboom from the room")')
    assert 'Room "a"' in run.err[start - 1]


def test_a_save_reloads_and_a_bad_save_keeps_the_last_good_code(dev, app: Path) -> None:
    run = dev()
    run.wait_ready()
    (app / "main.py").write_text(PROGRAM.replace("self.env.GREETING", '"second"'))
    run.wait_told("reloaded in ")
    assert run.get("/") == (200, "second")
    (app / "main.py").write_text("def broken(:\n")
    run.wait_told("SyntaxError")
    run.wait_told("the last good code goes on serving")
    assert any("main.py:1" in line for line in run.err)
    assert run.get("/") == (200, "second")
    assert run.end() == 0


def test_a_program_that_cannot_start_waits_for_the_save_that_mends_it(dev, app: Path) -> None:
    (app / "main.py").write_text("import nothing_of_that_name\n")
    run = dev()
    run.wait_told("nothing serves yet; mend it and save")
    assert run.out == []
    (app / "main.py").write_text(PROGRAM)
    run.wait_ready()
    assert run.get("/") == (200, "hello")


def test_without_reload_a_program_that_cannot_start_ends_with_5(dev, app: Path) -> None:
    (app / "main.py").write_text("raise RuntimeError('at import')\n")
    run = dev("--no-reload")
    assert run.wait_end() == 5
    text = "\n".join(run.err)
    assert "RuntimeError: at import" in text
    assert "main.py:1" in text
    assert "Traceback" not in text
    assert run.out == []


def test_variables_of_the_command_line_win(dev) -> None:
    run = dev("--var", "GREETING=good day")
    run.wait_ready()
    assert run.get("/") == (200, "good day")


def test_json_lines_are_json_and_ready_stays_what_it_is(dev) -> None:
    run = dev("--log-format", "json")
    run.wait_ready()
    run.get("/room/a")
    run.wait_told('"request_served"')
    run.end()
    events = [json.loads(line) for line in run.err]
    assert [event["event"] for event in events][:3] == ["starting", "ready", "request_served"]
    assert events[2]["object_name"] == "a"
    assert run.out == [f"Ready on {run.url}"]


def test_quiet_tells_no_requests(dev) -> None:
    run = dev("--quiet")
    run.wait_ready()
    run.get("/room/a")
    run.get("/boom/a")
    run.wait_told("ValueError")
    assert not any(line.startswith("GET ") for line in run.err)


def test_a_port_that_is_taken_exits_with_2(dev) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = dev("--port", str(port))
        assert run.wait_end() == 2
    text = "\n".join(run.err)
    assert str(port) in text
    assert "error: " in text
    assert "Traceback" not in text


def test_a_second_emulator_is_told_the_pid_of_the_first(dev) -> None:
    first = dev()
    first.wait_ready()
    second = dev()
    assert second.wait_end() == 4
    assert f"is in use by pid {first.process.pid} (durable dev, since " in "\n".join(second.err)
    assert first.get("/") == (200, "hello")


def test_a_python_without_our_package_exits_with_2(dev, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign" / "python"
    foreign.parent.mkdir()
    foreign.write_text(f'#!/bin/sh\nexec {sys.base_prefix}/bin/python3 -I -S "$@"\n')
    foreign.chmod(0o755)
    run = dev("--python", str(foreign))
    assert run.wait_end() == 2
    text = "\n".join(run.err)
    assert str(foreign) in text
    assert "fix: " in text
    assert "bug in durable" not in text


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('main = "main.py"', 'main = "mian.py"', "main.py"),
        ('class_name = "Room"', 'class_name = "Rooom"', "Rooom"),
        ('name = "app"', 'name = "app', "durable.toml:1"),
        ("[[migrations]]", "[[migrationz]]", "migrations"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_answered_with_its_place(
    dev, app: Path, before: str, after: str, message: str
) -> None:
    (app / "durable.toml").write_text(CONFIG.replace(before, after))
    run = dev("--no-reload")
    assert run.wait_end() == 2
    text = "\n".join(run.err)
    assert message in text
    assert "Traceback" not in text


def test_a_second_signal_ends_it_at_once(dev, app: Path) -> None:
    (app / "durable.toml").write_text(CONFIG + "\n[dev]\ndrain_seconds = 30\n")
    run = dev()
    run.wait_ready()
    asking = threading.Thread(target=quietly, args=(run.get, "/slow/a"))
    asking.start()
    time.sleep(0.3)
    started = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert run.process.poll() is None
    assert run.end() == 130
    assert time.monotonic() - started < 10
    asking.join(WAIT_SECONDS)


def quietly(function: Callable[[str], object], path: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        function(path)


def test_a_log_that_nobody_reads_stops_nothing(app: Path) -> None:
    """Standard error is a full pipe; requests are answered all the same."""
    process = subprocess.Popen(
        [*DURABLE, "dev", "--port", "0"], cwd=app, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = urlsplit(line.split()[-1]).netloc
        connection = http.client.HTTPConnection(address, timeout=WAIT_SECONDS)
        for number in range(2000):
            connection.request("GET", "/" + "x" * 150)
            assert connection.getresponse().read() == b"hello", number
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


def test_sql_and_migrate_ask_the_running_emulator(dev, app: Path) -> None:
    run = dev()
    run.wait_ready()
    run.get("/room/a")
    run.get("/room/a")
    rows = typed(app, "sql", "Room", "a", "SELECT count(*) AS n FROM hits", "--json")
    assert (rows.returncode, json.loads(rows.stdout or "null")) == (0, [{"n": 2}]), rows.stderr
    refused = typed(app, "sql", "ROOMS", "a", "DELETE FROM hits")
    assert refused.returncode == 2
    assert "add --write" in refused.stderr
    written = typed(app, "sql", "ROOMS", "a", "DELETE FROM hits", "--write")
    assert (written.returncode, written.stderr) == (0, "2 rows written\n")
    assert run.get("/room/a") == (200, "1")
    missing = typed(app, "sql", "Room", "b", "SELECT 1")
    assert missing.returncode == 3
    assert typed(app, "sql", "Rom", "a", "SELECT 1").returncode == 3
    mistake = typed(app, "sql", "Room", "a", "SELEC 1")
    assert (mistake.returncode, mistake.stderr.splitlines()[1:]) == (2, ["    SELEC 1", "    ^"])
    assert typed(app, "migrate").stderr == "Nothing to do: v1 is applied.\n"
    assert run.end() == 0


def test_what_was_stored_is_there_when_it_is_stopped(dev, app: Path) -> None:
    run = dev()
    run.wait_ready()
    run.get("/room/a")
    assert run.end() == 0
    rows = typed(app, "sql", "Room", "a", "SELECT count(*) AS n FROM hits", "--json")
    assert (rows.returncode, json.loads(rows.stdout or "null")) == (0, [{"n": 1}]), rows.stderr
    missing = typed(app, "sql", "Room", "b", "SELECT 1")
    assert missing.returncode == 3
    assert "Room has a." in missing.stderr


TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Keyboard:
    """`durable dev` on a terminal of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.hand, terminal = os.openpty()
        self.before = termios.tcgetattr(terminal)
        self.terminal = terminal
        self.seen = ""
        self.process = subprocess.Popen(
            # A new session has no terminal; the child takes this one before it becomes the command.
            [sys.executable, "-c", TAKE_TERMINAL, *DURABLE, "dev", "--port", "0", *words],
            cwd=folder,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )

    def wait_seen(self, text: str) -> None:
        self.wait(lambda: text in self.seen)

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.seen
            if select.select([self.hand], [], [], 0.1)[0]:
                self.seen += os.read(self.hand, 4096).decode()

    def press(self, key: str) -> None:
        os.write(self.hand, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.hand)
        os.close(self.terminal)


@pytest.fixture
def keyboard(app: Path) -> Iterator[Keyboard]:
    keyboard = Keyboard(app)
    yield keyboard
    keyboard.close()


def test_keys_reload_clear_help_and_quit_and_the_terminal_is_put_back(keyboard: Keyboard) -> None:
    keyboard.wait_seen("Ready on http://")
    keyboard.wait_seen("[q] quit")
    keyboard.press("r")
    keyboard.wait_seen("reloaded in ")
    keyboard.press("c")
    keyboard.wait_seen("\x1b[2J")
    keyboard.seen = ""
    keyboard.press("h")
    keyboard.wait_seen("[r] reload")
    keyboard.press("q")
    assert keyboard.process.wait(WAIT_SECONDS) == 0
    assert termios.tcgetattr(keyboard.terminal) == keyboard.before


def test_ctrl_c_on_the_terminal_ends_with_0(keyboard: Keyboard) -> None:
    keyboard.wait_seen("[q] quit")
    keyboard.press("\x03")
    assert keyboard.process.wait(WAIT_SECONDS) == 0
    assert termios.tcgetattr(keyboard.terminal) == keyboard.before

"""`durable dev --debug`: an editor attaches over the Debug Adapter Protocol, and again after every reload."""

from __future__ import annotations

import http.client
import re
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.dap_client import Editor
from tests.acceptance.running_dev import WAIT_SECONDS, Dev, clean_environment, typed
from tests.acceptance.terminal_dev import Answer, TerminalDev
from tests.settings import settings

PROGRAM = """\
import os
from urllib.parse import urlsplit

from durable import DurableObject, Response, WorkerEntrypoint


class Room(DurableObject):
    async def answer(self):
        value = 42
        return value

    async def stops(self):
        breakpoint()
        return "stopped"

    async def pid(self):
        return os.getpid()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        method, _, name = urlsplit(request.url).path[1:].partition("/")
        return Response(str(await getattr(self.env.ROOM.get_by_name(name or "a"), method)()))
"""
LINE = PROGRAM.splitlines().index("        return value") + 1
SETTINGS = settings("Room", "ROOM") + "\n[dev]\nwatchdog_seconds = 1\n"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(SETTINGS)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def debugged(app: Path, start_dev: Callable[..., Dev]) -> Callable[..., tuple[Dev, list[int]]]:
    """A running `dev --debug 0` and its ports."""
    pytest.importorskip("debugpy")

    def start(*words: str) -> tuple[Dev, list[int]]:
        run = start_dev(app, "--debug", "0", *words).wait_ready()
        told = run.wait_told("debugpy waits for your editor on 127.0.0.1:")
        return run, [int(port) for port in re.findall(r":(\d+)", told)]

    return start


def test_an_editor_stops_the_program_and_lets_it_go_on(
    app: Path, debugged: Callable[..., tuple[Dev, list[int]]]
) -> None:
    run, [port] = debugged()
    pid = run.get("/pid")
    with Editor(port) as editor:
        editor.attach({str(app / "main.py"): [LINE]}, justMyCode=True)
        answer = Answer(run.url, "/answer")
        thread, function, line = editor.wait_stopped()
        assert (function, line) == ("Room.answer", LINE) or (function, line) == ("answer", LINE)
        # Longer than the watchdog waits, and nothing of it is said.
        threading.Event().wait(2.5)
        editor.ask("continue", threadId=thread)
        assert answer.wait() == (200, "42")

        answer = Answer(run.url, "/stops")
        thread, _, line = editor.wait_stopped()
        assert "breakpoint()" in PROGRAM.splitlines()[line - 1] or "breakpoint()" in PROGRAM.splitlines()[line - 2]
        editor.ask("continue", threadId=thread)
        assert answer.wait() == (200, "stopped")
    assert run.get("/pid") == pid
    assert "does not answer" not in run.told
    assert "blocked" not in run.told


def test_after_a_reload_the_same_port_leads_to_the_new_code(
    app: Path, debugged: Callable[..., tuple[Dev, list[int]]]
) -> None:
    run, [port] = debugged()
    main = app / "main.py"
    for number in range(2):
        with Editor(port) as editor:
            editor.attach({str(main): [LINE]}, restart=True)
            since = len(run.err)
            main.write_text(PROGRAM.replace("42", str(number)))
            # VS Code attaches anew when it is told to, and it does not try twice.
            assert editor.wait_event("terminated") == {"restart": True}
        with Editor(port) as editor:
            editor.attach({str(main): [LINE]}, restart=True)
            run.wait_told("reloaded in", since=since)
            answer = Answer(run.url, "/answer")
            thread, _, line = editor.wait_stopped()
            assert line == LINE
            editor.ask("continue", threadId=thread)
            assert answer.wait() == (200, str(number))


def test_a_save_while_the_editor_has_stopped_the_program_ends_that_and_loads_the_new(
    app: Path, debugged: Callable[..., tuple[Dev, list[int]]]
) -> None:
    (app / "durable.toml").write_text(SETTINGS + "drain_seconds = 0.5\n")
    run, [port] = debugged()
    with Editor(port) as editor:
        editor.attach({str(app / "main.py"): [LINE]}, restart=True)
        answer = Answer(run.url, "/answer")
        editor.wait_stopped()
        (app / "main.py").write_text(PROGRAM.replace("42", "43"))
        assert editor.wait_event("terminated") == {"restart": True}
    assert answer.wait()[0] == 503
    assert run.get("/answer") == (200, "43")


def test_every_host_has_a_port(app: Path, debugged: Callable[..., tuple[Dev, list[int]]]) -> None:
    run, ports = debugged("--hosts", "2")
    names: dict[str, str] = {}
    for name in map(str, range(20)):
        names.setdefault(run.get(f"/pid/{name}")[1], name)
    assert len(ports) == len(names) == 2
    seen = set()
    for port in ports:
        with Editor(port) as editor:
            editor.attach({str(app / "main.py"): [LINE]})
            answers = [Answer(run.url, f"/answer/{name}") for name in names.values()]
            thread, _, _ = editor.wait_stopped()
            editor.ask("continue", threadId=thread)
            assert [answer.wait() for answer in answers] == [(200, "42")] * 2
            seen.add(editor.ask("evaluate", expression="__import__('os').getpid()", context="repl")["result"])
    assert seen == set(names)


def test_the_port_speaks_to_editors_of_this_machine_only(debugged: Callable[..., tuple[Dev, list[int]]]) -> None:
    run, [port] = debugged()
    # What a page in a browser can send: its answer must not come from debugpy, which runs what it is told.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    connection.request("POST", "/", body='{"seq": 1, "type": "request", "command": "initialize", "arguments": {}}')
    with pytest.raises((http.client.BadStatusLine, ConnectionResetError)):
        connection.getresponse()
    connection.close()
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{port:04X} 00000000:0000 0A" in listening
    assert f"00000000:{port:04X} 00000000:0000 0A" not in listening
    assert run.get("/answer") == (200, "42")


def test_nothing_of_debugpy_outlives_dev(debugged: Callable[..., tuple[Dev, list[int]]]) -> None:
    run, [port] = debugged()
    with Editor(port) as editor:
        editor.attach({})
        assert run.end() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)


def test_breakpoint_without_an_editor_stops_in_the_terminal(app: Path) -> None:
    pytest.importorskip("debugpy")
    dev = TerminalDev(app, "--debug", "0")
    try:
        dev.wait_ready()
        answer = dev.get("/stops")
        assert "in Room.stops at main.py" in dev.wait_prompt()
        dev.type("c\n")
        assert answer.wait() == (200, "stopped")
        assert "WARNING" not in dev.shown

        port = int(dev.shown.partition("your editor on 127.0.0.1:")[2].split()[0])
        with Editor(port) as editor:
            editor.attach({str(app / "main.py"): [LINE]})
            answer = dev.get("/answer")
            thread, _, _ = editor.wait_stopped()
            editor.ask("continue", threadId=thread)
            assert answer.wait() == (200, "42")
    finally:
        dev.close()


def test_a_port_that_is_taken_is_named(app: Path) -> None:
    pytest.importorskip("debugpy")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = typed(app, "dev", "--port", "0", "--debug", str(port))
    assert result.returncode == 2
    assert f"--debug: port {port} of 127.0.0.1 cannot be had" in result.stderr


def test_without_debugpy_the_command_to_install_it_is_shown(app: Path) -> None:
    # An interpreter that has no packages at all.
    bare = app / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    bare.chmod(0o755)
    result = typed(app, "dev", "--port", "0", "--debug", "--python", str(bare), environ=clean_environment())
    assert result.returncode == 2
    assert "--debug needs debugpy" in result.stderr
    assert f"fix: {bare} -m pip install debugpy" in result.stderr

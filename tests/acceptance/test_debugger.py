"""pdb in the terminal of `durable dev`, as somebody who debugs meets it: a real terminal, real processes."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.debugged_program import AT_ONCE, LINE, PROGRAM
from tests.acceptance.running_dev import DURABLE, is_alive
from tests.acceptance.terminal_dev import Answer, Screen, TerminalDev
from tests.settings import settings


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(settings("Room", "ROOM"))
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def on_screen() -> Iterator[Callable[..., TerminalDev]]:
    started: list[TerminalDev] = []

    def start(folder: Path, *words: str, **environ: str) -> TerminalDev:
        started.append(TerminalDev(folder, *words, environ=environ))
        return started[-1].wait_ready()

    yield start
    for each in started:
        each.close()


@pytest.fixture
def dev(app: Path, on_screen: Callable[..., TerminalDev]) -> TerminalDev:
    return on_screen(app)


def hotkeys_work(dev: TerminalDev) -> None:
    dev.wait_until(lambda: dev.foreground == dev.process.pid, "in the foreground")
    dev.wait_until(lambda: not dev.modes[3] & 2, "without line editing")  # type: ignore[operator]  # ICANON
    dev.type("h")
    dev.wait_shown("[q] quit")


def test_a_breakpoint_stops_at_a_prompt_and_c_answers_the_request(dev: TerminalDev) -> None:
    answer = dev.get("/here/general")
    stopped = dev.wait_prompt()
    assert f'Room "general" stopped in Room.here at main.py:{LINE}; c continues' in stopped
    assert ("-> breakpoint()" if AT_ONCE else "-> answer += 2") in stopped

    dev.type("p 1 + 1, answer\n")
    assert "(2, 40)" in dev.wait_prompt()
    for _ in range(3 if AT_ONCE else 2):
        assert "the room says 42" not in dev.shown
        dev.type("n\n")
        dev.wait_prompt()
    assert "the room says 42" in dev.shown
    dev.type("c\n")

    assert answer.wait() == (200, "42")
    dev.wait_shown("GET /here/general 200")
    hotkeys_work(dev)


def test_the_terminal_is_as_in_a_shell_with_history_while_somebody_debugs(dev: TerminalDev) -> None:
    pytest.importorskip("readline")
    answer = dev.get("/here")
    dev.wait_prompt()
    dev.type("p 'first'\n")
    dev.wait_prompt()
    dev.type("\x1b[A\n")  # the line before, with the arrow key
    assert dev.wait_prompt().count("'first'") == 2
    dev.type("p 1 +\x01\x1b[C\x1b[C3 + \x05 2\n")  # Ctrl+A, two to the right, Ctrl+E
    assert "\n6\n" in dev.wait_prompt()
    dev.type("p ans\t * 0\n")
    assert "p answer * 0" in dev.wait_prompt()
    dev.type("import sys; sys.stdin.isatty(), sys.stdout.isatty()\n")
    assert "(True, True)" in dev.wait_prompt()
    dev.type("c\n")
    assert answer.wait()[0] == 200


@pytest.mark.parametrize("words", ["q\n", "\x04", "exit\n"], ids=["q", "Ctrl+D", "exit"])
def test_who_quits_the_debugger_ends_that_request_and_nothing_else(dev: TerminalDev, words: str) -> None:
    pid = dev.get("/pid").wait()
    answer = dev.get("/here/general")
    dev.wait_prompt()
    dev.type(words)

    status, text = answer.wait()
    assert status == 500
    assert f"BdbQuit: you left the debugger with q at main.py:{LINE}" in text
    assert dev.get("/pid").wait() == pid
    hotkeys_work(dev)


def test_ctrl_c_at_the_prompt_ends_what_was_typed_and_never_the_emulator(dev: TerminalDev) -> None:
    answer = dev.get("/here")
    dev.wait_prompt()
    dev.type("p 1 +")
    dev.wait_shown("p 1 +")
    dev.interrupt()
    assert "--KeyboardInterrupt--" in dev.wait_prompt()
    dev.type("import time; time.sleep(60)\n")
    dev.wait_shown("sleep(60)")
    dev.type("\x03")
    assert "KeyboardInterrupt" in dev.wait_prompt()
    dev.type("\x1a")  # Ctrl+Z would halt the host alone
    dev.type("c\n")
    assert answer.wait() == (200, "42")
    hotkeys_work(dev)


def test_ctrl_c_during_a_long_step_stops_where_it_is(dev: TerminalDev) -> None:
    answer = dev.get("/long")
    dev.wait_prompt()
    dev.type("until 99999\n")
    dev.wait_shown("working")
    dev.type("\x03")
    assert "interrupted" in dev.wait_shown("interrupted")
    assert "long()" in dev.wait_prompt()
    dev.type("c\n")
    assert answer.wait() == (200, "through")
    hotkeys_work(dev)


def test_pdb_by_hand_post_mortem_and_in_a_thread(dev: TerminalDev) -> None:
    answer = dev.get("/by_hand")
    assert "look here" in dev.wait_prompt()
    dev.type("c\n")
    assert answer.wait() == (200, "by hand")

    answer = dev.get("/after_death")
    assert '{}["missing"]' in dev.wait_prompt()
    dev.type("q\n")
    assert answer.wait() == (200, "survived")

    answer = dev.get("/in_a_thread")
    dev.wait_prompt()
    assert dev.get("/").wait() == (200, "hello")  # the loop of the host is free
    dev.type("\x03c\n")
    assert answer.wait() == (200, "worked")
    hotkeys_work(dev)


def test_a_thread_and_the_loop_of_one_host_stop_one_after_the_other(dev: TerminalDev) -> None:
    for _ in range(3):
        answer = dev.get("/twice_at_once")
        dev.wait_prompt()
        dev.type("c\n")
        dev.wait_prompt()
        dev.type("c\n")
        assert answer.wait() == (200, "2")
        hotkeys_work(dev)


def test_a_step_over_an_await_gives_the_terminal_back_meanwhile(dev: TerminalDev) -> None:
    answer = dev.get("/waits")
    dev.wait_prompt()
    if AT_ONCE:
        dev.type("n\n")
        dev.wait_prompt()
    dev.type("n\n")
    dev.wait_until(lambda: dev.foreground == dev.process.pid, "in the foreground")
    assert 'return "waited"' in dev.wait_prompt()
    # Behind the end of the method there is nothing of the user's to stop at.
    dev.type("n\n")
    assert answer.wait() == (200, "waited")
    hotkeys_work(dev)


def test_two_hosts_that_stop_have_the_terminal_one_after_the_other(
    app: Path, on_screen: Callable[..., TerminalDev]
) -> None:
    dev = on_screen(app, "--hosts", "2")
    names: dict[str, str] = {}
    for name in map(str, range(20)):
        names.setdefault(dev.get(f"/pid/{name}").wait()[1], name)
    first, second = names.values()

    one = dev.get(f"/here/{first}")
    assert f'Room "{first}" stopped' in dev.wait_prompt()
    two = dev.get(f"/here/{second}")
    dev.type("p 'still me'\n")
    assert f'Room "{second}"' not in dev.wait_prompt()
    dev.type("c\n")
    assert f'Room "{second}" stopped' in dev.wait_prompt()
    dev.type("c\n")
    # Not before: the worker that asked the first object may run in the second host.
    assert (one.wait(), two.wait()) == ((200, "42"), (200, "42"))
    hotkeys_work(dev)


def test_another_host_serves_on_and_its_log_comes_afterwards(app: Path, on_screen: Callable[..., TerminalDev]) -> None:
    dev = on_screen(app, "--hosts", "2")
    names: dict[str, str] = {}
    for name in map(str, range(20)):
        names.setdefault(dev.get(f"/pid/{name}").wait()[1], name)
    first, second = names.values()

    answer = dev.get(f"/here/{first}")
    dev.wait_prompt()
    for number in range(60):
        assert dev.get(f"/pid/{second}?{number}").wait()[0] == 200
    dev.type("p 'nothing came in between'\n")
    assert "GET" not in dev.wait_prompt()
    dev.type("c\n")
    assert answer.wait() == (200, "42")
    assert f"GET /pid/{second} 200" in dev.wait_shown("more requests")


def test_a_host_that_is_killed_at_the_prompt_leaves_a_terminal_that_works(dev: TerminalDev) -> None:
    answer = dev.get("/here")
    dev.wait_prompt()
    os.kill(dev.foreground, signal.SIGKILL)
    assert answer.wait()[0] == 503
    dev.wait_shown("a new host")
    hotkeys_work(dev)
    assert dev.get("/pid").wait()[0] == 200
    dev.type("q")
    assert dev.wait_end() == 0
    assert dev.modes == dev.modes_before


def test_a_save_waits_for_whoever_is_at_the_prompt(dev: TerminalDev, app: Path) -> None:
    answer = dev.get("/here")
    dev.wait_prompt()
    (app / "main.py").write_text(PROGRAM.replace("answer = 40", "answer = 50"))
    dev.type("p answer\n")
    assert "40" in dev.wait_prompt()
    dev.type("c\n")
    assert answer.wait() == (200, "42")
    dev.wait_shown("reloaded in")

    answer = dev.get("/here")
    dev.wait_prompt()
    dev.type("c\n")
    assert answer.wait() == (200, "52")
    hotkeys_work(dev)


def test_the_watchdog_waits_for_whoever_is_at_the_prompt(app: Path, on_screen: Callable[..., TerminalDev]) -> None:
    (app / "durable.toml").write_text(settings("Room", "ROOM") + "\n[dev]\nwatchdog_seconds = 1\n")
    dev = on_screen(app)
    pid = dev.get("/pid").wait()
    answer = dev.get("/here")
    dev.wait_prompt()
    dev.type("import time; time.sleep(2.5)\n")
    dev.wait_prompt()
    dev.type("c\n")
    assert answer.wait() == (200, "42")
    assert dev.get("/pid").wait() == pid
    hotkeys_work(dev)
    assert "blocked" not in dev.shown


def test_the_program_stops_while_it_is_imported_for_as_long_as_one_likes(
    app: Path, on_screen: Callable[..., TerminalDev]
) -> None:
    (app / "durable.toml").write_text(settings("Room", "ROOM") + "\n[dev]\nwatchdog_seconds = 1\n")
    (app / "main.py").write_text("breakpoint()\nx = 1\n" + PROGRAM)
    dev = TerminalDev(app)
    try:
        assert f"main.py:{1 if AT_ONCE else 2}" in dev.wait_prompt()
        dev.type("import time; time.sleep(2)\n")
        dev.wait_prompt()
        dev.type("c\n")
        dev.wait_ready()
        assert dev.get("/").wait() == (200, "hello")
        hotkeys_work(dev)
    finally:
        dev.close()


def test_sigterm_at_the_prompt_ends_everything_and_puts_the_terminal_back(dev: TerminalDev) -> None:
    dev.get("/here")
    dev.wait_prompt()
    host = dev.foreground
    dev.process.send_signal(signal.SIGTERM)
    assert dev.wait_end() == 0
    assert not is_alive(host)
    assert dev.modes == dev.modes_before


def test_the_shell_has_its_terminal_when_dev_was_stopped_at_a_prompt(app: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    shell = Screen(app, bash, "--norc", "--noprofile", "-i", environ={"PS1": "ready> ", "HISTFILE": ""})
    try:
        shell.wait_shown("ready> ")
        shell.type(f"{' '.join(DURABLE)} dev --port 0\n")
        shell.wait_shown("[q] quit")
        job = shell.foreground
        url = shell.shown.partition("Ready on ")[2].split()[0]
        Answer(url, "/here")
        shell.wait_shown("(Pdb) ")
        assert shell.foreground != job
        os.kill(job, signal.SIGTERM)
        shell.wait_shown("ready> ")
        shell.type("echo $((40 + 2))\n")
        shell.wait_shown("\n42\n")
    finally:
        shell.close()


def test_pythonbreakpoint_0_passes_over(app: Path, on_screen: Callable[..., TerminalDev]) -> None:
    dev = on_screen(app, PYTHONBREAKPOINT="0")
    assert dev.get("/here").wait() == (200, "42")


def test_pythonbreakpoint_with_a_debugger_of_ones_own_has_the_terminal(
    app: Path, on_screen: Callable[..., TerminalDev]
) -> None:
    (app / "mine.py").write_text(
        "import pdb, sys\n\n\nclass Mine(pdb.Pdb):\n    prompt = '(mine) '\n\n\n"
        "def stop():\n    debugger = Mine()\n    debugger.prompt = '(mine) '\n"
        "    debugger.set_trace(sys._getframe().f_back)\n"
    )
    path = os.pathsep.join([str(app), *filter(None, [os.environ.get("PYTHONPATH")])])
    dev = on_screen(app, PYTHONBREAKPOINT="mine.stop", PYTHONPATH=path)
    answer = dev.get("/here")
    dev.wait_shown("(mine) ")
    dev.type("p 6 * 7\n")
    assert "\n42\n" in dev.wait_shown("(mine) ")
    dev.type("c\n")
    assert answer.wait() == (200, "42")

"""The shell of `durable sql` on a real terminal: with an emulator that runs and without, it wakes nobody."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.running_dev import DURABLE, Dev, typed
from tests.acceptance.terminal_dev import Screen
from tests.settings import settings

PROGRAM = """\
from durable import DurableObject, Response, WorkerEntrypoint

HOSTILE = "\\x1b]0;owned\\x07\\x9b2J"


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        print("constructed")

    async def fetch(self, request):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS messages(id INTEGER PRIMARY KEY, body TEXT)")
        sql.exec("INSERT INTO messages(body) VALUES ('hello'), (?)", HOSTILE)
        self.ctx.storage.kv.put("topic", {"name": "tea"})
        return Response("ok")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ROOMS.get_by_name(request.url.split("/")[3]).fetch(request)
"""
GENERAL = 'Room "general"> '
UP, CTRL_D = "\x1b[A", "\x04"


@pytest.fixture
def app(tmp_path: Path, start_dev: Callable[..., Dev]) -> Path:
    """Rooms `general` and `lounge` are stored; nothing runs."""
    (tmp_path / "durable.toml").write_text(settings("Room", "ROOMS"))
    (tmp_path / "main.py").write_text(PROGRAM)
    run = start_dev(tmp_path, "--no-reload").wait_ready()
    for name in ("general", "lounge"):
        assert run.get(f"/{name}/")[0] == 200
    assert run.end() == 0
    assert any("constructed" in line for line in [*run.out, *run.err])
    return tmp_path


@pytest.fixture(params=["stopped", "running"])
def state(request: pytest.FixtureRequest, app: Path, start_dev: Callable[..., Dev]) -> Dev | None:
    return start_dev(app, "--no-reload").wait_ready() if request.param == "running" else None


@pytest.fixture
def open_shell(app: Path) -> Iterator[Callable[..., Screen]]:
    """`open_shell("--write")`: a shell in front of its first prompt."""
    opened: list[Screen] = []

    def begin(*words: str) -> Screen:
        environ = {"NO_COLOR": "1", "PYTHONWARNINGS": "", "INPUTRC": os.devnull}
        opened.append(Screen(app, *DURABLE, "sql", "Room", "general", *words, environ=environ))
        opened[-1].wait_shown(GENERAL)
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


def answer(screen: Screen, line: str, prompt: str = GENERAL) -> str:
    """What is shown between the typed line and the next prompt."""
    screen.type(f"{line}\n")
    screen.wait_shown("\n")
    return screen.wait_shown(prompt).removesuffix(prompt)


def test_a_session_works_with_the_emulator_running_and_stopped(state: Dev | None, open_shell) -> None:
    shell = open_shell()
    shown = answer(shell, "SELECT * FROM messages;")
    assert "hello" in shown
    assert "\\x1b]0;owned\\x07\\x9b2J" in shown
    assert answer(shell, ".tables") == "messages\n"
    assert answer(shell, ".schema") == "CREATE TABLE messages(id INTEGER PRIMARY KEY, body TEXT);\n"
    assert '{"name": "tea"}' in answer(shell, ".kv to")
    assert answer(shell, ".alarm") == "no alarm is set\n"
    assert "general" in answer(shell, ".objects gen*")
    assert answer(shell, ".mode csv") == ""
    assert answer(shell, "SELECT count(*) AS n FROM messages; SELECT 'two' AS t;") == "n\n2\nt\ntwo\n"
    assert "add --write to change data" in answer(shell, "DELETE FROM messages;")
    dump = answer(shell, ".dump")
    assert "INSERT INTO \"messages\" VALUES(1,'hello');" in dump
    assert "VALUES(2,char(27)||']0;owned'||char(7)||char(155)||'2J');" in dump
    assert "without 1 key of ctx.storage.kv" in dump
    lounge = 'Room "lounge"> '
    assert answer(shell, ".use lounge", lounge) == ""
    assert answer(shell, ".use nowhere", lounge).startswith('error: no such object: Room "nowhere"')
    shell.type(".quit\n")
    assert shell.wait_end() == 0
    assert "\x1b" not in shell.shown
    assert "\x9b" not in shell.shown
    if state is not None:
        assert state.end() == 0
        assert not any("constructed" in line for line in [*state.out, *state.err])


def test_with_write_the_object_is_changed(state: Dev | None, app: Path, open_shell) -> None:
    shell = open_shell("--write")
    assert "2 rows written" in answer(shell, "DELETE FROM messages;")
    shell.type(CTRL_D)
    assert shell.wait_end() == 0
    assert typed(app, "sql", "Room", "general", "SELECT count(*) AS n FROM messages", "--csv").stdout == "n\n0\n"


def test_lines_are_edited_completed_and_remembered(app: Path, open_shell) -> None:
    shell = open_shell()
    assert answer(shell, ".mode list") == ""
    shell.type("SELECT count(*)\n")
    shell.wait_shown("…> ")
    shell.type("FROM mess\t;\n")  # the Tab key
    shell.wait_shown("FROM messages;")
    assert shell.wait_shown(GENERAL).split() == ["count(*)", "2", *GENERAL.split()]
    shell.type(f"{UP}\n")  # the statement as a whole
    assert shell.wait_shown(GENERAL).split()[-4:] == ["count(*)", "2", *GENERAL.split()]
    shell.type("SELECT nonsense")
    shell.wait_shown("SELECT nonsense")
    shell.interrupt()
    shell.wait_shown("^C")
    shell.wait_shown(GENERAL)
    shell.type(CTRL_D)
    assert shell.wait_end() == 0
    history = app / ".durable" / "run" / "sql_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "FROM messages;" in history.read_text()
    again = open_shell()
    again.type(f"{UP}{UP}{UP}{UP}\n")
    again.wait_shown(GENERAL)
    assert "Traceback" not in again.shown


def test_nothing_leaves_the_object(app: Path, open_shell) -> None:
    shell = open_shell("--write")
    for line in (f".open {app}/other", f".shell touch {app}/other", f".output {app}/other", f".backup {app}/other"):
        assert "is not available here" in answer(shell, line)
    for sql in (f"ATTACH '{app}/other' AS o;", f"VACUUM INTO '{app}/other';", "SELECT load_extension('x');"):
        assert "error: " in answer(shell, sql)
    assert not (app / "other").exists()


def test_a_shell_goes_on_when_an_emulator_starts_and_stops(app: Path, open_shell, start_dev) -> None:
    shell = open_shell()
    assert answer(shell, ".mode list") == ""
    assert answer(shell, "SELECT count(*) FROM messages;") == "count(*)\n2\n"
    run = start_dev(app, "--no-reload").wait_ready()
    assert run.get("/general/")[0] == 200
    assert answer(shell, "SELECT count(*) FROM messages;") == "count(*)\n4\n"
    assert run.end() == 0
    assert answer(shell, "SELECT count(*) FROM messages;") == "count(*)\n4\n"

"""What a user may get wrong is answered with what happened, why, and what to type next; never with our traceback.

Every sentence is asserted as it is printed by the real command.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.running_dev import DURABLE, Dev, typed
from tests.settings import settings

CONFIG = settings("Room", "ROOMS")

PROGRAM = """\
from urllib.parse import urlsplit

from durable import DurableObject, Response, WorkerEntrypoint


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        if ctx.id.name == "unbuildable":
            raise KeyError("no such room plan")

    async def fetch(self, request):
        raise ValueError("kaboom in fetch")

    def enter(self, name):
        raise LookupError(f"kaboom for {name}")

    def write(self):
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS hits(n INTEGER)")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what = urlsplit(request.url).path.strip("/")
        room = self.env.ROOMS.get_by_name("a")
        if what == "fetch":
            return await room.fetch(request)
        if what == "rpc":
            await room.enter("ada")
        if what == "constructor":
            await self.env.ROOMS.get_by_name("unbuildable").enter("ada")
        if what == "worker":
            raise OSError("kaboom in the worker")
        if what == "caught":
            try:
                await room.enter("bob")
            except LookupError as error:
                return Response(f"caught {error}")
        await room.write()
        return Response("fine")
"""


def line_of(text: str) -> int:
    """The number of PROGRAM's line that holds this."""
    return next(number for number, line in enumerate(PROGRAM.splitlines(), 1) if text in line)


def write_project(folder: Path, config: str = CONFIG, program: str = PROGRAM) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "durable.toml").write_text(config)
    (folder / "main.py").write_text(program)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def dev(folder: Path, *words: str) -> tuple[int, str]:
    """`durable dev` that is expected to refuse: its exit code and the message, without the bindings before it."""
    return refused(typed(folder, "dev", "--port", "0", "--no-reload", *words))


def refused(result: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    assert result.stdout == ""
    for never in ("Traceback", "bug in durable"):
        assert never not in result.stderr
    return result.returncode, result.stderr[result.stderr.index("error") :].rstrip("\n")


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("dev",), ("migrate",), ("sql", "Room", "a", "SELECT 1")])
def test_no_configuration_says_what_was_looked_for_and_where(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert refused(typed(tmp_path, *words)) == (
        2,
        "error: no configuration found: looked for durable.toml, wrangler.json, wrangler.jsonc or wrangler.toml in "
        f"{tmp_path} and in every folder above it\n"
        "  fix: durable init",
    )


EMPTY = """\
error: durable.toml: this file is empty; "main" has to name the Python file with the code
  fix: main = "main.py\""""
WITHOUT_MAIN = """\
error: durable.toml: "main" is missing; it names the Python file with the code
  fix: main = "main.py\""""
MISTYPED_MAIN = """\
error: durable.toml:2:8: mian.py does not exist. Did you mean "main.py"?
    main = "mian.py"
           ^"""
MISTYPED_CLASS = """\
error: durable.toml:7:14: main.py defines no class Rooom, which env.ROOMS is bound to. Did you mean "Room"? \
If Rooom has objects and is now called Room, bind env.ROOMS to Room and add:
    class_name = "Rooom"
                 ^
  fix: [[migrations]]
       tag = "v2"
       renamed_classes = [{from = "Rooom", to = "Room"}]
  nothing serves"""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param("", EMPTY, id="an empty file"),
        pytest.param(CONFIG.replace('main = "main.py"\n', ""), WITHOUT_MAIN, id="main is missing"),
        pytest.param(CONFIG.replace("main.py", "mian.py"), MISTYPED_MAIN, id="main does not exist"),
        pytest.param(CONFIG.replace('"Room"', '"Rooom"'), MISTYPED_CLASS, id="a class that the code does not define"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_quoted_with_its_place(
    tmp_path: Path, config: str, message: str
) -> None:
    assert dev(write_project(tmp_path, config)) == (2, message)


def test_an_unknown_key_is_a_warning_with_the_nearest_one_and_prevents_nothing(
    start_dev: Callable[..., Dev], tmp_path: Path
) -> None:
    run = start_dev(write_project(tmp_path, CONFIG.replace("main =", "mian = 1\nmain =")), "--no-reload").wait_ready()
    assert run.get("/") == (200, "fine")
    assert run.err[0] == 'warning: durable.toml:2:1: unknown key "mian"; it has no effect. Did you mean "main"?'
    assert run.end() == 0


# --- the machine ------------------------------------------------------------------------------------------------------


def test_a_taken_port_is_named_with_its_holder_and_another_to_try(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, message = dev(project, "--port", str(port))
    first, fix = message.splitlines()
    assert code == 2
    assert first.startswith(f"error: Port {port} is already in use by pid {os.getpid()} (")
    assert fix.startswith("  fix: durable dev --port ")
    assert int(fix.split()[-1]) != port


def test_state_that_is_in_use_names_the_process_that_has_it(start_dev: Callable[..., Dev], project: Path) -> None:
    run = start_dev(project).wait_ready()
    code, message = dev(project)
    what, why, fix = message.splitlines()
    assert code == 4
    assert what.startswith(f"error: {project}/.durable/state is in use by pid {run.process.pid} (durable dev, since ")
    assert why == "  why: one process at a time may have a state directory open, or its objects would exist twice"
    assert fix == ("  fix: stop that process (Ctrl+C where it runs), or work on other data with --persist-to DIR")
    assert run.get("/") == (200, "fine")


def test_windows_is_told_of_wsl(project: Path) -> None:
    on_windows = "import sys; from durable_cli.main import main; sys.exit(main(platform='win32'))"
    assert refused(typed(project, "dev", durable=[sys.executable, "-c", on_windows])) == (
        2,
        "error: durable does not run on Windows itself: it needs Unix sockets and file locks\n"
        "  fix: use WSL 2 (https://learn.microsoft.com/windows/wsl/install), and install and run durable inside it",
    )


def interpreter(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("way", ["--python", ".venv"])
def test_an_interpreter_without_our_package_is_told_with_the_command_to_type(project: Path, way: str) -> None:
    foreign = interpreter(project / ".venv/bin/python", f'exec {sys.base_prefix}/bin/python3 -I -S "$@"')
    code, message = dev(project, *(["--python", str(foreign)] if way == "--python" else []))
    assert code == 2
    assert str(foreign) in message.splitlines()[0]
    assert "durable" in message.splitlines()[0]
    assert f"  fix: {foreign} -m pip install durable" in message


def test_an_interpreter_that_does_not_exist_is_named(project: Path) -> None:
    code, message = dev(project, "--python", "/nowhere/python")
    assert code == 2
    assert message.splitlines()[0] == "error: --python /nowhere/python: /nowhere/python is not a program that can run"


def test_a_virtual_environment_without_a_python_is_told_with_the_command_that_mends_it(project: Path) -> None:
    (project / ".venv").mkdir()
    assert dev(project) == (
        2,
        f"error: {project}/.venv is there, but it has no bin/python that can run\n"
        f"  fix: python3 -m venv --clear {project}/.venv and install your packages again, or name another: --python P",
    )


@pytest.mark.parametrize("words", [("dev", "--port", "0"), ("migrate",)])
def test_a_file_where_the_state_should_be_is_named(project: Path, words: tuple[str, ...]) -> None:
    (project / ".durable").write_text("")
    assert refused(typed(project, *words)) == (
        2,
        f"error: the state directory {project}/.durable/state cannot be used: it, or a folder above it, is a file\n"
        "  fix: --persist-to DIR keeps it somewhere else",
    )


@contextmanager
def read_only(folder: Path) -> Iterator[Sequence[str]]:
    """What to type before a command so that it cannot write into the folder."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield []
        finally:
            folder.chmod(0o755)
        return
    # Permissions do not hold root back; a read-only mount that only the command sees does.
    enter = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"']
    command = [*enter, str(folder)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("root can write anywhere here: no read-only mount can be made")
    yield command


@pytest.mark.parametrize("words", [("dev", "--port", "0"), ("migrate",)])
def test_a_read_only_folder_is_named_with_what_to_do(project: Path, words: tuple[str, ...]) -> None:
    with read_only(project) as before:
        # The mount is entered anew: the folder we stand in would still be the one below it.
        durable = [*before, *DURABLE]
        result = typed(project.parent, *words, "--config", str(project / "durable.toml"), durable=durable)
    code, message = refused(result)
    what, fix = message.splitlines()
    assert code == 2
    assert what in {
        f"error: the state directory {project}/.durable/state cannot be used: {reason}"
        for reason in ("it is on a read-only file system", "Permission denied")
    }
    assert fix == "  fix: --persist-to DIR keeps it somewhere else"
    assert not (project / ".durable").exists()


# --- init -------------------------------------------------------------------------------------------------------------


def test_a_template_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    assert refused(typed(tmp_path, "init", "app", "--template", "chatt")) == (
        3,
        'error: no template "chatt"\n  fix: Did you mean "chat"? templates: chat, counter',
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_of_the_same_names_keeps_them(tmp_path: Path) -> None:
    target = write_project(tmp_path / "app", config="mine", program="mine")
    assert refused(typed(tmp_path, "init", "app")) == (
        2,
        f"error: {target} already has durable.toml, main.py; nothing was written\n"
        "  fix: use another folder, or add --force to overwrite",
    )
    assert sorted(path.name for path in target.iterdir()) == ["durable.toml", "main.py"]
    assert (target / "main.py").read_text() == "mine"


def test_a_target_that_is_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("mine")
    assert refused(typed(tmp_path, "init", "app")) == (
        2,
        "error: app is a file, not a folder\n  fix: durable init with another name",
    )
    assert (tmp_path / "app").read_text() == "mine"


# --- sql --------------------------------------------------------------------------------------------------------------


def test_sql_before_anything_was_stored_says_how_to_store_something(project: Path) -> None:
    assert refused(typed(project, "sql", "Room", "a", "SELECT 1")) == (
        3,
        f"error: nothing is stored yet: there is no {project}/.durable/state\n"
        "  fix: durable dev, then use the object once; or name another place with --persist-to DIR",
    )
    assert not (project / ".durable").exists()


SYNTAX_ERROR = """\
error: near "SELEC": syntax error at offset 0: SQLITE_ERROR
    SELEC 1
    ^"""
NO_TABLE = "error: no such table: hit: SQLITE_ERROR"
READ_ONLY = """\
error: not authorized (this tool only reads; use --write to change data): SQLITE_AUTH
  fix: add --write to change data"""


def test_sql_that_cannot_be_meant_is_answered_alike_running_and_stopped(
    start_dev: Callable[..., Dev], project: Path
) -> None:
    run = start_dev(project, "--no-reload").wait_ready()
    assert run.get("/") == (200, "fine")
    running = sql_mistakes(project)
    assert run.end() == 0
    stopped = sql_mistakes(project)

    for (code, message), (other_code, other_message), (expected_code, what) in zip(
        running,
        stopped,
        (
            (3, 'error: no such object: Room "b"\n  fix: '),
            (3, 'error: there is no class or binding "Rom"'),
            (2, SYNTAX_ERROR),
            (2, NO_TABLE),
            (2, READ_ONLY),
        ),
        strict=True,
    ):
        assert code == other_code == expected_code
        assert message.startswith(what)
        assert other_message.startswith(what)
    # What there is instead is named either way.
    for nobody, no_class, *_ in (running, stopped):
        assert '"a"' in nobody[1] or "Room has a." in nobody[1]
        assert 'fix: Did you mean "Room"?' in no_class[1]


def sql_mistakes(project: Path) -> list[tuple[int, str]]:
    return [
        refused(typed(project, "sql", *words))
        for words in (
            ("Room", "b", "SELECT 1"),
            ("Rom", "a", "SELECT 1"),
            ("Room", "a", "SELEC 1"),
            ("Room", "a", "SELECT * FROM hit"),
            ("Room", "a", "DELETE FROM hits"),
        )
    ]


# --- the user's program -----------------------------------------------------------------------------------------------


def test_an_exception_in_the_program_is_told_with_the_users_own_line_wherever_it_is_raised(
    start_dev: Callable[..., Dev], project: Path
) -> None:
    run = start_dev(project, "--no-reload").wait_ready()
    for path, exception, place, raised, function in (
        ("/fetch", "ValueError: kaboom in fetch", 'Room "a".fetch', 'ValueError("kaboom in fetch")', "fetch"),
        ("/rpc", "LookupError: kaboom for ada", 'Room "a".enter', "LookupError(f", "enter"),
        ("/constructor", "KeyError: 'no such room plan'", 'Room "unbuildable".', "KeyError(", "__init__"),
        ("/worker", "OSError: kaboom in the worker", "Default.fetch", "OSError(", "fetch"),
    ):
        line = line_of(raised)
        source = PROGRAM.splitlines()[line - 1].strip()
        since = len(run.err)

        status, text = run.get(path)

        # The terminal: where, what, and the user's line first.
        heading = run.wait_told("error in ", since=since)
        run.wait_told(f"GET {path} 500 ", since=since)
        assert (status, exception in text) == (500, True)
        start = run.err.index(heading, since)
        assert heading.startswith(f"error in {place}"), heading
        assert heading.endswith(f", GET {path}")
        assert run.err[start + 1 : start + 3] == [f"  {exception}", f"  main.py:{line} in {function}"]
        [marked] = [told for told in run.err[start : start + 8] if told.startswith(f"    > {line} │ ")]
        assert marked.endswith(source)

        # The client: the same text for a terminal, a page for a browser, a document for a program.
        assert f"main.py:{line} in {function}\n" in text
        _, page = run.get(path, Accept="text/html,application/xhtml+xml")
        assert page.startswith("<!doctype html>")
        assert f'main.py</span>:<span class="line">{line}</span>' in page
        _, document = run.get(path, Accept="application/json")
        error = json.loads(document)["error"]
        assert f"{error['type']}: {error['message']}" == exception
        # A constructor that fails leaves no object behind: callers are told to take a fresh stub.
        assert error["code"] == ("object_reset" if function == "__init__" else "exception")
        assert [(frame["line"], frame["function"]) for frame in error["frames"] if frame["user"]][-1] == (
            line,
            function,
        )
        run.wait_for(partial(all_told, run, path), "line for each request")

    # Nothing of it harmed anybody: exceptions can be caught by the caller, and the object works on.
    assert run.get("/caught") == (200, "caught kaboom for bob")
    assert run.get("/") == (200, "fine")
    assert "Traceback" not in run.told
    assert run.end() == 0


def all_told(run: Dev, path: str) -> bool:
    return sum(line.startswith(f"GET {path} ") for line in run.err) == 3


@pytest.mark.parametrize(
    ("program", "message"),
    [
        pytest.param(
            "def read_plan():\n    raise RuntimeError('no plan')\n\n\nread_plan()\n",
            "error while loading the program\n  RuntimeError: no plan\n  main.py:2 in read_plan\n"
            "      1 │ def read_plan():\n    > 2 │     raise RuntimeError('no plan')\n"
            "  main.py:5 in <module>\n    > 5 │ read_plan()\n",
            id="an exception",
        ),
        pytest.param(
            "import nothing_of_that_name\n",
            "error while loading the program\n  ModuleNotFoundError: No module named 'nothing_of_that_name'\n"
            "  main.py:1 in <module>\n    > 1 │ import nothing_of_that_name\n",
            id="a module that is not installed",
        ),
        pytest.param(
            "class Room:\n    def broken(self:\n        pass\n",
            "error while loading the program\n  SyntaxError: '(' was never closed\n  main.py:2\n"
            "      1 │ class Room:\n    > 2 │     def broken(self:\n        │               ^\n",
            id="a syntax error",
        ),
    ],
)
def test_an_exception_at_import_ends_a_start_without_reload_with_5(tmp_path: Path, program: str, message: str) -> None:
    code, text = dev(write_project(tmp_path, program=program))
    assert code == 5
    assert text.startswith(message)
    assert text.endswith("  nothing serves")

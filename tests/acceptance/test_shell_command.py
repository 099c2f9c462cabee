"""`durable shell` on a real terminal, with a running emulator behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.running_dev import DURABLE, Dev, typed
from tests.acceptance.terminal_dev import Screen
from tests.settings import settings

PROGRAM = """\
from datetime import timedelta

import durable
from durable import DurableObject, Response, WorkerEntrypoint

CONSTRUCTED = []


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        CONSTRUCTED.append(ctx.id.name)

    async def increment(self, by=1):
        n = (self.ctx.storage.kv.get("n") or 0) + by
        self.ctx.storage.kv.put("n", n)
        self.ctx.storage.kv.put("pair", (1, b"\\x1b"))
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS log(n)")
        self.ctx.storage.sql.exec("INSERT INTO log VALUES (?)", n)
        await self.ctx.storage.set_alarm(durable.now() + timedelta(hours=5))
        return n

    def fail(self):
        raise ValueError("no reason")

    def alarm(self):
        self.ctx.storage.kv.put("alarm", "ran")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rpartition("/")[2]
        if name != "constructed":
            await self.env.COUNTERS.get_by_name(name).increment()
        return Response(" ".join(CONSTRUCTED))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(settings("Counter", "COUNTERS"))
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def dev(project: Path, start_dev: Callable[..., Dev]) -> Dev:
    """With one object, `home`, that sleeps."""
    first = start_dev(project, "--no-reload").wait_ready()
    assert first.get("/home")[0] == 200
    first.end()
    return start_dev(project, "--no-reload").wait_ready()


class Prompt:
    """A shell, and what it answers."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.screen.wait_shown('Counter "home">>> ')

    def says(self, line: str) -> str:
        """What is shown between the line and the next prompt."""
        self.screen.type(line + "\n")
        shown = self.screen.wait_shown('\nCounter "home">>> ')
        return shown.partition("\n")[2].removesuffix('Counter "home">>> ').strip("\n")


@pytest.fixture
def open_shell(project: Path, dev: Dev) -> Iterator[Callable[..., Prompt]]:
    screens: list[Screen] = []

    def start(*words: str) -> Prompt:
        screens.append(Screen(project, *DURABLE, "shell", *words))
        return Prompt(screens[-1])

    yield start
    for screen in screens:
        screen.close()


def test_looking_wakes_nobody_and_a_call_does(open_shell: Callable[..., Prompt], dev: Dev, project: Path) -> None:
    prompt = open_shell("Counter", "home")

    assert prompt.says("kv['n'], list(kv), 'nothing' in kv, len(kv)") == "(1, ['n', 'pair'], False, 2)"
    assert prompt.says("dict(kv)['pair']") == r"(1, b'\x1b')"
    assert prompt.says("sql('SELECT n, ? AS two FROM log', 2)") == "[{'n': 1, 'two': 2}]"
    assert prompt.says("sql('SELECT :x AS x', x='named')") == "[{'x': 'named'}]"
    assert "2" in prompt.says("alarms.get().isoformat()")
    assert "due at" in prompt.says("alarms")
    assert dev.get("/constructed") == (200, "")

    assert prompt.says("obj.increment(by=41)") == "42"
    assert prompt.says("[obj.increment(_) for _ in (1, 2)]") == "[43, 45]"
    assert dev.get("/constructed") == (200, "home")

    assert "alarm" in prompt.says("alarms.fire(); list(kv)")
    prompt.screen.type("\x04")
    assert prompt.screen.wait_end() == 0
    history = project / ".durable" / "run" / "shell_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "obj.increment(by=41)" in history.read_text()


def test_mistakes_are_told_without_our_frames_and_the_prompt_goes_on(open_shell: Callable[..., Prompt]) -> None:
    prompt = open_shell("Counter", "home")

    assert prompt.says("obj.fail()").startswith('error in Counter "home".fail\n  ValueError: no reason\n  main.py:')
    assert "no such method" in prompt.says("obj.nothing()")
    assert "cannot be stored or sent" in prompt.says("obj.increment(object())")
    assert "syntax error" in prompt.says("sql('SELEC')")
    refused = prompt.says("sql('DELETE FROM log')")
    assert "error:" in refused
    assert "--write" in refused
    assert "KeyError: 'nothing'" in prompt.says("kv['nothing']")
    assert "does not support item assignment" in prompt.says("kv['n'] = 3")
    assert "NameError" in prompt.says("nothing")
    assert prompt.says("1 + 1") == "2"


def test_write_lets_sql_change_the_object_and_the_prompt_outlives_the_emulator(
    open_shell: Callable[..., Prompt], dev: Dev, project: Path, start_dev: Callable[..., Dev]
) -> None:
    prompt = open_shell("Counter", "home", "--write")

    assert prompt.says("sql('DELETE FROM log')") == "[]"
    assert prompt.says("sql('SELECT count(*) AS n FROM log')") == "[{'n': 0}]"
    dev.end()
    assert "no emulator runs here" in prompt.says("obj.increment()")
    start_dev(project, "--no-reload").wait_ready()
    assert prompt.says("obj.increment()") == "2"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("Counter", "hoem"), 3, 'no such object: Counter "hoem"'),
        (("Conuter", "home"), 3, '"Conuter"'),
        (("Counter",), 2, "which object? Its NAME is missing"),
    ],
)
def test_what_is_not_there_is_told_before_the_first_prompt(
    project: Path, dev: Dev, words: tuple[str, ...], code: int, sentence: str
) -> None:
    with closing(Screen(project, *DURABLE, "shell", *words)) as screen:
        screen.wait_shown(sentence)
        assert screen.wait_end() == code


def test_without_an_emulator_or_a_terminal_it_says_what_to_type(project: Path, dev: Dev) -> None:
    elsewhere = typed(project, "shell", "Counter", "home")
    assert (elsewhere.returncode, elsewhere.stdout) == (2, "")
    assert "a prompt needs a terminal" in elsewhere.stderr
    assert "durable call" in elsewhere.stderr

    dev.end()
    with closing(Screen(project, *DURABLE, "shell", "Counter", "home")) as screen:
        screen.wait_shown("no emulator runs here")
        screen.wait_shown("durable dev, in another terminal")
        assert screen.wait_end() == 2


def test_the_example_of_the_help_works(project: Path, open_shell: Callable[..., Prompt]) -> None:
    command, *words = typed(project, "shell", "--help").stdout.split("Example: durable ")[1].split("\n\n")[0].split()

    assert command == "shell"
    assert open_shell(*words).says("kv['n']") == "1"

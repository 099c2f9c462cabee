"""A day with `durable dev`: saves good and bad, edits of the configuration, alarms, stops, kills, migrations."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from durable.storage.lock import StateLock
from tests.acceptance.running_dev import Dev, is_alive, rows, typed
from tests.settings import settings

CONFIG = (
    settings("Counter", "COUNTERS")
    + """
[dev]
idle_seconds = 3600

[vars]
GREETING = "hello"
"""
)

RENAMED = CONFIG.replace('class_name = "Counter"', 'class_name = "Tally"').replace(
    "[vars]", '[[migrations]]\ntag = "v2"\nrenamed_classes = [{from = "Counter", to = "Tally"}]\n\n[vars]'
)
DELETED = CONFIG.replace('[[durable_objects.bindings]]\nname = "COUNTERS"\nclass_name = "Counter"\n\n', "").replace(
    "[vars]", '[[migrations]]\ntag = "v2"\ndeleted_classes = ["Counter"]\n\n[vars]'
)
RENAMING = "v2: rename class Counter to Tally, with its objects and their data"
DELETION = "v2: delete class Counter with all its objects; their data moves to the folder deleted"

PROGRAM = """\
import time
from urllib.parse import urlsplit

from durable import DurableObject, Response, WorkerEntrypoint

VERSION = "one"


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.in_memory = 0
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS counts(n INTEGER PRIMARY KEY, note TEXT, data BLOB, part REAL)")
        self.sql.exec("CREATE TABLE IF NOT EXISTS fired(scheduled_ms INTEGER, at_ms INTEGER)")

    def count(self):
        self.in_memory += 1
        self.sql.exec("INSERT INTO counts(note, data, part) VALUES (?, ?, ?)", "né, \\"q\\"", bytes([0, 255]), 0.5)
        stored = self.sql.exec("SELECT count(*) AS n FROM counts").one()["n"]
        return {"version": VERSION, "in_memory": self.in_memory, "stored": stored}

    async def wake_in(self, milliseconds):
        await self.ctx.storage.set_alarm(int(time.time() * 1000) + milliseconds)
        return await self.ctx.storage.get_alarm()

    async def alarm(self, info):
        self.sql.exec("INSERT INTO fired VALUES (?, ?)", info.scheduled_time, int(time.time() * 1000))

    def fired(self):
        return [[row["scheduled_ms"], row["at_ms"]] for row in self.sql.exec("SELECT * FROM fired")]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what, *words = urlsplit(request.url).path.strip("/").split("/")
        if what == "greeting":
            return Response(self.env.GREETING)
        counter = self.env.COUNTERS.get_by_name(words[0])
        return Response.json(await getattr(counter, what)(*map(int, words[1:])))
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def ask(run: Dev, path: str) -> Any:
    status, text = run.get(path)
    assert status == 200, text
    return json.loads(text)


# --- saves ------------------------------------------------------------------------------------------------------------


def test_a_save_brings_new_code_and_new_memory_and_keeps_what_was_stored(start_dev: Callable[..., Dev], app: Path):
    run = start_dev(app).wait_ready()
    assert ask(run, "/count/a") == {"version": "one", "in_memory": 1, "stored": 1}
    assert ask(run, "/count/a") == {"version": "one", "in_memory": 2, "stored": 2}

    (app / "main.py").write_text(PROGRAM.replace('"one"', '"two"'))
    assert "main.py" in run.wait_told("reloaded in ")
    assert ask(run, "/count/a") == {"version": "two", "in_memory": 1, "stored": 3}

    # As many editors save: the new file takes the old one's name.
    since = len(run.err)
    (app / "main.py.tmp").write_text(PROGRAM.replace('"one"', '"three"'))
    (app / "main.py.tmp").replace(app / "main.py")
    run.wait_told("reloaded in ", since=since)
    assert ask(run, "/count/a") == {"version": "three", "in_memory": 1, "stored": 4}
    assert run.end() == 0


@pytest.mark.parametrize(
    ("program", "message", "place"),
    [
        pytest.param(PROGRAM + "\ndef broken(:\n", "SyntaxError", PROGRAM.count("\n") + 2, id="a syntax error"),
        pytest.param("import nothing_here\n" + PROGRAM, "No module named 'nothing_here'", 1, id="a missing module"),
        pytest.param(PROGRAM.replace("class Counter(", "class Kounter("), "defines no class Counter", 0, id="no class"),
        pytest.param("", "defines no class Counter", 0, id="an empty file"),
    ],
)
def test_a_bad_save_is_told_once_with_its_place_and_the_last_good_code_serves_on(
    start_dev: Callable[..., Dev], app: Path, program: str, message: str, place: int
):
    run = start_dev(app).wait_ready()
    ask(run, "/count/a")

    (app / "main.py").write_text(program)
    run.wait_told("the last good code goes on serving")
    assert sum(message in line for line in run.err) == 1, run.told
    if place:
        assert any(line.strip().startswith(f"main.py:{place}") for line in run.err), run.told

    # Also browsers are served by it, and the object was not even disturbed.
    assert ask(run, "/count/a") == {"version": "one", "in_memory": 2, "stored": 2}
    assert run.get("/greeting", Accept="text/html") == (200, "hello")

    (app / "main.py").write_text(PROGRAM.replace('"one"', '"mended"'))
    run.wait_told("reloaded in ")
    assert ask(run, "/count/a") == {"version": "mended", "in_memory": 1, "stored": 3}
    assert sum(message in line for line in run.err) == 1, run.told
    assert "Traceback" not in run.told
    assert run.end() == 0


def test_nothing_serves_yet_is_shown_to_browsers_with_the_users_line(start_dev: Callable[..., Dev], app: Path):
    (app / "main.py").write_text("def broken(:\n")
    run = start_dev(app, "--ip", "127.0.0.1", "--log-format", "json")
    run.wait_told("reload_failed")
    run_file = app / ".durable" / "run" / "emulator.json"
    run.wait_for(run_file.exists, "address")
    run.out.append(f"Ready on {json.loads(run_file.read_text())['url']}")

    status, page = run.get("/greeting", Accept="text/html")
    assert status in {500, 503}
    assert page.startswith("<!doctype html>")
    assert "SyntaxError" in page
    assert 'main.py</span>:<span class="line">1</span>' in page

    run.out.clear()
    (app / "main.py").write_text(PROGRAM)
    run.wait_ready()
    assert run.get("/greeting", Accept="text/html") == (200, "hello")
    assert run.end() == 0


def test_an_edit_of_the_configuration_takes_effect_and_a_bad_one_does_not(start_dev: Callable[..., Dev], app: Path):
    run = start_dev(app).wait_ready()
    assert run.get("/greeting") == (200, "hello")

    (app / "durable.toml").write_text(CONFIG.replace('"hello"', '"good day"'))
    assert "durable.toml" in run.wait_told("reloaded in ")
    assert run.get("/greeting") == (200, "good day")

    since = len(run.err)
    (app / "durable.toml").write_text(CONFIG.replace('"hello"', '"hello'))
    line = CONFIG.splitlines().index('GREETING = "hello"') + 1
    assert run.wait_told("error: ", since=since).startswith(f"error: durable.toml:{line}:")
    run.wait_told("the last good code goes on serving", since=since)
    assert run.get("/greeting") == (200, "good day")

    since = len(run.err)
    (app / "durable.toml").write_text(CONFIG.replace('"hello"', '"good evening"'))
    run.wait_told("reloaded in ", since=since)
    assert run.get("/greeting") == (200, "good evening")
    assert run.end() == 0


def test_many_saves_leave_neither_processes_nor_descriptors_behind(start_dev: Callable[..., Dev], app: Path):
    run = start_dev(app).wait_ready()

    def save(version: str) -> None:
        since = len(run.err)
        (app / "main.py").write_text(PROGRAM.replace('"one"', f'"{version}"'))
        run.wait_told("reloaded in ", since=since)
        assert ask(run, "/count/a")["version"] == version
        # The next standby is up: only then does anything stand still.
        run.wait_for(lambda: len(run.processes()) == 3, "gateway, host and standby")

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{run.process.pid}/fd"))

    save("first")
    before = descriptors()
    for number in range(8):
        save(f"v{number}")
    run.wait_for(lambda: descriptors() <= before, f"return to {before} open files; there are {descriptors()}")
    assert run.end() == 0


# --- alarms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_alarms_survive_a_restart_and_none_fires_early_or_twice(start_dev: Callable[..., Dev], app: Path, number: int):
    run = start_dev(app, "--no-reload").wait_ready()
    scheduled = {"overdue": ask(run, "/wake_in/overdue/600"), "later": ask(run, "/wake_in/later/2500")}
    family = run.processes()
    run.end(number)
    run_until(lambda: not any(map(is_alive, family)), "end of every process")
    run_until(lambda: time.time() * 1000 > scheduled["overdue"], "moment of the first alarm")

    run = start_dev(app, "--no-reload").wait_ready()
    for name, scheduled_ms in scheduled.items():
        run.wait_for(partial(ask, run, f"/fired/{name}"), f"alarm of {name}")
        [[told_ms, at_ms]] = ask(run, f"/fired/{name}")
        assert told_ms == scheduled_ms
        assert at_ms >= scheduled_ms
    # Each fired once, and none is left.
    assert [len(ask(run, f"/fired/{name}")) for name in scheduled] == [1, 1]
    assert run.end() == 0


def run_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.01)


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_exits_0_and_leaves_no_process_and_no_lock(start_dev: Callable[..., Dev], app: Path, number: int):
    run = start_dev(app, "--hosts", "2").wait_ready()
    ask(run, "/count/a")
    run.wait_for(lambda: len(run.processes()) == 5, "gateway, two hosts and two standbys")
    family = run.processes()

    assert run.end(number) == 0

    assert not [pid for pid in family if is_alive(pid)]
    with StateLock.acquire(app / ".durable" / "state", what="a test"):
        pass
    assert not (app / ".durable" / "run" / "emulator.json").exists()
    assert "Traceback" not in run.told


def test_after_a_kill_the_lock_is_free_at_once_and_what_was_acknowledged_is_there(
    start_dev: Callable[..., Dev], app: Path
):
    run = start_dev(app).wait_ready()
    stored = [ask(run, "/count/a")["stored"] for _ in range(5)]
    family = run.processes()
    assert run.end(signal.SIGKILL) == -signal.SIGKILL
    run_until(lambda: not any(map(is_alive, family)), "end of every process")

    run = start_dev(app).wait_ready()
    assert stored == [1, 2, 3, 4, 5]
    assert ask(run, "/count/a")["stored"] == 6
    assert run.end() == 0


def test_two_emulators_of_one_project_on_two_states_do_not_meet(start_dev: Callable[..., Dev], app: Path):
    first, second = start_dev(app), start_dev(app, "--persist-to", str(app / "other"))
    first.wait_ready()
    second.wait_ready()
    assert [ask(first, "/count/a")["stored"] for _ in range(2)] == [1, 2]
    assert ask(second, "/count/a")["stored"] == 1

    question = ("sql", "Counter", "a", "SELECT n FROM counts", "--json")
    assert len(rows(typed(app, *question))) == 2
    assert len(rows(typed(app, *question, "--persist-to", "other"))) == 1

    # A save reaches both.
    (app / "main.py").write_text(PROGRAM.replace('"one"', '"two"'))
    for run in (first, second):
        run.wait_told("reloaded in ")
    assert ask(first, "/count/a") == {"version": "two", "in_memory": 1, "stored": 3}
    assert ask(second, "/count/a") == {"version": "two", "in_memory": 1, "stored": 2}
    assert [first.end(), second.end()] == [0, 0]


# --- tools ------------------------------------------------------------------------------------------------------------


def test_sql_prints_the_same_whether_it_runs_or_not(start_dev: Callable[..., Dev], app: Path):
    run = start_dev(app, "--no-reload").wait_ready()
    for _ in range(3):
        ask(run, "/count/a")

    def printed() -> list[tuple[int, str]]:
        results = [
            typed(app, "sql", *words, "SELECT * FROM counts ORDER BY n", *form)
            for words in (("Counter", "a"), ("COUNTERS", "a"))
            for form in ((), ("--json",), ("--csv",))
        ]
        return [(result.returncode, result.stdout) for result in results]

    running = printed()
    # Looking wakes nobody and changes nothing.
    assert ask(run, "/count/a") == {"version": "one", "in_memory": 4, "stored": 4}
    typed(app, "sql", "Counter", "a", "DELETE FROM counts WHERE n = 4", "--write")
    assert run.end() == 0
    stopped = printed()

    assert running == stopped
    assert running[:3] == running[3:]
    assert [code for code, _ in running] == [0] * 6
    document = json.loads(running[1][1])
    assert [(row["n"], row["note"], row["part"]) for row in document] == [(n, 'né, "q"', 0.5) for n in (1, 2, 3)]


def test_migrate_renames_with_all_data_once_and_says_what_it_did(start_dev: Callable[..., Dev], app: Path):
    run = start_dev(app).wait_ready()
    ask(run, "/count/a")

    # The renaming waits for the word; what was there serves on.
    (app / "main.py").write_text(PROGRAM.replace("class Counter(", "class Tally("))
    (app / "durable.toml").write_text(RENAMED)
    run.wait_told(RENAMING)
    run.wait_told("fix: durable migrate")
    assert ask(run, "/count/a")["stored"] == 2

    status = typed(app, "migrate", "status")
    assert status.stdout == f"{RENAMING}\n"
    assert status.stderr == "Pending: v2. durable migrate applies it.\n"
    since = len(run.err)
    applied = typed(app, "migrate")
    assert (applied.returncode, applied.stdout, applied.stderr) == (
        0,
        f"{RENAMING}\n",
        "Applied v2.\n",
    )
    for _ in range(2):
        again = typed(app, "migrate")
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "Nothing to do: v1, v2 are applied.\n")
    assert ask(run, "/count/a") == {"version": "one", "in_memory": 1, "stored": 3}
    assert not [line for line in run.err[since:] if "error" in line], run.told
    assert run.end() == 0

    stopped = typed(app, "migrate")
    assert (stopped.returncode, stopped.stderr) == (0, "Nothing to do: v1, v2 are applied.\n")
    assert len(rows(typed(app, "sql", "Tally", "a", "SELECT n FROM counts", "--json"))) == 3
    gone = typed(app, "sql", "Counter", "a", "SELECT 1")
    assert gone.returncode == 3


def test_a_deletion_is_refused_by_dev_with_the_command_to_type_and_migrate_puts_the_data_aside(
    start_dev: Callable[..., Dev], app: Path
):
    run = start_dev(app).wait_ready()
    ask(run, "/count/a")
    assert run.end() == 0
    (app / "durable.toml").write_text(DELETED)
    (app / "main.py").write_text(PROGRAM[: PROGRAM.index("class Counter")] + PROGRAM[PROGRAM.index("class Default") :])

    refused = typed(app, "dev", "--port", "0")
    assert refused.returncode == 2
    assert refused.stderr.endswith(
        f"error: these migrations are not applied yet:\n           {DELETION}\n  fix: durable migrate\n"
    ), refused.stderr
    assert list((app / ".durable" / "state").glob("Counter-*"))

    planned = typed(app, "migrate", "--dry-run")
    assert planned.stdout == f"{DELETION}\n"
    assert list((app / ".durable" / "state").glob("Counter-*"))
    applied = typed(app, "migrate")
    assert (applied.returncode, applied.stderr) == (
        0,
        "Applied v2. What Counter left is kept: durable migrate deleted lists it.\n",
    )
    assert not list((app / ".durable" / "state").glob("Counter-*"))
    assert list((app / ".durable" / "deleted").rglob("*.sqlite"))

    run = start_dev(app).wait_ready()
    assert run.get("/greeting") == (200, "hello")
    assert run.end() == 0

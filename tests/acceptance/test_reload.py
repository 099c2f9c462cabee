"""Saves as editors, formatters and people make them, and what `durable dev` says about each."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.running_dev import Dev, is_alive, typed
from tests.settings import settings

CONFIG = settings("Counter", "COUNTERS")

PROGRAM = """\
from durable import DurableObject, Response, WorkerEntrypoint

VERSION = "one"


class Counter(DurableObject):
    def count(self):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS counts(n INTEGER PRIMARY KEY)")
        return sql.exec("INSERT INTO counts DEFAULT VALUES RETURNING n").one()["n"]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/count"):
            return Response(str(await self.env.COUNTERS.get_by_name("a").count()))
        return Response(VERSION)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    return tmp_path


def version(number: int) -> str:
    return PROGRAM.replace('"one"', f'"{number}"')


def watching(run: Dev, hosts: int = 1) -> Dev:
    """Saves are noticed from now on, and the standbys are there."""
    run.wait_ready()
    run.wait_for(lambda: len(run.processes()) == 1 + 2 * hosts, "standby")
    return run


# --- many saves -------------------------------------------------------------------------------------------------------
def test_a_hundred_saves_in_two_seconds_make_three_reloads_at_most_and_leave_nothing_behind(
    start_dev: Callable[..., Dev], app: Path
):
    run = watching(start_dev(app))
    descriptors = len(os.listdir(f"/proc/{run.process.pid}/fd"))
    for folder in (".venv", "__pycache__", ".git", "node_modules"):
        (app / folder).mkdir()

    began = time.monotonic()
    for number in range(100):
        (app / "main.py").write_text(version(number))
        for folder in (".venv", "__pycache__", ".git", "node_modules"):
            (app / folder / f"{number}.py").write_text("x = 1")
        time.sleep(max(0.0, began + (number + 1) * 0.02 - time.monotonic()))
    run.wait_for(lambda: run.get("/") == (200, "99"), "answer by the last save")

    def rests() -> bool:
        family = run.processes()
        return len(family) == 3 and all(map(is_alive, family))  # one that only waits to be reaped may be among them

    run.wait_for(rests, "one host and its standby")
    assert sum(line.startswith("reloaded in ") for line in run.err) <= 3, run.told
    run.wait_for(lambda: len(os.listdir(f"/proc/{run.process.pid}/fd")) <= descriptors, "flat descriptors")
    assert "error" not in run.told
    assert run.end() == 0


def test_a_file_that_is_written_in_halves_is_loaded_when_it_is_whole(start_dev: Callable[..., Dev], app: Path):
    run = watching(start_dev(app))

    with (app / "main.py").open("w") as file:
        text = version(2)
        for start in range(0, len(text), 40):
            file.write(text[start : start + 40])
            file.flush()
    run.wait_for(lambda: run.get("/") == (200, "2"), "answer by the new code")
    assert run.end() == 0


def test_without_reload_a_save_changes_nothing_not_even_for_a_host_that_dies(start_dev: Callable[..., Dev], app: Path):
    run = start_dev(app, "--no-reload").wait_ready()
    assert run.get("/") == (200, "one")
    host = max(run.processes() - {run.process.pid})

    (app / "main.py").write_text(version(2))
    os.kill(host, signal.SIGKILL)

    assert "serves the last good code, not what is on the disk" in run.wait_told("a new host (pid ")
    assert run.get("/") == (200, "one")
    assert "reloaded" not in run.told
    assert run.end() == 0


# --- bad saves --------------------------------------------------------------------------------------------------------
def test_a_host_that_dies_while_a_bad_save_is_on_the_disk_comes_back_with_the_last_good_code(
    start_dev: Callable[..., Dev], app: Path
):
    run = watching(start_dev(app))
    assert run.get("/count") == (200, "1")
    (app / "main.py").write_text("def broken(:\n")
    run.wait_told("the last good code goes on serving")
    victims = run.processes() - {run.process.pid}

    for pid in victims:
        os.kill(pid, signal.SIGKILL)

    assert "serves the last good code, not what is on the disk" in run.wait_told("a new host (pid ")
    assert run.get("/") == (200, "one")
    assert run.get("/count") == (200, "2")
    since = len(run.err)
    (app / "main.py").write_text(version(2))
    run.wait_told("reloaded in ", since=since)
    assert run.get("/") == (200, "2")
    assert run.end() == 0


RENAMED = PROGRAM.replace("class Counter(", "class Tally(")


def test_a_renamed_class_is_explained_with_what_to_paste_and_pasting_it_keeps_its_objects(
    start_dev: Callable[..., Dev], app: Path
):
    run = watching(start_dev(app))
    assert run.get("/count") == (200, "1")

    (app / "main.py").write_text(RENAMED)
    run.wait_told("the last good code goes on serving")
    told = "\n".join(line.strip() for line in run.err)
    entry = '[[migrations]]\ntag = "v2"\nrenamed_classes = [{from = "Counter", to = "Tally"}]'
    assert "If Counter is now called Tally, bind env.COUNTERS to Tally and add:" in told.replace("\n", " ")
    assert f"fix: {entry}" in told
    assert run.get("/count") == (200, "2")

    (app / "durable.toml").write_text(CONFIG.replace('class_name = "Counter"', 'class_name = "Tally"') + "\n" + entry)
    run.wait_told("fix: durable migrate")
    assert typed(app, "migrate").returncode == 0
    assert run.get("/count") == (200, "3")
    assert run.end() == 0


def test_for_a_wrangler_jsonc_the_migration_to_paste_is_json(start_dev: Callable[..., Dev], app: Path):
    (app / "durable.toml").unlink()
    document = {
        "name": "app",
        "main": "main.py",
        "compatibility_date": "2026-11-01",
        "durable_objects": {"bindings": [{"name": "COUNTERS", "class_name": "Counter"}]},
        "migrations": [{"tag": "v1", "new_sqlite_classes": ["Counter"]}],
    }
    (app / "wrangler.jsonc").write_text("// settings\n" + json.dumps(document, indent=2))
    run = watching(start_dev(app))

    (app / "main.py").write_text(RENAMED)
    run.wait_told("the last good code goes on serving")

    told = "\n".join(line.strip() for line in run.err)
    assert 'fix: { "tag": "v2", "renamed_classes": [{"from": "Counter", "to": "Tally"}] }' in told
    assert run.end() == 0


def test_a_removed_class_is_explained_with_the_deletion_to_paste(start_dev: Callable[..., Dev], app: Path):
    run = watching(start_dev(app))

    before, _, rest = PROGRAM.partition("class Counter(")
    (app / "main.py").write_text(before + rest[rest.index("class Default") :])
    run.wait_told("the last good code goes on serving")

    told = "\n".join(line.strip() for line in run.err)
    assert 'fix: [[migrations]]\ntag = "v2"\ndeleted_classes = ["Counter"]' in told
    assert run.end() == 0


def test_a_module_of_another_folder_that_is_developed_too_reloads_the_program(start_dev: Callable[..., Dev], app: Path):
    shared = app.parent / f"{app.name}-shared"
    shared.mkdir()
    (shared / "words.py").write_text('WORD = "one"\n')
    (app / "main.py").write_text(PROGRAM.replace('VERSION = "one"', "from words import WORD as VERSION"))
    run = watching(start_dev(app, environ={**os.environ, "PYTHONPATH": str(shared)}))
    assert run.get("/") == (200, "one")

    (shared / "words.py").write_text('WORD = "two"\n')

    assert run.wait_told("reloaded in ").endswith("words.py)")
    assert run.get("/") == (200, "two")
    assert run.end() == 0


# --- configuration ----------------------------------------------------------------------------------------------------
def test_a_changed_port_is_said_to_take_effect_at_the_next_start_and_reloads_nothing(
    start_dev: Callable[..., Dev], app: Path
):
    (app / "durable.toml").write_text(CONFIG + "[dev]\nhosts = 1\n")
    run = watching(start_dev(app))

    (app / "durable.toml").write_text(CONFIG + "[dev]\nhosts = 2\n")

    assert run.wait_told("takes effect at the next start").endswith("[dev] hosts")
    assert run.wait_told("read again, and nothing to reload for").endswith("durable.toml")
    assert "reloaded" not in run.told
    assert run.get("/") == (200, "one")
    assert run.end() == 0


def test_a_secret_that_is_saved_reaches_the_code(start_dev: Callable[..., Dev], app: Path):
    (app / "main.py").write_text(PROGRAM.replace("Response(VERSION)", 'Response(getattr(self.env, "WORD", "none"))'))
    run = watching(start_dev(app))
    assert run.get("/") == (200, "none")

    (app / ".dev.vars").write_text("WORD=hush\n")

    assert run.wait_told("reloaded in ").endswith("(.dev.vars)")
    assert run.get("/") == (200, "hush")
    assert "hush" not in run.told
    assert run.end() == 0

"""`durable sql` on one object, as a user types it: with an emulator running and stopped, and waking nobody."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from durable.storage.lock import StateLock
from tests.acceptance.running_dev import Dev, rows, typed
from tests.settings import settings

PROGRAM = """\
import json
from pathlib import Path
from urllib.parse import unquote

from durable import DurableObject, Response, WorkerEntrypoint

CONSTRUCTED = Path(__file__).parent.parent / "constructed"


class Trial(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        with CONSTRUCTED.open("a") as file:
            file.write("once\\n")

    async def keep(self, cart):
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS names (name TEXT, n INTEGER)")
        self.ctx.storage.sql.exec("INSERT INTO names VALUES (?, 1)", self.ctx.id.name)
        await self.ctx.storage.put("cart", cart)

    async def names(self):
        return [row["n"] for row in self.ctx.storage.sql.exec("SELECT n FROM names")]

    async def sees_kv(self):
        try:
            self.ctx.storage.sql.exec("SELECT * FROM kv")
        except Exception as error:
            return str(error)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        asked = json.loads(unquote(request.url.partition("?")[2]))
        trial = self.env.TRIALS.get_by_name(asked["name"])
        return Response.json(await getattr(trial, asked["method"])(*asked["arguments"]))
"""
HOSTILE = (
    "../../../etc/passwd",
    "x'; DROP TABLE names; --",
    '"]',
    "-dash",
    "été",
    "e\u0301te\u0301",
    "two\nlines",
    "a\x1b[2J\u202e%00",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "durable.toml").write_text(settings("Trial", "TRIALS"))
    (folder / "main.py").write_text(PROGRAM)
    return folder


def ask(dev: Dev, name: str, method: str, *arguments: object) -> Any:
    question = json.dumps({"name": name, "method": method, "arguments": arguments})
    status, body = dev.get(f"/?{quote(question)}")
    assert status == 200, body
    return json.loads(body)


def constructed(project: Path) -> int:
    return len((project.parent / "constructed").read_text().splitlines())


def files_of(project: Path) -> set[str]:
    return {str(path.relative_to(project)) for path in (project / ".durable" / "state").rglob("*.sqlite")}


def test_one_object_with_an_emulator_running_and_stopped(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    ask(dev, "home", "keep", {"apples": 3})
    dev.end()
    files, awake = files_of(project), constructed(project)

    for number, is_running in enumerate((False, True), 2):
        dev = start_dev(project, "--no-reload").wait_ready() if is_running else dev
        found = typed(project, "sql", "Trial", "home", "SELECT name, :n AS n FROM names", "-p", f"n={number}", "--json")
        assert rows(found) == [{"name": "home", "n": number}]
        found = typed(project, "sql", "TRIALS", "home", "SELECT key, type, value FROM kv; SELECT 1 AS one", "--csv")
        assert (found.returncode, found.stdout) == (0, 'key,type,value\ncart,dict,"{""apples"": 3}"\n\none\n1\n')
        refused = typed(project, "sql", "Trial", "home", "DELETE FROM names")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "fix: add --write to change data" in refused.stderr
        undone = typed(project, "sql", "Trial", "home", "DELETE FROM names; SELECT nope", "--write")
        assert (undone.returncode, "no such column: nope" in undone.stderr) == (2, True)
        written = typed(project, "sql", "Trial", "home", "UPDATE names SET n = ? RETURNING n", "-p", "7", "--write")
        assert (written.returncode, written.stderr) == (0, "1 row written\n")
        missing = typed(project, "sql", "Trial", "hoem", "SELECT 1")
        assert (missing.returncode, 'Did you mean "home"?' in missing.stderr) == (3, True)
        assert typed(project, "sql", "Tiral", "home", "SELECT 1").returncode == 3
        capped = typed(project, "sql", "Trial", "home", NUMBERS, "--json")
        assert capped.stderr == "… there are more than these 10000 rows: narrow the query with WHERE or LIMIT\n"
        assert len(rows(capped)) == 10_000
        assert files_of(project) == files
        assert constructed(project) == awake

    assert ask(dev, "home", "names") == [7]
    awake += 1
    typed(project, "sql", "Trial", "home", "UPDATE names SET n = 8; SELECT * FROM kv", "--write")
    assert ask(dev, "home", "names") == [8]
    assert "no such table: kv" in ask(dev, "home", "sees_kv")
    assert constructed(project) == awake


NUMBERS = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < 20000) SELECT n FROM c"


def test_a_name_is_only_a_name_whatever_is_in_it(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    for name in HOSTILE:
        ask(dev, name, "keep", name)
    for name in HOSTILE:
        found = typed(project, "sql", "Trial", "--json", "--", name, "SELECT name FROM names")
        assert rows(found) == [{"name": name}]
        assert all(character == "\n" or character.isprintable() for character in found.stdout)
    spoof = typed(project, "sql", "Trial", "--", "two\nliens", "SELECT 1")
    assert (spoof.returncode, spoof.stderr.count("\n")) == (3, 2)
    strange = typed(project, "sql", "Trial", "--", "no\x1b[2J\u202e", "SELECT 1")
    assert strange.returncode == 3
    assert 'no such object: Trial "no\\x1b[2J\\u202e"' in strange.stderr
    assert all(character == "\n" or character.isprintable() for character in strange.stderr)
    assert len(files_of(project)) == len(HOSTILE) + 2  # the index and what is known of classes


def test_a_state_that_another_process_holds_is_named_with_its_pid(project: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(project, "--no-reload").wait_ready()
    ask(dev, "home", "keep", 1)
    dev.end()
    with StateLock.acquire(project / ".durable" / "state", what="another tool"):
        refused = typed(project, "sql", "Trial", "home", "SELECT 1")
    assert refused.returncode == 4
    assert f"pid {os.getpid()}" in refused.stderr

"""Deleting, copying, exporting, importing, snapshots and seeds of objects with a real emulator: running and stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running_dev import Dev, rows, typed
from tests.settings import settings

CONFIG = settings("Counter", "COUNTERS")
PROGRAM = """\
from durable import DurableObject, Response, WorkerEntrypoint


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        with open("built.txt", "a") as built:
            built.write("x")
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, body)")

    def add(self):
        storage = self.ctx.storage
        n = storage.kv.get("n", 0) + 1
        storage.sql.exec("INSERT INTO t (body) VALUES (?)", f"row {n}")
        storage.kv.put("n", n)
        return str(n)

    def count(self):
        return str(self.ctx.storage.kv.get("n", 0))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, name, what = request.url.partition("//")[2].split("/")
        stub = self.env.COUNTERS.get_by_name(name)
        return Response(await (stub.add() if what == "add" else stub.count()))
"""
SEED = '{"class": "Counter", "name": "seeded", "kv": {"n": 5}, "sql": "CREATE TABLE t (n INTEGER PRIMARY KEY, body)"}\n'


class Place:
    """A project, and what is done with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def built(self) -> int:
        """How many objects were constructed so far."""
        file = self.folder / "built.txt"
        return len(file.read_text()) if file.exists() else 0

    def objects(self, *words: str, code: int = 0) -> tuple[str, str]:
        """What `durable objects …` printed and said."""
        result = typed(self.folder, "objects", *words)
        assert result.returncode == code, result.stderr
        return result.stdout, result.stderr

    def count(self, name: str) -> int:
        """Read by a tool, so it wakes nobody."""
        found = rows(typed(self.folder, "sql", "Counter", name, "SELECT count(*) AS n FROM t", "--json"))
        return int(str(found[0]["n"]))

    def undo(self, told: str) -> None:
        line = next(line for line in told.splitlines() if line.startswith("to undo this: "))
        self.objects(*line.removeprefix("to undo this: durable objects ").split())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "durable.toml").write_text(CONFIG)
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "seed.jsonl").write_text(SEED)
    return Place(tmp_path)


def do_everything(place: Place) -> None:
    """Every command once or twice, on `home` with two rows and `other` with one; leaves them as they were."""
    place.objects("snapshot", "Counter", "home", "--label", "one")
    place.objects("snapshot", "Counter", "--label", "all")
    assert "Counter, 2 objects" in place.objects("snapshot", "--list")[0]
    place.objects("copy", "Counter", "home", "second")
    assert place.objects("diff", "Counter", "home", "second")[1] == "no differences\n"
    assert "table t: 1 removed" in place.objects("diff", "Counter", "home", "other")[0]
    for number, file in enumerate(("one.sqlite", "one.sql", "one.jsonl")):
        place.objects("export", "Counter", "home", "-o", file)
        place.objects("import", "Counter", f"again {number}", file)
        assert place.count(f"again {number}") == 2
        place.objects("delete", "Counter", f"again {number}", "--yes")
    for words in (["all.jsonl"], ["folder"], ["scripts", "--format", "sql"]):
        assert place.objects("export", "Counter", "-o", *words)[1].startswith("3 objects of Counter written to ")
        assert place.objects("import", "Counter", words[0], "--replace")[1] == "0 made, 3 replaced\n"
    place.undo(place.objects("delete", "Counter", "second", "--yes")[1])
    assert place.count("second") == 2
    place.objects("delete", "Counter", "second", "--yes")
    assert place.objects("seed", "seed.jsonl")[1] == "1 made, 0 replaced\n"
    assert place.objects("seed", "seed.jsonl", "--replace")[1] == "0 made, 1 replaced\n"
    assert place.objects("delete", "Counter", "seeded", "--yes", "--json")[0].startswith('{"undo": "')
    told = place.objects("reset", "Counter", "--yes")[1]
    assert told.startswith("2 objects of Counter deleted\n")
    place.objects("diff", "Counter", "home", "other", code=3)
    place.undo(told)
    assert (place.count("home"), place.count("other")) == (2, 1)


def test_everything_works_while_it_runs_and_wakes_nobody(place: Place, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(place.folder, "--no-reload").wait_ready()
    for path in ("/home/add", "/home/add", "/other/add"):
        assert dev.get(path)[0] == 200
    place.objects("evict", "--all")
    assert place.built() == 2

    do_everything(place)

    assert place.built() == 2
    assert dev.get("/home/count") == (200, "2")
    assert dev.get("/other/add") == (200, "2")
    assert dev.get("/second/count") == (200, "0")
    assert dev.end() == 0


def test_everything_works_while_it_is_stopped(place: Place, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(place.folder, "--no-reload").wait_ready()
    for path in ("/home/add", "/home/add", "/other/add"):
        assert dev.get(path)[0] == 200
    assert dev.end() == 0

    do_everything(place)

    assert place.built() == 2
    dev = start_dev(place.folder, "--no-reload").wait_ready()
    assert dev.get("/home/add") == (200, "3")


def test_a_living_object_sees_what_took_its_place(place: Place, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(place.folder, "--no-reload").wait_ready()
    dev.get("/home/add")
    place.objects("snapshot", "Counter", "home", "--label", "one")
    dev.get("/home/add")
    assert place.objects("diff", "Counter", "home", "--snapshot", "one")[0].splitlines() == [
        "table t: 1 added", '  + n 2, body "row 2"', "keys: 1 changed", '  ~ "n"', "      before 1", "      after  2",
    ]  # fmt: skip

    told = place.objects("restore", "Counter", "home", "--snapshot", "one")[1]
    assert dev.get("/home/count") == (200, "1")
    place.undo(told)
    assert dev.get("/home/add") == (200, "3")

    told = place.objects("delete", "Counter", "home", "--yes")[1]
    assert dev.get("/home/count") == (200, "0")
    assert dev.get("/home/add") == (200, "1")
    place.undo(told)
    assert dev.get("/home/add") == (200, "4")


def test_without_objects_and_without_state_every_command_says_so(place: Place, start_dev: Callable[..., Dev]) -> None:
    for words in (("export", "Counter", "-o", "x.jsonl"), ("delete", "Counter", "a", "--yes"), ("reset", "--yes")):
        assert "nothing is stored yet" in place.objects(*words, code=3)[1]
    assert place.objects("snapshot", "--list") == ("", "There are no snapshots.\n")

    start_dev(place.folder, "--no-reload").wait_ready()
    assert place.objects("export", "Counter", "-o", "x.jsonl")[1].startswith("0 objects of Counter")
    assert place.objects("import", "Counter", "x.jsonl")[1] == "0 made, 0 replaced\n"
    assert place.objects("delete", "Counter", "--all", "--yes")[1] == "0 objects of Counter deleted\n"
    assert place.objects("reset", "--yes")[1] == "Counter had no objects\n"
    assert 'no such object: Counter "a"' in place.objects("delete", "Counter", "a", "--yes", code=3)[1]
    assert 'no such object: Counter "a"' in place.objects("copy", "Counter", "a", "b", code=3)[1]
    assert place.built() == 0


def test_copies_of_a_busy_object_are_whole_turns(place: Place, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(place.folder, "--no-reload").wait_ready()
    assert dev.get("/busy/add") == (200, "1")
    ended = threading.Event()
    answers: list[tuple[int, str]] = []

    def write() -> None:
        while not ended.is_set():
            answers.append(dev.get("/busy/add"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [exported(place, f"{number}.jsonl") for number in range(4)]
    finally:
        ended.set()
        writer.join()

    assert all(len(each["rows"]) == each["keys"]["n"] for each in found)
    assert [each["keys"]["n"] for each in found] == sorted(each["keys"]["n"] for each in found)
    assert {status for status, _ in answers} == {200}
    assert [int(text) for _, text in answers] == list(range(2, len(answers) + 2))


def exported(place: Place, file: str) -> dict[str, Any]:
    place.objects("export", "Counter", "busy", "-o", file)
    documents = [json.loads(line) for line in (place.folder / file).read_text().splitlines()]
    return {
        "rows": [document["row"] for document in documents if "row" in document],
        "keys": {document["key"]: document["value"] for document in documents if "key" in document},
    }

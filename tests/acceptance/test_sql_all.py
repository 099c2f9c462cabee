"""`durable sql CLASS --all` as a user types it: the same with the emulator running and stopped, and nobody is woken."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from durable.storage.lock import StateLock
from tests.acceptance.running_dev import DURABLE, Dev, rows, typed
from tests.settings import settings

PROGRAM = """\
import json

from durable import DurableObject, Response, WorkerEntrypoint

CONSTRUCTED = []


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        CONSTRUCTED.append(ctx.id.name)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS m(body TEXT)")

    async def fetch(self, request):
        self.ctx.storage.sql.exec("INSERT INTO m VALUES (?)", await request.text() or "hello")
        if self.ctx.id.name == "wide":
            self.ctx.storage.sql.exec("ALTER TABLE m ADD COLUMN size INTEGER")
        self.ctx.storage.put("name", self.ctx.id.name)
        return Response("ok")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.rpartition("/")[2]
        if name == "constructed":
            return Response(json.dumps(CONSTRUCTED))
        return await self.env.ROOM.get_by_name(name).fetch(request)
"""
Mode = Literal["running", "stopped"]


class Place:
    """A project with objects, and an emulator if it runs."""

    def __init__(self, folder: Path, mode: Mode) -> None:
        self.folder = folder
        self.mode = mode
        (folder / "main.py").write_text(PROGRAM)
        (folder / "durable.toml").write_text(settings("Room", "ROOM") + "\n[dev]\nidle_seconds = 0.1\n")
        self.dev: Dev | None = None

    def with_objects(self, *names: str) -> Place:
        self.dev = Dev(self.folder, "--no-reload").wait_ready()
        for name in names:
            assert self.dev.get(f"/{name}")[0] == 200
        if self.mode == "stopped":
            self.dev.end()
            self.dev.discard()
            self.dev = None
        return self

    @property
    def constructed(self) -> list[str] | None:
        return None if self.dev is None else json.loads(self.dev.get("/constructed")[1])

    def sql(self, *words: str) -> subprocess.CompletedProcess[str]:
        return typed(self.folder, "sql", "Room", "--all", *words)

    def traces(self) -> dict[str, tuple[bytes, int]]:
        """Everything about objects that is on the disk, but for the times of commits, which come a little later."""
        files = sorted((self.folder / ".durable" / "state").glob("*/??/*[!s]"))
        return {str(each): (each.read_bytes(), each.stat().st_mtime_ns) for each in files}


@pytest.fixture(params=["running", "stopped"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, request.param)
    yield place
    if place.dev is not None:
        place.dev.discard()


def test_rows_of_all_objects_come_with_their_object(place: Place) -> None:
    place.with_objects("a", "b", "c")
    before, constructed = place.traces(), place.constructed

    done = place.sql("SELECT count(*) AS n, (SELECT value FROM kv) AS name FROM m", "--json")

    assert done.returncode == 0, done.stderr
    assert sorted(rows(done), key=str) == [{"_object": x, "n": 1, "name": f'"{x}"'} for x in "abc"]
    assert done.stderr == ""
    assert place.constructed == constructed
    assert place.traces() == before


def test_one_object_and_none(place: Place) -> None:
    place.with_objects()
    # A class that never had an object is not there for a stopped emulator.
    done = place.sql("SELECT 1 AS n", "--json")
    assert (done.returncode, done.stdout) in ((0, "[]\n"), (3, ""))
    if place.dev is not None:
        assert place.dev.get("/only")[0] == 200
    else:
        place.with_objects("only")
    assert rows(place.sql("SELECT body FROM m", "--json")) == [{"_object": "only", "body": "hello"}]


def test_objects_are_picked_by_name_and_values_are_given(place: Place) -> None:
    place.with_objects("room-1", "room-2", "hall")
    done = place.sql("SELECT ? AS given FROM m", "-p", "7", "--where-name", "room-*", "--csv")
    head, *body = csv.reader(io.StringIO(done.stdout))
    assert head == ["_object", "given"]
    assert sorted(body) == [["room-1", "7"], ["room-2", "7"]]
    assert place.sql("SELECT 1 FROM m", "--where-name", "nobody", "--json").stdout == "[]\n"


def test_a_second_query_reduces_them(place: Place) -> None:
    place.with_objects("a", "b", "c")
    words = ("SELECT count(*) AS n FROM m", "--reduce", "SELECT sum(n) AS total, count(*) AS objects FROM rows")
    assert rows(place.sql(*words, "--json")) == [{"total": 3, "objects": 3}]
    done = place.sql(*words)
    assert done.stdout.split() == ["total", "objects", "─" * len(done.stdout.splitlines()[1].strip()), "3", "3"]


def test_a_second_query_counts_more_rows_than_a_table_has(place: Place) -> None:
    place.with_objects("a")
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2500) SELECT i FROM n"
    done = place.sql(many, "--reduce", "SELECT count(*) AS n FROM rows")
    assert done.stdout.split()[-1] == "2500"
    done = place.sql(many)
    assert len(done.stdout.splitlines()) == 2 + 1000
    assert "1 object had more rows than were taken: a" in done.stderr


def test_an_object_that_cannot_be_read_is_told_at_the_end(place: Place) -> None:
    place.with_objects("a", "b", "wide")
    done = place.sql("SELECT size FROM m", "--json")
    assert done.returncode == 0
    assert rows(done) == [{"_object": "wide", "size": None}]
    assert done.stderr.startswith("2 objects of 3 could not be asked:\n    ")
    assert "no such column: size" in done.stderr


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM m", "no such column: nope"),
        ("SELECT ?", "has 1 parameter"),
        ("DELETE FROM m", "a query of all objects only reads"),
        ("SELECT * FROM _cf_KV", "_cf_"),
    ],
)
def test_a_query_that_is_wrong_everywhere_is_refused(place: Place, sql: str, says: str) -> None:
    place.with_objects("a", "b")
    before = place.traces()
    done = place.sql(sql, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert place.traces() == before


def test_classes_that_are_not_there_are_named(place: Place) -> None:
    place.with_objects("a")
    done = typed(place.folder, "sql", "Rooom", "--all", "SELECT 1")
    assert done.returncode == 3
    assert "Did you mean" in done.stderr


def test_data_never_drive_a_terminal(place: Place) -> None:
    place.with_objects("a")
    words = ["sql", "Room", "--all", "SELECT char(27) || '[2J' || char(155) || '31m' AS evil FROM m"]
    for form in ("--table", "--line", "--csv", "--json"):
        ours, theirs = pty.openpty()
        with open(ours, "rb", buffering=0) as screen:
            done = subprocess.run(
                [*DURABLE, *words, form], cwd=place.folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                env={**os.environ, "NO_COLOR": "1"}, check=False, timeout=60,
            )  # fmt: skip
            os.close(theirs)
            seen = b""
            while piece := _read(screen):
                seen += piece
        assert done.returncode == 0, seen
        shown = seen.decode()
        assert "31m" in shown
        # What remains is our own progress, which empties its line.
        assert not {"\x1b", "\x9b"} & set(shown.replace("\r\x1b[K", "")), form


def _read(screen: Any) -> bytes:
    try:
        return bytes(screen.read(65536))
    except OSError:  # the other end was closed (Linux)
        return b""


def test_another_program_that_holds_the_state_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path, "stopped").with_objects("a")
    lock = StateLock.acquire(tmp_path / ".durable" / "state", what="a test")
    try:
        done = place.sql("SELECT 1")
    finally:
        lock.release()
    assert done.returncode == 4
    assert str(os.getpid()) in done.stderr


def test_nothing_is_made_where_nothing_is_stored(tmp_path: Path) -> None:
    place = Place(tmp_path, "stopped")
    done = place.sql("SELECT 1")
    assert done.returncode == 3
    assert not (tmp_path / ".durable").exists()


def test_a_reader_that_has_enough_ends_it(place: Place) -> None:
    place.with_objects("a", "b")
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) SELECT i, 'row' FROM n"
    process = subprocess.Popen(
        [*DURABLE, "sql", "Room", "--all", many, "--csv"], cwd=place.folder, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"_object,i,'row'\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()

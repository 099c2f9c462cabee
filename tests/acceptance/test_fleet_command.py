"""`durable migrate` of objects as a user types it: with the emulator running and stopped, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.acceptance.running_dev import Dev, rows, typed
from tests.settings import settings

PROGRAM = """\
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Room(DurableObject):
    async def fetch(self, request):
        if request.headers.get("Upgrade") == "websocket":
            client, server = WebSocketPair()
            self.ctx.accept_web_socket(server)
            return Response(None, status=101, web_socket=client)
        self.ctx.storage.sql.exec("INSERT INTO m(body) VALUES (?)", "hello")
        return Response(str(self.ctx.schema_version))

    def web_socket_message(self, ws, message):
        ws.send(str([list(row.values()) for row in self.ctx.storage.sql.exec("SELECT * FROM m")]))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ROOM.get_by_name(request.url.rpartition("/")[2]).fetch(request)
"""
INIT = "CREATE TABLE m(body TEXT);\n"
MORE = "ALTER TABLE m ADD COLUMN size INTEGER NOT NULL DEFAULT 0;\nUPDATE m SET size = length(body);\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "durable.toml").write_text(settings("Room", "ROOM") + "\n[dev]\nidle_seconds = 0.1\n")
    (tmp_path / "migrations" / "Room").mkdir(parents=True)
    write(tmp_path, "0001_init.sql", INIT)
    return tmp_path


def write(project: Path, name: str, text: str) -> None:
    (project / "migrations" / "Room" / name).write_text(text)


def objects(project: Path, *words: str) -> dict[str, Any]:
    done = typed(project, "migrate", *words, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["objects"])


def test_objects_are_migrated_through_the_emulator_and_sockets_stay_open(project: Path) -> None:
    dev = Dev(project, "--no-reload").wait_ready()
    try:
        for name in "abc":
            assert dev.get(f"/{name}") == (200, "1")
        with connect(dev.url.replace("http", "ws") + "/a") as socket:
            write(project, "0002_more.sql", MORE)

            looked = objects(project, "status")
            tried = objects(project, "--dry-run")
            done = objects(project)

            assert looked["counts"] == {"pending": 3}
            assert tried["counts"] == {"migrated": 3}
            assert done["counts"] == {"migrated": 3}
            assert Path(done["snapshot"]).is_dir()
            assert objects(project, "status")["classes"] == [{"class": "Room", "newest": 2, "objects": {"2": 3}}]
            socket.send("what is there?")
            assert socket.recv(timeout=20) == "[['hello', 5]]"
        assert dev.get("/a") == (200, "2")
    finally:
        dev.discard()


def test_the_emulator_refuses_code_that_is_older_than_its_objects(project: Path) -> None:
    write(project, "0002_more.sql", MORE)
    dev = Dev(project, "--no-reload").wait_ready()
    try:
        assert dev.get("/a") == (200, "2")
        (project / "migrations/Room/0002_more.sql").unlink()

        done = typed(project, "migrate")

        assert done.returncode == 2
        assert "older than the data" in done.stderr
        assert "nothing was written" in done.stderr
    finally:
        dev.discard()


def test_stopped_objects_are_migrated_on_their_files(project: Path) -> None:
    dev = Dev(project, "--no-reload").wait_ready()
    try:
        for name in "abc":
            dev.get(f"/{name}")
    finally:
        dev.end()
        dev.discard()
    write(project, "0002_more.sql", MORE)

    assert objects(project, "status")["counts"] == {"pending": 3}
    assert objects(project, "--dry-run")["counts"] == {"migrated": 3}
    assert objects(project, "--only", "b")["counts"] == {"migrated": 1}
    done = typed(project, "migrate")

    assert done.returncode == 0, done.stderr
    assert "Room: newest version 2\n    version 2: 3 objects\n" in done.stdout
    assert "Migrated 2 objects in " in done.stderr
    assert rows(typed(project, "sql", "Room", "b", "SELECT * FROM m", "--json")) == [{"body": "hello", "size": 5}]


def test_a_failing_migration_names_the_object_the_file_and_the_line(project: Path) -> None:
    dev = Dev(project, "--no-reload").wait_ready()
    try:
        dev.get("/a")
        dev.get("/b")
    finally:
        dev.end()
        dev.discard()
    assert typed(project, "sql", "Room", "b", "INSERT INTO m VALUES ('hello')", "--write").returncode == 0
    write(project, "0002_more.sql", "CREATE UNIQUE INDEX bodies\n  ON m(body);\n")

    done = typed(project, "migrate", "--continue-on-error")

    assert done.returncode == 5
    assert 'Room "b" failed: migrations/Room/0002_more.sql:1: UNIQUE constraint failed' in done.stdout
    assert "Migrated 1 object in " in done.stderr
    assert "1 object could not be migrated" in done.stderr


def test_files_that_are_wrong_are_refused_before_anything_happens(project: Path) -> None:
    write(project, "0002_more.sql", "CREATE TABLE n(id);\nVACUUM;\n")

    done = typed(project, "migrate")

    assert done.returncode == 2
    assert "migrations/Room/0002_more.sql:2: VACUUM cannot stand in a migration" in done.stderr


def test_new_makes_the_next_file(project: Path) -> None:
    done = typed(project, "migrate", "new", "ROOM", "Add reactions & more")

    assert (done.returncode, done.stdout) == (0, "migrations/Room/0002_add_reactions_more.sql\n")
    assert typed(project, "migrate", "new", "Rom", "x").returncode == 2

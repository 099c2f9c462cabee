"""Migrating a fleet: objects per second of `durable migrate` without and with copies, and after a kill -9 at 37 %.

    python -m benchmarks.fleet [OBJECTS]

Each object has a table of 20 rows; the migration adds a column and fills it. What is measured is the whole command, as
the shell sees it: starting Python, looking at every object, migrating, and one sync of the file system.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import apsw

from durable.actor.object_schema import migrate_store
from durable.clock import SystemClock
from durable.schema import read_class
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase
from durable.wire.messages import ActorKey

SETTINGS = """\
name = "fleet"
main = "main.py"
compatibility_date = "2026-11-01"
[[durable_objects.bindings]]
name = "ROOM"
class_name = "Room"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Room"]
"""
INIT = "CREATE TABLE m(id INTEGER PRIMARY KEY, body TEXT NOT NULL);\nCREATE TABLE runs(n INTEGER);\nINSERT INTO runs VALUES (0);\n"  # noqa: E501
MORE = "ALTER TABLE m ADD COLUMN size INTEGER NOT NULL DEFAULT 0;\nUPDATE m SET size = length(body);\nUPDATE runs SET n = n + 1;\n"  # noqa: E501
ROWS = 20
KILLED_AT = 0.37
COMMAND = [sys.executable, "-m", "durable_cli", "migrate"]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="durable-fleet-") as folder:
        root = Path(folder)
        make_project(root / "made", count)
        for title, words, killed in (
            ("without copies", ["--no-snapshot"], False),
            ("with copies", [], False),
            ("kill -9 at 37 %, then again", ["--no-snapshot"], True),
        ):
            project = root / "run"
            shutil.copytree(root / "made", project)
            os.sync()
            measure(project, title, words, count, killed=killed)
            shutil.rmtree(project)


def make_project(root: Path, count: int) -> None:
    """`count` objects at version 1, and a second migration."""
    folder = root / "migrations" / "Room"
    folder.mkdir(parents=True)
    (root / "durable.toml").write_text(SETTINGS)
    (root / "main.py").write_text("from durable import DurableObject\n\n\nclass Room(DurableObject):\n    pass\n")
    (folder / "0001_init.sql").write_text(INIT)
    subprocess.run(COMMAND, cwd=root, check=True, capture_output=True)
    layout = StateLayout(root / ".durable" / "state")
    with StateDatabase(layout.state_file) as state:
        key = state.namespaces(None)[0].key
    schema, clock, rows = read_class(folder), SystemClock(), list[IndexRow]()
    for number in range(count):
        name = f"room {number}"
        identity = id_from_name(key, name)
        store = ActorStore(layout.object_file(key, identity), clock=clock, on_first_write=lambda: None)
        store.keep_file()
        migrate_store(store, schema, ActorKey(key, identity, name), 1, root)
        for _ in range(ROWS):
            store.sql.exec("INSERT INTO m(body) VALUES (?)", "hello " * 5)
        store.commit()
        store.end()
        rows.append(IndexRow(identity, name, 1, 1, None))
    index = NamespaceIndex(layout.index_file(key))
    index.put_many(rows)
    index.close()
    (folder / "0002_more.sql").write_text(MORE)


def measure(project: Path, title: str, words: list[str], count: int, *, killed: bool) -> None:
    began = time.perf_counter()
    seen = 0
    if killed:
        seen = kill_at(project, words, int(count * KILLED_AT))
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*COMMAND, *words, "--json"], cwd=project, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)["objects"]
    cpu_seconds = after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime
    print(
        f"{title}: {report['counts']} in {seconds:.2f} s, {count / seconds:.0f}/s; processor time"
        f" {cpu_seconds * 1000 / count:.2f} ms per object; largest process {after.ru_maxrss // 1024} MiB"
        + (f"; killed after {seen}, {report['resumed']} of them noted" if killed else "")
    )
    twice = [n for n in runs(project) if n != 1]
    print(f"    migrated exactly once: {count - len(twice)} of {count}")


def kill_at(project: Path, words: list[str], wanted: int) -> int:
    """Start the command, and end it and nothing else when its journal says that so many are done."""
    process = subprocess.Popen([*COMMAND, *words], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = project / ".durable" / "state" / "schema-run.sqlite"
    seen = 0
    while process.poll() is None and seen < wanted:
        time.sleep(0.01)
        try:
            connection: Any = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READONLY)
            seen = connection.execute("SELECT count(*) FROM objects WHERE state = 'migrated'").get
            connection.close()
        except apsw.Error:
            continue
    process.send_signal(signal.SIGKILL)
    process.wait()
    return seen


def runs(project: Path) -> list[int]:
    """How often each object's migration has run."""
    found: list[int] = []
    for path in (project / ".durable" / "state").rglob("??/*.sqlite"):
        connection: Any = apsw.Connection(str(path))
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        found.append(connection.execute("SELECT n FROM runs").get)
        connection.close()
    return found


if __name__ == "__main__":
    main()

"""A fleet run over objects that nobody serves: real worker processes, real files; killed, failed and taken up again."""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from durable import failpoints
from durable.actor.object_schema import migrate_store
from durable.clock import SystemClock
from durable.errors import MigrationError, NotFoundError
from durable.host.schema_worker import SchemaWorker
from durable.schema import ClassSchema, read_class
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.supervisor.fleet.run import FleetRun, Progress, Report, Target
from durable.supervisor.fleet.workers import WorkerPool
from durable.wire.messages import ActorKey

KEY = "Room-0123456789ab"
INIT = "CREATE TABLE m(body TEXT UNIQUE);\nCREATE TABLE runs(n INTEGER);\nINSERT INTO runs VALUES (0);\n"
MORE = "ALTER TABLE m ADD COLUMN size INTEGER NOT NULL DEFAULT 0;\nUPDATE m SET size = length(body);\nUPDATE runs SET n = n + 1;\n"  # noqa: E501


class Fleet:
    """A project with `count` objects at version 1, and one file more than they have."""

    def __init__(self, root: Path, count: int) -> None:
        self.root = root
        self.folder = root / "migrations" / "Room"
        self.folder.mkdir(parents=True)
        self.write("0001_init.sql", INIT)
        self.layout = StateLayout(root / ".durable" / "state")
        self.layout.ensure()
        self.names = [f"room {number}" for number in range(count)]
        one = self.schema
        rows: list[IndexRow] = []
        for name in self.names:
            key = self.key(name)
            store = ActorStore(self.path(name), clock=SystemClock(), on_first_write=lambda: None)
            store.keep_file()
            assert migrate_store(store, one, key, 1, root).state == "migrated"
            store.sql.exec("INSERT INTO m VALUES (?)", name)
            store.commit()
            store.end()
            rows.append(IndexRow(key.id, name, 1, 1, None))
        index = NamespaceIndex(self.layout.index_file(KEY))
        index.put_many(rows)
        index.close()
        self.write("0002_more.sql", MORE)
        self.progress: list[Progress] = []

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    @property
    def schema(self) -> ClassSchema:
        return read_class(self.folder)

    def key(self, name: str) -> ActorKey:
        return ActorKey(KEY, id_from_name(KEY, name), name)

    def path(self, name: str) -> Path:
        return self.layout.object_file(KEY, self.key(name).id)

    @property
    def journal(self) -> Path:
        return self.layout.state / "schema-run.sqlite"

    def pool(self, count: int = 2) -> WorkerPool:
        return WorkerPool(sys.executable, self.root, self.layout.state, lock_fd=-1, count=count)

    def run(self, pool: WorkerPool, only: str | None = None) -> FleetRun:
        target = Target(KEY, self.schema)
        return FleetRun(self.layout, [target], pool, self.journal, on_progress=self.progress.append, only=only)

    def apply(self, *, snapshot: Path | None = None, continue_on_error: bool = False, workers: int = 2) -> Report:
        with self.pool(workers) as pool:
            return self.run(pool).apply(snapshot=snapshot, continue_on_error=continue_on_error, keep_rows=True)

    def rows(self, name: str, query: str = "SELECT * FROM m") -> list[Any]:
        return read(self.path(name), query)

    def runs(self) -> list[int]:
        """How often each object's second migration has run."""
        return [self.rows(name, "SELECT n FROM runs")[0][0] for name in self.names]

    def states(self) -> set[tuple[int, int]]:
        """How often the second migration has run, and the version that is noted, of all objects."""
        noted = [len(self.rows(name, "SELECT * FROM _cf_MIGRATIONS")) for name in self.names]
        return set(zip(self.runs(), noted, strict=True))


def read(path: Path, query: str) -> list[Any]:
    connection: Any = apsw.Connection(str(path))
    try:
        return list(connection.execute(query))
    finally:
        connection.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path, 5)


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Arm a failpoint in the worker processes."""

    def arm(name: str | None) -> None:
        if name is None:
            monkeypatch.delenv(failpoints.ENVIRONMENT_VARIABLE, raising=False)
        else:
            monkeypatch.setenv(failpoints.ENVIRONMENT_VARIABLE, name)

    return arm


def test_every_object_is_migrated_once(fleet: Fleet) -> None:
    report = fleet.apply()
    assert (report.counts, report.versions) == ({"migrated": 5}, {KEY: {2: 5}})
    assert fleet.rows("room 1") == [("room 1", 6)]
    assert fleet.apply().counts == {"current": 5}
    assert fleet.runs() == [1] * 5
    assert not fleet.journal.exists()


def test_progress_counts_what_is_done(fleet: Fleet) -> None:
    fleet.apply()
    assert [(at.phase, at.done, at.total) for at in fleet.progress] == [
        ("look", 5, 5),
        ("migrate", 5, 5),
        ("sync", 5, 5),
    ]


def test_status_changes_nothing(fleet: Fleet) -> None:
    before = {path: path.read_bytes() for path in fleet.layout.state.rglob("??/*")}
    with fleet.pool() as pool:
        report = fleet.run(pool).status()
    assert (report.counts, report.versions) == ({"pending": 5}, {KEY: {1: 5}})
    assert {path: path.read_bytes() for path in fleet.layout.state.rglob("??/*")} == before


def test_a_dry_run_says_what_would_fail_and_changes_nothing(fleet: Fleet) -> None:
    fleet.write("0002_more.sql", MORE + "INSERT INTO m(body) SELECT 'room 3';\n")
    with fleet.pool() as pool:
        report = fleet.run(pool).dry_run()
    assert report.counts == {"failed": 1, "migrated": 4}
    failed = next(row for row in report.objects if row.state == "failed")
    assert failed.name == "room 3"
    assert failed.error.startswith("migrations/Room/0002_more.sql:4: UNIQUE constraint failed: m.body")
    assert next(row for row in report.objects if row.name == "room 1").rows == (
        '{"before": {"m": 1, "runs": 1}, "after": {"m": 2, "runs": 1}}'
    )
    assert fleet.runs() == [0] * 5


def test_only_one_name(fleet: Fleet) -> None:
    with fleet.pool() as pool:
        assert fleet.run(pool, "room 2").apply(snapshot=None, continue_on_error=False).counts == {"migrated": 1}
        with pytest.raises(NotFoundError, match='has an object named "nobody"'):
            fleet.run(pool, "nobody").status()
    assert fleet.runs() == [0, 0, 1, 0, 0]


def test_a_failure_leaves_its_object_as_it_was_and_ends_the_run(fleet: Fleet) -> None:
    fleet.write("0002_more.sql", MORE + "INSERT INTO m(body) SELECT 'room 3';\n")
    report = fleet.apply(workers=1)
    assert report.counts == {"failed": 1, "migrated": 4}
    assert fleet.rows("room 3") == [("room 3",)]
    assert [row.name for row in report.objects if row.state == "failed"] == ["room 3"]


def test_code_that_is_older_than_one_object_writes_to_none(fleet: Fleet) -> None:
    with fleet.pool() as pool:
        fleet.run(pool, "room 4").apply(snapshot=None, continue_on_error=False)
    (fleet.folder / "0002_more.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=r"1 objects do not go together with the files; nothing was written"):
        fleet.apply(continue_on_error=True)
    (fleet.folder / "0002_more.sql").unlink()
    with pytest.raises(MigrationError, match=r"of version 2, and the newest file is 0001_init.sql"):
        fleet.apply()
    assert fleet.runs() == [0, 0, 0, 0, 1]


def test_objects_from_before_there_were_migrations_begin_with_the_first(fleet: Fleet) -> None:
    for name in fleet.names:
        path = fleet.path(name)
        connection: Any = apsw.Connection(str(path))
        connection.execute("DROP TABLE _cf_MIGRATIONS; DROP TABLE m; DROP TABLE runs; CREATE TABLE old(id)")
        connection.close()
    assert fleet.apply().counts == {"migrated": 5}
    assert fleet.states() == {(1, 2)}


def test_a_damaged_object_ends_the_run_before_anything_is_written(fleet: Fleet) -> None:
    fleet.path("room 2").write_bytes(b"")
    with pytest.raises(MigrationError, match="1 objects cannot be read or copied; nothing was written:\n.*is empty"):
        fleet.apply()
    report = fleet.apply(continue_on_error=True)
    assert report.counts == {"failed": 1, "migrated": 4}


# --- the end of a process ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "point",
    [
        "schema.statement=kill@1",
        "schema.statement=kill@2",
        "schema.statement=kill@3",
        "schema.file_run=kill",
        "schema.noted=kill",
        "schema.before_commit=kill",
        "schema.committed=kill",
    ],
)
def test_a_worker_that_is_killed_leaves_before_or_after(
    tmp_path: Path, armed: Callable[[str | None], None], point: str
) -> None:
    fleet = Fleet(tmp_path, 2)
    armed(point)
    report = fleet.apply(workers=1, continue_on_error=True)
    armed(None)
    assert report.failed == 2, "every process dies at its first object"
    assert "ended (signal 9)" in report.objects[0].error
    assert fleet.states() == {(1, 2) if "committed" in point else (0, 1)}
    fleet.apply()
    assert fleet.states() == {(1, 2)}


def test_the_twin_with_the_version_outside_of_the_transaction_is_noticed(
    fleet: Fleet, armed: Callable[[str | None], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above is for: a version that is written by itself leaves an object between before and after."""
    (tmp_path / "sitecustomize.py").write_text(
        "import durable.actor.object_schema as schema\n"
        "run = schema.run_file\n"
        "def run_and_commit(file, ctx):\n"
        "    run(file, ctx)\n"
        "    ctx.storage.sql._sql._transaction.commit()\n"
        "schema.run_file = run_and_commit\n"
    )
    armed("schema.file_run=kill")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fleet.apply(workers=1)
    assert fleet.states() == {(1, 1)}


def test_a_run_that_is_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, 200)
    pid = os.fork()
    if not pid:
        # The command itself dies, not a worker: at the second batch that it has noted.
        passes = iter([False, True])
        with failpoints.arm("fleet.noted", lambda: os._exit(9) if next(passes) else None):
            fleet.apply(workers=1)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    done = sum(fleet.runs())
    assert 128 <= done < 200, "the worker got on with the batch that it had"
    fleet.progress.clear()
    report = fleet.apply()
    assert (report.counts, report.resumed) == ({"migrated": 200}, 128)
    assert {at.phase for at in fleet.progress} == {"migrate", "sync"}, "nothing is looked at again"
    assert all(at.done > 128 for at in fleet.progress)
    assert fleet.runs() == [1] * 200


def test_several_processes_and_several_pages_of_the_journal(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable.supervisor.fleet.journal._PAGE_ROWS", 2)
    monkeypatch.setattr("durable.supervisor.fleet.run._PAGE_ROWS", 2)
    monkeypatch.setattr("durable.supervisor.fleet.run.FLEET_BATCH_OBJECTS", 1)
    assert fleet.apply(workers=3).counts == {"migrated": 5}
    assert fleet.runs() == [1] * 5


def test_after_a_failure_no_further_batch_is_begun(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable.supervisor.fleet.run.FLEET_BATCH_OBJECTS", 1)
    fleet.write("0002_more.sql", MORE + "INSERT INTO nowhere VALUES (1);\n")
    report = fleet.apply(workers=1)
    assert 1 <= report.failed <= 2, "one that was under way may fail as well"
    assert report.counts["pending"] >= 3


def test_after_a_crash_of_the_machine_the_journal_is_not_trusted(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, 3)
    with pytest.raises(ValueError, match="stop"), failpoints.arm("fleet.noted", _raise):
        fleet.apply()
    connection: Any = apsw.Connection(str(fleet.journal))
    connection.execute("UPDATE run SET value = 'another boot' WHERE name = 'boot'")
    connection.close()
    report = fleet.apply()
    assert (report.counts, report.resumed) == ({"migrated": 3}, 0)
    assert fleet.runs() == [1] * 3


def test_a_journal_that_cannot_be_read_is_begun_anew(fleet: Fleet) -> None:
    fleet.journal.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert fleet.apply().counts == {"migrated": 5}


def test_objects_that_came_or_went_in_between_are_looked_for_again(fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="stop"), failpoints.arm("fleet.ready", _raise):
        fleet.apply()
    index = NamespaceIndex(fleet.layout.index_file(KEY))
    index.remove(fleet.key("room 0").id)
    index.close()
    for path in fleet.path("room 0").parent.glob(f"{fleet.path('room 0').name}*"):
        path.unlink()
    assert fleet.apply().counts == {"migrated": 4}


def test_the_twin_whose_objects_note_nothing_is_migrated_twice(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the count of runs is for: it notices objects that do not say themselves what they have."""
    (tmp_path / "sitecustomize.py").write_text(
        "from durable.storage.schema_record import SchemaRecord\n"
        "SchemaRecord.add = lambda self, version, name, checksum, now_ms: None\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fleet.write("0002_more.sql", "UPDATE runs SET n = n + 1;")
    fleet.apply()
    fleet.apply()
    assert fleet.runs() == [2] * 5


def _raise() -> None:
    raise ValueError("stop")


# --- copies -----------------------------------------------------------------------------------------------------------
def test_a_snapshot_is_put_back_by_tar(fleet: Fleet, tmp_path: Path) -> None:
    report = fleet.apply(snapshot=tmp_path / "kept")
    assert report.snapshot == tmp_path / "kept"
    assert fleet.runs() == [1] * 5
    for archive in (tmp_path / "kept" / KEY).iterdir():
        with tarfile.open(archive) as tar:
            tar.extractall(fleet.layout.namespace_folder(KEY), filter="data")
    assert fleet.rows("room 3") == [("room 3",)]
    assert fleet.runs() == [0] * 5
    assert fleet.apply().counts == {"migrated": 5}


def test_a_snapshot_that_cannot_be_made_touches_nothing(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / KEY).write_text("in the way")
    with pytest.raises(MigrationError, match="5 objects cannot be read or copied; nothing was written"):
        fleet.apply(snapshot=tmp_path / "full")
    assert fleet.runs() == [0] * 5


def test_a_process_whose_command_is_gone_ends_with_the_object_under_way(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the state lock; nobody will sync or note what it does from then on."""
    with open(tmp_path / "answers", "wb", buffering=0) as answers:
        worker = SchemaWorker(fleet.root, fleet.layout, answers.fileno())
        monkeypatch.setattr(os, "getppid", lambda: 1)
        objects = [[fleet.key(name).id, name] for name in fleet.names]

        with pytest.raises(BrokenPipeError):
            worker.run({"todo": "migrate", "namespace": KEY, "class": "Room", "digest": fleet.schema.digest,
                        "objects": objects})  # fmt: skip

    assert fleet.runs() == [1, 0, 0, 0, 0]

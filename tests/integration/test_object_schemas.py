"""Migrations of objects in a host: before the constructor, with its turn, and between turns for a tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from durable import values
from durable.errors import MigrationError, SqlError
from durable.schema import ClassSchema, read_class
from durable.wire import messages as wire
from tests.integration.conftest import Gateway

PROGRAM = """\
from durable import DurableObject


class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        names = [row["name"] for row in ctx.storage.sql.exec("SELECT name FROM sqlite_schema ORDER BY name")]
        self.tables = [name for name in names if not name.startswith("_cf_")]
        self.version = ctx.schema_version

    def seen(self):
        return [self.tables, self.version]

    def say(self, text):
        self.ctx.storage.sql.exec("INSERT INTO m(body) VALUES (?)", text)

    def rows(self):
        return self.ctx.storage.sql.exec("SELECT * FROM m").to_array()

    async def wipe(self):
        await self.ctx.storage.delete_all()
"""
INIT = "CREATE TABLE m(body TEXT NOT NULL);\n"
REACTIONS = (
    "-- reactions\nALTER TABLE m ADD COLUMN reactions INTEGER NOT NULL DEFAULT 0;\nUPDATE m SET reactions = 7;\n"
)


def write(gateway: Gateway, **files: str) -> None:
    folder = gateway.folder / "migrations" / "Thing"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")[1:]).write_text(text)


def digest(folder: Path) -> str:
    return read_class(folder / "migrations" / "Thing").digest


async def evict(gateway: Gateway, name: str = "a") -> None:
    await gateway.ask(lambda number: wire.Evict(number, gateway.key(name)))


async def again(gateway: Gateway, **options: Any) -> Gateway:
    """The next host on the same folder: a reload."""
    await gateway.stop()
    after = Gateway(gateway.folder)
    after.index = gateway.index
    await after.start(PROGRAM, **options)
    gateway.channel, gateway.host = after.channel, after.host
    return after


async def test_a_new_object_has_its_tables_before_its_constructor_runs(gateway: Gateway) -> None:
    write(gateway, _0001_init__sql=INIT, _0002_more__sql=REACTIONS)
    await gateway.start(PROGRAM)
    assert await gateway.call("seen") == [["m"], 2]


async def test_a_class_without_migrations_is_as_it_was(gateway: Gateway) -> None:
    await gateway.start(PROGRAM)
    assert await gateway.call("seen") == [[], None]


async def test_what_is_pending_is_applied_at_the_next_waking_and_once(gateway: Gateway) -> None:
    write(gateway, _0001_init__sql=INIT)
    await gateway.start(PROGRAM)
    await gateway.call("say", "hello")
    write(
        gateway,
        _0002_more__sql=REACTIONS,
        _0003_fill__py="def up(ctx):\n    ctx.storage.kv.put('name', ctx.id.name)\n"
        "    ctx.storage.sql.exec('UPDATE m SET reactions = reactions + 1')\n",
    )
    after = await again(gateway)
    assert await after.call("rows") == [{"body": "hello", "reactions": 8}]
    await evict(after)
    assert await after.call("rows") == [{"body": "hello", "reactions": 8}]


async def test_a_failing_statement_is_the_callers_error_with_its_line_and_writes_nothing(gateway: Gateway) -> None:
    write(gateway, _0001_init__sql=INIT)
    await gateway.start(PROGRAM)
    await gateway.call("say", "hello")
    write(gateway, _0002_more__sql=REACTIONS + "\n\nSELECT\n  nope FROM m;\n")
    after = await again(gateway)
    with pytest.raises(SqlError, match="no such column: nope") as raised:
        await after.call("rows")
    report = raised.value.__cause__.report  # type: ignore[union-attr]
    frame = [frame for frame in report.frames if frame.user][-1]
    assert (Path(frame.file).name, frame.line) == ("0002_more.sql", 7)
    assert frame.source == "nope FROM m;"
    write(gateway, _0002_more__sql=REACTIONS)
    last = await again(after)
    assert await last.call("rows") == [{"body": "hello", "reactions": 7}]


async def test_after_delete_all_the_next_waking_begins_anew(gateway: Gateway) -> None:
    write(gateway, _0001_init__sql=INIT, _0002_more__sql=REACTIONS)
    await gateway.start(PROGRAM)
    await gateway.call("say", "hello")
    await gateway.call("wipe")
    await evict(gateway)
    assert await gateway.call("rows") == []
    assert await gateway.call("seen") == [["m"], 2]


async def test_code_older_than_the_data_is_refused_and_reading_stays_possible(gateway: Gateway) -> None:
    write(gateway, _0001_init__sql=INIT, _0002_more__sql=REACTIONS)
    await gateway.start(PROGRAM)
    await gateway.call("say", "hello")
    (gateway.folder / "migrations/Thing/0002_more.sql").unlink()
    older = await again(gateway)
    path = next(older.folder.rglob("??/*.sqlite"))
    before = (path.read_bytes(), Path(f"{path}-wal").read_bytes())
    with pytest.raises(MigrationError, match=r"of version 2, and the newest file is 0001_init.sql"):
        await older.call("rows")
    found = await older.ask(lambda number: wire.Inspect(number, older.key(), "SELECT body FROM m", False, 10, 5.0))
    assert [values.decode(row) for row in found.results[0].rows] == [["hello"]]
    assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == before
    (gateway.folder / "migrations/Thing/0001_init.sql").unlink()
    without = await again(older)
    with pytest.raises(MigrationError, match="version 2, and there is no file in migrations/Thing"):
        await without.call("rows")


async def test_the_twin_that_does_not_compare_lets_older_code_write(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the refusal above is for: without it the older program runs on tables that it does not know."""
    write(gateway, _0001_init__sql=INIT, _0002_more__sql=REACTIONS)
    await gateway.start(PROGRAM)
    await gateway.call("say", "hello")
    (gateway.folder / "migrations/Thing/0002_more.sql").unlink()
    monkeypatch.setattr(ClassSchema, "pending", lambda self, applied: ())
    older = await again(gateway)
    await older.call("say", "from older code")
    assert [row["body"] for row in await older.call("rows")] == ["hello", "from older code"]


async def test_an_edited_file_is_refused(gateway: Gateway) -> None:
    write(gateway, _0001_init__sql=INIT)
    await gateway.start(PROGRAM)
    await gateway.call("say", "hello")
    write(gateway, _0001_init__sql=INIT.replace("body", "text"))
    after = await again(gateway)
    with pytest.raises(MigrationError, match=r"0001_init.sql was edited after it was applied"):
        await after.call("rows")


async def test_files_that_are_wrong_are_a_program_that_cannot_be_loaded(gateway: Gateway) -> None:
    write(gateway, _0001_init__sql="VACUUM;\n")
    await gateway.start(PROGRAM)
    failed = gateway.of(wire.LoadFailed)[0]
    assert failed.error.message.startswith("migrations/Thing/0001_init.sql:1: VACUUM cannot stand in a migration")
    assert [Path(frame.file).name for frame in failed.error.frames if frame.user] == ["0001_init.sql"]
    gateway.channel.close()


async def test_a_class_without_sql_has_no_migrations(gateway: Gateway) -> None:
    write(gateway, _0001_init__sql=INIT)
    await gateway.start(PROGRAM, sqlite=False)
    assert (
        "migrations/Thing is for a class that was declared without SQL" in gateway.of(wire.LoadFailed)[0].error.message
    )
    gateway.channel.close()


# --- for a tool -------------------------------------------------------------------------------------------------------
async def migrated(gateway: Gateway, todo: str = "migrate", *, snapshot: str = "") -> dict[str, Any]:
    reply = await gateway.ask(
        lambda number: wire.MigrateObject(number, gateway.key(), digest(gateway.folder), todo, snapshot)
    )
    if isinstance(reply, wire.Failed):
        return {"state": reply.error.type, "error": reply.error.message}
    await gateway.until(lambda: reply.epoch <= gateway.durable)
    return dict(values.decode(reply.payload))


async def sleeping_at_one(gateway: Gateway) -> Gateway:
    write(gateway, _0001_init__sql=INIT)
    await gateway.start(PROGRAM)
    await gateway.call("say", "hello")
    write(gateway, _0002_more__sql=REACTIONS)
    return await again(gateway)


async def test_a_tool_migrates_a_sleeping_object_without_waking_it(gateway: Gateway) -> None:
    after = await sleeping_at_one(gateway)
    assert (await migrated(after, "look"))["state"] == "pending"
    outcome = await migrated(after)
    assert (outcome["state"], outcome["before"], outcome["after"]) == ("migrated", 1, 2)
    assert after.host.registry.live(after.key().id) is None
    assert (await migrated(after))["state"] == "current"
    assert await after.call("rows") == [{"body": "hello", "reactions": 7}]


async def test_a_try_changes_a_copy_only(gateway: Gateway) -> None:
    after = await sleeping_at_one(gateway)
    outcome = await migrated(after, "try")
    assert (outcome["state"], outcome["rows_before"], outcome["rows_after"]) == ("migrated", {"m": 1}, {"m": 1})
    assert (await migrated(after, "look"))["before"] == 1


async def test_a_snapshot_is_made_before(gateway: Gateway, tmp_path: Path) -> None:
    import apsw

    after = await sleeping_at_one(gateway)
    await migrated(after, snapshot=str(tmp_path / "kept"))
    copy = next((tmp_path / "kept").rglob("*.sqlite"))
    connection: Any = apsw.Connection(str(copy))
    assert connection.execute("SELECT * FROM m").fetchall() == [("hello",)]
    connection.close()


async def test_files_newer_than_the_program_wait_for_a_reload(gateway: Gateway) -> None:
    after = await sleeping_at_one(gateway)
    write(gateway, _0003_new__sql="CREATE TABLE n(id);")
    assert (await migrated(after))["error"] == "the files of migrations changed after the program was loaded"
    assert (await migrated(after, "look"))["state"] == "pending"
    assert (await migrated(after, "try"))["after"] == 3


async def test_a_live_object_is_current(gateway: Gateway) -> None:
    after = await sleeping_at_one(gateway)
    await after.call("rows")
    await after.call("wipe")
    assert (await migrated(after))["state"] == "current"

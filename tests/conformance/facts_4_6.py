"""deleteAll, sync, point-in-time recovery."""

from __future__ import annotations

from typing import Any

import pytest

from durable import SqlError, StorageError
from durable.clock import SystemClock
from tests.conformance.held_disk import HeldDisk, disk_of, is_held, quiet
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()
LATER = 4_000_000_000_000


async def _fill(thing: Thing) -> Any:
    storage = thing.ctx.storage
    await storage.put({"a": 1, "b": 2})
    await storage.set_alarm(LATER)
    storage.sql.exec(
        "CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE c (p REFERENCES p (id));"
        " CREATE VIEW v AS SELECT * FROM c; CREATE INDEX i ON c (p); CREATE VIRTUAL TABLE f USING fts5(x);"
        " CREATE TRIGGER r AFTER INSERT ON c BEGIN DELETE FROM c WHERE p < 0; END; ANALYZE;"
        " INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)"
    )
    return storage


@FACTS.driven("4.6 delete_all removes keys, tables, views, indexes, triggers and virtual tables, and returns nothing")
async def everything(stage: Stage) -> None:
    async def delete(thing: Any) -> None:
        assert await thing.ctx.storage.delete_all() is None

    await stage.run(_fill_and_forget)
    await stage.run(delete)

    async def look(thing: Thing) -> Any:
        storage = thing.ctx.storage
        names = storage.sql.exec("SELECT name FROM sqlite_schema WHERE substr(name, 1, 7) <> 'sqlite_'").to_array()
        return [dict(await storage.list()), [row["name"] for row in names if not row["name"].startswith("_cf_")]]

    assert await stage.run(look) == [{}, []]
    await stage.run(_fill_and_forget)


async def _fill_and_forget(thing: Thing) -> None:
    await _fill(thing)


@FACTS.inside("4.6 delete_all takes with it what the same turn wrote before; what comes after is kept")
async def same_turn(thing: Thing) -> None:
    storage = thing.ctx.storage
    await storage.put("before", 1)
    await storage.delete_all()
    await storage.put("after", 1)
    assert await storage.list() == {"after": 1}


@FACTS.inside("4.6 delete_all of an object without data is no error")
async def nothing(thing: Thing) -> None:
    await thing.ctx.storage.delete_all()
    assert await thing.ctx.storage.list() == {}


@FACTS.inside("4.6 delete_all deletes the alarm from 2026-02-24 on", compatibility_date="2026-02-24")
async def alarm_deleted(thing: Thing) -> None:
    storage = await _fill(thing)
    await storage.delete_all()
    assert await storage.get_alarm() is None


@FACTS.inside("4.6 delete_all keeps the alarm before 2026-02-24", compatibility_date="2026-02-23")
async def alarm_kept(thing: Thing) -> None:
    storage = await _fill(thing)
    await storage.delete_all()
    assert await storage.get_alarm() == LATER


@FACTS.inside("4.6 delete_all cancels open cursors")
async def cursors(thing: Thing) -> None:
    storage = await _fill(thing)
    rows, entries = storage.sql.exec("SELECT * FROM c"), storage.kv.list()
    await storage.delete_all()
    for reader in (rows, entries):
        with pytest.raises(StorageError, match="^SQLite query was canceled because the database was deleted.$"):
            next(reader)


@FACTS.inside("4.6 delete_all is not allowed in a transaction")
async def transaction(thing: Thing) -> None:
    async def work(txn: Any) -> None:
        with pytest.raises(StorageError, match="Cannot call deleteAll\\(\\) within a transaction"):
            await thing.ctx.storage.delete_all()

    await thing.ctx.storage.transaction(work)


class Rooms(Thing):
    """Makes its table where most programs do."""

    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS room (name)")
        self.memory = "fresh"


@FACTS.driven("4.6 after delete_all the instance keeps running, without the tables of its constructor", actor=Rooms)
async def instance(stage: Stage) -> None:
    async def delete(thing: Any) -> None:
        thing.memory = "kept"
        await thing.ctx.storage.delete_all()

    await stage.run(delete)
    assert await stage.run(lambda thing: thing.memory) == "kept"
    with pytest.raises(SqlError, match="^no such table: room: SQLITE_ERROR$"):
        await stage.run(lambda thing: thing.ctx.storage.sql.exec("SELECT * FROM room").to_array())


@FACTS.driven("4.6 sync resolves when everything written so far is durable", disk=HeldDisk())
async def sync(stage: Stage) -> None:
    await stage.run(lambda thing: thing.ctx.storage.put("k", 0))

    async def part(thing: Any) -> None:
        await thing.ctx.storage.put("k", 1)
        await thing.ctx.storage.sync()
        thing.synced = True

    with disk_of(stage).held():
        done = stage.run(part)
        await quiet(stage)
        seen = await stage.send(lambda thing: getattr(thing, "synced", False))
        assert is_held(stage, seen)
    await done


@FACTS.inside("4.6 sync resolves at once when nothing is pending")
async def nothing_pending(thing: Any) -> None:
    assert await thing.ctx.storage.sync() is None


# --- point-in-time recovery -------------------------------------------------------------------------------------------
async def _put(thing: Thing, value: Any) -> str:
    await thing.ctx.storage.put("k", value)
    return await thing.ctx.storage.get_current_bookmark()


@FACTS.driven("4.6 bookmarks are text that grows with time", pitr_days=30)
async def bookmarks(stage: Stage) -> None:
    found = [await stage.run(_put, value) for value in range(3)]
    assert found == sorted(set(found))
    assert all(isinstance(each, str) for each in found)


async def _restore(thing: Thing, bookmark: str) -> str:
    undo = await thing.ctx.storage.on_next_session_restore_bookmark(bookmark)
    assert await thing.ctx.storage.get("k") == "late"
    return undo


async def _abort(thing: Thing) -> None:
    thing.ctx.abort("restoring")


@FACTS.driven("4.6 a restore takes effect when the next session starts, and its bookmark undoes it", pitr_days=30)
async def restore(stage: Stage) -> None:
    early = await stage.run(_put, "early")
    await stage.run(_put, "late")
    undo = await stage.run(_restore, early)
    assert await stage.run(lambda thing: thing.ctx.storage.get("k")) == "late"
    with pytest.raises(Exception, match="restoring"):
        await stage.run(_abort)
    assert await stage.run(lambda thing: thing.ctx.storage.get("k")) == "early"

    async def undone(thing: Thing) -> None:
        await thing.ctx.storage.on_next_session_restore_bookmark(undo)
        thing.ctx.abort("restoring")

    with pytest.raises(Exception, match="restoring"):
        await stage.run(undone)
    assert await stage.run(lambda thing: thing.ctx.storage.get("k")) == "late"


@FACTS.driven("4.6 the bookmark of a time is that of the last commit before it", pitr_days=30)
async def bookmark_for_time(stage: Stage) -> None:
    await stage.run(_put, "early")
    found = await stage.run(lambda thing: thing.ctx.storage.get_bookmark_for_time(SystemClock().wall_ms()))
    assert found == await stage.run(lambda thing: thing.ctx.storage.get_current_bookmark())


@FACTS.inside("4.6 without point-in-time recovery the calls throw")
async def no_recovery(thing: Thing) -> None:
    for use in (
        lambda: thing.ctx.storage.get_bookmark_for_time(1_700_000_000_000),
        lambda: thing.ctx.storage.on_next_session_restore_bookmark("00000000-00000000-00000000-" + "0" * 32),
    ):
        with pytest.raises(StorageError):
            await use()

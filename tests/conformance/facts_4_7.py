"""Storage failures."""

from __future__ import annotations

from typing import Any

import pytest

from durable import SqlError
from tests.conformance.held_disk import HeldDisk, disk_of
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


def _numbers(thing: Thing) -> None:
    thing.ctx.storage.sql.exec("CREATE TABLE n (v INTEGER PRIMARY KEY, w)")
    thing.ctx.storage.sql.exec("INSERT INTO n VALUES (1, '')")


def _found(thing: Thing) -> list[int]:
    return [row["v"] for row in thing.ctx.storage.sql.exec("SELECT v FROM n ORDER BY v")]


def _limit_pages(thing: Any, pages: int | None) -> None:
    """The disk is full `pages` pages from here."""
    database = thing.ctx.storage._actor.store.database
    limit = 1_000_000 if pages is None else database.run("PRAGMA page_count").get + pages
    database.run(f"PRAGMA max_page_count = {limit}").fetchall()


def _fill_the_disk(thing: Thing) -> None:
    _limit_pages(thing, 2)
    for _ in range(20):
        thing.ctx.storage.sql.exec("INSERT INTO n (w) VALUES (zeroblob(4000))")


def _interrupt(thing: Any) -> None:
    """A long write that is stopped."""
    connection = thing.ctx.storage._actor.store.database.connection
    connection.set_progress_handler(lambda: True, 1000, id="test")
    try:
        thing.ctx.storage.sql.exec(
            "INSERT INTO n WITH RECURSIVE r (x) AS (SELECT 10 UNION ALL SELECT x + 1 FROM r LIMIT 9999)"
            " SELECT x, '' FROM r"
        )
    finally:
        connection.set_progress_handler(None, id="test")


CRITICAL = {
    "a full disk": (_fill_the_disk, "database or disk is full", "SQLITE_FULL"),
    "an interrupted write": (_interrupt, "interrupted", "SQLITE_INTERRUPT"),
}
for what, (fail, words, code) in CRITICAL.items():

    @FACTS.driven(f"4.7 {what}: the call throws, and its turn is lost")
    async def critical(stage: Stage, fail: Any = fail, words: str = words, code: str = code) -> None:
        await stage.run(_numbers)

        def part(thing: Thing) -> None:
            thing.ctx.storage.sql.exec("INSERT INTO n VALUES (2, '')")
            fail(thing)

        with pytest.raises(Exception, match=f"{words}.*: {code}") as caught:
            await stage.run(part)
        error: Any = caught.value
        assert error.durable_object_reset is True
        assert await stage.run(_found) == [1]

    @FACTS.driven(f"4.7 {what}: code that catches it cannot go on, and its reply is replaced")
    async def caught(stage: Stage, fail: Any = fail, words: str = words, code: str = code) -> None:
        await stage.run(_numbers)
        seen: list[str] = []

        async def part(thing: Any) -> str:
            thing.memory = "old"
            thing.ctx.storage.sql.exec("INSERT INTO n VALUES (2, '')")
            with pytest.raises(SqlError):
                fail(thing)
            storage = thing.ctx.storage
            for use in (
                lambda: storage.sql.exec("SELECT 1"), lambda: storage.get("k"), lambda: storage.kv.put("k", 1),
                storage.get_alarm, lambda: storage.transaction_sync(lambda: None), lambda: storage.sql.database_size,
                storage.delete_all,
            ):  # fmt: skip
                with pytest.raises(SqlError) as again:
                    _ = use()
                seen.append(str(again.value))
            return "all is well"

        with pytest.raises(Exception, match=f"{words}.*: {code}"):
            await stage.run(part)
        assert len(seen) == 7
        assert all(words in each for each in seen)
        assert await stage.run(lambda thing: hasattr(thing, "memory")) is False
        assert await stage.run(_found) == [1]

    @FACTS.driven(f"4.7 {what}: what was confirmed before in the same event stays")
    async def confirmed(stage: Stage, fail: Any = fail, words: str = words) -> None:
        await stage.run(_numbers)

        async def part(thing: Thing) -> None:
            thing.ctx.storage.sql.exec("INSERT INTO n VALUES (2, '')")
            await thing.ctx.storage.sync()
            thing.ctx.storage.sql.exec("INSERT INTO n VALUES (3, '')")
            fail(thing)

        with pytest.raises(Exception, match=words):
            await stage.run(part)
        assert await stage.run(_found) == [1, 2]

    @FACTS.driven(f"4.7 {what} inside a transaction: it cannot commit")
    async def in_transaction(stage: Stage, fail: Any = fail, words: str = words) -> None:
        await stage.run(_numbers)

        async def part(thing: Thing) -> str:
            async def work(txn: Any) -> None:
                thing.ctx.storage.sql.exec("INSERT INTO n VALUES (2, '')")
                with pytest.raises(SqlError):
                    fail(thing)

            with pytest.raises(SqlError, match=words):
                await thing.ctx.storage.transaction(work)
            return "all is well"

        with pytest.raises(Exception, match=words):
            await stage.run(part)
        assert await stage.run(_found) == [1]

    @FACTS.driven(f"4.7 {what} inside transaction_sync: it cannot commit")
    async def in_transaction_sync(stage: Stage, fail: Any = fail, words: str = words) -> None:
        await stage.run(_numbers)

        def part(thing: Thing) -> None:
            def work() -> None:
                thing.ctx.storage.sql.exec("INSERT INTO n VALUES (2, '')")
                with pytest.raises(SqlError):
                    fail(thing)

            with pytest.raises(SqlError, match=words):
                thing.ctx.storage.transaction_sync(work)

        with pytest.raises(Exception, match=words):
            await stage.run(part)
        assert await stage.run(_found) == [1]


@FACTS.driven("4.7 an interrupted query that only read loses nothing")
async def interrupted_read(stage: Stage) -> None:
    await stage.run(_numbers)

    def part(thing: Any) -> None:
        thing.ctx.storage.sql.exec("INSERT INTO n VALUES (2, '')")
        connection = thing.ctx.storage._actor.store.database.connection
        connection.set_progress_handler(lambda: True, 1000, id="test")
        with pytest.raises(SqlError, match="interrupted"):
            thing.ctx.storage.sql.exec(
                "WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 9999) SELECT max(x) FROM r"
            )
        connection.set_progress_handler(None, id="test")

    await stage.run(part)
    assert await stage.run(_found) == [1, 2]


@FACTS.driven("4.7 a write that runs away is stopped, and its turn is lost")
async def runaway(stage: Stage) -> None:
    await stage.run(_numbers)
    stage.monkeypatch.setattr("durable.storage.sql.turn_watch.SQL_TURN_SECONDS_MAX", 0.0)

    def part(thing: Thing) -> None:
        thing.ctx.storage.sql.exec(
            "INSERT INTO n WITH RECURSIVE r (x) AS (SELECT 10 UNION ALL SELECT x + 1 FROM r) SELECT x, '' FROM r"
        )

    with pytest.raises(Exception, match="the SQL of one turn may take 30 seconds"):
        await stage.run(part)
    assert await stage.run(_found) == [1]


@FACTS.driven("4.7 a deferred constraint that is violated at the end of a turn resets the object")
async def deferred(stage: Stage) -> None:
    def prepare(thing: Thing) -> None:
        sql = thing.ctx.storage.sql
        sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id))")

    def violate(thing: Any) -> str:
        thing.memory = "old"
        thing.ctx.storage.kv.put("k", "lost")
        thing.ctx.storage.sql.exec("PRAGMA defer_foreign_keys = on")
        thing.ctx.storage.sql.exec("INSERT INTO c VALUES (5)")
        return "all is well"

    await stage.run(prepare)
    with pytest.raises(
        Exception,
        match="Durable Object was reset.*constraints violated: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT"
        " \\(extended: SQLITE_CONSTRAINT_FOREIGNKEY\\)",
    ) as caught:
        await stage.run(violate)
    error: Any = caught.value
    assert error.durable_object_reset is True
    assert await stage.run(lambda thing: thing.ctx.storage.get("k")) is None
    assert await stage.run(lambda thing: hasattr(thing, "memory")) is False


@FACTS.driven("4.7 a deferred constraint that is mended before the end of the turn is no error")
async def mended(stage: Stage) -> None:
    def part(thing: Thing) -> None:
        sql = thing.ctx.storage.sql
        sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id))")
        sql.exec("PRAGMA defer_foreign_keys = on")
        sql.exec("INSERT INTO c VALUES (5)")
        sql.exec("INSERT INTO p VALUES (5)")

    await stage.run(part)
    assert await stage.run(lambda thing: thing.ctx.storage.sql.exec("SELECT p FROM c").one()["p"]) == 5


@FACTS.driven("4.7 a commit that is not confirmed within 30 s resets the object", disk=HeldDisk())
async def not_confirmed(stage: Stage) -> None:
    stage.monkeypatch.setattr("durable.storage.epoch.COMMIT_SECONDS_MAX", 0.2)
    await stage.run(lambda thing: thing.ctx.storage.put("k", 1))

    async def part(thing: Thing) -> str:
        await thing.ctx.storage.put("k", 2)
        await thing.ctx.storage.sync()
        return "all is well"

    with disk_of(stage).held():
        reply = await stage.send(part)
    assert "exceeded timeout which caused object to be reset" in reply.error.message
    assert "durable_object_reset" in reply.error.flags

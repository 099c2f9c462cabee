"""An object whose every operation leaves traces in several places, and the model that says what they add up to.

An operation is `(kind, number)`: one or two turns of several rows each. So what a disk holds after a fault must be a
state between two turns, and nothing may be there by half.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from durable import DurableObject
from durable.clock import ManualClock
from durable.errors import DurableError
from durable.storage.actor_store import ActorStore

Operation = tuple[str, int]

PROGRAM = """\
from tests.faults.ledger import Ledger

class Thing(Ledger):
    pass
"""
KINDS = ("put", "put", "rows", "rows", "large", "transaction", "rolled back", "two turns", "sync", "alarm", "disarm")
ALONE = ("transaction", "rolled back", "two turns", "sync")
"""Kinds that wait on the way and let others in: what they add up to is only known when nothing else runs."""
FIRST_ALARM_MS = 1_800_000_000_000
LARGE_CHARACTERS = 9_000
"""More than two pages: a value that a torn write can take apart."""
_ROWS_KEPT = 30


@dataclass(frozen=True)
class State:
    """What an object holds between two turns."""

    keys: dict[str, Any] = field(default_factory=dict)
    rows: tuple[int, ...] = ()
    alarm_ms: int | None = None


class Ledger(DurableObject):
    """`perform` returns what is stored when the operation ends."""

    synced: Callable[[str, int], None] = lambda name, number: None
    """Told when `storage.sync()` returned: from then on the first half of the operation is promised."""

    async def perform(self, kind: str, number: int) -> Any:
        storage = self.ctx.storage
        if kind == "clear":
            await storage.delete_all()
        if kind in ("clear", "look"):
            return await self.state()
        storage.sql.exec("CREATE TABLE IF NOT EXISTS marks(n INTEGER PRIMARY KEY)")
        if kind == "put":
            await storage.put({f"key {number % 5}": number, "last": number})
        elif kind == "rows":
            storage.sql.exec("INSERT INTO marks VALUES (?), (?), (?)", number * 10, number * 10 + 1, number * 10 + 2)
            storage.sql.exec("DELETE FROM marks WHERE n < ?", (number - _ROWS_KEPT) * 10)
        elif kind == "large":
            storage.kv.put("large", str(number)[-1] * LARGE_CHARACTERS)
            storage.sql.exec("INSERT INTO marks VALUES (?)", number * 10)
        elif kind == "transaction":
            await storage.transaction(lambda txn: self._transaction(number))
        elif kind == "rolled back":
            await self._roll_back(number)
        elif kind == "alarm":
            await storage.set_alarm(_alarm_ms(number))
        elif kind == "disarm":
            await storage.delete_alarm()
        else:
            await self._two_turns(kind, number)
        return await self.state()

    async def _transaction(self, number: int) -> Any:
        await self.ctx.storage.put("transaction", number)
        await asyncio.sleep(0)
        self.ctx.storage.sql.exec("INSERT INTO marks VALUES (?)", number * 10 + 5)

    async def _roll_back(self, number: int) -> None:
        async def work(txn: Any) -> Any:
            await self._transaction(number)
            raise LookupError

        with contextlib.suppress(LookupError):
            await self.ctx.storage.transaction(work)

    async def _two_turns(self, kind: str, number: int) -> None:
        self.ctx.storage.kv.put("first", number)
        if kind == "sync":
            await self.ctx.storage.sync()
            Ledger.synced(self.ctx.id.name or "", number)
        else:
            await asyncio.sleep(0)
        self.ctx.storage.kv.put("second", number)

    async def state(self) -> Any:
        storage = self.ctx.storage
        return [dict(storage.kv.list()), _rows(storage.sql), await storage.get_alarm()]

    async def bookmark(self) -> str:
        return await self.ctx.storage.get_current_bookmark()

    async def go_back(self, bookmark: str) -> None:
        await self.ctx.storage.on_next_session_restore_bookmark(bookmark)
        await self.ctx.storage.sync()
        self.ctx.abort("going back")

    async def alarm(self, info: Any = None) -> None:
        raise AssertionError("no alarm of these is ever due")


def _rows(sql: Any) -> list[int]:
    if not sql.exec("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'marks'").one()["n"]:
        return []
    return [row["n"] for row in sql.exec("SELECT n FROM marks ORDER BY n").to_array()]


def _alarm_ms(number: int) -> int:
    return FIRST_ALARM_MS + number * 7_919 % 1_000 * 1_000


def answered(reply: Any) -> State:
    """The state that `perform` returned."""
    keys, rows, alarm_ms = reply
    return State(keys, tuple(rows), alarm_ms)


def states_after(state: State, operation: Operation) -> list[State]:
    """The states that `operation` goes through, the last one being where it ends."""
    kind, number = operation
    keys, rows = state.keys, state.rows
    if kind == "clear":
        return [State()]
    if kind == "put":
        return [replace(state, keys=keys | {f"key {number % 5}": number, "last": number})]
    if kind == "rows":
        grown = {*rows, number * 10, number * 10 + 1, number * 10 + 2}
        return [replace(state, rows=tuple(sorted(n for n in grown if n >= (number - _ROWS_KEPT) * 10)))]
    if kind == "large":
        large = str(number)[-1] * LARGE_CHARACTERS
        return [State(keys | {"large": large}, tuple(sorted({*rows, number * 10})), state.alarm_ms)]
    if kind == "transaction":
        return [State(keys | {"transaction": number}, tuple(sorted({*rows, number * 10 + 5})), state.alarm_ms)]
    if kind in ("rolled back", "look"):
        return [state]
    if kind == "alarm":
        return [replace(state, alarm_ms=_alarm_ms(number))]
    if kind == "disarm":
        return [replace(state, alarm_ms=None)]
    first = replace(state, keys=keys | {"first": number})
    return [first, replace(first, keys=first.keys | {"second": number})]


def operations(choice: random.Random, count: int, *, first: int = 1) -> Iterable[Operation]:
    """A mixture in which the object is now and then emptied."""
    for number in range(first, first + count):
        yield ("clear" if choice.random() < 0.03 else choice.choice(KINDS)), number


def read_state(path: Path) -> State:
    """What an object's file holds, read as an activation would. Raises what that raises."""
    store = ActorStore(path, clock=ManualClock(), on_first_write=lambda: None)
    try:
        if store.is_new:
            return State()
        problem = store.database.run("PRAGMA quick_check").get
        if problem != "ok":
            raise DurableError(f"{path} is damaged: {problem}")
        return State(dict(store.kv.list()), tuple(_rows(store.sql)), store.alarm.get())
    finally:
        store.close()

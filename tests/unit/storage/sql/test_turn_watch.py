"""SQL that keeps its process from everything else is stopped, and nothing else is."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from durable.clock import ManualClock
from durable.errors import SqlError
from durable.limits import SQL_TURN_SECONDS_MAX
from durable.storage.actor_store import ActorStore
from durable.storage.sql.inspection import Inspection

LONG = "WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 200000) SELECT max(x) AS x FROM r"
"""About three million instructions."""


class RestlessClock(ManualClock):
    """Every look at it takes a while."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def monotonic(self) -> float:
        self.advance(self._seconds)
        return super().monotonic()


class Loop:
    """Keeps what is to run when the turn is over."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def end_turn(self) -> None:
        while self.soon:
            self.soon.pop()()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def watch(store: ActorStore, loop: Loop, seconds: float) -> None:
    store.sql.watch(RestlessClock(seconds), loop.soon.append)


def test_a_statement_is_stopped_when_its_turn_has_taken_too_long(store: ActorStore, loop: Loop) -> None:
    watch(store, loop, SQL_TURN_SECONDS_MAX + 1)

    with pytest.raises(SqlError, match="the SQL of one turn may take 30 seconds.*SQLITE_INTERRUPT"):
        store.sql.exec(LONG)
    assert store.sql.exec("SELECT 1 AS one").one() == {"one": 1}


def test_without_the_watch_the_same_statement_ends_by_itself(store: ActorStore) -> None:
    assert store.sql.exec(LONG).one() == {"x": 200000}


def test_several_statements_of_one_turn_share_its_time_and_the_next_turn_has_its_own(
    store: ActorStore, loop: Loop
) -> None:
    watch(store, loop, SQL_TURN_SECONDS_MAX / 5)
    for _ in range(4):
        store.sql.exec(LONG).one()
        loop.end_turn()

    with pytest.raises(SqlError, match="SQLITE_INTERRUPT"):
        for _ in range(4):
            store.sql.exec(LONG).one()


def test_what_is_known_before_the_watch_is_watched_too(store: ActorStore, loop: Loop) -> None:
    for _ in range(2):
        store.sql.exec(LONG).one()
    watch(store, loop, SQL_TURN_SECONDS_MAX + 1)

    with pytest.raises(SqlError, match="SQLITE_INTERRUPT"):
        store.sql.exec(LONG)


def test_a_file_that_was_closed_and_opened_again_is_watched(store: ActorStore, loop: Loop) -> None:
    watch(store, loop, SQL_TURN_SECONDS_MAX + 1)
    store.kv.put("k", 1)
    store.commit()
    store.database.became_durable(store.undurable_epoch)
    store.suspend()

    with pytest.raises(SqlError, match="SQLITE_INTERRUPT"):
        store.sql.exec(LONG)


def test_a_tool_in_another_thread_has_a_limit_of_its_own(store: ActorStore, loop: Loop) -> None:
    watch(store, loop, SQL_TURN_SECONDS_MAX + 1)
    store.kv.put("k", 1)
    store.commit()
    found: list[Inspection] = []
    thread = threading.Thread(
        target=lambda: found.extend(store.inspect(LONG, write=False, rows_max=1, seconds_max=60.0))
    )
    thread.start()
    thread.join()

    assert found[0].rows == [[200000]]
    assert loop.soon == []

"""The files of all objects of a class: every one is asked once, in order, with and without a second process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from durable.clock import SystemClock
from durable.errors import StorageError
from durable.storage import asking_files
from durable.storage.actor_store import ActorStore
from durable.storage.asking_files import READY, Query, ask_files, read_frame, write_frame
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable_cli.sql import all_objects_files
from durable_cli.sql.all_objects import Batch

KEY = "Room-0123456789ab"
COUNT = 30
IDS = [f"{number:064x}" for number in range(COUNT)]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> StateLayout:
    """Thirty objects, each with its number; the last has no name."""
    layout = StateLayout(tmp_path_factory.mktemp("state"))
    layout.ensure_namespace(KEY)
    for number, identity in enumerate(IDS):
        store = ActorStore(layout.object_file(KEY, identity), clock=SystemClock(), on_first_write=lambda: None)
        store.keep_file()
        store.sql.exec("CREATE TABLE t(n, b)")
        store.sql.exec("INSERT INTO t VALUES (?, ?)", number, b"\xff" * number)
        store.commit()
        store.end()
    index = NamespaceIndex(layout.index_file(KEY))
    index.put_many(IndexRow(identity, f"room {n}", 1, 1, None) for n, identity in enumerate(IDS[:-1]))
    index.put_many([IndexRow(IDS[-1], None, 1, 1, None)])
    index.close()
    return layout


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_objects_files, "_FIRST_PAGE_OBJECTS", 2)
    monkeypatch.setattr(all_objects_files, "QUERY_BATCH_OBJECTS", 4)


@pytest.fixture
def index(layout: StateLayout) -> Iterator[NamespaceIndex]:
    index = NamespaceIndex(layout.index_file(KEY))
    yield index
    index.close()


def question(sql: str = "SELECT n, b FROM t", parameters: Any = ()) -> Query:
    return Query(KEY, sql, parameters or [], 10)


class Slow(all_objects_files.Helper):
    """Waits for the other process to start, so that it has its share."""

    @property
    def is_ready(self) -> bool:
        while not super().is_ready:
            pass
        return True


def together(
    layout: StateLayout, index: NamespaceIndex, query: Query, *, where_name: str | None = None, dies_after: int = 1000
) -> tuple[list[Batch], int]:
    """What came, and how many pages the second process was asked for."""
    asked = 0

    class Mortal(Slow):
        def ask(self, page: Any) -> None:
            nonlocal asked
            asked += 1
            if asked > dies_after:
                self._process.kill()
                self._process.wait()
            super().ask(page)

    descriptor = os.open(os.devnull, os.O_RDONLY)
    helper = Mortal(layout, query, descriptor)
    try:
        pages = all_objects_files._pages(index, where_name)
        return list(all_objects_files._together(layout, query, pages, helper)), asked
    finally:
        helper.close()
        os.close(descriptor)
        assert helper._process.poll() is not None


def labels(batches: list[Batch]) -> list[Any]:
    return [row[0] for batch in batches for table in batch.tables for row in table.rows]


EXPECTED = [*(f"room {number}" for number in range(COUNT - 1)), IDS[-1]]


def test_two_processes_ask_every_object_once_and_in_order(layout: StateLayout, index: NamespaceIndex) -> None:
    batches, asked = together(layout, index, question())
    assert labels(batches) == EXPECTED
    assert asked == 4  # of eight pages
    assert [batch.seen for batch in batches] == [2, 6, 10, 14, 18, 22, 26, 30]
    rows = [row for batch in batches for table in batch.tables for row in table.rows]
    assert rows == [(label, number, b"\xff" * number) for number, label in enumerate(EXPECTED)]
    assert batches[0].tables[0].columns == ("_object", "n", "b")


@pytest.mark.parametrize("dies_after", [0, 1, 3])
def test_a_process_that_dies_is_done_without(layout: StateLayout, index: NamespaceIndex, dies_after: int) -> None:
    batches, _ = together(layout, index, question(), dies_after=dies_after)
    assert labels(batches) == EXPECTED


def test_it_ends_without_a_word_when_whoever_asked_is_gone(layout: StateLayout) -> None:
    command = [sys.executable, "-m", "durable.storage.asking_files", str(layout.state)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        write_frame(process.stdin, msgspec.msgpack.encode(question()))
        assert read_frame(process.stdout) == READY
        process.stdout.close()
        write_frame(process.stdin, msgspec.msgpack.encode(IDS))
        assert process.stderr.read() == b""
        assert process.wait(20) == 1


def test_parameters_and_errors_pass_between_them(layout: StateLayout, index: NamespaceIndex) -> None:
    query = question("SELECT n FROM t WHERE b = :b OR n = :n", parameters={"b": b"\xff" * 20, "n": 3})
    assert labels(together(layout, index, query)[0]) == ["room 3", "room 20"]
    batches, _ = together(layout, index, question("SELECT nope FROM t"))
    failed = [each for batch in batches for each in batch.failed]
    assert [label for label, _ in failed] == EXPECTED
    assert "no such column: nope" in failed[0][1]


def test_large_answers_of_the_other_process_come_in_pieces(
    layout: StateLayout, index: NamespaceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = question("SELECT n, zeroblob(700000) FROM t WHERE n > 20")
    batches, _ = together(layout, index, query)
    assert labels(batches) == EXPECTED[21:]
    assert len(batches) > 8
    assert [batch.seen for batch in batches] == sorted(batch.seen for batch in batches)


def test_a_pattern_picks_names(layout: StateLayout, index: NamespaceIndex) -> None:
    batches, _ = together(layout, index, question(), where_name="room 2?")
    assert labels(batches) == [f"room {number}" for number in range(20, 29)]
    assert batches[-1].seen == COUNT


def test_a_file_that_is_missing_or_damaged_is_named(layout: StateLayout, tmp_path: Path) -> None:
    elsewhere = StateLayout(tmp_path)
    elsewhere.ensure_namespace(KEY)
    damaged = elsewhere.object_file(KEY, IDS[1])
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"garbage" * 1000)
    done, answers = ask_files(elsewhere, question(), IDS[:2])
    assert done == 2
    assert [identity for identity, _ in answers.failed] == IDS[:2]
    assert "is missing" in answers.failed[0][1]
    assert "is damaged" in answers.failed[1][1]


def test_an_unfinished_restore_is_left_to_the_objects_own_opening(
    layout: StateLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    class Store:
        def __init__(self, path: Path, **_: Any) -> None:
            opened.append(path)

        def inspect(self, *_: Any, **__: Any) -> Any:
            raise StorageError("as it says")

        def end(self) -> None:
            opened.append(Path("ended"))

    elsewhere = StateLayout(tmp_path)
    path = elsewhere.object_file(KEY, IDS[0])
    path.parent.mkdir(parents=True)
    Path(f"{path}-restoring").write_text("{}")
    monkeypatch.setattr(asking_files, "ActorStore", Store)
    _, answers = ask_files(elsewhere, question(), IDS[:1])
    assert answers.failed == [(IDS[0], "as it says")]
    assert opened == [path, Path("ended")]

"""Batching, answers and failures of the index writer."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from durable.clock import ManualClock
from durable.errors import WireError
from durable.gateway import index_writer as module
from durable.gateway.index_writer import IndexWriter
from durable.wire.messages import ActorKey, IndexDurable, IndexFind, IndexFound, IndexPut, IndexRemove


class Paths:
    def __init__(self, root: Path) -> None:
        self.root = root

    def index_file(self, namespace: str) -> Path:
        return self.root / namespace / "index.sqlite"

    def object_file(self, namespace: str, object_id: str) -> Path:
        return self.root / namespace / object_id[:2] / f"{object_id}.sqlite"


class Watcher:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int | None]] = []

    def alarm_put(self, actor: ActorKey) -> None:
        self.seen.append(("put", actor.id, None))

    def alarm_indexed(self, actor: ActorKey, alarm_ms: int | None) -> None:
        self.seen.append(("indexed", actor.id, alarm_ms))


def actor(number: int, namespace: str = "Room-1", name: str | None = None) -> ActorKey:
    return ActorKey(namespace, f"{number:064x}", name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ms=1000)


@pytest.fixture
async def writer(tmp_path: Path, clock: ManualClock):
    writer = IndexWriter(Paths(tmp_path), clock)
    yield writer
    await writer.close()


async def answered(answers: list[IndexDurable], count: int) -> None:
    async with asyncio.timeout(5):
        while sum(len(answer.ids) for answer in answers) < count:
            await asyncio.sleep(0.001)


async def test_a_put_is_answered_once_the_row_can_be_read(writer: IndexWriter):
    answers: list[IndexDurable] = []

    writer.put(IndexPut(7, actor(1, name="a"), 5000), answers.append)
    assert answers == []
    await answered(answers, 1)

    assert answers == [IndexDurable([7])]
    row = await writer.find("Room-1", "a")
    assert row is not None
    assert (row.id, row.created_ms, row.last_used_ms, row.alarm_ms) == (actor(1).id, 1000, 1000, 5000)


async def test_puts_of_one_turn_share_a_transaction_per_namespace_and_an_answer_per_host(writer: IndexWriter):
    first: list[IndexDurable] = []
    second: list[IndexDurable] = []

    writer.put(IndexPut(1, actor(1), None), first.append)
    writer.put(IndexPut(1, actor(2), None), second.append)
    writer.put(IndexPut(2, actor(3, "Other-2"), None), first.append)
    await answered([*first, *second], 0)
    await answered(first, 2)
    await answered(second, 1)

    assert writer.statistics().transactions == 2
    assert writer.statistics().writes == 3
    assert sorted(number for answer in first for number in answer.ids) == [1, 2]


async def test_what_arrives_while_the_disk_is_busy_shares_the_next_transaction(writer: IndexWriter):
    answers: list[IndexDurable] = []
    writer.put(IndexPut(1, actor(1), None), answers.append)
    await asyncio.sleep(0)  # the first transaction is underway
    for number in range(2, 50):
        writer.put(IndexPut(number, actor(number), None), answers.append)
        await asyncio.sleep(0)

    await answered(answers, 49)

    assert writer.statistics().transactions < 49


async def test_a_put_with_id_0_is_written_and_not_answered(writer: IndexWriter):
    answers: list[IndexDurable] = []

    writer.put(IndexPut(0, actor(1), None), answers.append)

    assert await writer.count("Room-1") == 1
    assert answers == []


async def test_a_removal_is_answered_after_the_row_is_gone(writer: IndexWriter):
    answers: list[IndexDurable] = []
    writer.put(IndexPut(1, actor(1), None), answers.append)

    writer.remove(IndexRemove(2, actor(1)), answers.append)
    await answered(answers, 2)

    assert await writer.get("Room-1", actor(1).id) is None


async def test_watchers_hear_of_a_put_at_once_and_of_the_alarm_when_it_is_durable(writer: IndexWriter):
    watcher = Watcher()
    writer.watch(watcher)
    answers: list[IndexDurable] = []

    writer.put(IndexPut(1, actor(1), 5000), answers.append)
    assert watcher.seen == [("put", actor(1).id, None)]
    await answered(answers, 1)

    assert watcher.seen[1:] == [("indexed", actor(1).id, 5000)]


async def test_an_index_that_cannot_be_written_fails_its_own_namespace_only(writer: IndexWriter, tmp_path: Path):
    (tmp_path / "Bad-1").write_text("a file where a folder should be")
    answers: list[IndexDurable] = []
    watcher = Watcher()
    writer.watch(watcher)

    writer.put(IndexPut(1, actor(1, "Bad-1"), 5), answers.append)
    writer.put(IndexPut(2, actor(2, "Good-1"), 6), answers.append)
    await answered(answers, 2)

    by_id = {number: answer.error for answer in answers for number in answer.ids}
    assert "Bad-1" in by_id[1]
    assert by_id[2] == ""
    assert ("indexed", actor(1).id, 5) not in watcher.seen


async def test_a_namespace_works_again_after_its_failure_was_mended(writer: IndexWriter, tmp_path: Path):
    (tmp_path / "Room-1").write_text("in the way")
    answers: list[IndexDurable] = []
    writer.put(IndexPut(1, actor(1), None), answers.append)
    await answered(answers, 1)

    (tmp_path / "Room-1").unlink()
    writer.put(IndexPut(2, actor(1), None), answers.append)
    await answered(answers, 2)

    assert answers[1] == IndexDurable([2])


async def test_an_alarm_that_no_column_holds_is_refused_at_once(writer: IndexWriter):
    answers: list[IndexDurable] = []

    writer.put(IndexPut(1, actor(1), 2**63), answers.append)

    assert answers == [IndexDurable([1], "an alarm at 9223372036854775808 ms is out of range")]


async def test_too_many_rows_in_waiting_are_the_hosts_fault(writer: IndexWriter, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "INDEX_WRITES_WAITING_MAX", 2)
    for number in (1, 2):
        writer.put(IndexPut(0, actor(number), None), lambda _: None)

    with pytest.raises(WireError, match="2 index rows wait to be written; the limit is 2"):
        writer.put(IndexPut(0, actor(3), None), lambda _: None)


async def test_reading_a_namespace_without_objects_creates_no_file(writer: IndexWriter, tmp_path: Path):
    assert await writer.page("Room-1") == ()
    assert await writer.due("Room-1", 10, 10) == ()
    assert await writer.names("Room-1", 10) == ()
    assert os.listdir(tmp_path) == []


async def test_closing_writes_and_answers_what_waits(tmp_path: Path, clock: ManualClock):
    writer = IndexWriter(Paths(tmp_path), clock)
    answers: list[IndexDurable] = []
    writer.put(IndexPut(1, actor(1), None), answers.append)

    await writer.close()

    assert answers == [IndexDurable([1])]


async def test_a_link_is_answered_on_its_own_channel(writer: IndexWriter):
    class Link:
        def __init__(self) -> None:
            self.handlers: dict[type, Any] = {}
            self.sent: list[IndexDurable] = []

        def on(self, kind: type, handler: Any) -> None:
            self.handlers[kind] = handler

        def send(self, message: IndexDurable) -> None:
            self.sent.append(message)

    link: Any = Link()
    writer.listen(link)

    link.handlers[IndexPut](IndexPut(1, actor(1), None))
    link.handlers[IndexRemove](IndexRemove(2, actor(1)))
    await answered(link.sent, 2)

    assert await writer.count("Room-1") == 0


async def test_a_host_learns_whether_an_object_is_known(writer: IndexWriter):
    found: list[IndexFound] = []
    answers: list[IndexDurable] = []
    writer.put(IndexPut(1, actor(1), None), answers.append)
    await answered(answers, 1)

    for number, each in enumerate((actor(1), actor(2), actor(1, "Never-1"))):
        writer.find_known(IndexFind(number, each), found.append)
    async with asyncio.timeout(5):
        while len(found) < 3:
            await asyncio.sleep(0.001)

    assert found == [IndexFound(0, True), IndexFound(1, False), IndexFound(2, False)]
    assert not (writer._paths.index_file("Never-1")).exists()  # pyright: ignore[reportPrivateUsage]


async def test_an_index_that_cannot_be_read_is_no_proof_that_an_object_is_new(writer: IndexWriter, tmp_path: Path):
    found: list[IndexFound] = []
    (tmp_path / "Room-1").mkdir()
    (tmp_path / "Room-1" / "index.sqlite").write_text("no database" * 1000)

    writer.find_known(IndexFind(1, actor(1)), found.append)
    async with asyncio.timeout(5):
        while not found:
            await asyncio.sleep(0.001)

    assert not found[0].known
    assert "index.sqlite" in found[0].error


async def test_the_row_of_a_new_object_is_written_after_its_files_name_is_on_disk(
    writer: IndexWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced: list[tuple[Path, int]] = []

    def sync_folder(folder: Path) -> None:
        index = writer._indexes.get("Room-1")  # pyright: ignore[reportPrivateUsage]
        synced.append((folder, index.count() if index is not None else 0))

    monkeypatch.setattr(module, "sync_folder", sync_folder)
    answers: list[IndexDurable] = []

    writer.put(IndexPut(1, actor(1), None, new_file=True), answers.append)
    writer.put(IndexPut(2, actor(2), None, new_file=True), answers.append)
    writer.put(IndexPut(3, actor(1 << 248), 5000), answers.append)
    await answered(answers, 3)

    assert synced == [(tmp_path / "Room-1" / "00", 0)]


async def test_a_row_whose_file_may_lose_its_name_is_not_written(writer: IndexWriter):
    answers: list[IndexDurable] = []

    # Its folder is not there.
    writer.put(IndexPut(1, actor(1), None, new_file=True), answers.append)
    await answered(answers, 1)

    assert "00" in answers[0].error
    assert await writer.count("Room-1") == 0

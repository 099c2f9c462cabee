"""Syncing through the kernel's asynchronous I/O keeps the same contract as the threads do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable.storage import kernel_sync
from durable.storage.kernel_sync import KernelSync, Syncs, open_syncs
from durable.storage.sync_pool import Group, SyncPool, SystemDisk

Make = Callable[[asyncio.AbstractEventLoop, Callable[[Group], None]], Syncs]


def threads(loop: asyncio.AbstractEventLoop, done: Callable[[Group], None]) -> Syncs:
    return SyncPool(loop, SystemDisk(), done)


def kernel(loop: asyncio.AbstractEventLoop, done: Callable[[Group], None]) -> Syncs:
    syncs = open_syncs(loop, done)
    if not isinstance(syncs, KernelSync):
        pytest.skip("this system has no asynchronous fdatasync for us")
    return syncs


both = pytest.mark.parametrize("make", [threads, kernel])


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    descriptors = [os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(40)]
    for descriptor in descriptors:
        os.write(descriptor, b"x" * 4120)
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)


async def synced(make: Make, group: Group) -> list[Group]:
    """What `done` was told; twice the same would be seen, because the loop goes on for a while."""
    loop, told = asyncio.get_running_loop(), list[Group]()
    over = asyncio.Event()

    def done(group: Group) -> None:
        told.append(group)
        over.set()

    syncs = make(loop, done)
    syncs.start(group)
    async with asyncio.timeout(20):
        await over.wait()
    syncs.close()
    await asyncio.sleep(0)
    return told


@both
async def test_files_and_folders_of_a_group_are_synced_and_reported_once(
    make: Make, files: list[int], tmp_path: Path
) -> None:
    group = Group([*files, str(tmp_path)])

    assert await synced(make, group) == [group]
    assert group.errors == {}


@both
async def test_only_the_targets_that_failed_are_reported_with_their_reason(
    make: Make, files: list[int], tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    group = Group([files[0], writer, files[1], str(tmp_path / "missing"), files[2]])

    assert await synced(make, group) == [group]

    os.close(reader)
    os.close(writer)
    assert set(group.errors) == {writer, str(tmp_path / "missing")}
    assert isinstance(group.errors[writer], OSError)
    assert isinstance(group.errors[str(tmp_path / "missing")], FileNotFoundError)


async def test_what_the_kernel_has_no_room_for_goes_to_threads(
    files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_sync, "KERNEL_SYNCS_MAX", 8)
    group = Group([*files])

    assert await synced(kernel, group) == [group]
    assert group.errors == {}


@both
async def test_closing_waits_for_what_was_started_and_keeps_its_failures(make: Make, files: list[int]) -> None:
    told = list[Group]()
    reader, writer = os.pipe()
    syncs = make(asyncio.get_running_loop(), told.append)
    group = Group([*files, writer])
    syncs.start(group)

    syncs.close()

    os.close(reader)
    os.close(writer)
    assert set(group.errors) == {writer}
    assert told == []


async def test_groups_follow_each_other(files: list[int]) -> None:
    first, second = Group([*files[:3]]), Group([*files[3:]])
    told = list[Group]()
    over = asyncio.Event()

    def done(group: Group) -> None:
        told.append(group)
        if group is first:
            syncs.start(second)
        else:
            over.set()

    syncs = kernel(asyncio.get_running_loop(), done)
    syncs.start(first)
    async with asyncio.timeout(20):
        await over.wait()
    syncs.close()

    assert told == [first, second]


async def test_a_machine_without_it_gets_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")

    syncs = open_syncs(asyncio.get_running_loop(), lambda group: None)

    assert isinstance(syncs, SyncPool)
    syncs.close()

"""The warm next hosts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from durable.supervisor.standby import Standbys


class FakeHost:
    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.alive = True
        self.warmed: list[str] = []

    def warm_up(self, modules: list[str]) -> None:
        self.warmed = modules

    def kill(self) -> None:
        self.alive = False


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def spawned() -> list[FakeHost]:
    return []


@pytest.fixture
def standbys(packages: Path, spawned: list[FakeHost]) -> Standbys:
    def spawn(shard: int) -> Any:
        spawned.append(FakeHost(shard))
        return spawned[-1]

    return Standbys(spawn, str(packages.parents[2] / "bin" / "python"))


def test_one_standby_per_shard_is_prepared_once_with_the_modules_of_the_last_generation(
    standbys: Standbys, spawned: list[FakeHost]
):
    standbys.prepare(2, ["json"])
    standbys.prepare(2, ["json"])

    assert [(host.shard, host.warmed) for host in spawned] == [(0, ["json"]), (1, ["json"])]


def test_a_standby_is_taken_once(standbys: Standbys, spawned: list[FakeHost]):
    standbys.prepare(1, [])

    taken: list[Any] = [standbys.take(0), standbys.take(0)]

    assert taken == spawned
    assert spawned[1].warmed == []


def test_a_standby_that_died_is_not_taken(standbys: Standbys, spawned: list[FakeHost]):
    standbys.prepare(1, [])
    spawned[0].alive = False

    assert standbys.take(0) is spawned[1]  # type: ignore[comparison-overlap]


def test_installing_a_package_discards_what_may_have_imported_the_old_one(
    standbys: Standbys, spawned: list[FakeHost], packages: Path
):
    standbys.prepare(1, ["json"])
    before = packages.stat()
    (packages / "new-1.0.dist-info").mkdir()
    os.utime(packages, ns=(before.st_atime_ns, before.st_mtime_ns + 1))

    assert standbys.take(0) is spawned[1]  # type: ignore[comparison-overlap]
    assert not spawned[0].alive


def test_discarding_ends_them_all(standbys: Standbys, spawned: list[FakeHost]):
    standbys.prepare(2, [])

    standbys.discard()

    assert [host.alive for host in spawned] == [False, False]

"""The raw disk measure writes whole frames, flushes every file of a round, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import disk
from benchmarks.measure import Series


def test_a_round_counts_a_commit_for_every_file_it_flushed(tmp_path: Path) -> None:
    flushed: list[int] = []
    series = Series()

    with disk.appended_files(tmp_path, 3) as descriptors:
        disk.commits(
            descriptors, lambda files: flushed.extend(os.fstat(each).st_size for each in files), 0.0001, series
        )

    assert flushed[:3] == [disk.FRAME_BYTES] * 3
    assert len(flushed) % 3 == 0
    assert series.rounds[0] > 0
    assert not list(tmp_path.iterdir())


def test_the_pool_flushes_each_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(disk, "flush_file", flushed.append)

    with ThreadPoolExecutor(disk.THREADS) as pool:
        disk.each_in_pool(pool, range(200))

    assert sorted(flushed) == list(range(200))


def test_without_syncfs_every_file_system_is_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(disk, "SYNCFS", None)
    monkeypatch.setattr(os, "sync", lambda: calls.append("sync"))

    disk.whole_file_system([0])

    assert calls == ["sync"]


def test_a_syncfs_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "SYNCFS", lambda descriptor: -1)

    with pytest.raises(OSError, match="Errno"):
        disk.whole_file_system([0])


def test_the_three_ways_are_measured_round_by_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def counted(descriptors: Sequence[int], flush: disk.Flush, seconds: float, series: Series) -> None:
        order.append(f"{len(descriptors)} files")
        series.rounds.append(1.0)

    monkeypatch.setattr(disk, "commits", counted)
    found = disk.measure(tmp_path / "raw", rounds=2, seconds=0.1, say=lambda line: None)

    assert order == ["1 files", "200 files", "200 files"] * 2
    assert [len(measure.series[disk.DISK].rounds) for measure in found] == [2, 2, 2]

"""The file that says when the commits of a log were."""

from __future__ import annotations

import os
from pathlib import Path

from durable.storage.history.moments import Moment, append_times, drop_times_behind, read_last, read_times

SALTS = bytes(range(8))


def test_records_come_back_in_the_order_of_their_frames(tmp_path: Path) -> None:
    path = tmp_path / "t"
    append_times(path, SALTS, [(1000, 2), (1001, 5)])
    append_times(path, SALTS, [(900, 7)])
    times = read_times(path)

    assert times is not None
    assert times.salts == SALTS
    assert times.moments == [Moment(1000, 2), Moment(1001, 5), Moment(900, 7)]
    assert read_last(path) == (SALTS, Moment(900, 7))


def test_the_last_commit_at_or_before_a_moment_is_the_one_with_the_highest_frame(tmp_path: Path) -> None:
    append_times(tmp_path / "t", SALTS, [(1000, 2), (1001, 5), (900, 7)])
    times = read_times(tmp_path / "t")
    assert times is not None

    assert times.at(899) is None
    assert times.at(999) == Moment(900, 7)
    assert times.at(5000) == Moment(900, 7)


def test_a_record_that_was_half_written_is_ignored_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "t"
    append_times(path, SALTS, [(1000, 2), (1001, 5)])
    os.truncate(path, path.stat().st_size - 5)
    assert read_last(path) == (SALTS, Moment(1000, 2))
    append_times(path, SALTS, [(1002, 9)])
    times = read_times(path)

    assert times is not None
    assert times.moments == [Moment(1000, 2), Moment(1002, 9)]


def test_what_is_no_such_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"DurTimes")
    (tmp_path / "other").write_bytes(b"SQLite format 3\0" * 4)
    for name in ("missing", "short", "other"):
        assert (read_times(tmp_path / name), read_last(tmp_path / name)) == (None, None)
    (tmp_path / "empty").write_bytes(b"DurTimes" + SALTS)
    assert read_last(tmp_path / "empty") == (SALTS, None)
    append_times(tmp_path / "short", SALTS, [(1, 1)])
    assert read_last(tmp_path / "short") == (SALTS, Moment(1, 1))


def test_what_a_power_cut_took_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "t"
    append_times(path, SALTS, [(1000, 2), (1001, 5), (1002, 9)])
    drop_times_behind(path, 5)

    assert read_last(path) == (SALTS, Moment(1001, 5))
    assert list(tmp_path.iterdir()) == [path]

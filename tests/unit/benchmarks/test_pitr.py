"""The measure of history makes its rounds long enough and counts archived segments, also those deleted since."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import pitr, subjects


def test_a_round_is_long_enough_for_four_logs_at_the_slower_server_s_speed() -> None:
    assert pitr.round_seconds(4096.0, 1.0) == 4.0
    assert pitr.round_seconds(100_000.0, 3.0) == 3.0
    assert pitr.round_seconds(1.0, 3.0) == pitr.ROUND_SECONDS_MAX


def test_segments_are_counted_by_their_numbers(tmp_path: Path) -> None:
    history = tmp_path / "state" / "Counter-1" / "ab" / "abcd.history"
    history.mkdir(parents=True)
    for name in ("00000006.wal", "00000007.wal", "00000007.times", "00000008.base", "head"):
        (history / name).touch()

    assert pitr.segments(tmp_path) == 8


def test_without_history_nothing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "abcd.sqlite-wal").touch()

    assert pitr.segments(tmp_path) == 0


@pytest.mark.parametrize(("days", "line"), [(0, "pitr_days = 0\n"), (None, "")])
def test_a_server_keeps_the_default_history_unless_told_otherwise(tmp_path: Path, days: int | None, line: str) -> None:
    recipe = subjects.durable(tmp_path, durability="relaxed", pitr_days=days)

    text = (recipe.folder / "durable.toml").read_text()
    assert text.endswith(f'[dev]\ndurability = "relaxed"\n{line}')

"""The benchmark runs from end to end; what it measures is not looked at here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]


def run(target: Path, *chosen: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks", "--only", *chosen, "--rounds", "1", "--seconds", "0.2"]
    done = subprocess.run(
        [*command, "--json", str(target)], cwd=REPO, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done, json.loads(target.read_text())


def test_a_short_run_prints_a_table_and_writes_every_round(tmp_path: Path) -> None:
    done, found = run(tmp_path / "found.json", "hello", "fanout")

    assert "worker hello" in done.stdout
    assert [measure["name"] for measure in found["measures"]] == ["hello", "fanout"]
    for measure in found["measures"]:
        assert set(measure["series"]) >= {"aiohttp", "durable"}
        assert all(series["rounds"][0] > 0 for series in measure["series"].values())
        assert all(series["errors"] == 0 for series in measure["series"].values()), measure["series"]


@pytest.mark.slow
def test_upserts_on_200_objects_are_printed_beside_what_the_disk_can_do(tmp_path: Path) -> None:
    done, found = run(tmp_path / "found.json", "sql-200", "disk")

    assert "≥ 2.5 not measured" in done.stdout
    assert "one syncfs" in done.stdout
    names = ["sql-200", "disk-fdatasync", "disk-pool", "disk-syncfs"]
    assert [measure["name"] for measure in found["measures"]] == names
    assert found["measures"][0]["series"]["durable"]["errors"] == 0
    assert all(measure["series"]["disk"]["median"] > 0 for measure in found["measures"][1:])


@pytest.mark.slow
def test_saves_on_the_chat_template_are_timed_and_no_socket_is_dropped(tmp_path: Path) -> None:
    done, found = run(tmp_path / "found.json", "reload", "--saves", "2", "--no-packages")

    assert "from rename() to the first byte by the new code" in done.stdout
    assert [measure["name"] for measure in found["measures"]] == ["reload", "reload-burst", "memory-idle"]
    assert [len(measure["series"]["durable"]["rounds"]) for measure in found["measures"]] == [2, 1, 1]

"""The benchmark runs from end to end; what it measures is not looked at here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]


def test_a_short_run_prints_a_table_and_writes_every_round(tmp_path: Path) -> None:
    target = tmp_path / "found.json"
    command = [sys.executable, "-m", "benchmarks", "--only", "hello", "fanout", "--rounds", "1", "--seconds", "0.2"]

    done = subprocess.run(
        [*command, "--json", str(target)], cwd=REPO, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "worker hello" in done.stdout
    found = json.loads(target.read_text())
    assert [measure["name"] for measure in found["measures"]] == ["hello", "fanout"]
    for measure in found["measures"]:
        assert set(measure["series"]) >= {"aiohttp", "durable"}
        assert all(series["rounds"][0] > 0 for series in measure["series"].values())
        assert all(series["errors"] == 0 for series in measure["series"].values()), measure["series"]

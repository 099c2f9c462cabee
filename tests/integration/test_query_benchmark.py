"""The benchmark of queries over many objects runs from end to end; what it measures is not looked at here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]


def test_it_asks_every_object_stopped_and_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.query", "3", str(tmp_path)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr
    lines = re.findall(r"(stopped|running), --(\w+) .* (\d) lines;", done.stdout)
    assert lines == [(state, form, n) for state in ("stopped", "running") for form, n in LINES]


LINES = (("csv", "4"), ("json", "5"), ("reduce", "3"))

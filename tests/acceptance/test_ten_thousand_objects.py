"""Every command over a whole class of ten thousand objects, with the emulator running and stopped.

pytest -m slow tests/acceptance/test_ten_thousand_objects.py -s        DURABLE_TEST_OBJECTS=1000 for fewer
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running_dev import DURABLE, Dev
from tests.settings import settings

OBJECTS = int(os.environ.get("DURABLE_TEST_OBJECTS", "10000"))
MEMORY_MIB_MAX = 150
"""Of every process that a command starts; counted for `--all` alone it would be the same."""
PROGRAM = """\
from durable import DurableObject


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        with open("built.txt", "a") as built:
            built.write("x")
"""


class Place:
    """A project, and what is typed in it; each command is told with its seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "durable.toml").write_text(settings("Counter", "COUNTERS"))
        (folder / "main.py").write_text(PROGRAM)
        with open(folder / "seed.jsonl", "w") as seed:
            for number in range(OBJECTS):
                rows = f"CREATE TABLE t (n INTEGER); INSERT INTO t VALUES ({number})"
                line = {"class": "Counter", "name": f"counter {number}", "kv": {"n": number}, "sql": rows}
                seed.write(json.dumps(line) + "\n")

    def type(self, *words: str) -> tuple[str, str]:
        """What the command printed and said."""
        began = time.perf_counter()
        done = subprocess.run([*DURABLE, *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        print(f"{time.perf_counter() - began:7.2f} s  durable {' '.join(words)}")
        return done.stdout, done.stderr.rpartition("]")[2]

    def data(self, *words: str) -> Any:
        return json.loads(self.type(*words, "--json")[0])

    def sum(self) -> int:
        """Of what every object holds, read by a tool."""
        query = ("sql", "Counter", "--all", "SELECT n FROM t", "--reduce", "SELECT sum(n) AS n FROM rows")
        return int(self.data(*query)[0]["n"])


def do_everything(place: Place, *, is_running: bool) -> None:
    whole = sum(range(OBJECTS))
    assert place.type("objects", "seed", "seed.jsonl")[1].endswith(f"{OBJECTS} made, 0 replaced\n")
    assert place.data("objects", "list")["count"] == OBJECTS
    assert place.data("objects", "list", "--sort", "size")["count"] == OBJECTS
    assert place.data("objects", "show", "Counter", "counter 7")["name"] == "counter 7"
    assert place.sum() == whole
    assert f"{OBJECTS - 1}" in place.type("sql", "Counter", f"counter {OBJECTS - 1}", "SELECT n FROM t")[0]
    place.type("doctor")
    place.type("alarms", "list")
    if is_running:
        place.type("objects", "evict", "--all")

    assert f"{OBJECTS} objects of Counter written to" in place.type("objects", "export", "Counter", "-o", "folder")[1]
    place.type("objects", "export", "Counter", "-o", "all.jsonl")
    place.type("objects", "snapshot", "Counter", "--label", "all")
    place.type("sql", "Counter", "counter 0", "UPDATE t SET n = 1000000", "--write")
    assert place.sum() == whole + 1_000_000
    told = place.type("objects", "import", "Counter", "folder", "--replace")[1]
    assert told.endswith(f"0 made, {OBJECTS} replaced\n")
    assert place.sum() == whole

    assert f"{OBJECTS} objects of Counter deleted" in place.type("objects", "reset", "Counter", "--yes")[1]
    assert place.data("objects", "list")["count"] == 0
    place.type("objects", "restore", "Counter", "--snapshot", "all")
    assert place.sum() == whole
    place.type("objects", "delete", "Counter", "--all", "--yes")
    place.type("objects", "import", "Counter", "all.jsonl")
    assert (place.data("objects", "list")["count"], place.sum()) == (OBJECTS, whole)
    place.type("doctor")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_every_command_takes_a_class_of_ten_thousand(
    start_dev: Callable[..., Dev], tmp_path: Path, *, is_running: bool
) -> None:
    # The suite's watchdog ends the process after three minutes; pytest-timeout's mark above stands in for it.
    faulthandler.cancel_dump_traceback_later()
    place = Place(tmp_path)
    dev = start_dev(tmp_path, "--no-reload").wait_ready()
    if not is_running:
        assert dev.end() == 0

    do_everything(place, is_running=is_running)

    assert not (tmp_path / "built.txt").exists(), "an object was woken"
    if is_running:
        assert dev.end() == 0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 < MEMORY_MIB_MAX

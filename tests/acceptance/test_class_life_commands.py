"""What becomes of classes, typed while `durable dev` serves: lists, returns, transfers, and who is in the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.running_dev import Dev, typed
from tests.integration.class_life_project import picture, program, settings, write

NEW = 'new_sqlite_classes = ["Room"]'
DELETE = 'deleted_classes = ["Room"]'
TRANSFER = 'transferred_classes = [{ from = "Log", from_script = "far", to = "Diary" }]'


def test_a_deleted_class_is_listed_and_brought_back_while_dev_serves(
    start_dev: Callable[..., Dev], tmp_path: Path
) -> None:
    app = tmp_path / "app"
    write(app, program("Room"), settings(NEW, bound=["Room"]))
    dev = start_dev(app, "--no-reload").wait_ready()
    assert dev.get("/fill/ROOM/3") == (200, "filled")

    write(app, program("Room"), settings(NEW, DELETE, bound=["Room"]))
    bound = typed(app, "migrate")
    assert bound.returncode == 2
    assert "the class Room cannot be deleted while env.ROOM is bound to it" in bound.stderr
    assert 'class_name = "Room"\n' in bound.stderr
    assert dev.get("/look/ROOM/n1")[0] == 200

    write(app, program(), settings(NEW, DELETE, bound=[]))
    assert typed(app, "migrate").returncode == 0
    (kept,) = json.loads(typed(app, "migrate", "deleted", "--json").stdout)
    assert (kept["class"], kept["objects"]) == ("Room", 3)
    nowhere = typed(app, "migrate", "restore-class", "Rom")
    assert (nowhere.returncode, nowhere.stderr.split("\n")[0]) == (3, "error: no deleted class is kept as Rom")

    write(app, program("Room"), settings(NEW, DELETE, NEW, bound=["Room"]))
    assert typed(app, "migrate").returncode == 0
    back = typed(app, "migrate", "restore-class", kept["snapshot"])
    assert (back.returncode, back.stderr) == (0, f"Room has the 3 objects of {kept['snapshot']}.\n")
    assert json.loads(dev.get("/look/ROOM/n1")[1])[0] == 1
    assert dev.end() == 0


def test_a_transfer_waits_until_the_other_project_is_stopped(start_dev: Callable[..., Dev], tmp_path: Path) -> None:
    app, far = tmp_path / "app", tmp_path / "elsewhere" / "far"
    write(app, program("Room"), settings(NEW, bound=["Room"]))
    far.parent.mkdir()
    write(far, program("Log"), settings('new_sqlite_classes = ["Log"]', bound=["Log"], name="far"))
    dev, other = start_dev(app, "--no-reload").wait_ready(), start_dev(far, "--no-reload").wait_ready()
    assert other.get("/fill/LOG/2") == (200, "filled")
    write(app, program("Room", "Diary"), settings(NEW, TRANSFER, bound=["Room", "Diary"]))

    lost = typed(app, "migrate")
    assert (lost.returncode, "fix: durable migrate --from FOLDER" in lost.stderr) == (2, True)
    busy = typed(app, "migrate", "--from", str(far))
    assert (busy.returncode, f"is in use by pid {other.process.pid}" in busy.stderr) == (2, True)
    assert json.loads(other.get("/look/LOG/n1")[1])[0] == 1
    assert dev.get("/fill/ROOM/1") == (200, "filled")

    assert other.end() == 0
    done = typed(app, "migrate", "--from", str(far))
    assert (done.returncode, done.stdout) == (
        0,
        "v2: transfer class Log from the worker far as Diary, with its objects and their data\n",
    )
    assert json.loads(dev.get("/look/DIARY/n1")[1])[0] == 1
    assert dev.end() == 0
    assert picture(far)["classes"] == {}

"""A migration of classes that is cut off anywhere: what the next one finds is all of it or nothing of it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from durable import config, failpoints
from durable.clock import ManualClock
from durable.errors import MigrationError
from durable.storage.class_life import applying
from durable.storage.class_life.applying import apply_plan, open_state
from durable.storage.class_life.donors import donors_of
from durable.storage.class_life.planning import pending_of
from durable.storage.class_life.restoring import choose, restore_class
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase
from tests.acceptance.conftest import start_dev
from tests.acceptance.running_dev import DURABLE, Dev, typed
from tests.integration.class_life_project import emulator_of, picture, program, settings, state_of, write

__all__ = ["start_dev"]


@dataclass(frozen=True)
class Change:
    """What is asked for in an app whose class Room has objects, and the points that it passes."""

    entry: str
    points: tuple[str, ...]
    also: str = ""
    """A word of `durable migrate` instead of an entry."""


MOVING = ("class_life.recorded", "class_life.moved", "class_life.finished")
CHANGES = {
    "new_sqlite": Change('new_sqlite_classes = ["More"]', MOVING[:1]),
    "new_kv": Change('new_classes = ["More"]', MOVING[:1]),
    "rename": Change('renamed_classes = [{ from = "Room", to = "Hall" }]', MOVING[:1]),
    "delete": Change('deleted_classes = ["Room"]', MOVING),
    "delete_and_new": Change('deleted_classes = ["Room"]\nnew_sqlite_classes = ["Room"]', MOVING),
    "transfer": Change(
        'transferred_classes = [{ from = "Log", from_script = "far", to = "Diary" }]\ndeleted_classes = ["Room"]',
        ("class_life.planned", "class_life.released", *MOVING),
    ),
    "restore": Change('new_sqlite_classes = ["Log"]', MOVING, also="restore-class"),
}
CASES = [(name, point) for name, change in CHANGES.items() for point in change.points]


def fill(folder: Path, count: int) -> Path:
    """Two projects, `app` and `far`, with that many objects of a class; `app` has deleted a class of as many."""

    async def run() -> None:
        first = 'new_sqlite_classes = ["Room", "Log"]'
        write(folder / "app", program("Room", "Log"), settings(first, bound=["Room", "Log"]))
        write(folder / "far", program("Log"), settings('new_sqlite_classes = ["Log"]', bound=["Log"], name="far"))
        for project, bindings in (("app", ("ROOM", "LOG")), ("far", ("LOG",))):
            async with emulator_of(folder / project) as emulator, aiohttp.ClientSession() as client:
                for binding in bindings:
                    async with client.get(f"{emulator.url}/fill/{binding}/{count}") as answer:
                        assert await answer.text() == "filled"

    asyncio.run(run())
    migrate(folder / "app", 'deleted_classes = ["Log"]', first='new_sqlite_classes = ["Room", "Log"]')
    assert len(picture(folder / "far")["classes"]["Log, sqlite"]) == count
    return folder


@pytest.fixture(scope="module", params=[0, 1, pytest.param(200, marks=pytest.mark.slow)])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("filled"), request.param)


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("once"), 1)


@pytest.fixture
def projects(filled: Path, tmp_path: Path) -> Path:
    """Each number of objects, for this test alone."""
    return Path(shutil.copytree(filled, tmp_path / "projects"))


@pytest.fixture
def one(filled_once: Path, tmp_path: Path) -> Path:
    """The same with one object per class."""
    return Path(shutil.copytree(filled_once, tmp_path / "projects"))


FIRST = ('new_sqlite_classes = ["Room", "Log"]', 'deleted_classes = ["Log"]')


def migrate(root: Path, *entries: str, first: str | None = None) -> None:
    """In this process, as `durable migrate` does on files."""
    before = FIRST if first is None else (first,)
    write(root, program(), settings(*before, *entries, bound=[]))
    found = config.load(root / "durable.toml")
    layout = StateLayout(state_of(root))
    with open_state(layout) as state:
        apply_plan(
            pending_of(found, state), state, layout, environment=None, clock=ManualClock(), source=random.Random(1),
            find_donor=donors_of(found, layout.state, root.parent / "far"),
        )  # fmt: skip


def restore(root: Path) -> None:
    layout = StateLayout(state_of(root))
    with open_state(layout) as state:
        chosen, place = choose(state, layout, None, "Log", None)
        restore_class(state, layout, chosen, place, ManualClock())


def begin(name: str, projects: Path) -> Callable[[], None]:
    """All but the change itself."""
    change = CHANGES[name]
    if change.also:
        if not picture(projects / "app")["kept"]:
            pytest.skip("a class that never had an object leaves nothing to bring back")
        migrate(projects / "app", change.entry)
        return lambda: restore(projects / "app")
    return lambda: migrate(projects / "app", change.entry)


def pictures(projects: Path) -> dict[str, Any]:
    # The receiver first: it may have something to finish that concerns the other.
    return {name: picture(projects / name) for name in ("app", "far")}


class Crashed(BaseException):
    pass


def crash() -> None:
    raise Crashed


@pytest.mark.parametrize(("name", "point"), CASES)
def test_what_is_cut_off_anywhere_is_found_done_or_not_begun(
    name: str, point: str, projects: Path, tmp_path: Path
) -> None:
    do = begin(name, projects)
    before = pictures(Path(shutil.copytree(projects, tmp_path / "before")))

    with failpoints.arm(point, crash), pytest.raises(Crashed):
        do()
    left = pictures(projects)

    again = before
    if left == before:
        assert point == "class_life.planned"
        do()
        again = pictures(projects)
    else:
        again = left
    assert again != before
    assert_complete(name, before, again)


def assert_complete(name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Every object is where the change brings it, with its id, name, alarm and content."""
    room, log = before["app"]["classes"]["Room, sqlite"], before["far"]["classes"]["Log, sqlite"]
    classes, kept = after["app"]["classes"], after["app"]["kept"]
    match name:
        case "new_sqlite":
            assert classes == {"Room, sqlite": room, "More, sqlite": {}}
        case "new_kv":
            assert classes == {"Room, sqlite": room, "More, kv": {}}
        case "rename":
            assert classes == {"Hall, sqlite": room}
        case "delete":
            assert (classes, kept.get("Room", {})) == ({}, room)
        case "delete_and_new":
            assert (classes, kept.get("Room", {})) == ({"Room, sqlite": {}}, room)
        case "transfer":
            assert (classes, kept.get("Room", {})) == ({"Diary, sqlite": log}, room)
            assert after["far"]["classes"] == {}
        case "restore":
            assert classes == {"Room, sqlite": room, "Log, sqlite": before["app"]["kept"].get("Log", {})}
            assert "Log" not in kept


# --- the same with processes that are killed --------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "point"), CASES)
def test_a_command_that_is_killed_is_found_done_or_not_begun(name: str, point: str, one: Path, tmp_path: Path) -> None:
    begin(name, one)
    change = CHANGES[name]
    words = ("restore-class", "Log") if change.also else ("--from", str(one / "far"))
    write(one / "app", program(), settings(*FIRST, change.entry, bound=[]))
    before = pictures(Path(shutil.copytree(one, tmp_path / "before")))

    killed = typed(one / "app", "migrate", *words, environ=environment(f"{point}=kill"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = pictures(one)
    if left == before:
        assert typed(one / "app", "migrate", *words).returncode == 0
        left = pictures(one)
    assert_complete(name, before, left)


def environment(points: str) -> dict[str, str]:
    return {**os.environ, "DURABLE_FAILPOINTS": points}


# --- twins ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("point", ["class_life.recorded"])
def test_folders_that_nobody_moves_afterwards_would_be_noticed(
    point: str, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of finishing: a state that is opened without it is between before and after."""
    do = begin("delete", one)
    before = pictures(Path(shutil.copytree(one, tmp_path / "before")))
    with failpoints.arm(point, crash), pytest.raises(Crashed):
        do()
    monkeypatch.setattr(applying, "finish_moves", lambda *_: [])
    with pytest.raises(AssertionError):
        assert_complete("delete", before, pictures(one))


def test_a_folder_that_is_moved_before_it_is_recorded_would_be_noticed(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the order: a crash after such a move leaves a class without its objects."""
    do = begin("delete", one)
    before = pictures(Path(shutil.copytree(one, tmp_path / "before")))
    apply = StateDatabase.apply

    def moved_first(state: StateDatabase, environment: str | None, plan: Any, **options: Any) -> None:
        layout = StateLayout(state.path.parent)
        (row,) = state.namespaces(environment)
        shutil.move(layout.namespace_folder(row.key), tmp_path / "elsewhere")
        crash()
        apply(state, environment, plan, **options)

    monkeypatch.setattr(StateDatabase, "apply", moved_first)
    with pytest.raises(Crashed):
        do()
    left = pictures(one)
    assert left != before
    with pytest.raises((AssertionError, KeyError)):
        assert_complete("delete", before, left)


def test_a_run_that_nobody_finishes_would_be_noticed(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the note: a class that one state has let go of and the other does not have."""
    do = begin("transfer", one)
    with failpoints.arm("class_life.released", crash), pytest.raises(Crashed):
        do()
    monkeypatch.setattr(applying, "finish_runs", lambda *_: None)
    with pytest.raises(AssertionError):
        picture(one / "app")


# --- while an emulator serves -----------------------------------------------------------------------------------------
ENTRY_AND_CODE = {
    "rename": ('renamed_classes = [{ from = "Room", to = "Hall" }]', ("Hall",)),
    "delete": ('deleted_classes = ["Room"]', ()),
    "transfer": (CHANGES["transfer"].entry, ("Diary",)),
}
QUICK = {("rename", "class_life.recorded"), ("delete", "class_life.recorded"), ("transfer", "class_life.released")}
RUNNING = [
    pytest.param(name, point, marks=[] if (name, point) in QUICK else pytest.mark.slow)
    for name in ENTRY_AND_CODE
    for point in CHANGES[name].points
]


@pytest.mark.parametrize(("name", "point"), RUNNING)
def test_an_emulator_that_is_killed_over_a_migration_leaves_it_done_or_not_begun(
    name: str, point: str, one: Path, tmp_path: Path, start_dev: Callable[..., Dev]
) -> None:
    entry, classes = ENTRY_AND_CODE[name]
    write(one / "app", program("Room"), settings(*FIRST, bound=["Room"]))
    before = pictures(Path(shutil.copytree(one, tmp_path / "before")))
    dev = start_dev(one / "app", "--no-reload", environ=environment(f"{point}=kill")).wait_ready()
    write(one / "app", program(*classes), settings(*FIRST, entry, bound=classes))

    told = typed(one / "app", "migrate", "--from", str(one / "far"))
    assert (dev.wait_end(), told.returncode) == (-signal.SIGKILL, 2)
    assert "went away before it answered" in told.stderr

    left = pictures(one)
    if left == before:
        assert typed(one / "app", "migrate", "--from", str(one / "far")).returncode == 0
        left = pictures(one)
    assert_complete(name, before, left)
    assert start_dev(one / "app", "--no-reload").wait_ready().end() == 0


def test_two_commands_at_once_apply_it_once(one: Path, tmp_path: Path) -> None:
    write(one / "app", program(), settings(*FIRST, CHANGES["delete"].entry, bound=[]))
    before = pictures(Path(shutil.copytree(one, tmp_path / "before")))
    both = [
        subprocess.Popen([*DURABLE, "migrate"], cwd=one / "app", stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = [each.communicate(timeout=30)[1] for each in both]
    # The second waits a moment for the first; a machine that is too busy for that moment says who holds the state.
    assert sorted(each.returncode for each in both) in ([0, 0], [0, 4]), told
    assert sum("Applied v3." in text for text in told) == 1
    assert_complete("delete", before, pictures(one))


def test_two_commands_that_take_no_lock_would_be_noticed(one: Path) -> None:
    """The twin of the lock: the second one's plan is not of the state that it meets."""
    write(one / "app", program(), settings(*FIRST, CHANGES["delete"].entry, bound=[]))
    found = config.load(one / "app" / "durable.toml")
    layout = StateLayout(state_of(one / "app"))
    with open_state(layout) as first, open_state(layout) as second:
        plans = [pending_of(found, each) for each in (first, second)]
        options: dict[str, Any] = {"environment": None, "clock": ManualClock(), "source": random.Random(1)}
        apply_plan(plans[0], first, layout, **options)
        with pytest.raises(MigrationError, match="the state changed after the plan was made"):
            apply_plan(plans[1], second, layout, **options)

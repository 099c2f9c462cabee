"""Which saves become reloads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from durable.clock import SystemClock
from durable.gateway.events import Event, GatewayFault
from durable.supervisor.autoreload import AutoReload
from durable.supervisor.watcher import ProjectFiles, sha256_of

WAIT_SECONDS = 10.0
"""A safety net."""


class Reloads:
    """Takes reloads as they come; `fails` makes the next one raise."""

    def __init__(self) -> None:
        self.changed: asyncio.Queue[frozenset[str]] = asyncio.Queue()
        self.fails = False

    async def __call__(self, changed: frozenset[str]) -> None:
        self.changed.put_nowait(changed)
        if self.fails:
            self.fails = False
            raise RuntimeError("a bug of ours")

    async def next(self) -> set[str]:
        async with asyncio.timeout(WAIT_SECONDS):
            return {Path(path).name for path in await self.changed.get()}


@pytest.fixture
def reloads() -> Reloads:
    return Reloads()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def autoreload(tmp_path: Path, reloads: Reloads, events: list[Event]) -> AsyncIterator[AutoReload]:
    (tmp_path / "main.py").write_text("x = 1")
    files = ProjectFiles(tmp_path, config_files=[tmp_path / "durable.toml"])
    made = AutoReload(files, clock=SystemClock(), reload=reloads, on_event=events.append)
    yield made
    await made.stop()


def loaded(tmp_path: Path) -> dict[str, str]:
    main = tmp_path / "main.py"
    return {str(main): sha256_of(main) or ""}


async def test_a_save_before_the_watch_began_is_found(autoreload: AutoReload, reloads: Reloads, tmp_path: Path):
    autoreload.loaded(loaded(tmp_path), broken=False)
    (tmp_path / "main.py").write_text("x = 2")

    autoreload.start()

    assert await reloads.next() == {"main.py"}


async def test_saves_during_a_reload_make_the_next_one(autoreload: AutoReload, reloads: Reloads, tmp_path: Path):
    autoreload.loaded(loaded(tmp_path), broken=False)
    autoreload.start()
    await autoreload.watching.wait()
    (tmp_path / "a.py").write_text("1")
    assert await reloads.next() == {"a.py"}

    (tmp_path / "b.py").write_text("1")

    assert await reloads.next() == {"b.py"}


async def test_while_the_program_is_broken_saving_it_unchanged_tries_again(
    autoreload: AutoReload, reloads: Reloads, tmp_path: Path
):
    autoreload.loaded(loaded(tmp_path), broken=True)
    autoreload.start()

    # The watch begins by looking for what changed; that alone is no reason to try again.
    await autoreload.watching.wait()
    assert reloads.changed.empty()
    (tmp_path / "main.py").touch()

    assert await reloads.next() == {"main.py"}


async def test_a_bug_in_one_reload_is_reported_and_is_not_the_end_of_all(
    autoreload: AutoReload, reloads: Reloads, events: list[Event], tmp_path: Path
):
    autoreload.loaded(loaded(tmp_path), broken=False)
    autoreload.start()
    reloads.fails = True

    (tmp_path / "main.py").write_text("x = 2")
    await reloads.next()
    (tmp_path / "main.py").write_text("x = 3")
    await reloads.next()

    assert ["a bug of ours" in event.traceback for event in events if isinstance(event, GatewayFault)] == [True]


async def test_patterns_can_be_added_while_it_watches(autoreload: AutoReload, reloads: Reloads, tmp_path: Path):
    autoreload.loaded(loaded(tmp_path), broken=False)
    autoreload.start()
    await autoreload.watching.wait()

    autoreload.also(["*.md"])
    await autoreload.watching.wait()
    (tmp_path / "page.md").write_text("# hello")
    (tmp_path / "last.py").write_text("1")
    seen = await reloads.next()
    while "last.py" not in seen:
        seen |= await reloads.next()

    assert seen == {"page.md", "last.py"}

"""A crash at every step of setting, firing and clearing an alarm: the handler may run again, the alarm never vanishes.

At each pass of a failpoint the state is copied as `kill -9` of everything would leave it, and an emulator of its own is
started on each copy. sqlite3 reads what the copies say.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from durable import AlarmInfo, failpoints
from durable.actor.events import AlarmEvent
from durable.clock import ManualClock
from durable.host.host import Host
from durable.storage.layout import StateLayout
from tests.conformance.clockwork import Alarming, Clockwork, key_of
from tests.conformance.stage import Stage
from tests.integration.conftest import KEY

POINTS = [
    "alarm.set", "index.write", "index.written", "alarm.indexed", "alarm.committed",
    "alarm.later_committed", "alarm.later_durable",
    "alarm.due", "alarm.begun", "alarm.handled", "alarm.cleared", "alarm.answered", "alarm.given_up",
]  # fmt: skip

RUNNING = {"alarm.due", "alarm.begun", "alarm.handled", "alarm.cleared"}
"""Points at which a run has begun and not yet committed."""


@dataclass(frozen=True)
class Image:
    """The state at one pass: `acked_ms` is the alarm that somebody was promised, `moving_to_ms` what was underway."""

    point: str
    folder: Path
    acked_ms: int | None
    moving_to_ms: int | None
    now_ms: int
    ran: int

    @property
    def committed_ms(self) -> int | None:
        """The object's own row."""
        nanoseconds = self._ask(
            StateLayout(self.folder / "state").object_file(KEY, key_of("a").id),
            "SELECT value FROM _cf_METADATA WHERE key = 1",
        )
        return None if nanoseconds is None else nanoseconds // 1_000_000

    @property
    def indexed_ms(self) -> int | None:
        return self._ask(StateLayout(self.folder / "state").index_file(KEY), "SELECT alarm_ms FROM objects")

    def _ask(self, path: Path, sql: str) -> int | None:
        # A copy of its own: sqlite3 tidies up when it closes a file.
        copy = self.folder.parent / "read" / path.name
        shutil.rmtree(copy.parent, ignore_errors=True)
        copy.parent.mkdir()
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        with contextlib.closing(sqlite3.connect(copy)) as database:
            table = sql.split(" FROM ")[1].split()[0]
            if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone():
                return None
            row = database.execute(sql).fetchone()
        return row[0] if row else None


class Play:
    """The life of one alarm, and the images of it."""

    def __init__(self, works: Clockwork, images: Path) -> None:
        self.works = works
        self.taken: list[Image] = []
        self.acked_ms: int | None = None
        self.moving_to_ms: int | None = None
        self.ran = 0
        self._images = images

    def take(self, point: str) -> None:
        folder = self._images / str(len(self.taken))
        folder.mkdir(parents=True)
        shutil.copytree(self.works.folder / "state", folder / "state")
        image = Image(point, folder, self.acked_ms, self.moving_to_ms, self.works.clock.wall_ms(), self.ran)
        self.taken.append(image)

    async def move(self, in_seconds: float | None) -> None:
        """Set the alarm, or delete it, and hear that it is done."""
        storage_call = "delete_alarm" if in_seconds is None else "set_alarm"
        self.moving_to_ms = None if in_seconds is None else self.works.clock.wall_ms() + round(in_seconds * 1000)
        args = [] if in_seconds is None else [self.moving_to_ms]
        await self.works.run(lambda thing: getattr(thing.ctx.storage, storage_call)(*args))
        self.acked_ms = self.moving_to_ms
        await self.works.settled()

    async def fall_due(self, seconds: float) -> None:
        """Let the alarm run to its end, whatever that is."""
        self.moving_to_ms = None
        await self.works.pass_time(seconds)
        self.acked_ms = None

    async def life(self) -> None:
        for in_seconds in (60, 20, 90, None, 5):
            await self.move(in_seconds)
        await self.fall_due(6)
        await self.move(5)
        Alarming.plan = self.fail
        await self.fall_due(200)

    async def succeed(self, thing: Any, info: AlarmInfo) -> None:
        self.ran += 1
        await thing.ctx.storage.put("ran", self.ran)

    async def fail(self, thing: Any, info: AlarmInfo) -> None:
        raise ValueError("no luck")


@contextlib.asynccontextmanager
async def played(point: str, gateway: Any, patch: pytest.MonkeyPatch, folder: Path) -> AsyncIterator[Play]:
    works = Clockwork(Stage(gateway, patch), folder, ManualClock())
    play = Play(works, folder / "images")
    patch.setattr(Alarming, "plan", play.succeed)
    await works.start_host()
    try:
        with failpoints.arm(point, lambda: play.take(point)):
            await play.life()
        yield play
    finally:
        await works.stop()


def check_files(image: Image) -> None:
    """What may be on the disk at any moment."""
    committed_ms, indexed_ms = image.committed_ms, image.indexed_ms
    allowed = {image.acked_ms} if image.point in RUNNING else {image.acked_ms, image.moving_to_ms}
    assert committed_ms in allowed, "the alarm vanished, or is none that was set"
    if committed_ms is not None:
        assert indexed_ms is not None, "the scheduler does not know of a committed alarm"
        assert indexed_ms <= committed_ms, "the scheduler sleeps past a committed alarm"


async def check_recovery(image: Image, stage: Stage) -> None:
    """An emulator that starts on the image runs what was committed, once, and nothing else."""
    committed_ms = image.committed_ms
    clock = ManualClock(image.now_ms)
    works = Clockwork(stage, image.folder, clock)
    ran: list[int] = []
    stage.monkeypatch.setattr(Alarming, "plan", lambda thing, info: ran.append(info.scheduled_time))
    await works.start_host()
    try:
        await works.look()
        while clock.wall_ms() < image.now_ms + 100_000:
            clock.advance(20)
            await works.look()
        assert ran == ([] if committed_ms is None else [committed_ms])
        assert (await works.get_alarm(), await works.indexed()) == (None, None)
    finally:
        await works.stop()


@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_loses_no_alarm(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str
) -> None:
    async with played(point, gateway, monkeypatch, tmp_path) as play:
        pass
    assert play.taken
    for image in play.taken:
        check_files(image)
        await check_recovery(image, Stage(gateway, monkeypatch))


def commits_before_the_index(patch: pytest.MonkeyPatch) -> None:
    def index_put(host: Any, key: Any, alarm_ms: int | None, done: Any) -> None:
        host.registry.store(key).keep_file()
        done("")

    patch.setattr(Host, "index_put", index_put)


def clears_before_the_handler(patch: pytest.MonkeyPatch) -> None:
    run = AlarmEvent.run

    async def cleared(event: Any, actor: Any) -> Any:
        actor.store.alarm.delete()
        actor.store.commit()
        event.due = type(event.due)(event.due.id, event.due.actor, event.due.scheduled_ms, 0)
        failpoints.failpoint("alarm.begun")
        return await run(event, actor)

    patch.setattr(AlarmEvent, "run", cleared)


@pytest.mark.parametrize(
    ("point", "breaking", "sentence"),
    [
        ("alarm.committed", commits_before_the_index, "does not know of a committed alarm"),
        ("alarm.begun", clears_before_the_handler, "the alarm vanished"),
    ],
)
async def test_an_order_that_could_lose_one_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str, breaking: Any, sentence: str
) -> None:
    breaking(monkeypatch)
    async with played(point, gateway, monkeypatch, tmp_path) as play:
        pass
    with pytest.raises(AssertionError, match=sentence):
        for image in play.taken:
            check_files(image)

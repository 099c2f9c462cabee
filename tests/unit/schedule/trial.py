"""An object with a schedule, and around it what the platform is: storage with its names only, and a clock by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from durable.schedule import Schedule

START = round(datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp() * 1000)
SECOND, MINUTE, DAY = 1000, 60_000, 86_400_000


class PlatformStorage:
    """What a schedule asks of storage, in the platform's spelling only. Values are text, as they are over there."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.alarm: int | None = None
        self.kept: Any = None

    async def get(self, key: str) -> str | None:
        return self.values.get(key)

    async def put(self, key: str, value: str) -> None:
        assert isinstance(value, str)
        self.values[key] = value

    async def setAlarm(self, scheduled_ms: int) -> None:
        self.alarm = scheduled_ms

    async def deleteAlarm(self) -> None:
        self.alarm = None

    async def sync(self) -> None:
        return


class Trial:
    """An object, and the platform around it: what its alarm handler raises is retried unless it set an alarm itself."""

    def __init__(self, storage: PlatformStorage) -> None:
        self.ctx = SimpleNamespace(storage=storage)
        self.schedule = Schedule(self)
        self.said: list[tuple[int, Any]] = []
        self.failing: set[str] = set()

    async def say(self, what: str, *more: Any) -> None:
        self.said.append(((clock.ms - START) // SECOND, what))
        if what in self.failing:
            raise RuntimeError(what)

    def say_at_once(self, what: str) -> None:
        self.said.append(((clock.ms - START) // SECOND, what))


class Clock:
    ms = START


clock = Clock()


async def live(trial: Trial, until_ms: int) -> list[str]:
    """Let time go by; returns what alarms raised."""
    storage, raised = trial.ctx.storage, []
    while storage.alarm is not None and storage.alarm <= until_ms:
        assert len(trial.said) < 1000, "it goes on for ever"
        clock.ms, storage.alarm = max(clock.ms, storage.alarm), None
        try:
            await trial.schedule.run(SimpleNamespace(scheduledTime=clock.ms, retryCount=0))
        except Exception as error:
            raised.append(str(error))
    clock.ms = until_ms
    return raised

"""A schedule away from home: nothing to import but the user's API and the cron parser, the platform's names only."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cronsim

import durable

ELSEWHERE = """
import asyncio, sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

class Storage:
    values, alarm = {}, None
    async def get(self, key): return self.values.get(key)
    async def put(self, key, value): self.values[key] = value
    async def setAlarm(self, ms): self.alarm = ms
    async def deleteAlarm(self): self.alarm = None

from durable.schedule import Schedule

class Object:
    def __init__(self, ctx):
        self.ctx, self.calls = ctx, []
        self.schedule = Schedule(self)
    async def alarm(self, info): await self.schedule.run(info)
    async def call(self, what): self.calls.append(what)

async def main():
    it = Object(SimpleNamespace(storage=Storage()))
    await it.schedule.after("once", 0, it.call, "once")
    await it.schedule.every("cron", "0 9 * * MON", it.call, "monday")
    monday = it.ctx.storage.alarm
    await it.alarm(SimpleNamespace(scheduledTime=monday, retryCount=0, isRetry=False))
    await it.alarm(SimpleNamespace(scheduledTime=it.ctx.storage.alarm, retryCount=0, isRetry=False))
    return it.calls

print(asyncio.run(main()))
strangers = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names - {"__main__"}
print(sorted(strangers))
"""


def test_it_runs_where_there_is_nothing_but_the_user_api_and_the_cron_parser(tmp_path: Path) -> None:
    for package in (durable, cronsim):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    for floor in ("gateway", "host", "storage", "actor", "wire", "values", "config", "supervisor", "testing"):
        shutil.rmtree(tmp_path / "durable" / floor)

    program = f"import sys; sys.path[:] = [{str(tmp_path)!r}, *sys.path]\n{ELSEWHERE}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["['once', 'monday']", "['cronsim', 'durable']"]

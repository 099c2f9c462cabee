"""Saves of the configuration: what they reload, what they leave alone, and what waits for a word of the developer's."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.errors import MigrationError
from durable.supervisor.events import ConfigApplied, ConfigRejected, Reloaded, RestartNeeded
from tests.integration.running_emulator import PROGRAM, SETTINGS, running

TWO = PROGRAM.replace('"one"', '"two"')


async def test_an_edit_of_the_configuration_or_of_a_secret_takes_effect(tmp_path: Path):
    program = PROGRAM.replace("Response(VERSION)", "Response(self.env.WORD)")
    async with running(tmp_path, program, SETTINGS + '[vars]\nWORD = "one"\n') as run:
        await run.watching()

        run.write(program, SETTINGS + '[vars]\nWORD = "two"\n')
        await run.event(Reloaded)
        assert await run.get() == (200, "two")
        await run.watching()

        run.write(program, SETTINGS)
        (tmp_path / ".dev.vars").write_text('WORD = "secret"\n')
        await run.until(lambda: any(".dev.vars" in event.changed for event in run.told(Reloaded)))
        assert await run.get() == (200, "secret")


async def test_a_broken_configuration_is_reported_and_the_old_one_serves_on(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()

        (tmp_path / "durable.toml").write_text(SETTINGS + "main = \n")
        rejected = await run.event(ConfigRejected)

        assert rejected.serving == 1
        assert "durable.toml:" in str(rejected.errors[0])
        assert await run.get() == (200, "one")


async def test_a_new_class_is_added_and_a_rename_waits_for_the_word(tmp_path: Path):
    renamed = SETTINGS.replace('class_name = "Counter"', 'class_name = "Tally"').replace(
        "[dev]", '[[migrations]]\ntag = "v2"\nrenamed_classes = [{ from = "Counter", to = "Tally" }]\n\n[dev]'
    )
    async with running(tmp_path) as run:
        assert await run.get("/count/a") == (200, "1")
        await run.watching()

        run.write(PROGRAM.replace("class Counter(", "class Tally("), renamed)
        await run.until(lambda: any(isinstance(e.errors[0], MigrationError) for e in run.told(ConfigRejected)))
        error = next(e.errors[0] for e in run.told(ConfigRejected) if isinstance(e.errors[0], MigrationError))
        assert "v2: rename class Counter to Tally, with its objects and their data" in str(error)
        assert error.fix == "durable migrate"
        assert await run.get("/count/a") == (200, "2")

        assert (await run.emulator.migrate(dry_run=True))["applied"] == ["v1"]
        done = await run.emulator.migrate(dry_run=False)
        assert done["applied"] == ["v1", "v2"]
        assert await run.get("/count/a") == (200, "3")
        assert (await run.emulator.migrate(dry_run=False))["steps"] == []


async def test_what_only_a_restart_can_change_is_said(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()

        run.hosts = 2
        run.write()
        told = await run.event(RestartNeeded)
        run.hosts = 1

        assert told.settings == ("[dev] hosts",)
        await run.event(ConfigApplied)
        assert len(run.pids) == 1
        assert run.told(Reloaded) == []


@pytest.mark.parametrize("edit", ["# a comment\n", "drain_seconds = 0.1\n", 'watch = ["notes/*.md"]\n'])
async def test_what_hosts_need_not_know_is_applied_without_a_reload(tmp_path: Path, edit: str):
    async with running(tmp_path) as run:
        await run.watching()
        before = run.pids

        run.write(settings=SETTINGS + edit)
        applied = await run.event(ConfigApplied)

        assert applied.changed == ("durable.toml",)
        assert run.pids == before
        run.main.write_text(TWO)
        await run.event(Reloaded)
        assert await run.get() == (200, "two")


async def test_a_setting_that_hosts_have_to_know_reloads(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()

        run.write(settings=SETTINGS + "idle_seconds = 3\n")
        await run.event(Reloaded)

        assert run.told(ConfigApplied) == []


async def test_a_configuration_and_code_saved_together_reload(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()

        run.write(TWO, SETTINGS + "# a comment\n")
        await run.until(lambda: len(run.told(Reloaded)) == 1)

        assert await run.get() == (200, "two")

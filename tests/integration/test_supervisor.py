"""Hosts come and go; the program goes on. Real processes, real files, real requests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import textwrap
from pathlib import Path

import pytest

from durable.errors import StateInUseError, UserInputError
from durable.gateway.events import HostLog
from durable.supervisor.events import (
    ConfigRejected,
    HostDied,
    HostRestarted,
    Reloaded,
    ReloadFailed,
)
from durable.supervisor.reloader import Refused
from durable.supervisor.supervisor import Supervisor
from durable.wire.traceback_text import traceback_text
from tests.integration.running_emulator import PROGRAM, SETTINGS, Running, children, foreign_python, running

TWO = PROGRAM.replace('"one"', '"two"')
BROKEN = PROGRAM.replace("VERSION = ", "VERSION == = ")
DIES = "import os\nos._exit(3)\n"


# --- start and end ----------------------------------------------------------------------------------------------------
async def test_a_started_emulator_serves_and_tells_tools_where_it_is(tmp_path: Path):
    async with running(tmp_path, watch=False) as run:
        run_file = tmp_path / ".durable" / "run" / "emulator.json"
        content = json.loads(run_file.read_text())

        assert await run.get() == (200, "one")
        assert (content["pid"], content["url"]) == (os.getpid(), run.emulator.url)
        assert content["token"] == run.emulator.token
        assert stat.S_IMODE(run_file.stat().st_mode) == 0o600

    assert not run_file.exists()


async def test_stopping_twice_is_harmless_and_the_state_can_be_used_again(tmp_path: Path):
    async with running(tmp_path, watch=False) as run:
        assert await run.get("/count/a") == (200, "1")
        await run.emulator.stop()
        await run.emulator.stop()

    async with running(tmp_path, watch=False) as run:
        assert await run.get("/count/a") == (200, "2")


async def test_a_second_emulator_on_the_same_state_is_told_who_has_it(tmp_path: Path):
    async with running(tmp_path, watch=False) as run:
        second = run.make()
        with pytest.raises(StateInUseError, match=rf"is in use by pid {os.getpid()} \(durable dev, since "):
            await second.start()
        await second.stop()

        assert await run.get() == (200, "one")


async def test_a_start_that_fails_leaves_no_process_and_no_lock(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()
        port = int(run.emulator.url.rpartition(":")[2])
        other = tmp_path / "other"
        other.mkdir()
        second = Running(other)
        second.write(settings=SETTINGS.replace("port = 0", f"port = {port} "))
        emulator = second.make()
        before = children()

        with pytest.raises(UserInputError, match=rf"[Pp]ort {port} is already in use"):
            await emulator.start()
        await emulator.stop()

        assert children() <= before
    async with running(other) as again:
        assert await again.get() == (200, "one")


async def test_stopping_during_a_reload_leaves_no_process(tmp_path: Path):
    async with running(tmp_path) as run:
        reloading = asyncio.ensure_future(run.emulator.reload())
        await run.until(lambda: run.statistics().processes > 1)

    reloading.cancel()


# --- reload -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("hosts", [1, 2])
async def test_a_save_brings_the_new_code_and_keeps_what_was_stored(tmp_path: Path, hosts: int):
    async with running(tmp_path, hosts=hosts) as run:
        assert await run.get("/count/a") == (200, "1")
        await run.watching()

        run.main.write_text(TWO)
        reloaded = await run.event(Reloaded)

        assert reloaded.changed == ("main.py",)
        assert reloaded.generation == 2
        assert await run.get() == (200, "two")
        assert await run.get("/count/a") == (200, "2")


async def test_an_edit_of_the_same_size_within_the_same_second_is_not_missed(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()
        for number, version in enumerate(("two", "six", "ten"), start=1):
            run.main.write_text(PROGRAM.replace('"one"', f'"{version}"'))
            await run.event(Reloaded, number)
            assert await run.get() == (200, version)


async def test_a_module_that_main_imports_reloads_it_too(tmp_path: Path):
    (tmp_path / "words.py").write_text('WORD = "one"\n')
    program = PROGRAM.replace('VERSION = "one"', "from words import WORD as VERSION")
    async with running(tmp_path, program) as run:
        assert await run.get() == (200, "one")
        await run.watching()

        (tmp_path / "words.py").write_text('WORD = "two"\n')
        await run.event(Reloaded)

        assert await run.get() == (200, "two")


async def test_a_save_that_changes_nothing_reloads_nothing(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()
        run.main.write_text(PROGRAM)
        run.main.touch()
        (tmp_path / "other.py").write_text("")
        reloaded = await run.event(Reloaded)

        assert reloaded.changed == ("other.py",)


async def test_a_bad_save_keeps_the_last_good_code_and_the_next_good_one_replaces_it(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()

        run.main.write_text(BROKEN)
        failed = await run.event(ReloadFailed)
        assert failed.serving == 1
        assert failed.report.type == "SyntaxError"
        assert str(run.main) in traceback_text(failed.report)
        assert await run.get() == (200, "one")

        run.main.write_text(TWO)
        await run.event(Reloaded)
        assert await run.get() == (200, "two")
        assert len(run.told(ReloadFailed)) == 1


async def test_a_supervisor_that_lets_go_of_the_old_code_at_a_bad_save_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    refuse = Supervisor._refuse

    def let_go(self: Supervisor, refused: Refused, changed: tuple[str, ...] = ()) -> None:
        refuse(self, refused, changed)
        for link in self._routes.links:  # type: ignore[attr-defined]
            self._routes.detach(link)
        self._answer_all_with(refused.report)

    monkeypatch.setattr(Supervisor, "_refuse", let_go)
    async with running(tmp_path) as run:
        await run.watching()
        run.main.write_text(BROKEN)
        await run.event(ReloadFailed)

        assert (await run.get())[0] == 500


async def test_an_empty_half_save_is_a_failure_because_the_bound_class_is_gone(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()

        run.main.write_text("")
        rejected = await run.event(ConfigRejected)

        assert rejected.serving == 1
        assert "main.py defines no class Counter, which env.COUNTER is bound to." in str(rejected.errors[0])
        assert await run.get() == (200, "one")


async def test_a_program_that_is_broken_at_the_start_is_shown_to_clients_until_it_is_mended(tmp_path: Path):
    async with running(tmp_path, BROKEN) as run:
        failed = await run.event(ReloadFailed)
        assert failed.serving == 0
        status, page = await run.get(headers={"Accept": "text/html"})
        assert status == 500
        assert "SyntaxError" in page
        assert "main.py" in page
        await run.watching()

        run.main.write_text(TWO)
        await run.event(Reloaded)

        assert await run.get() == (200, "two")


async def test_a_program_that_ends_its_process_while_it_is_imported_is_a_failure_to_load(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()

        run.main.write_text(DIES)
        failed = await run.event(ReloadFailed)

        assert failed.report.message == "the host process exited with code 3 while it imported the program"
        assert await run.get() == (200, "one")


async def test_a_program_that_never_finishes_importing_is_stopped(tmp_path: Path):
    async with running(tmp_path, settings=SETTINGS + "watchdog_seconds = 1\n") as run:
        await run.watching()

        run.main.write_text("while True: pass\n")
        failed = await run.event(ReloadFailed)

        assert failed.report.message == f"{run.main} is still being imported after 1 seconds; it was stopped"
        assert await run.get() == (200, "one")


async def test_with_two_hosts_one_failure_keeps_both_on_the_old_code(tmp_path: Path):
    claim = f"import os\nos.close(os.open({str(tmp_path / 'claimed')!r}, os.O_CREAT | os.O_EXCL))\n"
    async with running(tmp_path, hosts=2) as run:
        await run.watching()
        before = run.pids

        run.main.write_text(claim + TWO)  # only the first of the two can be imported
        failed = await run.event(ReloadFailed)

        assert failed.report.type == "FileExistsError"
        assert run.pids == before
        assert [await run.get() for _ in range(4)] == [(200, "one")] * 4


async def test_a_request_that_runs_during_a_reload_is_finished_by_the_old_code(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()
        running_request = asyncio.ensure_future(run.get("/closed"))
        await run.until(lambda: run.in_flight == 1)

        run.main.write_text(TWO)
        await run.until(lambda: run.emulator.router.held)
        held = asyncio.ensure_future(run.get())
        (tmp_path / "opened").touch()

        assert await running_request == (200, "one")
        assert await held == (200, "two")


async def test_a_request_that_outlasts_the_drain_is_answered_503(tmp_path: Path):
    async with running(tmp_path, settings=SETTINGS + "drain_seconds = 0.2\n") as run:
        await run.watching()
        endless = asyncio.ensure_future(run.get("/sleep/60", headers={"Accept": "application/json"}))
        await run.until(lambda: run.in_flight == 1)

        run.main.write_text(TWO)
        await run.event(Reloaded)

        status, text = await endless
        assert status == 503
        assert json.loads(text)["error"]["code"] == "reloading"
        assert await run.get() == (200, "two")


async def test_a_host_that_is_stuck_in_a_loop_is_killed_by_the_next_save(tmp_path: Path):
    stuck = PROGRAM.replace("await asyncio.sleep(", "while True: pass\n            (")
    async with running(tmp_path, stuck, SETTINGS + "drain_seconds = 0.1\n") as run:
        await run.watching()
        endless = asyncio.ensure_future(run.get("/sleep/60"))
        await run.until(lambda: run.in_flight == 1)

        run.main.write_text(TWO)
        await run.event(Reloaded)

        assert (await endless)[0] == 503
        assert await run.get() == (200, "two")
        assert run.told(HostDied) == []


async def test_a_program_that_takes_a_port_can_ask_for_the_old_host_to_end_first(tmp_path: Path):
    takes = "import socket\nLISTENER = socket.create_server(('127.0.0.1', %d))\n"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = SETTINGS + 'reload = "restart"\n'
    async with running(tmp_path, takes % port + PROGRAM, settings) as run:
        assert await run.get() == (200, "one")
        await run.watching()

        run.main.write_text(takes % port + TWO)
        await run.event(Reloaded)
        assert await run.get() == (200, "two")

        # The old host had to end before anybody could know: what it ran is loaded once more.
        run.main.write_text(BROKEN)
        failed = await run.event(ReloadFailed)
        assert failed.serving == 3
        assert await run.get() == (200, "two")


async def test_a_hundred_saves_in_a_burst_make_at_most_three_reloads_and_leave_no_process(tmp_path: Path):
    async with running(tmp_path) as run:
        await run.watching()
        descriptors = len(os.listdir("/proc/self/fd"))

        for number in range(100):
            run.main.write_text(PROGRAM.replace('"one"', f'"{number}"'))
            await asyncio.sleep(0.005)
        await run.until(lambda: run.statistics().generation > 1 and not run.emulator.router.held)
        while (await run.get())[1] != "99":
            await asyncio.sleep(0.01)
        await run.watching()

        assert len(run.told(Reloaded)) <= 3
        # Two connections of the client, and the pipes of a process that has just ended are read to their ends.
        await run.until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors + 2)


async def test_every_standby_has_imported_what_the_program_imports(tmp_path: Path):
    async with running(tmp_path, "import colorsys\n" + PROGRAM) as run:
        await run.watching()
        for number, version in enumerate(("two", "six", "ten"), start=1):
            run.main.write_text("import colorsys\n" + PROGRAM.replace('"one"', f'"{version}"'))
            await run.event(Reloaded, number)
            assert "colorsys" in run.emulator.supervisor._modules


async def test_a_file_that_the_program_writes_at_every_load_does_not_reload_it_for_ever(tmp_path: Path):
    writes = "import pathlib, time\npathlib.Path(__file__).with_name('seen.json').write_text(str(time.time_ns()))\n"
    async with running(tmp_path, writes + PROGRAM) as run:
        await run.watching()
        run.main.write_text(writes + TWO)
        await run.until(lambda: any("seen.json changes each time" in event.text for event in run.told(HostLog)))
        await run.watching()

        # Nor does it after that; what people save still counts. A reload that was under way may have read it already.
        run.main.write_text(writes + PROGRAM)
        while (await run.get())[1] != "one":
            await asyncio.sleep(0.01)
        by_itself = len([event for event in run.told(Reloaded) if event.changed == ("seen.json",)])
        await run.watching()
        assert len([event for event in run.told(Reloaded) if event.changed == ("seen.json",)]) == by_itself


async def test_reloading_by_hand_reads_everything_anew(tmp_path: Path):
    async with running(tmp_path, watch=False) as run:
        run.write(PROGRAM.replace("Response(VERSION)", "Response(self.env.WORD)"), SETTINGS + '[vars]\nWORD = "hi"\n')
        assert await run.get() == (200, "one")

        await run.emulator.reload()

        assert await run.get() == (200, "hi")


# --- death ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("hosts", [1, 2])
async def test_a_killed_host_is_replaced_and_what_was_acknowledged_is_there(tmp_path: Path, hosts: int):
    async with running(tmp_path, hosts=hosts) as run:
        for number in range(1, 4):
            assert await run.get("/count/a") == (200, str(number))
        victim = run.pids[0]

        os.kill(victim, signal.SIGKILL)
        died = await run.event(HostDied)
        restarted = await run.event(HostRestarted)

        assert (died.pid, died.cause) == (victim, "was killed by signal 9 (SIGKILL)")
        assert restarted.pid in run.pids
        assert await run.get("/count/a") == (200, "4")


async def test_requests_wait_for_the_replacement_and_none_is_refused(tmp_path: Path):
    async with running(tmp_path, watch=False) as run:
        os.kill(run.pids[0], signal.SIGKILL)
        await run.event(HostDied)

        answers = await asyncio.gather(*(run.get("/count/a") for _ in range(10)))

        assert sorted(int(text) for _, text in answers) == list(range(1, 11))


async def test_a_request_in_flight_is_answered_503_with_a_retry_hint(tmp_path: Path):
    async with running(tmp_path) as run:
        in_flight = asyncio.ensure_future(run.client.get(run.emulator.url + "/sleep/60"))
        await run.until(lambda: run.in_flight == 1)

        os.kill(run.pids[0], signal.SIGKILL)

        async with await in_flight as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"
            assert "host_crashed" in await response.text()


async def test_a_host_that_keeps_dying_is_reported_once_and_mended_by_a_save(tmp_path: Path):
    soon = "import os, threading\nthreading.Timer(0.05, os._exit, [7]).start()\n"
    async with running(tmp_path) as run:
        await run.watching()
        run.main.write_text(soon + PROGRAM)
        await run.event(Reloaded)
        await run.until(lambda: run.statistics().deaths >= 3)

        assert [event.cause for event in run.told(HostDied)] == ["exited with code 7"]

        run.main.write_text(TWO)
        await run.event(Reloaded, 2)
        assert await run.get() == (200, "two")


@pytest.mark.parametrize("hosts", [1, 2])
async def test_a_death_while_the_code_on_disk_is_broken_brings_back_the_code_that_served(tmp_path: Path, hosts: int):
    (tmp_path / "words.py").write_text('WORD = "one"\n')
    program = PROGRAM.replace('VERSION = "one"', "from words import WORD as VERSION")
    async with running(tmp_path, program, hosts=hosts) as run:
        await run.watching()
        run.main.write_text(BROKEN)
        (tmp_path / "words.py").unlink()
        await run.event(ReloadFailed)

        os.kill(run.pids[0], signal.SIGKILL)
        restarted = await run.event(HostRestarted)
        assert restarted.last_good
        assert [await run.get() for _ in range(2)] == [(200, "one")] * 2
        assert await run.get("/count/a") == (200, "1")

        run.main.write_text(TWO)
        await run.event(Reloaded)
        assert await run.get() == (200, "two")


async def test_a_forked_child_that_holds_the_channel_hides_no_death_and_does_not_outlive_the_host(tmp_path: Path):
    forks = PROGRAM.replace(
        "return Response(VERSION)",
        textwrap.indent(
            "import os, time\nchild = os.fork()\nif child == 0:\n    time.sleep(600)\nreturn Response(str(child))",
            " " * 8,
        ).lstrip(),
    )
    async with running(tmp_path, forks) as run:
        grandchild = int((await run.get())[1])

        os.kill(run.pids[0], signal.SIGKILL)
        await run.event(HostRestarted)

        await run.until(lambda: not _is_running(grandchild))
        assert await run.get("/count/a") == (200, "1")


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- interpreters -----------------------------------------------------------------------------------------------------
async def test_an_interpreter_without_our_package_is_named_with_the_command_to_type(tmp_path: Path):
    python = foreign_python()
    with pytest.raises(UserInputError, match=f"^{python} does not have the package durable installed$") as caught:
        async with running(tmp_path, python=python):
            pass

    assert caught.value.fix == f"{python} -m pip install durable==0.1.0"


async def test_an_interpreter_with_another_version_is_told_apart(tmp_path: Path):
    package = tmp_path / "other" / "durable"
    (package / "host").mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "9.9"\n')
    (package / "host" / "__init__.py").write_text("")
    (package / "host" / "__main__.py").write_text(
        "import socket, sys, time\n"
        "channel = socket.socket(fileno=int(sys.argv[2]))\n"
        'frame = b"\\x94\\x01\\xa39.9\\xa43.11\\x01"\n'
        "channel.sendall(len(frame).to_bytes(4, 'little') + frame)\n"
        "time.sleep(600)\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={package.parent} exec {foreign_python()} "$@"\n')
    python.chmod(0o755)

    with pytest.raises(UserInputError) as caught:
        async with running(tmp_path, python=str(python)):
            pass

    assert str(caught.value) == (
        f"{python} has durable 9.9; this command is durable 0.1.0, and both have to be the same"
    )
    assert caught.value.fix == f"{python} -m pip install durable==0.1.0"


async def test_an_interpreter_that_does_not_exist_is_named(tmp_path: Path):
    python = str(tmp_path / "python")
    with pytest.raises(UserInputError, match=f"^cannot start the Python interpreter {python}: No such file"):
        async with running(tmp_path, python=python):
            pass

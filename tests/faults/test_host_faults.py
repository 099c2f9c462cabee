"""User code that crashes its process, eats its memory or bends its runtime: it is told what it did, and all goes on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from durable.gateway.events import HostLog, Output, UserCodeFailed
from durable.supervisor.events import BlockedLoop, HostDied, HostRestarted, ReloadFailed
from tests.faults.hanging import ask, hanging, line_of
from tests.integration.running_emulator import Running

MEMORY = "memory_mb = 256\n"


# --- crashes ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "statement", "cause"),
    [
        ("crash", "ctypes.string_at(0)", "died of a segmentation fault in {place}"),
        ("abort", "ctypes.CDLL(None).abort()", "died of an abort() in C code in {place}"),
        ("exit", "os._exit(3)", "exited with code 3 in {place}"),
    ],
)
async def test_a_process_that_user_code_ends_says_in_which_line(
    tmp_path: Path, method: str, statement: str, cause: str
) -> None:
    async with hanging(tmp_path) as run:
        assert await run.get("/general/count") == (200, "1")

        status, text = await run.get(f"/general/{method}")
        died = await run.event(HostDied)

        line = line_of(statement)
        expected = cause.format(place=f"main.py:{line} in {method} ({statement})")
        assert died.cause == expected
        assert next((frame.file, frame.line) for frame in died.frames if frame.user) == ("main.py", line)
        assert status == 503
        assert f"ended before it answered: it {expected}." in text
        assert await run.get("/general/count") == (200, "2")


async def test_a_crash_while_the_program_is_imported_says_in_which_line(tmp_path: Path) -> None:
    program = "import ctypes\n\nctypes.string_at(0)\n"
    async with hanging(tmp_path, program=program) as run:
        failed = await run.event(ReloadFailed)

        assert failed.report.message == (
            "the host process was killed by signal 11 (SIGSEGV) while it imported the program"
        )
        assert [(frame.file, frame.line) for frame in failed.report.frames if frame.user] == [("main.py", 3)]


async def test_an_import_that_hangs_says_in_which_line(tmp_path: Path) -> None:
    async with hanging(tmp_path, "watchdog_seconds = 1\n", program="import time\n\ntime.sleep(600)\n") as run:
        failed = await run.event(ReloadFailed)

        assert failed.report.message == f"{run.main} is still being imported after 1 seconds; it was stopped"
        assert [(frame.file, frame.line) for frame in failed.report.frames if frame.user] == [("main.py", 3)]


async def test_an_exit_at_import_is_a_failure_of_the_program(tmp_path: Path) -> None:
    async with hanging(tmp_path, program="import sys\n\nsys.exit(5)\n") as run:
        failed = await run.event(ReloadFailed)

        assert failed.report.type == "SystemExit"
        assert run.told(HostDied) == []
        assert (await run.get("/general/count"))[0] == 500


async def test_a_crash_loop_is_told_once_and_does_not_spin(tmp_path: Path) -> None:
    async with hanging(tmp_path) as run:
        for _ in range(3):
            assert (await run.get("/general/exit"))[0] == 503
        await run.until(lambda: run.statistics().deaths == 3)
        assert (await run.get("/general/count"))[0] == 200

        assert len(run.told(HostDied)) == 1
        assert len(run.told(HostRestarted)) == 1


# --- what user code does to its own process ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "error"),
    [("sys_exit", "SystemExit"), ("recurse", "RecursionError")],
)
async def test_a_request_alone_fails_and_the_process_goes_on(tmp_path: Path, method: str, error: str) -> None:
    async with hanging(tmp_path) as run:
        pids = run.pids
        status, _ = await run.get(f"/general/{method}")

        assert status == 500
        assert [event.report.type for event in run.told(UserCodeFailed)] == [error]
        assert await run.get("/general/count") == (200, "1")
        assert run.pids == pids
        assert run.told(HostDied) == []


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_process_whose_descriptors_were_closed_is_replaced_and_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    monkeypatch.setenv("DURABLE_LOOP", loop)
    async with hanging(tmp_path) as run:
        status, text = await run.get("/general/close_all")
        died = await run.event(HostDied)

        assert status == 503
        assert "code in it may have closed file descriptors that it did not open" in died.cause
        assert died.cause in text
        assert await run.get("/general/count") == (200, "1")


@pytest.mark.parametrize("method", ["take_signals", "leave_thread", "patch_asyncio"])
async def test_a_bent_runtime_serves_on_and_ends_with_the_emulator(tmp_path: Path, method: str) -> None:
    async with hanging(tmp_path) as run:
        pids = run.pids
        assert (await run.get(f"/general/{method}"))[0] == 200

        assert await run.get("/general/count") == (200, "1")
        assert await run.get("/other/count") == (200, "1")
        await run.emulator.reload()

        assert await run.get("/general/count") == (200, "2")
        assert run.pids != pids
        assert run.told(HostDied) == []


FORKS = """\
import ctypes
import os

from durable import DurableObject, Response, WorkerEntrypoint


class Counter(DurableObject):
    def crash_child(self):
        child = os.fork()
        if child == 0:
            ctypes.string_at(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def exit_child(self):
        child = os.fork()
        if child == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        method = request.url.rpartition("/")[2]
        return Response(str(await getattr(self.env.COUNTER.get_by_name("a"), method)()))
"""


async def test_a_forked_child_that_crashes_is_not_taken_for_the_host(tmp_path: Path) -> None:
    async with hanging(tmp_path, program=FORKS) as run:
        assert await run.get("/crash_child") == (200, "-11")
        assert await run.get("/exit_child") == (200, "7")
        os.kill(run.pids[0], 9)
        died = await run.event(HostDied)

        assert died.cause == "was killed by signal 9 (SIGKILL)"
        assert died.frames == ()
        # Where it crashed is told all the same: on its own standard error.
        await run.until(lambda: any("Segmentation fault" in event.text for event in run.told(Output)))


# --- blocking calls ---------------------------------------------------------------------------------------------------
async def test_a_call_that_blocks_the_loop_is_named_once(tmp_path: Path) -> None:
    async with hanging(tmp_path) as run:
        assert (await run.get("/general/nap"))[0] == 200
        blocked = await run.event(BlockedLoop)
        assert (await run.get("/other/nap"))[0] == 200
        assert (await run.get("/general/count"))[0] == 200

        assert run.told(BlockedLoop) == [blocked]
        assert (blocked.label, blocked.file, blocked.function) == ('Counter "general"', "main.py", "nap")
        assert (blocked.line, blocked.source) == (line_of("time.sleep(0.4)"), "time.sleep(0.4)")
        assert blocked.fix == "use await asyncio.sleep"


# --- memory -----------------------------------------------------------------------------------------------------------
async def check_bounded(run: Running, method: str) -> None:
    """The request that wants too much is answered, in words, and its process goes on."""
    pids = run.pids
    assert await run.get("/general/count") == (200, "1")

    status, text = await run.get(f"/general/{method}")

    assert status == 500
    assert "MemoryError: the process of this object may take 256 MB, and this would be more." in text
    assert "raise memory_mb in [dev]" in text
    assert await run.get("/general/count") == (200, "2")
    assert run.pids == pids


@pytest.mark.parametrize("method", ["too_much", "leak"])
async def test_a_request_that_wants_too_much_memory_fails_alone(tmp_path: Path, method: str) -> None:
    gateway_kib = resident_kib(os.getpid())
    async with hanging(tmp_path, MEMORY) as run:
        await check_bounded(run, method)
        assert resident_kib(run.pids[0]) < 300 * 1024
    assert resident_kib(os.getpid()) - gateway_kib < 20 * 1024


async def test_without_the_limit_the_check_fails(tmp_path: Path) -> None:
    async with hanging(tmp_path, MEMORY, program=UNLIMITED) as run:
        with pytest.raises(AssertionError):
            await check_bounded(run, "too_much")


UNLIMITED = """\
import resource

from durable import DurableObject, Response, WorkerEntrypoint

resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Counter(DurableObject):
    def count(self):
        self.ctx.storage.kv.put("n", self.ctx.storage.kv.get("n", 0) + 1)
        return self.ctx.storage.kv.get("n")

    def too_much(self):
        return len(b"x" * (400 * 1024 * 1024))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        method = request.url.rpartition("/")[2]
        return Response(str(await getattr(self.env.COUNTER.get_by_name("a"), method)()))
"""


async def test_a_process_that_keeps_too_much_is_replaced_and_told_why(tmp_path: Path) -> None:
    async with hanging(tmp_path, MEMORY) as run:
        hoarding = ask(run, "/general/hoard")
        died = await run.event(HostDied)

        assert (await hoarding)[0] == 500
        assert died.cause == "went over memory_mb in [dev] and did not let go of it"
        assert any("does not let go of it" in log.text for log in run.told(HostLog))
        assert (await run.get("/general/count"))[0] == 200


def resident_kib(pid: int) -> int:
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1])

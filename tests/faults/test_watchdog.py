"""User code that never gives the loop back: its line is shown, its host replaced, and all others are answered."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from durable.supervisor.events import HostBlocked, HostDied, HostRestarted
from tests.faults.hanging import WATCHDOG_SECONDS, ask, hanging, line_of, name_on, until_stuck, until_taken
from tests.integration.running_emulator import Running

SPINS = line_of("while True:"), line_of("pass")


async def check_replaced(run: Running) -> None:
    """An object hangs on one of two hosts: its line is shown, its host replaced, the other one answers meanwhile."""
    stuck, fine = name_on(run, 0), name_on(run, 1)
    victim = run.pids[0]
    hanging_request = ask(run, f"/{stuck}/spin")
    blocked = await run.event(HostBlocked)
    answers = [await run.get(f"/{fine}/count") for _ in range(20)]
    async with asyncio.timeout(2 * WATCHDOG_SECONDS):
        status, text = await hanging_request

    assert blocked.pid == victim
    assert blocked.running == (f'Counter "{stuck}"',)
    assert (blocked.frames[0].file, blocked.frames[0].function) == ("main.py", "spin")
    assert blocked.frames[0].line in SPINS
    assert {status for status, _ in answers} == {200}
    assert status == 503
    assert "did not answer for 2 s" in text


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_an_endless_loop_is_shown_and_its_host_replaced_while_other_hosts_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    monkeypatch.setenv("DURABLE_LOOP", loop)
    async with hanging(tmp_path, hosts=2) as run:
        stuck = name_on(run, 0)
        assert await run.get(f"/{stuck}/count") == (200, "1")

        await check_replaced(run)

        restarted = await run.event(HostRestarted)
        assert restarted.pid == run.pids[0]
        assert await run.get(f"/{stuck}/count") == (200, "2")


async def test_without_the_watchdog_the_check_fails(tmp_path: Path) -> None:
    async with hanging(tmp_path, "watchdog_seconds = 0\n", hosts=2) as run:
        with pytest.raises((AssertionError, TimeoutError)):
            await check_replaced(run)
        # It says what it is at, all the same.
        assert run.told(HostBlocked)[0].limit_seconds == 0
        run.emulator.kill()


async def test_a_regular_expression_that_holds_the_interpreter_is_shown_with_its_line(tmp_path: Path) -> None:
    async with hanging(tmp_path) as run:
        catastrophe = ask(run, "/general/catastrophe")
        blocked = await run.event(HostBlocked)
        died = await run.event(HostDied)

        here = line_of('return re.match(r"(a+)+$", "a" * 60 + "b")')
        assert next((frame.file, frame.line) for frame in blocked.frames if frame.user) == ("main.py", here)
        assert blocked.running == ("GET /general/catastrophe",)
        assert died.cause == (
            f"was stopped: it did not answer for 2 s; it was at main.py:{here} in catastrophe "
            '(return re.match(r"(a+)+$", "a" * 60 + "b")), for GET /general/catastrophe'
        )
        status, text = await catastrophe
        assert status == 503
        assert died.cause in text


async def test_requests_that_had_not_begun_are_answered_by_the_next_host_and_sockets_stay_open(tmp_path: Path) -> None:
    async with hanging(tmp_path) as run:
        assert await run.get("/general/count") == (200, "1")
        spinning = ask(run, "/other/spin")
        await until_taken(run)
        await run.event(HostBlocked)
        waiting = [ask(run, "/general/count") for _ in range(10)]

        assert (await spinning)[0] == 503
        answers = await asyncio.gather(*waiting)

        assert {status for status, _ in answers} == {200}
        assert sorted(int(text) for _, text in answers) == list(range(2, 12))


SOCKETS = """\
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Counter(DurableObject):
    async def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws, message):
        while message == "spin":
            pass
        ws.send(message)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.COUNTER.get_by_name("general").fetch(request)
"""


async def test_a_socket_handler_that_never_ends_leaves_all_sockets_open(tmp_path: Path) -> None:
    async with hanging(tmp_path, program=SOCKETS) as run:
        url = run.emulator.url.replace("http", "ws")
        async with connect(url) as first, connect(url) as second:
            await first.send("spin")
            blocked = await run.event(HostBlocked)
            await second.send("hello")
            await run.event(HostRestarted)

            assert await second.recv() == "hello"
            await first.send("again")
            assert await first.recv() == "again"
            assert blocked.running == ('Counter "general"',)


async def test_a_host_that_a_signal_has_halted_is_told_so_and_replaced(tmp_path: Path) -> None:
    async with hanging(tmp_path) as run:
        os.kill(run.pids[0], signal.SIGSTOP)
        blocked = await run.event(HostBlocked)
        died = await run.event(HostDied)

        assert blocked.frames == ()
        assert blocked.no_frames_because == "the process was halted by a signal"
        assert died.cause == ("was stopped: it did not answer for 2 s after the process was halted by a signal")
        assert await run.get("/general/count") == (200, "1")


async def test_a_program_that_has_taken_the_signal_hears_nothing_of_it_and_is_replaced_all_the_same(
    tmp_path: Path,
) -> None:
    async with hanging(tmp_path) as run:
        assert (await run.get("/general/take_signals"))[0] == 200
        link = run.emulator.router.links[0]
        assert link is not None
        reads = link.reads
        await run.until(lambda: link.reads > reads + 1)
        spinning = ask(run, "/general/spin")
        blocked = await run.event(HostBlocked)

        assert blocked.no_frames_because == "its code has taken SIGUSR1, which shows where it is"
        assert blocked.running == ('Counter "general"',)
        assert (await spinning)[0] == 503


async def test_a_program_that_has_given_the_signal_its_deadly_meaning_back_is_not_killed_by_a_look(
    tmp_path: Path,
) -> None:
    async with hanging(tmp_path, "watchdog_seconds = 0\n") as run:
        assert (await run.get("/general/forget_signal"))[0] == 200
        pids = run.pids
        ask(run, "/general/spin").add_done_callback(lambda done: done.exception())
        blocked = await run.event(HostBlocked)

        assert blocked.frames == ()
        assert run.pids == pids
        assert run.told(HostDied) == []
        run.emulator.kill()


async def check_unharmed(run: Running) -> None:
    """All clients of one host's object are served all the time that another host hangs."""
    stuck, fine = name_on(run, 0), name_on(run, 1)
    served: set[int] = set()

    async def client(number: int) -> None:
        while not run.told(HostDied):
            is_late = bool(run.told(HostBlocked))
            status, _ = await run.get(f"/{fine}/count")
            assert status == 200
            if is_late and not run.told(HostDied):
                served.add(number)

    hanging_request = ask(run, f"/{stuck}/spin")
    # Before that a worker of the same host could begin, and then it cannot be helped.
    await until_stuck(run, 0, f'Counter "{stuck}"')
    await asyncio.gather(*map(client, range(8)))
    await hanging_request
    # Whoever had waited for the end of the hang would have been served nothing in its second half.
    assert served == set(range(8))


async def test_a_hanging_object_leaves_the_clients_of_other_hosts_unharmed(tmp_path: Path) -> None:
    async with hanging(tmp_path, "watchdog_seconds = 3\n", hosts=2) as run:
        await check_unharmed(run)


async def test_if_nothing_were_taken_back_from_the_silent_host_some_clients_would_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable.supervisor.watchdog.PASS_ON_SECONDS", float("inf"))
    async with hanging(tmp_path, hosts=2) as run:
        with pytest.raises(AssertionError):
            await check_unharmed(run)

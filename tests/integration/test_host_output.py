"""What user code prints, from real hosts: with the object it is from, in order, and all of it when a host dies."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from durable.gateway.events import Event, ObjectEvicted, ObjectWoke, Output, OutputLeftOut, RequestServed
from durable.limits import OUTPUT_BURST_LINES, OUTPUT_LAST_LINES
from durable.supervisor.events import HostDied, HostRestarted
from durable.testing import App, run
from tests.integration.running_emulator import Running, running
from tests.integration.talkative import PROGRAM, SETTINGS


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        await run.until(lambda: "imported" in texts(run.events))
        run.events.clear()
        yield run


def printed(events: list[Event]) -> list[tuple[str | None, str]]:
    """Object and text of every line."""
    return [(event.object_name, event.text) for event in events if isinstance(event, Output)]


def texts(events: list[Event]) -> list[str]:
    return [text for _, text in printed(events)]


async def say(emulator: Running, path: str) -> list[tuple[str | None, str]]:
    """Everything that was printed for one request."""
    before = len(emulator.events)
    await emulator.get(path)
    emulator.emulator.read_output()
    return printed(emulator.events[before:])


async def test_a_line_has_the_object_that_printed_it(emulator: Running) -> None:
    assert await say(emulator, "/a/plain") == [("a", "hello")]
    assert await say(emulator, "/b/plain") == [("b", "hello")]
    assert await say(emulator, "/x/worker") == [(None, "from the worker")]
    line = emulator.told(Output)[0]
    served = emulator.told(RequestServed)[0]
    assert (line.stream, line.class_name, line.object_id) == ("stdout", "ChatRoom", served.object_id)


async def test_each_line_of_several_is_labelled(emulator: Running) -> None:
    assert await say(emulator, "/a/several") == [("a", "one"), ("a", "two"), ("a", ""), ("a", "four")]


async def test_logging_and_warnings_come_as_in_any_program(emulator: Running) -> None:
    careful, warning, line = await say(emulator, "/a/log")
    assert careful == ("a", "careful")
    assert warning[0] == "a"
    assert warning[1].endswith("UserWarning: old ways")
    assert line == ("a", '  warnings.warn("old ways", stacklevel=1)')
    assert {event.stream for event in emulator.told(Output)} == {"stderr"}


async def test_a_line_over_two_turns_is_one(emulator: Running) -> None:
    assert await say(emulator, "/a/partial") == [("a", "Loading done")]


async def test_threads_of_the_programs_own_have_no_object(emulator: Running) -> None:
    lines = await say(emulator, "/a/threads")
    assert lines == [("a", "before"), (None, "of my own thread"), ("a", "of a worker thread")]


async def test_other_processes_are_heard_and_break_nothing(emulator: Running) -> None:
    lines = await say(emulator, "/a/processes")
    assert [line for line in lines if line != (None, "error")] == [
        (None, "from sub"),
        (None, "raw"),
        ("a", "from the fork"),
        ("a", "after"),
    ]
    assert (None, "error") in lines


async def test_nothing_that_is_printed_passes_for_another_objects(emulator: Running) -> None:
    await say(emulator, "/a/forge")
    assert [name for name, _ in printed(emulator.events)] == ["a", "a", None]


@pytest.mark.parametrize("way", ["exit", "crash"])
async def test_what_was_printed_before_a_crash_is_told_before_it(emulator: Running, way: str) -> None:
    status, _ = await emulator.get(f"/a/{way}")
    assert status == 503
    await emulator.event(HostRestarted)
    kinds = [type(event) for event in emulator.events]
    assert ("a", "last words") in printed(emulator.events[: kinds.index(HostDied)])


async def test_without_lines_that_leave_at_once_last_words_would_be_lost(tmp_path: Path) -> None:
    """The twin: a stream that collects what is printed, as Python's does over a pipe."""
    program = PROGRAM.replace('print("imported")', "sys.stdout = open(1, 'w', closefd=False)")
    async with running(tmp_path, program, SETTINGS, watch=False) as run:
        await run.get("/a/exit")
        await run.event(HostRestarted)
        assert "last words" not in texts(run.events)


async def test_hosts_that_are_gone_leave_no_pipes_behind(emulator: Running) -> None:
    await emulator.emulator.reload()
    await emulator.until(lambda: emulator.statistics().processes == 1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await emulator.emulator.reload()
    await emulator.until(lambda: emulator.statistics().processes == 1)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_flood_holds_nobody_up_and_shows_its_end(emulator: Running) -> None:
    status, text = await emulator.get("/a/flood")
    assert (status, text) == (200, "flooded")
    await emulator.event(OutputLeftOut)
    await emulator.until(lambda: texts(emulator.events)[-1:] == ["line 39999"])
    shown, left_out = texts(emulator.events), emulator.told(OutputLeftOut)
    assert shown[:OUTPUT_BURST_LINES] == [f"line {number}" for number in range(OUTPUT_BURST_LINES)]
    assert shown[-OUTPUT_LAST_LINES:] == [f"line {number}" for number in range(40_000 - OUTPUT_LAST_LINES, 40_000)]
    assert len(shown) + sum(each.lines for each in left_out) == 40_000
    assert {each.object_name for each in left_out} == {"a"}


async def test_the_output_of_a_request_comes_before_its_line(emulator: Running) -> None:
    for _ in range(30):
        emulator.events.clear()
        await emulator.get("/a/plain")
        await emulator.until(lambda: bool(emulator.told(Output)) and bool(emulator.told(RequestServed)))
        assert [type(event) for event in emulator.events] == [Output, RequestServed]


async def test_objects_that_wake_and_leave_are_told_to_who_wants_to_know(emulator: Running) -> None:
    await emulator.get("/a/plain")
    emulator.emulator.tell_life(True)
    await emulator.get("/b/plain")
    await emulator.get("/b/fail")
    registry = {"Authorization": f"Bearer {emulator.emulator.token}"}
    question = {"class": "ChatRoom", "name": "b"}
    async with emulator.client.post(
        f"{emulator.emulator.url}/__durable/evict", json=question, headers=registry
    ) as response:
        assert response.status == 200
    await emulator.event(ObjectEvicted)
    emulator.emulator.tell_life(False)
    await emulator.get("/c/plain")
    assert [event.object_name for event in emulator.told(ObjectWoke)] == ["b"]
    assert [(event.object_name, event.cause) for event in emulator.told(ObjectEvicted)] == [("b", "")]


# --- durable.testing --------------------------------------------------------------------------------------------------
@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "durable.toml").write_text(SETTINGS)
    return tmp_path


def test_a_test_sees_what_its_program_printed(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with run(project / "durable.toml") as app:
        for _ in range(20):
            capfd.readouterr()
            app.get("/a/several")
            assert capfd.readouterr().out == "one\ntwo\n\nfour\n"
        app.get("/a/log")
        assert capfd.readouterr().err.startswith("careful\n")


def test_a_test_sees_it_through_sys_as_well(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with run(project / "durable.toml") as app:
        assert isinstance(app, App)
        capsys.readouterr()
        app.get("/a/plain")
        assert capsys.readouterr().out == "hello\n"

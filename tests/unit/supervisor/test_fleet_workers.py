"""What a fleet run's process answered when it ends in the middle of a batch; the process here is one of the test's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from durable.supervisor.fleet.journal import JournalRow
from durable.supervisor.fleet.workers import Batch, WorkerProcess

BEGIN = """
import os, signal, sys
answers = int(sys.argv[1])
def answer(n):
    text = b'{"id":"x","state":"migrated","before":%d,"after":2,"ms":0.5,"error":"","rows_before":{},"rows_after":{}}'
    os.write(answers, text % n + b"\\n")
def done():
    os.write(1, b"\\n")
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""
BATCH = Batch("migrate", "Room-0123456789ab", "Room", "", "", [JournalRow(0, "", "x", None, "pending", 0, 0, 0.0, "")])


@pytest.fixture
def start(tmp_path: Path) -> Generator[Callable[[str], WorkerProcess]]:
    processes: list[WorkerProcess] = []

    def started(code: str) -> WorkerProcess:
        processes.append(WorkerProcess([sys.executable, "-c", BEGIN + code], tmp_path, -1))
        return processes[-1]

    yield started
    for process in processes:
        process.close()


def befores(process: WorkerProcess) -> tuple[list[int], str | None]:
    answers, ended = process.ask(BATCH)
    return [each.before for each in answers], ended


def test_each_batch_has_its_own_answers(start: Callable[[str], WorkerProcess]) -> None:
    process = start("for n, line in enumerate(sys.stdin):\n    answer(n); answer(n + 10); done()")

    assert befores(process) == ([0, 10], None)
    assert befores(process) == ([1, 11], None)


def test_what_was_answered_before_a_kill_is_known(start: Callable[[str], WorkerProcess]) -> None:
    process = start("sys.stdin.readline(); answer(1); answer(2); os.write(answers, b'{\"id\"'); die()")

    assert befores(process) == ([1, 2], "signal 9")


def test_answers_of_one_batch_are_not_taken_for_those_of_the_next(start: Callable[[str], WorkerProcess]) -> None:
    process = start("sys.stdin.readline(); answer(1); done(); sys.stdin.readline(); os._exit(3)")

    assert befores(process) == ([1], None)
    assert befores(process) == ([], "exit code 3")

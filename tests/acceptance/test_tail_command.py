"""`durable tail` beside a running `durable dev`, and what user code prints in both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.acceptance.running_dev import DURABLE, WAIT_SECONDS, Dev, typed
from tests.integration.talkative import PROGRAM, SETTINGS


class Follower:
    """A running `durable tail`: the lines of both of its streams."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [*DURABLE, "tail", *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._streams: list[tuple[IO[str], list[str]]] = [
            (self.process.stdout, self.out),
            (self.process.stderr, self.err),
        ]
        self._readers = [threading.Thread(target=self._read, args=each, daemon=True) for each in self._streams]
        for reader in self._readers:
            reader.start()
        self.wait_for(lambda: self.err)

    @staticmethod
    def _read(stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))

    def wait_for(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, (self.process.poll(), self.out, self.err)
            time.sleep(0.01)

    def wait_line(self, text: str) -> str:
        self.wait_for(lambda: any(text in line for line in self.out))
        return next(line for line in self.out if text in line)

    def wait_end(self) -> int:
        code = self.process.wait(WAIT_SECONDS)
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        for stream, _ in self._streams:
            stream.close()
        return code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "durable.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
def follow(folder: Path) -> Iterator[Callable[..., Follower]]:
    started: list[Follower] = []

    def start(*words: str) -> Follower:
        started.append(Follower(folder, *words))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.wait_end()


def test_what_the_program_prints_stands_in_the_log_with_its_object(folder: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(folder, "--no-reload").wait_ready()
    dev.get("/a/several")
    dev.get("/a/processes")
    dev.wait_told("GET /a/processes 200")
    dev.get("/x/worker")
    dev.wait_told("GET /x/worker 200")
    dev.end()
    assert "│ imported" in dev.err
    at = dev.err.index('ChatRoom "a" │ one')
    assert dev.err[at : at + 4] == [f'ChatRoom "a" │ {word}' for word in ("one", "two", "", "four")]
    assert dev.err[at + 4].startswith("GET /a/several 200 ")
    assert {"│ from sub", "│ error", "│ raw", 'ChatRoom "a" │ after', "│ from the worker"} <= set(dev.err)
    # Standard output has the one line that programs wait for.
    assert dev.out == [f"Ready on {dev.url}"]


def test_what_was_printed_before_a_crash_stands_above_it(folder: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(folder, "--no-reload").wait_ready()
    dev.get("/a/exit")
    died = dev.wait_told("exited with code 3")
    dev.end()
    assert dev.err.index('ChatRoom "a" │ last words') < dev.err.index(died)


def test_json_lines_have_the_output_too(folder: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(folder, "--log-format", "json", "--no-reload").wait_ready()
    dev.get("/a/plain")
    line = json.loads(dev.wait_told('"text": "hello"'))
    dev.end()
    assert {key: line[key] for key in ("event", "stream", "text", "class_name", "object_name")} == {
        "event": "output", "stream": "stdout", "text": "hello", "class_name": "ChatRoom", "object_name": "a",
    }  # fmt: skip
    assert all(json.loads(each)["event"] for each in dev.err)


def test_a_tail_tells_what_dev_tells_and_ctrl_c_ends_it(
    folder: Path, start_dev: Callable[..., Dev], follow: Callable[..., Follower]
) -> None:
    dev = start_dev(folder, "--no-reload").wait_ready()
    everything, one = follow(), follow("ChatRoom", "a")
    assert everything.err == ["tailing app; Ctrl+C ends it"]
    assert one.err == ['tailing ChatRoom "a"; Ctrl+C ends it']
    for path in ("/b/plain", "/a/fail", "/a/exit", "/a/plain"):
        dev.get(path)
    for each in (everything, one):
        each.wait_line("GET /a/plain 200")
        each.process.send_signal(signal.SIGINT)
        assert each.wait_end() == 0
    dev.end()
    assert {'ChatRoom "b" │ hello', "  ValueError: no such room"} <= set(everything.out)
    assert any(line.startswith('error in ChatRoom "a".fail') for line in everything.out)
    assert any("exited with code 3" in line for line in everything.out)
    assert not any('"b"' in line for line in one.out)
    assert {'ChatRoom "a" │ last words', 'ChatRoom "a" │ hello'} <= set(one.out)
    # The same words: every line of requests and output that one shows, the other has shown.
    assert {line for line in everything.out if " │ " in line or line.startswith("GET")} <= set(dev.err)


def test_verbose_shows_objects_that_wake_and_leave(
    folder: Path, start_dev: Callable[..., Dev], follow: Callable[..., Follower]
) -> None:
    dev = start_dev(folder, "-v", "--no-reload").wait_ready()
    tail = follow("-v")
    dev.get("/a/plain")
    tail.wait_line("GET /a/plain")
    assert typed(folder, "objects", "evict", "ChatRoom", "a").returncode == 0
    tail.wait_line('evicted ChatRoom "a"')
    dev.wait_told('evicted ChatRoom "a"')
    assert 'woke ChatRoom "a"' in tail.out
    assert 'woke ChatRoom "a"' in dev.err


def test_json_lines_of_a_tail_are_those_of_dev(
    folder: Path, start_dev: Callable[..., Dev], follow: Callable[..., Follower]
) -> None:
    dev = start_dev(folder, "--log-format", "json", "--no-reload").wait_ready()
    tail = follow("--json")
    dev.get("/a/plain")
    told = json.loads(dev.wait_told('"request_served"'))
    tailed = json.loads(tail.wait_line('"request_served"'))
    assert {**tailed, "time": ""} == {**told, "time": ""}


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGINT, "the emulator has stopped"), (signal.SIGKILL, "the emulator is gone: it ended without a word")],
)
def test_the_end_of_the_emulator_ends_a_tail(
    folder: Path, start_dev: Callable[..., Dev], follow: Callable[..., Follower], number: int, words: str
) -> None:
    dev = start_dev(folder, "--no-reload").wait_ready()
    tail = follow()
    dev.end(number)
    assert tail.wait_end() == 0
    assert tail.err[-1] == words


def test_without_an_emulator_there_is_nothing_to_follow(folder: Path, start_dev: Callable[..., Dev]) -> None:
    never = typed(folder, "tail")
    assert (never.returncode, never.stdout) == (2, "")
    assert never.stderr.startswith("error: no emulator runs here")
    assert "fix: durable dev" in never.stderr
    assert not (folder / ".durable").exists()
    start_dev(folder, "--no-reload").wait_ready().end()
    assert typed(folder, "tail").returncode == 2


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["ChatRom"], 3, 'Did you mean "ChatRoom"?'),
        (["ChatRoom", "a", "--id", "ab"], 2, "either NAME or --id"),
        (["--id", "ab"], 2, "durable tail CLASS --id HEX"),
        (["ChatRoom", "--id", "ab"], 2, "64"),
    ],
)
def test_what_cannot_be_followed_is_said(
    folder: Path, start_dev: Callable[..., Dev], words: list[str], code: int, told: str
) -> None:
    start_dev(folder, "--no-reload").wait_ready()
    result = typed(folder, "tail", *words)
    assert result.returncode == code
    assert told in result.stderr


def test_a_reader_that_has_seen_enough_is_no_error(folder: Path, start_dev: Callable[..., Dev]) -> None:
    dev = start_dev(folder, "--no-reload").wait_ready()
    end, descriptor = os.pipe()
    process = subprocess.Popen([*DURABLE, "tail"], cwd=folder, stdout=descriptor, stderr=subprocess.PIPE, text=True)
    os.close(descriptor)
    assert process.stderr is not None
    assert process.stderr.readline() == "tailing app; Ctrl+C ends it\n"
    os.close(end)
    dev.get("/a/plain")
    assert process.wait(WAIT_SECONDS) == 0
    assert process.stderr.read() == ""
    process.stderr.close()

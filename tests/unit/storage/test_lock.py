"""One holder per state directory; the kernel decides, the file only tells who it is."""

from __future__ import annotations

import datetime
import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import StateInUseError, UserInputError
from durable.limits import LOCK_HOLDER_ENDS_SECONDS_MAX
from durable.storage.lock import StateLock


def refused(state: Path, clock: ManualClock | None = None) -> str:
    with pytest.raises(StateInUseError) as caught:
        StateLock.acquire(state, what="durable sql", clock=clock)
    assert caught.value.directory == str(state)
    return caught.value.holder


def test_a_second_opener_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    clock = ManualClock()
    since = datetime.datetime.fromtimestamp(clock.wall_ms() / 1000)
    with StateLock.acquire(tmp_path, what="durable dev", clock=clock):
        assert refused(tmp_path, clock) == f"pid {os.getpid()} (durable dev, since {since:%H:%M:%S})"
        clock.advance(3 * 86_400)
        assert refused(tmp_path, clock) == f"pid {os.getpid()} (durable dev, since {since:%Y-%m-%d %H:%M:%S})"


def test_the_sentence_names_the_directory_and_the_holder(tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path, what="durable dev"), pytest.raises(StateInUseError) as caught:
        StateLock.acquire(tmp_path, what="durable sql")
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))} is in use by pid {os.getpid()} \(durable dev, since \d\d:\d\d:\d\d\)",
        str(caught.value),
    )


def test_a_released_lock_is_free_and_releasing_twice_does_nothing(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path, what="one")
    lock.release()
    lock.release()
    assert lock.fd == -1
    with StateLock.acquire(tmp_path, what="two") as second:
        assert second.fd >= 0


def test_the_content_says_who_and_is_for_the_owner_alone(tmp_path: Path) -> None:
    clock = ManualClock()
    (tmp_path / ".lock").write_text("x" * 500)
    (tmp_path / ".lock").unlink()
    with StateLock.acquire(tmp_path, what="durable dev", clock=clock):
        content = json.loads((tmp_path / ".lock").read_text())
        assert stat.S_IMODE((tmp_path / ".lock").stat().st_mode) == 0o600
    assert content == {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": clock.wall_ms(),
        "what": "durable dev",
    }


@pytest.mark.parametrize(
    "stale",
    ["", "{", "[1]", "null", '{"pid": 1, "host": "elsewhere", "since": 1, "what": "x"}', "\0" * 9000, '"' * 9000],
)
def test_stale_content_keeps_nobody_out(stale: str, tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text(stale)
    with StateLock.acquire(tmp_path, what="durable dev"):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("content", "holder"),
    [
        ("", "another process"),
        ("{", "another process"),
        ("[1]", "another process"),
        ('{"pid": "x", "host": "h", "since": 1, "what": "x"}', "another process"),
        ('{"pid": 1, "host": "h", "since": 1e300, "what": "x"}', "another process"),
        ("\x80", "another process"),
    ],
)
def test_content_that_says_nothing_is_not_trusted(content: str, holder: str, tmp_path: Path) -> None:
    with StateLock.acquire(tmp_path, what="durable dev"):
        (tmp_path / ".lock").write_text(content)
        assert refused(tmp_path) == holder


def test_a_holder_on_another_machine_is_named_with_it(tmp_path: Path) -> None:
    clock = ManualClock()
    with StateLock.acquire(tmp_path, what="durable dev"):
        content = {"pid": 4_000_000, "host": "elsewhere", "since": clock.wall_ms(), "what": "durable dev"}
        (tmp_path / ".lock").write_text(json.dumps(content))
        assert refused(tmp_path, clock).startswith("pid 4000000 on elsewhere (durable dev, since ")


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from durable.storage.lock import StateLock\n"
            f"lock = StateLock.acquire(pathlib.Path({str(tmp_path)!r}), what='durable dev')\n"
            "print('held', flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert refused(tmp_path).startswith(f"pid {child.pid} (durable dev, since ")
        child.kill()
        child.wait()
    with StateLock.acquire(tmp_path, what="durable dev"):
        pass


def test_the_lock_is_held_until_the_last_process_that_inherited_it_is_gone(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path, what="durable dev")
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(lock.fd,))
    with child:
        lock.release()
        assert refused(tmp_path).startswith(f"pid {os.getpid()} (durable dev, since ")
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
    with StateLock.acquire(tmp_path, what="durable dev"):
        pass


@pytest.fixture
def ended_holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The child that still holds the lock of a process that has ended."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    lock = StateLock.acquire(tmp_path, what="durable dev")
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(lock.fd,))
    lock.release()
    content = json.loads((tmp_path / ".lock").read_text())
    (tmp_path / ".lock").write_text(json.dumps({**content, "pid": ended.pid}))
    yield child
    child.communicate()


def test_the_children_of_a_holder_that_has_ended_are_given_time_to_end_too(
    tmp_path: Path, ended_holder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_child(seconds: float) -> None:
        assert ended_holder.stdin is not None
        ended_holder.stdin.close()
        ended_holder.wait()

    monkeypatch.setattr("durable.storage.lock.time.sleep", end_child)
    with StateLock.acquire(tmp_path, what="durable dev"):
        pass
    assert ended_holder.returncode == 0


def test_a_holder_whose_children_never_end_is_said_to_have_ended(
    tmp_path: Path, ended_holder: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    waited = 0.0

    def pass_time(seconds: float) -> None:
        nonlocal waited
        waited += seconds
        clock.advance(seconds)

    monkeypatch.setattr("durable.storage.lock.time.sleep", pass_time)
    assert refused(tmp_path, clock).endswith("), which has ended; a process that it started still runs")
    assert waited == pytest.approx(LOCK_HOLDER_ENDS_SECONDS_MAX, abs=0.1)
    assert ended_holder.poll() is None


def test_a_process_that_is_started_without_being_handed_the_lock_does_not_hold_it(tmp_path: Path) -> None:
    lock = StateLock.acquire(tmp_path, what="durable dev")
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, close_fds=False)
    with child:
        lock.release()
        StateLock.acquire(tmp_path, what="durable dev").release()
        assert child.stdin is not None
        child.stdin.close()


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_not_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat
    was_removed = False

    def removed_once(descriptor: int) -> os.stat_result:
        nonlocal was_removed
        if not was_removed:
            (tmp_path / ".lock").unlink()
            was_removed = True
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", removed_once)
    with StateLock.acquire(tmp_path, what="durable dev"):
        monkeypatch.undo()
        assert refused(tmp_path).startswith(f"pid {os.getpid()} ")


def test_a_link_in_place_of_the_lock_file_is_refused_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / ".lock").symlink_to(tmp_path / "target")
    with pytest.raises(UserInputError) as caught:
        StateLock.acquire(tmp_path, what="durable dev")
    assert str(caught.value).startswith(f"the state directory {tmp_path / '.lock'} cannot be used: ")
    assert (tmp_path / "target").read_text() == "precious"


def test_a_directory_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserInputError) as caught:
        StateLock.acquire(tmp_path / "file" / "state", what="durable dev")
    assert caught.value.fix == "--persist-to DIR keeps it somewhere else"

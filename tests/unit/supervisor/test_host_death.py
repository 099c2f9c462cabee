"""Why a host is gone, in words."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from durable.limits import MEMORY_EXIT_CODE
from durable.supervisor import host_death
from durable.supervisor.host_death import Death, oom_kills
from durable.supervisor.process import HostExit
from durable.supervisor.stacks import Stack
from durable.wire.messages import Frame

HERE = Stack((Frame("main.py", 12, "crash", "ctypes.string_at(0)", True),))
NOWHERE = Stack(())
PLACE = "main.py:12 in crash (ctypes.string_at(0))"
CLOSED = "code in it may have closed file descriptors that it did not open"


@pytest.mark.parametrize(
    ("death", "text"),
    [
        (Death(HostExit(-11), stack=HERE), f"died of a segmentation fault in {PLACE}"),
        (Death(HostExit(-signal.SIGBUS), stack=HERE), f"died of a bus error in {PLACE}"),
        (Death(HostExit(-signal.SIGFPE), stack=NOWHERE), "died of a floating point exception"),
        (Death(HostExit(-signal.SIGILL), stack=NOWHERE), "died of an illegal instruction"),
        (Death(HostExit(-signal.SIGABRT), stack=None), f"died of an abort() in C code: {CLOSED}"),
        (Death(HostExit(3), stack=HERE), f"exited with code 3 in {PLACE}"),
        (Death(HostExit(1), stack=None), f"exited with code 1: {CLOSED}"),
        (Death(HostExit(0), stack=NOWHERE), f"closed its channel to the gateway: {CLOSED}"),
        (Death(HostExit(-9), unreachable=True), f"closed its channel to the gateway: {CLOSED}"),
        (Death(HostExit(-9)), "was killed by signal 9 (SIGKILL)"),
        (
            Death(HostExit(-9), out_of_memory=True),
            "was killed by the kernel because memory ran out: memory_mb in [dev] ends an object's greed earlier",
        ),
        (Death(HostExit(-11), out_of_memory=True, stack=HERE), f"died of a segmentation fault in {PLACE}"),
        (Death(HostExit(MEMORY_EXIT_CODE)), "went over memory_mb in [dev] and did not let go of it"),
        (Death(HostExit(-9), stopped="was stopped: why"), "was stopped: why"),
        (Death(HostExit(-40), stack=NOWHERE), "was killed by signal 40 (a real-time signal)"),
    ],
)
def test_a_death_completes_a_sentence(death: Death, text: str) -> None:
    assert str(death) == text


def test_what_the_kernel_killed_for_want_of_memory_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(text: str) -> int:
        (tmp_path / "vmstat").write_text(text)
        monkeypatch.setattr(host_death, "Path", lambda _: tmp_path / "vmstat")
        return oom_kills()

    assert read("nr_free_pages 12\noom_kill 7\n") == 7
    assert read("nr_free_pages 12\n") == 0
    monkeypatch.setattr(host_death, "Path", lambda _: tmp_path / "missing")
    assert oom_kills() == 0

"""The limit of file descriptors, in a process of its own: it cannot be lowered and raised again in this one."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from durable.limits import OPEN_FILES_MAX, OPEN_FILES_MIN
from durable.storage import descriptors
from durable.storage.descriptors import open_files_max


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 512))\n"
        "from durable.storage.descriptors import raise_descriptor_limit\n"
        "print(raise_descriptor_limit(), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert done.stdout.split() == ["512", "(512,", "512)"]


@pytest.mark.parametrize(
    ("soft", "hard", "granted", "expected"),
    [
        (256, resource.RLIM_INFINITY, 1 << 30, 1 << 20),
        # macOS refuses more than 10 240 whatever the hard limit says.
        (256, resource.RLIM_INFINITY, 10_240, 10_240),
        (256, 1 << 30, 10_240, 10_240),
        (256, 4096, 0, 256),
        (4096, 4096, 0, 4096),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 0, 1 << 20),
    ],
)
def test_whatever_the_system_answers_a_limit_comes_back(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, granted: int, expected: int
) -> None:
    now = [soft, hard]

    def setrlimit(_: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > granted:
            raise ValueError("not allowed to raise maximum limit")
        now[:] = wanted

    def getrlimit(_: int) -> tuple[int, int]:
        return now[0], now[1]

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)

    assert descriptors.raise_descriptor_limit() == expected


@pytest.mark.parametrize(("limit", "files"), [(0, OPEN_FILES_MIN), (256, 53), (1024, 309), (1 << 20, OPEN_FILES_MAX)])
def test_three_descriptors_are_counted_for_each_open_file(limit: int, files: int) -> None:
    assert open_files_max(limit) == files

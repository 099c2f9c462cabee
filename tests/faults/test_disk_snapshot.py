"""The whole emulator on a disk of its own that loses power: what a client was told is there when it starts again."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.test_gateway_kill import get, host_pids, serving
from tests.integration.running_emulator import PROGRAM, SETTINGS

CUTS = 3
OBJECTS = 4
SEED = 20_261_121
IMAGE_BYTES = 64 * 1024 * 1024


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    made = subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def make_image(image: Path) -> None:
    if os.geteuid() or shutil.which("mkfs.ext4") is None:
        pytest.skip("mounting a disk of its own takes root and mkfs.ext4")
    with open(image, "wb") as stream:
        stream.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)


async def count_until_cut(root: Path, choice: random.Random, stop: asyncio.Event) -> dict[str, int]:
    """The last number that each object answered with."""
    counted: dict[str, int] = {}

    async def client(name: str) -> None:
        while not stop.is_set():
            counted[name] = int(await asyncio.to_thread(get, root, f"/count/{name}"))
            if sum(counted.values()) >= wanted:
                stop.set()

    wanted = choice.randrange(200, 600)
    await asyncio.gather(*(client(f"o{number}") for number in range(OBJECTS)))
    return counted


@pytest.mark.slow
@pytest.mark.parametrize("cut", range(CUTS))
async def test_what_was_answered_survives_the_loss_of_the_disks_cache(tmp_path: Path, cut: int) -> None:
    image, copy, disk = tmp_path / "disk.img", tmp_path / "copy.img", tmp_path / "disk"
    make_image(image)
    with mounted(image, disk):
        (disk / "durable.toml").write_text(SETTINGS)
        (disk / "main.py").write_text(PROGRAM)
        os.sync()
        with serving(disk) as gateway:
            counted = await count_until_cut(disk, random.Random(SEED + cut), asyncio.Event())
            processes = [gateway.pid, *host_pids(disk)]
            for pid in processes:
                os.kill(pid, signal.SIGSTOP)
            # What the disk's file holds now is what was flushed to the disk: the rest is in the kernel's cache.
            shutil.copyfile(image, copy)
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
    with mounted(copy, disk):
        with serving(disk):
            for name, last in counted.items():
                assert int(get(disk, f"/count/{name}")) > last, f"seed {SEED + cut}: {name} lost what was answered"

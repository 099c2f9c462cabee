"""The `durable` command as a process: one that runs to its end, and a `dev` that is watched while it serves.

Whoever uses it waits for what the command says or does, never for time to pass.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest

from tests.acceptance import command_forks

DURABLE = [sys.executable, "-m", "durable_cli"]
WAIT_SECONDS = 30.0
"""A safety net; nothing here takes more than a second on an idle machine."""


def typed(
    folder: Path, *words: str, durable: Sequence[str] = DURABLE, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Type a command and wait for its end."""
    if durable is DURABLE and environ is None:
        forked = command_forks.run(folder, *words, seconds=WAIT_SECONDS)
        if forked is not None:
            return forked
    return subprocess.run(
        [*durable, *words],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )


class Dev:
    """A running `durable dev` on a free port, what it printed, and what it was told."""

    def __init__(
        self, folder: Path, *words: str, durable: Sequence[str] = DURABLE, environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        forked = None
        if durable is DURABLE and environ is None:
            forked = command_forks.start(folder, "dev", "--port", "0", *words)
        self.process = forked or subprocess.Popen(
            [*durable, "dev", "--port", "0", *words],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=_read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    # --- what it says ---------------------------------------------------------------------------------------------
    def wait_ready(self) -> Dev:
        self.wait_for(lambda: any(line.startswith("Ready on ") for line in self.out), "Ready line")
        return self

    def wait_told(self, text: str, *, since: int = 0) -> str:
        """The first line of standard error, from `since` on, that holds `text`."""
        found: list[str] = []

        def told() -> bool:
            found[:] = [line for line in self.err[since:] if text in line]
            return bool(found)

        self.wait_for(told, f"line with {text!r}")
        return found[0]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            ended = self.process.poll() is not None
            if time.monotonic() > deadline or (ended and not condition()):
                pytest.fail(f"no {what}; exit code {self.process.poll()}, out {self.out}, err:\n{self.told}")
            time.sleep(0.01)

    @property
    def told(self) -> str:
        """All of standard error."""
        return "\n".join(self.err)

    @property
    def url(self) -> str:
        return next(line for line in self.out if line.startswith("Ready on ")).removeprefix("Ready on ")

    # --- what it does ---------------------------------------------------------------------------------------------
    def get(self, path: str, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=WAIT_SECONDS)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def processes(self) -> set[int]:
        """Itself and every process that it started, and that those started."""
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        family = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return family

    # --- its end --------------------------------------------------------------------------------------------------
    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.wait_end()

    def wait_end(self) -> int:
        code = self.process.wait(WAIT_SECONDS)
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code

    def discard(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait_end()


def _read(stream: IO[str], lines: list[str]) -> None:
    for line in stream:
        lines.append(line.rstrip("\n"))


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def clean_environment() -> dict[str, str]:
    """What a newcomer's shell has: nothing of the virtual environment that the tests run in."""
    hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def rows(result: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    """What `durable sql … --json` printed."""
    assert result.returncode == 0, result.stderr
    return list(json.loads(result.stdout))

"""A server under test as a process: a free port, a start, the first answer, an end. It knows none of them by name."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
POLL_SECONDS = 0.001


class Unavailable(Exception):
    """A server did not start or did not answer as expected; the message says what it wrote last."""


@dataclass(frozen=True)
class Recipe:
    """How to start one server on a port; `{port}` in the arguments becomes the number."""

    name: str
    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass
class Server:
    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    started: float
    """`time.perf_counter()` just before the process was asked for."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_answer(self, path: str, *, seconds: float = START_SECONDS_MAX) -> float:
        """Seconds from the command to the first 200."""
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            if self.process.poll() is not None:
                raise Unavailable(f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
            with contextlib.suppress(OSError):
                if get(self.port, path)[0] == 200:
                    return time.perf_counter() - self.started
            time.sleep(POLL_SECONDS)
        raise Unavailable(f"{self.name} did not answer {path} within {seconds:g} s:\n{self.log_tail()}")

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """Ask the process to end, then end what is left of its session."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS_MAX)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(recipe: Recipe, log: Path) -> Server:
    port = free_port()
    argv = [part.replace("{port}", str(port)) for part in recipe.argv]
    environment = os.environ | dict(recipe.environment)
    with log.open("ab") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            argv,
            cwd=recipe.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Server(recipe.name, port, process, log, started)


def get(port: int, path: str, *, seconds: float = 5.0) -> tuple[int, bytes]:
    """Status and body of one GET on a connection of its own; OSError when the server is not there or hangs up."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"no HTTP answer to {path}: {error!r}") from error
    finally:
        connection.close()

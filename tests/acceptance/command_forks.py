"""The `durable` command without its imports: one process has made them, and forks for every command that is typed.

What is typed is still a process of its own that begins in the command's own `__main__`, with its own words, folder,
environment, descriptors, signals and exit code. It only finds in memory what Python would otherwise read and run again
for each of a thousand commands. A start from nothing is what tests have that hand in a `durable` or an `environ`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

MESSAGE_BYTES_MAX = 150_000
"""One command with its environment; a socket of the kind used here takes a little more in one piece."""

CHANGES_ALWAYS = "PYTEST_CURRENT_TEST"
"""The one variable that differs from test to test, and that no module reads."""


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != CHANGES_ALWAYS}


ENVIRON = _environ()
"""As it was before any test changed it."""


# --- the side of the tests --------------------------------------------------------------------------------------------
class ForkedProcess:
    """As much of a `Popen` as tests use."""

    def __init__(self, pid: int, words: list[str], news: socket.socket, *streams: IO[str]) -> None:
        self.pid = pid
        self.args = words
        self.returncode: int | None = None
        self.stdout, self.stderr = streams
        self._news = news
        try:
            # A number may be given to another process once this one has ended; what is opened here stays with this one.
            self._handle = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = -1

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._news], [], [], timeout)[0]:
            self.returncode = int(self._news.recv(32))
            self._news.close()
            if self._handle >= 0:
                os.close(self._handle)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None and self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class CommandForks:
    """The process that forks, started by the first command of this process."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env=ENVIRON,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._turn = threading.Lock()

    def start(self, folder: Path, words: tuple[str, ...], stdout: int, stderr: int) -> tuple[int, socket.socket]:
        """Its number, and the socket on which its exit code comes."""
        message = json.dumps([str(folder), words, dict(os.environ)]).encode()
        news, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(os.devnull) as nothing:
            with self._turn:
                socket.send_fds(self._channel, [message], [nothing.fileno(), stdout, stderr, theirs.fileno()])
        return int(news.recv(32)), news

    def close(self) -> None:
        self._channel.close()
        self._process.wait()


_forks: CommandForks | None = None


def start(folder: Path, *words: str) -> ForkedProcess | None:
    """Type a command; its output comes through pipes. None where it has to start from nothing."""
    # Modules may read the environment when they are imported; and only Linux has descriptors of processes.
    if sys.platform != "linux" or _environ() != ENVIRON or sum(map(len, words)) > MESSAGE_BYTES_MAX // 2:
        return None
    global _forks
    if _forks is None:
        _forks = CommandForks()
        atexit.register(_forks.close)
    (out, out_theirs), (err, err_theirs) = os.pipe(), os.pipe()
    try:
        pid, news = _forks.start(folder, words, out_theirs, err_theirs)
    finally:
        os.close(out_theirs)
        os.close(err_theirs)
    return ForkedProcess(pid, ["durable", *words], news, open(out), open(err))


def run(folder: Path, *words: str, seconds: float) -> subprocess.CompletedProcess[str] | None:
    """Type a command and wait for its end, `seconds` at most. None as above."""
    process = start(folder, *words)
    if process is None:
        return None
    texts = ["", ""]

    def read(place: int, stream: IO[str]) -> None:
        texts[place] = stream.read()

    deadline = time.monotonic() + seconds
    with process.stdout, process.stderr:
        reader = threading.Thread(target=read, args=(1, process.stderr), daemon=True)
        waiting = threading.Thread(target=read, args=(0, process.stdout), daemon=True)
        for each in (reader, waiting):
            each.start()
        try:
            for each in (reader, waiting):
                each.join(max(0.0, deadline - time.monotonic()))
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, code, *texts)


# --- the process that forks -------------------------------------------------------------------------------------------
def serve(channel: socket.socket) -> None:
    """Fork for each message; returns in the forks, and ends the process when nobody can ask any more."""
    running: dict[int, socket.socket] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while True:
        ready = select.select([channel.fileno(), woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with running.pop(ended[0]) as news, contextlib.suppress(OSError):
                    news.send(str(os.waitstatus_to_exitcode(ended[1])).encode())
        if channel.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES_MAX, 4)
            if not message:
                os._exit(0)
            news = socket.socket(fileno=descriptors[3])
            if (pid := os.fork()) == 0:
                folder, words, environ = json.loads(message)
                become(folder, words, environ, descriptors)
                return
            running[pid] = news
            with contextlib.suppress(OSError):
                news.send(str(pid).encode())
            for descriptor in descriptors[:3]:
                os.close(descriptor)


def become(folder: str, words: list[str], environ: dict[str, str], descriptors: list[int]) -> None:
    """Be as a process is that was started for this."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    # Those of the interpreter were made for what the forking process had there, which was nothing.
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)  # type: ignore[misc]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv[1:] = words
    sys.path[0] = folder


def import_everything() -> None:
    """All that any command imports before it does something."""
    for name in ("durable_cli", "durable.supervisor", "durable.gateway"):
        for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    # What a fork does not change, it need not copy.
    gc.collect()
    gc.freeze()


def end(code: int) -> None:
    """As the interpreter does it, but for taking apart what it has in memory, which a fork would have to copy first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    import_everything()
    serve(socket.socket(fileno=int(sys.argv[1])))
    try:
        runpy.run_module("durable_cli", run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        if isinstance(ending.code, int):
            end(ending.code)
        raise

"""One host process as the operating system sees it: spawned, reaped, killed. Knows no message and no generation.

The end of a process is its exit status and nothing else: a forked grandchild can keep the channel open, and a closed
channel does not say that the files are closed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from durable import __version__
from durable.errors import UserInputError
from durable.supervisor.host_reports import HostReports
from durable.supervisor.install_command import install_command
from durable.supervisor.output_pipes import OutputPipes
from durable.wire.progress import Progress
from durable.wire.socket_pair import channel_pair

if TYPE_CHECKING:
    import asyncio  # hosts are started before it is imported

_PROBE_SECONDS = 10.0

_PROBE = """\
import json, sys
try:
    from durable import __version__ as version
except ImportError:
    version = None
print(json.dumps({"python": sys.version.split()[0], "version": version, "old": sys.version_info < (3, 11)}))
"""


@dataclass(frozen=True, slots=True)
class HostExit:
    """How a process ended; `code` is negative for a signal, as in `subprocess`."""

    code: int

    def __str__(self) -> str:
        if self.code >= 0:
            return f"exited with code {self.code}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:
            name = "a real-time signal"
        return f"was killed by signal {-self.code} ({name})"


class HostProcess:
    """A child that runs `python -m durable.host`, and our end of the channel to it."""

    def __init__(self, child: subprocess.Popen[bytes], channel_socket: socket.socket, number: int, python: str) -> None:
        self.pid = child.pid
        self.number = number
        self.python = python
        self.channel_socket = channel_socket
        self.spawned_at = time.monotonic()
        self.exit: HostExit | None = None
        self._child = child
        self._on_exit: Callable[[HostExit], None] | None = None
        self._pidfd = -1
        self.reports = HostReports(-1)
        self.output: OutputPipes | None = None
        """What it prints; closed by whoever reads it."""
        self.progress = Progress.private()
        self.folder = Path()

    @classmethod
    def spawn(cls, python: str, number: int, *, lock_fd: int, folder: Path, options: Sequence[str] = ()) -> HostProcess:
        """Start a host in `folder`; raises `UserInputError` when the interpreter cannot be started at all.

        Must be called from a thread that lives as long as the host: the kernel ends the host with the thread.
        """
        ours, theirs = channel_pair()
        reports, report_fd = os.pipe()
        output = OutputPipes()
        progress, progress_fd = Progress.share()
        passed = [theirs.fileno(), report_fd, progress_fd, *([lock_fd] if lock_fd >= 0 else [])]
        command = [python, "-P", "-m", "durable.host", "--channel-fd", str(theirs.fileno()), "--lock-fd", str(lock_fd)]
        command += ["--report-fd", str(report_fd), "--progress-fd", str(progress_fd)]
        command += ["--output-token", str(output.token), *options]
        try:
            child = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output.ends[0],
                stderr=output.ends[1],
                pass_fds=passed,
                # Ctrl+C in the terminal reaches the gateway only; what it means for the hosts is decided there.
                process_group=0,
            )
        except OSError as error:
            ours.close()
            os.close(reports)
            output.close()
            if not folder.is_dir():
                raise UserInputError(f"the project folder {folder} is gone") from error
            raise UserInputError(
                f"cannot start the Python interpreter {python}: {error.strerror}", fix="durable dev --python PATH"
            ) from error
        finally:
            theirs.close()
            output.handed_over()
            os.close(report_fd)
            os.close(progress_fd)
        process = cls(child, ours, number, python)
        process.reports = HostReports(reports)
        process.output = output
        process.progress = progress
        process.folder = folder
        return process

    def watch(self, loop: asyncio.AbstractEventLoop, on_exit: Callable[[HostExit], None]) -> None:
        """Have `on_exit` called in `loop` once the process was reaped."""
        self._on_exit = on_exit
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            # macOS has no pidfd: a thread waits instead.
            threading.Thread(target=self._wait_in_thread, args=[loop], name=f"host {self.pid}", daemon=True).start()
            return
        loop.add_reader(self._pidfd, self._ended, loop)

    def kill(self) -> None:
        """SIGKILL; `on_exit` follows. A process that was reaped already is not touched."""
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        # Popen.kill() would reap a zombie behind our back, and then the group's number could mean somebody else.
        if self.exit is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def can_show_stack(self) -> bool:
        """Whether SIGUSR1 would be caught: one that is not ends the process."""
        caught = _status_of(self.pid, "SigCgt")
        return self.exit is None and (not caught or bool(int(caught, 16) >> (signal.SIGUSR1 - 1) & 1))

    @property
    def is_halted(self) -> bool:
        """Whether a signal such as SIGSTOP holds it."""
        return _status_of(self.pid, "State").startswith("T")

    @property
    def is_traced(self) -> bool:
        """Whether a debugger such as gdb is attached."""
        return _status_of(self.pid, "TracerPid") not in ("", "0")

    def kill_and_reap(self) -> None:
        """End a process that nobody watches yet."""
        self._child.kill()
        self._child.wait()
        self._kill_group()
        self.channel_socket.close()
        self.reports.close()
        self.progress.close()
        if self.output is not None:
            self.output.close()

    def _ended(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        # While the child is not reaped its number, and so its group's, cannot mean anybody else.
        self._kill_group()
        self._reaped(self._child.wait())

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        code = self._child.wait()
        self._kill_group()
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            loop.call_soon_threadsafe(self._reaped, code)

    def _reaped(self, code: int) -> None:
        self.exit = HostExit(code)
        if self._on_exit is not None:
            self._on_exit(self.exit)

    def _kill_group(self) -> None:
        """End what the host leaves behind: forked children share its channel and could outlive the emulator."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _status_of(pid: int, name: str) -> str:
    """A line of proc(5)'s status; empty where there is none."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
    return ""


def explain_silent_death(python: str, exit: HostExit) -> UserInputError | None:
    """Why an interpreter ended before its first word, None when it is not at fault.

    Asks the interpreter itself, which takes a moment.
    """
    try:
        answer = subprocess.run([python, "-c", _PROBE], capture_output=True, timeout=_PROBE_SECONDS, check=True)
        found = json.loads(answer.stdout)
        version, release, old = found["version"], found["python"], found["old"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return UserInputError(
            f"the Python interpreter {python} {exit} before it could run anything", fix="durable dev --python PATH"
        )
    if old:
        return UserInputError(
            f"{python} is Python {release}; durable needs 3.11 or later", fix="durable dev --python PATH"
        )
    if version is None:
        return UserInputError(f"{python} does not have the package durable installed", fix=_install(python))
    return wrong_version(python, version) if version != __version__ else None


def wrong_version(python: str, version: str) -> UserInputError:
    return UserInputError(
        f"{python} has durable {version}; this command is durable {__version__}, and both have to be the same",
        fix=_install(python),
    )


def _install(python: str) -> str:
    return install_command(python, f"durable=={__version__}")

"""A command on a terminal of its own, as somebody at the keyboard meets it. Waits for what is shown, never for time."""

from __future__ import annotations

import codecs
import http.client
import os
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from tests.acceptance.running_dev import DURABLE, WAIT_SECONDS

TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Screen:
    """What a command shows on its terminal, without colours, and the keyboard in front of it."""

    def __init__(self, folder: Path, *command: str, environ: Mapping[str, str] | None = None) -> None:
        self._hand, self.terminal = os.openpty()
        self.modes_before = termios.tcgetattr(self.terminal)
        self.shown = ""
        # A read may end within a character.
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._read_to = 0
        self.process = subprocess.Popen(
            # A new session has no terminal; the child takes this one before it becomes the command.
            [sys.executable, "-c", TAKE_TERMINAL, *command],
            cwd=folder,
            env={**os.environ, "TERM": "xterm", **(environ or {})},
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
            start_new_session=True,
        )

    def wait_shown(self, text: str) -> str:
        """What was shown since the last wait, up to and with `text`."""
        return self._wait(lambda shown: shown.find(text) + len(text) if text in shown else -1, text)

    def _wait(self, end_of: Callable[[str], int], what: str) -> str:
        deadline = time.monotonic() + WAIT_SECONDS
        while (end := end_of(self.shown[self._read_to :])) < 0:
            assert time.monotonic() < deadline, f"no {what!r} in:\n{self.shown}"
            self._read()
        found = self.shown[self._read_to : self._read_to + end]
        self._read_to += end
        return found

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Something that is not shown."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not {what}:\n{self.shown}"
            self._read(0.01)

    def _read(self, seconds: float = 0.1) -> None:
        if select.select([self._hand], [], [], seconds)[0]:
            with suppress(OSError):  # nobody has the terminal open any more
                text = self._decode(os.read(self._hand, 65536))
                self.shown += _ESCAPES.sub("", text).replace("\r", "")

    def type(self, text: str) -> None:
        os.write(self._hand, text.encode())

    def interrupt(self) -> None:
        """Ctrl+C, and again while nothing comes of it: one just before readline waits for a key waits for that key."""
        before, deadline = len(self.shown), time.monotonic() + WAIT_SECONDS
        again = 0.0
        while len(self.shown) == before:
            assert time.monotonic() < deadline, f"Ctrl+C does nothing:\n{self.shown}"
            if time.monotonic() >= again:
                self.type("\x03")
                again = time.monotonic() + 2
            self._read(0.05)

    @property
    def foreground(self) -> int:
        """The process group that the keyboard belongs to."""
        return os.tcgetpgrp(self._hand)

    @property
    def modes(self) -> list[object]:
        return termios.tcgetattr(self.terminal)

    def wait_end(self) -> int:
        self.wait_until(lambda: self.process.poll() is not None, "ended")
        return self.process.wait()

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        os.close(self._hand)
        os.close(self.terminal)


class TerminalDev(Screen):
    """A running `durable dev` that somebody sits in front of."""

    def __init__(self, folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, *DURABLE, "dev", "--port", "0", *words, environ=environ)

    def wait_ready(self) -> TerminalDev:
        self.wait_shown("[q] quit")
        return self

    @property
    def url(self) -> str:
        return self.shown.partition("Ready on ")[2].split()[0]

    def get(self, path: str) -> Answer:
        """Ask without waiting for the answer."""
        return Answer(self.url, path)

    def wait_prompt(self) -> str:
        return self.wait_shown("(Pdb) ")


class Answer(threading.Thread):
    """A request that may take long."""

    def __init__(self, url: str, path: str) -> None:
        super().__init__(daemon=True)
        self._netloc, self._path = urlsplit(url).netloc, path
        self.status, self.text = 0, ""
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._netloc, timeout=2 * WAIT_SECONDS)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", self._path)
            response = connection.getresponse()
            self.text = response.read().decode()
            self.status = response.status
        connection.close()

    def wait(self) -> tuple[int, str]:
        self.join(WAIT_SECONDS)
        assert not self.is_alive(), f"{self._path} is not answered"
        return self.status, self.text

"""How the end of a process is told."""

from __future__ import annotations

import signal
import subprocess

import pytest

from durable.supervisor.process import HostExit, explain_silent_death


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (-signal.SIGKILL, "was killed by signal 9 (SIGKILL)"),
        (-signal.SIGSEGV, "was killed by signal 11 (SIGSEGV)"),
        (-40, "was killed by signal 40 (a real-time signal)"),
    ],
)
def test_an_exit_completes_a_sentence(code: int, text: str):
    assert str(HostExit(code)) == text


def explained(monkeypatch: pytest.MonkeyPatch, answer: str, code: int = 0) -> str:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if code:
            raise subprocess.CalledProcessError(code, command)
        return subprocess.CompletedProcess(command, 0, answer)

    monkeypatch.setattr(subprocess, "run", run)
    return str(explain_silent_death("/usr/bin/python3", HostExit(1)))


def test_an_old_python_is_told_what_is_needed(monkeypatch: pytest.MonkeyPatch):
    text = explained(monkeypatch, '{"python": "3.9.2", "version": null, "old": true}')

    assert text == "/usr/bin/python3 is Python 3.9.2; durable needs 3.11 or later"


def test_something_that_is_no_python_is_told_so(monkeypatch: pytest.MonkeyPatch):
    expected = "the Python interpreter /usr/bin/python3 exited with code 1 before it could run anything"

    assert explained(monkeypatch, "", code=1) == expected
    assert explained(monkeypatch, "hello") == expected

"""What faulthandler writes becomes lines of the user's program."""

from __future__ import annotations

import os
from pathlib import Path

from durable.supervisor.host_reports import HostReports
from durable.supervisor.stacks import Stack, parse
from durable.wire.messages import Frame

CRASH = """\
Fatal Python error: Segmentation fault

Stack (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "{root}/main.py", line 2 in crash
  File "{root}/.venv/lib/python3.11/site-packages/package.py", line 7 in call

Extension modules: uvloop.loop (total: 1)
"""


def test_a_crash_has_its_name_and_its_frames_innermost_first(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("def crash():\n    ctypes.string_at(0)\n")

    stack = parse(CRASH.format(root=tmp_path), tmp_path)

    assert stack is not None
    assert stack.fatal == "Segmentation fault"
    assert [(os.path.basename(frame.file), frame.line, frame.user) for frame in stack.frames] == [
        ("__init__.py", 519, False),
        ("main.py", 2, True),
        ("package.py", 7, False),
    ]
    assert stack.frames[1] == Frame("main.py", 2, "crash", "ctypes.string_at(0)", True)
    assert stack.place == "main.py:2 in crash (ctypes.string_at(0))"


def test_lines_are_those_that_were_loaded_whatever_the_disk_holds(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("mended\nmended\n")
    loaded = {str(tmp_path / "main.py"): b"first\nsecond\n"}

    stack = parse(CRASH.format(root=tmp_path), tmp_path, loaded)

    assert stack is not None
    assert stack.place == "main.py:2 in crash (second)"


def test_of_several_looks_the_last_one_counts(tmp_path: Path) -> None:
    look = 'Stack (most recent call first):\n  File "/a.py", line {} in a\n'

    stack = parse(look.format(1) + look.format(2), tmp_path)

    assert stack == Stack((Frame("/a.py", 2, "a", "", False),))
    assert stack.place == ""


def test_of_all_threads_the_current_one_counts(tmp_path: Path) -> None:
    text = (
        'Current thread 0x00007f01 (most recent call first):\n  File "/a.py", line 1 in a\n\n'
        'Thread 0x00007f02 [main] (most recent call first):\n  File "/b.py", line 2 in b\n'
    )

    assert parse(text, tmp_path) == Stack((Frame("/a.py", 1, "a", "", False),))


def test_escaped_names_are_names_again(tmp_path: Path) -> None:
    text = f'Stack (most recent call first):\n  File "{tmp_path}/caf\\xe9.py", line 1 in \\u4f60\n'

    stack = parse(text, tmp_path)

    assert stack is not None
    assert (stack.frames[0].file, stack.frames[0].function) == ("café.py", "你")


def test_what_is_no_report_is_none_and_a_hostile_one_harms_nobody(tmp_path: Path) -> None:
    assert parse("", tmp_path) is None
    assert parse('  File "/a.py", line 1 in a\n', tmp_path) is None
    stack = parse('Stack (most recent call first):\n  File "/x", line 99999999 in \n  File "\n...\n', tmp_path)
    assert stack == Stack((Frame("/x", 99999999, "", "", False),))


def test_the_pipe_is_read_without_waiting_and_closed_twice() -> None:
    reading, writing = os.pipe()
    reports = HostReports(reading)

    assert reports.take() == ""
    os.write(writing, b"one")
    os.write(writing, b"two")
    assert reports.take() == "onetwo"
    os.close(writing)
    assert reports.take() == ""
    reports.close()
    reports.close()
    assert HostReports(-1).take() == ""

"""From the text that faulthandler writes to the lines of the user's program: a crash, or a look at a moment."""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from durable.wire.messages import Frame

_HEADING = re.compile(r"^(?:Stack|(?:Current t|T)hread 0x[0-9a-f]+.*) \(most recent call first\):$")
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$')
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
_FOREIGN_FOLDERS = frozenset(("site-packages", "dist-packages", "node_modules", "venv", "env"))


class Stack(Struct, frozen=True):
    """Frames innermost first, the user's files by their paths from the project's folder.

    `fatal` is what faulthandler calls the fault, empty for a look at a process that goes on.
    """

    frames: tuple[Frame, ...]
    fatal: str = ""

    @property
    def place(self) -> str:
        """The innermost line of the user's: `main.py:12 in crash (ctypes.string_at(0))`; empty when there is none."""
        for frame in self.frames:
            if frame.user:
                text = f"{frame.file}:{frame.line} in {frame.function}"
                return f"{text} ({frame.source})" if frame.source else text
        return ""


def parse(text: str, root: Path, sources: Mapping[str, bytes] | None = None) -> Stack | None:
    """The last stack in `text`, None when there is none.

    `sources` (path → bytes) is what the program was made of; other lines are read from the disk.
    """
    fatal = ""
    frames: list[Frame] | None = None
    inside = False
    for line in text.splitlines():
        if line.startswith("Fatal Python error: "):
            fatal = line.removeprefix("Fatal Python error: ")
        elif _HEADING.match(line):
            # With the stacks of all threads the one that met the fault comes first and is called the current one.
            inside = frames is None or not line.startswith("Thread")
            frames = [] if inside else frames
        elif inside and frames is not None and (match := _FRAME.match(line)):
            frames.append(_frame(match, root, sources or {}))
    return None if frames is None else Stack(tuple(frames), fatal)


def _frame(match: re.Match[str], root: Path, sources: Mapping[str, bytes]) -> Frame:
    file, line = _unescaped(match["file"]), int(match["line"])
    source = _source(file, line, sources)
    own = _own_path(file, root)
    return Frame(own or file, line, _unescaped(match["function"]), source, own is not None)


def _source(file: str, line: int, sources: Mapping[str, bytes]) -> str:
    if file in sources:
        lines = sources[file].decode("utf-8", "replace").splitlines()
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""
    linecache.checkcache(file)
    return linecache.getline(file, line).strip()


def _unescaped(text: str) -> str:
    """faulthandler writes ASCII: `caf\\xe9.py`."""
    return _ESCAPE.sub(lambda match: chr(int(match[1] or match[2] or match[3], 16)), text)


def _own_path(file: str, root: Path) -> str | None:
    """From the project's folder to a file of its own; None for a package's in a folder below it, and all others."""
    prefix = str(root).rstrip(os.sep) + os.sep
    if not file.startswith(prefix):
        return None
    path = file.removeprefix(prefix)
    folders = path.split(os.sep)[:-1]
    return None if any(name.startswith(".") or name in _FOREIGN_FOLDERS for name in folders) else path

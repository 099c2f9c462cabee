"""Keeps everything but our own SQLite away from the state directory, inside a host.

The locks of SQLite on Unix belong to the process: whoever opens and closes an object's file in it, with another SQLite
or with a plain `open()`, drops them, and acknowledged commits can be lost (sqlite.org, howtocorrupt.html §2.2).
So Python's audit events are listened to, and what user code does to these files is refused with the way that works. Our
own storage code is known by its folder. This protects from accidents; it is no sandbox.

The same events tell of processes that user code starts, where somebody wants to know of what is not portable.
"""

from __future__ import annotations

import enum
import os
import stat
import sys
import sysconfig
from types import FrameType
from typing import Any

from durable.sdk import portability

_OUR_CODE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "storage") + os.sep
_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"] + os.sep
_PASSED_THROUGH = frozenset(
    [f"{_STANDARD_LIBRARY}{name}.py" for name in ("contextlib", "os", "pathlib", "shutil")] + ["<frozen os>"]
)
"""What our storage code may do its work by. Not asyncio: a callback of the user's may have no other frame."""

_PATHS_AT: dict[str, tuple[int, ...]] = {
    "open": (0,),
    "sqlite3.connect": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.link": (0, 1),
    "os.symlink": (0, 1),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
}
"""Audit events, and which of their arguments are paths (docs.python.org, "Audit events table"). Other functions of
`shutil` and `pathlib` come down to these."""
_FOLDER_AT: dict[str, dict[int, int]] = {
    "os.remove": {0: 1},
    "os.rmdir": {0: 1},
    "os.rename": {0: 2, 1: 3},
    "os.link": {0: 2, 1: 3},
    "os.symlink": {1: 2},
    "os.chmod": {0: 2},
    "os.chown": {0: 3},
}
"""Which argument is the descriptor of the folder that a relative path begins at."""
_MOVES = ("os.rename", "shutil.move")
"""A folder above the state directory may not be moved either."""
_OF_NAMES = ("os.remove", "os.rename")
_STARTS = {
    "subprocess.Popen": "a process is started",
    "os.posix_spawn": "a process is started",
    "os.spawn": "a process is started",
    "os.system": "a process is started",
    "os.exec": "this process is replaced by another program",
    "os.fork": "this process is forked",
    "os.forkpty": "this process is forked",
}
"""Audit events of processes, and what the program does then."""
_FOLDERS_REMEMBERED_MAX = 1024
_FRAMES_OF_THE_HOOK = 2
_caller = sys._getframe  # pyright: ignore[reportPrivateUsage]


class _Place(enum.Enum):
    """Where a folder lies."""

    OUTSIDE = 1
    INSIDE = 2
    ABOVE = 3
    """It holds the state directory itself."""


class Guard:
    """`install` once per process; `state` is the state directory."""

    def __init__(self, state: str) -> None:
        self._state = os.path.realpath(state)
        self._inside = self._state + "/"
        self._above, _, self._name = self._state.rpartition("/")
        self._folders: dict[str, _Place] = {}
        """Folders that were met, as they were written, which are absolute."""

    def install(self) -> None:
        """There is no way back: an audit hook stays for the life of the process."""
        looks = {**dict.fromkeys(_PATHS_AT, self._look), **dict.fromkeys(_STARTS, _tell_of_start)}

        # Runs for every event of the process, most of which are none of ours.
        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in looks:
                looks[event](event, arguments)

        sys.addaudithook(hook)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        for place in _PATHS_AT[event]:
            path = arguments[place]
            if type(path) is int:
                continue
            name = path if type(path) is str else _text(path)
            if event in _FOLDER_AT and name[:1] != "/":
                name = _from_folder(name, _FOLDER_AT[event].get(place, -1), arguments)
            elif event == "sqlite3.connect":
                name = _database_file(name)
            if name and self._is_inside(event, name) and not _is_ours(_caller(_FRAMES_OF_THE_HOOK)):
                raise PermissionError(_refusal(event, path))

    def _is_inside(self, event: str, name: str) -> bool:
        if name.startswith(self._inside):
            return True
        if event in _MOVES and self._inside.startswith(os.path.realpath(name) + "/"):
            return True
        # Unlinking or renaming a link leaves alone what it points to.
        if event not in _OF_NAMES and _is_link(name):
            return self._holds(os.path.realpath(name))
        folder, _, last = name.rpartition("/")
        if last in ("", ".", ".."):
            return self._holds(os.path.realpath(name))
        place = self._folders.get(folder) if name[0] == "/" else self._place_of(folder or ".")
        if place is None:
            place = self._remember(folder)
        return place is not _Place.OUTSIDE and (place is _Place.INSIDE or last == self._name)

    def _remember(self, folder: str) -> _Place:
        if len(self._folders) >= _FOLDERS_REMEMBERED_MAX:
            self._folders.clear()
        place = self._folders[folder] = self._place_of(folder or "/")
        return place

    def _place_of(self, folder: str) -> _Place:
        resolved = os.path.realpath(folder)
        if self._holds(resolved):
            return _Place.INSIDE
        return _Place.ABOVE if resolved == self._above else _Place.OUTSIDE

    def _holds(self, resolved: str) -> bool:
        return resolved == self._state or resolved.startswith(self._inside)


def _tell_of_start(event: str, arguments: tuple[Any, ...]) -> None:
    if portability.watch is not None:
        portability.watch("process", _STARTS[event])


def _text(path: Any) -> str:
    try:
        return os.fsdecode(path)
    except (TypeError, ValueError):
        return ""  # whoever does something with it will say what is wrong with it


def _is_link(name: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(name).st_mode)
    except (OSError, ValueError):
        return False


def _from_folder(name: str, place: int, arguments: tuple[Any, ...]) -> str:
    """A relative name with the folder that it begins at, if a descriptor says which."""
    folder = arguments[place] if 0 <= place < len(arguments) else -1
    if type(folder) is not int or folder < 0:
        return name
    try:
        return f"{os.readlink(f'/proc/self/fd/{folder}')}/{name}"
    except OSError:
        return name


def _database_file(name: str) -> str:
    """The file that `sqlite3.connect` was given, also as a `file:` URI, whether or not it was told to expect one."""
    if not name.startswith("file:"):
        return name
    from urllib.parse import unquote  # only here: it takes longer to import than this module

    rest = name[5:].partition("#")[0].partition("?")[0]
    if rest.startswith("//"):
        rest = "/" + rest[2:].partition("/")[2]
    return unquote(rest)


def _is_ours(frame: FrameType | None) -> bool:
    """Whether our own storage code did it, itself or by way of the standard library."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_OUR_CODE):
            return True
        if file not in _PASSED_THROUGH:
            return False
        frame = frame.f_back
    return False


def _refusal(event: str, path: Any) -> str:
    return (
        f"{event}({_text(path)!r}): the files of durable objects belong to the engine; whoever else opens them in"
        " this process drops its locks, and acknowledged writes are lost. Use ctx.storage in the object, or"
        " `durable sql CLASS NAME` outside of it"
    )

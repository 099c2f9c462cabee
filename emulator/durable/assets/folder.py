"""A folder whose files anybody may have, and the rules by which some of them stay private. Knows no HTTP.

Nothing outside the folder is ever found: not by `..`, not by a symbolic link that leads out. Neither is what begins
with a dot, so that `.durable`, `.dev.vars`, `.env` and `.git` stay here whatever folder is named.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from durable.assets.ignore import IgnoreRules
from durable.limits import ASSET_PATH_CHARACTERS_MAX, ASSETS_IGNORE_BYTES_MAX

IGNORE_FILE = ".assetsignore"

_OPEN_DOTTED = ".well-known"
"""The one name with a dot that is made for everybody (RFC 8615)."""
_RULES_OF_THE_PLATFORM = frozenset({"_headers", "_redirects", "_worker.js", "_routes.json"})
"""Names in the folder itself that are instructions and no files to serve."""


@dataclass(frozen=True, slots=True)
class AssetFile:
    """A file as it was when it was found; `path` is absolute and free of links."""

    path: str
    size: int
    mtime_ns: int

    @property
    def etag(self) -> str:
        return f'"{self.mtime_ns:x}-{self.size:x}"'


class AssetFolder:
    """The folder may come and go while we run: a build makes it anew."""

    def __init__(self, directory: Path, private: Sequence[Path] = ()) -> None:
        """`private` are files and folders that are not served even if they lie in it: configuration, state."""
        self._directory = str(directory)
        self._private = [os.path.realpath(path) for path in private]
        self._ignore = IgnoreRules("")
        self._ignore_mark: tuple[int, int] | None = None

    def find(self, path: str) -> AssetFile | None:
        """The file at a decoded path, `/js/app.js`; None when there is none that may be served."""
        parts = path[1:].split("/")
        if len(path) > ASSET_PATH_CHARACTERS_MAX or not path.startswith("/") or not _is_open(parts):
            return None
        try:
            root = os.path.realpath(self._directory)
            real = os.path.realpath(os.path.join(root, *parts), strict=True)
            found = os.stat(real, follow_symlinks=False)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode) or not self._is_served(root, real, "/".join(parts)):
            return None
        return AssetFile(real, found.st_size, found.st_mtime_ns)

    def _is_served(self, root: str, real: str, path: str) -> bool:
        if not _is_within(root, real):
            return False
        inside = os.path.relpath(real, root)
        if not _is_open(inside.split(os.sep)):  # a link to what is private itself
            return False
        self._read_ignore(root)
        if self._ignore.ignores(path) or self._ignore.ignores(inside):
            return False
        return not any(real == private or _is_within(private, real) for private in self._private)

    def _read_ignore(self, root: str) -> None:
        """Anew when it changed."""
        file = os.path.join(root, IGNORE_FILE)
        try:
            found = os.stat(file)
            mark = (found.st_mtime_ns, found.st_size)
            if mark == self._ignore_mark:
                return
            with open(file, encoding="utf-8", errors="replace") as text:
                self._ignore = IgnoreRules(text.read(ASSETS_IGNORE_BYTES_MAX))
            self._ignore_mark = mark
        except OSError:
            self._ignore, self._ignore_mark = IgnoreRules(""), None


def _is_open(parts: Sequence[str]) -> bool:
    if any(not part or "\0" in part or (part[0] == "." and part != _OPEN_DOTTED) for part in parts):
        return False
    # In any case of letters: there are file systems to which they are all the same.
    return parts[0].lower() not in _RULES_OF_THE_PLATFORM


def _is_within(folder: str, path: str) -> bool:
    return path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)

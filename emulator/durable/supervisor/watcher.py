"""What was saved in a project. Knows files and folders, nothing of hosts or reloads.

Folders are watched one by one, not the root recursively: a recursive watch would report every write of every actor
below the state directory, and would spend tens of thousands of kernel watches on `.venv` and `node_modules`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path

from msgspec import Struct

from durable.limits import WATCHED_FOLDERS_MAX

SOURCE_SUFFIXES = frozenset((".py", ".html", ".css", ".js", ".json", ".sql", ".j2"))
"""Files that a program is made of, or reads while it is imported; anything else is named in `[dev] watch`."""

IGNORED_FOLDERS = frozenset(
    ("venv", "env", "node_modules", "python_modules", "__pycache__", "__pypackages__", "site-packages")
)
"""Folders that hold nothing a person edits; so does every folder whose name begins with a dot."""

_DEBOUNCE_MS = 20
_STEP_MS = 5
"""Milliseconds for which changes are collected. With watchfiles' defaults a save takes 100 ms to reach us, so 7."""


def sha256_of(path: Path | str) -> str | None:
    """Hex digest of a file's bytes; None for what is not a readable file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


class ProjectFiles:
    """Which files of a project matter to the running program."""

    def __init__(
        self, root: Path, *, config_files: Iterable[Path], patterns: Iterable[str] = (), excluded: Iterable[Path] = ()
    ) -> None:
        """`patterns` are `[dev] watch`, relative to the root; `excluded` are folders such as the state directory."""
        self.root = root
        self.config_files = frozenset(str(path) for path in config_files)
        self.loaded: frozenset[str] = frozenset()
        """Files that the last import read; they matter wherever they are."""
        self.too_many = False
        """There are more folders than are watched."""
        self._excluded = tuple(str(path) for path in excluded)
        self.also(patterns)

    def also(self, patterns: Iterable[str]) -> None:
        """Let these patterns take the place of the earlier ones."""
        globs = tuple(patterns)
        self._patterns = tuple(_pattern(glob, self.root) for glob in globs)
        self._pattern_folders = {folder for glob in globs if (folder := _fixed_folder(glob, self.root)) is not None}

    def matters(self, path: str) -> bool:
        """Whether a change of this file can change what the program does."""
        if path in self.loaded or path in self.config_files:
            return True
        if self._is_excluded(path):
            return False
        if any(pattern.fullmatch(path) for pattern in self._patterns):
            return True
        try:
            parts = Path(path).relative_to(self.root).parts
        except ValueError:
            return False
        name = parts[-1] if parts else ""
        if name.startswith((".", "#")) or name.endswith(("~", ".tmp", ".swp")):
            return False  # what editors leave beside the file while they save it
        return os.path.splitext(name)[1] in SOURCE_SUFFIXES and not any(map(_is_ignored, parts[:-1]))

    def folders(self) -> list[str]:
        """Every folder in which something that matters can appear, the root first; at most `WATCHED_FOLDERS_MAX`."""
        found: dict[str, None] = {}
        for top in (str(self.root), *sorted(self._pattern_folders)):
            for folder, subfolders, _ in os.walk(top):
                found[folder] = None
                if len(found) >= WATCHED_FOLDERS_MAX:
                    self.too_many = True
                    return list(found)
                subfolders[:] = sorted(
                    name
                    for name in subfolders
                    if not _is_ignored(name) and not self._is_excluded(os.path.join(folder, name))
                )
        for path in (*self.loaded, *self.config_files):
            folder = os.path.dirname(path)
            if os.path.isdir(folder) and len(found) < WATCHED_FOLDERS_MAX:
                found[folder] = None
        return list(found)

    def may_hold(self, folder: str) -> bool:
        """Whether something that matters can appear in a folder that has just been made."""
        return not _is_ignored(os.path.basename(folder)) and not self._is_excluded(folder)

    def _is_excluded(self, path: str) -> bool:
        return any(path == folder or path.startswith(folder + os.sep) for folder in self._excluded)


class Fingerprints:
    """What was last seen in each file, so that a save that changes nothing costs nothing."""

    def __init__(self) -> None:
        self._seen: dict[str, str | None] = {}

    def remember(self, files: Mapping[str, str]) -> None:
        """These are the hashes of what was loaded."""
        self._seen.update(files)

    def look(self, paths: Iterable[str]) -> None:
        """Remember what these files hold now."""
        for path in paths:
            self._seen[path] = sha256_of(path)

    def changed(self, path: str) -> bool:
        """Whether the file holds something else than when it was last seen; a file never seen counts as changed."""
        now = sha256_of(path)
        before = self._seen.get(path, "")
        self._seen[path] = now
        return now != before


def differing(files: Mapping[str, str]) -> frozenset[str]:
    """Those of `files` (path → hash) that the disk does not hold so."""
    return frozenset(path for path, digest in files.items() if sha256_of(path) != digest)


class Saved(Struct, frozen=True):
    """Files that were written; or, when `suspected`, files that could have been while nobody looked."""

    paths: frozenset[str]
    suspected: bool = False


async def saves(files: ProjectFiles) -> AsyncGenerator[Saved, None]:
    """What is saved, as it happens, whether or not it changes a byte.

    The first one comes as soon as nothing can be missed any more, and suspects every file that the program is known to
    be made of. So it is each time new folders are taken in.
    """
    # Loaded here because it costs 30 ms of a start that does not need it yet.
    # Its annotations name trio, which nobody needs here.
    from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

    while True:
        folders = files.folders()
        watched = frozenset(folders)
        stop = asyncio.Event()
        changes = awatch(
            *folders, watch_filter=None, debounce=_DEBOUNCE_MS, step=_STEP_MS, recursive=False, stop_event=stop
        )
        async with aclosing(changes):
            step = asyncio.ensure_future(anext(changes, None))
            try:
                # The first step of the generator registers the folders before it waits for anything.
                await asyncio.sleep(0)
                yield Saved(files.loaded | files.config_files, suspected=True)
                # Waited for without handing our own cancellation on: the generator waits for a thread, and a cancelled
                # step can leave it, or us, waiting for ever. Its event ends it in an orderly way.
                while await asyncio.wait([step]) and (batch := step.result()) is not None:
                    paths = {path for _, path in batch}
                    new_folders = [path for path in paths - watched if os.path.isdir(path) and files.may_hold(path)]
                    found = {path for path in paths if files.matters(path)} | _inside(new_folders, files)
                    if found:
                        yield Saved(frozenset(found))
                    if new_folders or paths & watched or not watched.issuperset(map(os.path.dirname, files.loaded)):
                        break  # folders came or went, or the program reads from elsewhere: watch the new set
                    step = asyncio.ensure_future(anext(changes, None))
                else:
                    return
            finally:
                stop.set()
                await asyncio.wait([step])
                step.exception()  # looked at, so that nobody reports it as forgotten


def _inside(folders: Iterable[str], files: ProjectFiles) -> set[str]:
    """Files that came with a new folder: they were there before anybody could watch it."""
    found: set[str] = set()
    for top in folders:
        for folder, subfolders, names in os.walk(top):
            subfolders[:] = [name for name in subfolders if not _is_ignored(name)]
            found.update(path for name in names if files.matters(path := os.path.join(folder, name)))
            if len(found) >= WATCHED_FOLDERS_MAX:
                return found
    return found


def _is_ignored(folder_name: str) -> bool:
    return folder_name.startswith(".") or folder_name in IGNORED_FOLDERS


def _fixed_folder(glob: str, root: Path) -> str | None:
    """The folder above the first wildcard, when it exists: `../common/**/*.py` → `<root>/../common`."""
    path = root
    for part in Path(glob).parts:
        if any(character in part for character in "*?["):
            break
        path = path / part
    folder = Path(os.path.normpath(path))
    if not folder.is_dir():
        folder = folder.parent
    return str(folder) if folder.is_dir() else None


def _pattern(glob: str, root: Path) -> re.Pattern[str]:
    """A glob as an expression for absolute paths: `*` and `?` stay within a folder, `**` does not.

    A glob that names a folder means everything in it.
    """
    absolute = os.path.normpath(root / glob)
    expression = ""
    for piece in re.split(r"(\*\*/|/\*\*$|\*|\?)", absolute):
        expression += {"**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*", "?": "[^/]"}.get(piece) or re.escape(piece)
    return re.compile(expression + "(?:/.*)?")

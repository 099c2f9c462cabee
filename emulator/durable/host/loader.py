"""Importing the user's program: always from source, and every file that was read is known by its hash.

Three kinds of files are told apart. The *project's own* lie below its folder. *Developed* are those, and what else is
work in progress: an editable install, a folder of PYTHONPATH; all of it is compiled from source and watched.
*Libraries* are the standard library, this package and what is installed; only they are imported ahead of time.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import os
import sys
import sysconfig
import threading
import types
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

from durable.sdk.object import DurableObject, WorkerEntrypoint

_FOREIGN_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "node_modules", ".venv", "venv", "__pycache__", ".durable"}
    # Where the platform's tools put packages, compiled for another machine.
    | {".venv-workers", "python_modules"}
)
_INSTALLED = ("/site-packages/", "/dist-packages/")
_LIBRARY_FOLDERS = tuple(
    {folder.rstrip(os.sep) + os.sep for folder in map(sysconfig.get_path, ("stdlib", "platstdlib"))}
    | {str(Path(__file__).parents[1]) + os.sep}
)


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles what is on the disk now: a `.pyc` misses a same-size edit within one second."""

    def __init__(self, name: str, path: str, project: Project) -> None:
        super().__init__(name, path)
        self._project = project

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        source = self._project.read(path)
        code = self.source_to_code(source, path)
        # Reports quote the lines that ran, whatever is saved under them later: without a time nobody looks at the disk.
        lines = importlib.util.decode_source(source).splitlines(keepends=True)
        linecache.cache[path] = (len(source), None, lines, path)
        return code


class ProjectFinder(importlib.abc.MetaPathFinder):
    """Finds modules as usual, but has those that are developed loaded with `SourceLoader`."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        kept = self._project.kept_file(fullname, sys.path if path is None else path)
        if kept is not None:
            loader = SourceLoader(fullname, kept, self._project)
            return importlib.util.spec_from_file_location(fullname, kept, loader=loader)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        if is_library(spec.origin):
            return None
        spec.loader = SourceLoader(fullname, spec.origin, self._project)
        return spec


class Project:
    """The user's program: its folder, its files that were read, and its classes once it is imported."""

    def __init__(
        self, root: str, main: str, *, sources: Mapping[str, bytes] | None = None, warm: Sequence[str] = ()
    ) -> None:
        """`sources` (path → bytes) are read in place of these files; `warm` are modules imported ahead of time."""
        self.root = root
        self.main = main
        self.hashes: dict[str, str] = {}
        self.module: types.ModuleType | None = None
        self._sources = sources or {}
        self._prefix = root.rstrip(os.sep) + os.sep
        self._engine_modules = frozenset(sys.modules).difference(warm)
        self._starters: set[str] = set()

    def owns(self, file: str) -> bool:
        """Whether a file is the user's own, not a package's and not ours."""
        if not file.startswith(self._prefix):
            return False
        return _FOREIGN_FOLDERS.isdisjoint(file[len(self._prefix) :].split(os.sep)[:-1])

    def own_file(self, file: str) -> str | None:
        """What the developer calls a file of the project: `rooms/chat.py`; None for a package's file or ours."""
        return os.path.relpath(file, self.root) if self.owns(file) else None

    def own_sources(self) -> Iterator[tuple[str, str]]:
        """Path and text of every file of the project that was compiled, as it was compiled."""
        for path in self.hashes:
            compiled = linecache.cache.get(path)
            if compiled is not None and len(compiled) > 1 and self.owns(path):
                yield path, "".join(compiled[2])

    def read(self, path: str) -> bytes:
        """A source file; from now on its hash is known."""
        source = self._sources.get(path)
        if source is None:
            source = Path(path).read_bytes()
        self.hashes[path] = hashlib.sha256(source).hexdigest()
        return source

    def kept_file(self, fullname: str, path: Sequence[str]) -> str | None:
        """The file of a module among the sources that were handed in: it may not be on the disk any more."""
        if self._sources:
            tail = fullname.rpartition(".")[2]
            for folder in path:
                for candidate in (os.path.join(folder, tail, "__init__.py"), os.path.join(folder, f"{tail}.py")):
                    if candidate in self._sources:
                        return candidate
        return None

    def load(self) -> None:
        """Import the main module. Whatever it raises is the user's, SystemExit included."""
        # Read first: a file that does not even compile is still a file whose mending matters.
        self.read(self.main)
        importlib.invalidate_caches()
        folder = os.path.dirname(self.main)
        for entry in dict.fromkeys((self.root, folder)):
            if entry not in sys.path:
                sys.path.insert(0, entry)
        sys.meta_path.insert(0, ProjectFinder(self))
        name = Path(self.main).stem
        if not name.isidentifier():
            name = "main"
        spec = importlib.util.spec_from_file_location(name, self.main, loader=SourceLoader(name, self.main, self))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        with _thread_starters(self._starters):
            spec.loader.exec_module(module)
        self.module = module
        self._hash_what_others_loaded()

    def classes(self) -> dict[str, type]:
        """Actor classes and entrypoints of the main module by their class name (workerd `introspection.py`)."""
        names = getattr(self.module, "__all__", None) or [
            name for name in vars(self.module) if not name.startswith("_")
        ]
        found: dict[str, type] = {}
        for name in names:
            value = getattr(self.module, name, None)
            if (
                isinstance(value, type)
                and issubclass(value, (DurableObject, WorkerEntrypoint))
                and value not in (DurableObject, WorkerEntrypoint)
            ):
                found[value.__name__] = value
        return found

    def third_party_modules(self) -> list[str]:
        """Libraries that the program imported: a standby can import them ahead of time.

        Not those whose import started a thread, with all of their package: a program may rely on what such a thread
        finds, and one that waits for a save has no business with it.
        """
        packages = {name.partition(".")[0] for name in self._starters}
        names: list[str] = []
        for name, origin in self._imported():
            if is_library(origin) and name.partition(".")[0] not in packages:
                names.append(name)
        return names

    def _hash_what_others_loaded(self) -> None:
        """Editable installs bring finders of their own; their files are to be watched like the project's."""
        for _, origin in self._imported():
            if origin.endswith(".py") and origin not in self.hashes and not is_library(origin):
                with contextlib.suppress(OSError):
                    self.read(origin)

    def _imported(self) -> Iterator[tuple[str, str]]:
        """Name and origin of every module that is here because of the program."""
        for name, module in list(sys.modules.items()):
            if name not in self._engine_modules:
                spec = getattr(module, "__spec__", None)
                origin = getattr(spec, "origin", None)
                # Under another name than its own it is an alias, such as `workers`: who has no alias imports the other.
                if isinstance(origin, str) and getattr(spec, "name", name) == name:
                    yield name, origin


def is_library(origin: str) -> bool:
    """Whether nobody edits this file while the program runs; `origin` as in a module's spec, `built-in` for one."""
    if not os.path.isabs(origin):
        return True
    return origin.startswith(_LIBRARY_FOLDERS) or any(folder in origin for folder in _INSTALLED)


def preimport(modules: Sequence[str]) -> list[str]:
    """Import packages the last generation used, while nobody waits; one that fails is left to the program itself.

    Returns the names of all modules that are there now and were not before.
    """
    before = frozenset(sys.modules)
    for name in modules:
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except BaseException:
                continue
    return [name for name in sys.modules if name not in before]


@contextlib.contextmanager
def _thread_starters(found: set[str]) -> Generator[None]:
    """Collect the names of modules that start threads while they are imported, and of those that imported them."""
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        frame: types.FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        while frame is not None:
            if frame.f_code.co_name == "<module>":
                found.add(frame.f_globals.get("__name__", ""))
            frame = frame.f_back
        start(thread)

    threading.Thread.start = noted  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        if threading.Thread.start is noted:
            threading.Thread.start = start  # type: ignore[method-assign]

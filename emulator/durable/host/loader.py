"""Importing the user's program: always from source, and every file that was read is known by its hash."""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types
from collections.abc import Sequence
from pathlib import Path

from durable.sdk.object import DurableObject, WorkerEntrypoint

_FOREIGN_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "node_modules", ".venv", "venv", "__pycache__", ".durable"}
)


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles what is on the disk now: a `.pyc` misses a same-size edit within one second."""

    def __init__(self, name: str, path: str, hashes: dict[str, str]) -> None:
        super().__init__(name, path)
        self._hashes = hashes

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        self._hashes[path] = hashlib.sha256(source).hexdigest()
        return self.source_to_code(source, path)


class ProjectFinder(importlib.abc.MetaPathFinder):
    """Finds modules of the project as usual, but loads them with `SourceLoader`."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        if not self._project.owns(spec.origin):
            return None
        spec.loader = SourceLoader(fullname, spec.origin, self._project.hashes)
        return spec


class Project:
    """The user's program: its folder, its files that were read, and its classes once it is imported."""

    def __init__(self, root: str, main: str) -> None:
        self.root = root
        self.main = main
        self.hashes: dict[str, str] = {}
        self.module: types.ModuleType | None = None
        self._prefix = root.rstrip(os.sep) + os.sep
        self._engine_modules = frozenset(sys.modules)

    def owns(self, file: str) -> bool:
        """Whether a file is the user's own, not a package's and not ours."""
        if not file.startswith(self._prefix):
            return False
        return _FOREIGN_FOLDERS.isdisjoint(file[len(self._prefix) :].split(os.sep)[:-1])

    def load(self) -> None:
        """Import the main module. Whatever it raises is the user's, SystemExit included."""
        # Hash first: a file that does not even compile is still a file whose mending matters.
        self.hashes[self.main] = hashlib.sha256(Path(self.main).read_bytes()).hexdigest()
        importlib.invalidate_caches()
        folder = os.path.dirname(self.main)
        for entry in dict.fromkeys((self.root, folder)):
            if entry not in sys.path:
                sys.path.insert(0, entry)
        sys.meta_path.insert(0, ProjectFinder(self))
        name = Path(self.main).stem
        if not name.isidentifier():
            name = "main"
        spec = importlib.util.spec_from_file_location(
            name, self.main, loader=SourceLoader(name, self.main, self.hashes)
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        self.module = module

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
        """What the program imported that is not its own: a standby can import it ahead of time."""
        names: list[str] = []
        for name, module in list(sys.modules.items()):
            origin = getattr(getattr(module, "__spec__", None), "origin", None)
            if origin and name not in self._engine_modules and not self.owns(origin):
                names.append(name)
        return names


def preimport(modules: Sequence[str]) -> None:
    """Import packages the last generation used, while nobody waits; one that fails is left to the program itself."""
    for name in modules:
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except BaseException:
                continue

"""Makes `import workers` find ours, in a host and nowhere else.

A name of the platform is an alias: `workers` in `sys.modules` is the module `durable.host.compat.workers` itself, which
a standby may import ahead of time like the rest of the engine. The finder stands in front of what is installed and
behind the loader's own (`ProjectFinder`), so a module of that name in the project wins over ours, and ours over a
package of the same name, such as the platform's SDK in the project's environment.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

_HERE: Final = __package__ or ""

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "workers": "workers",
        "workers.asgi": "workers_asgi",
        "workers.wsgi": "workers_wsgi",
        "workers.workflows": "workers_workflows",
        "workers.gateway": "workers_gateway",
        "asgi": "workers_asgi",
        "wsgi": "workers_wsgi",
        "js": "js",
        "pyodide": "pyodide",
        "pyodide.ffi": "pyodide_ffi",
        "pyodide.http": "pyodide_http",
    }
)
"""The platform's name → the module in this package."""
_TELLING: Final = ("workers", "js", "pyodide")
"""Names that only programs for the platform import; `asgi` may serve any application."""


class CompatFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for `NAMES` only."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        parent = fullname.rpartition(".")[0]
        # A project that has a package `workers` of its own has none of ours below it.
        if fullname not in NAMES or (parent and not _is_ours(parent)):
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def exec_module(self, module: types.ModuleType) -> None:
        # Whoever imports gets what stands here afterwards, in place of the empty `module` (importlib's `_load`).
        sys.modules[module.__name__] = importlib.import_module(f"{_HERE}.{NAMES[module.__name__]}")


def install() -> None:
    """For a host, before it imports a program; the aliases of an earlier program in this process are gone."""
    remove()
    sys.meta_path.insert(0, CompatFinder())


def remove() -> None:
    """As if nobody had installed it."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, CompatFinder)]
    for name in NAMES:
        if _is_ours(name):
            del sys.modules[name]


def is_used() -> bool:
    """Whether the program is written for the platform: it has imported `workers` or, as older ones do, `js` alone."""
    return any(map(_is_ours, _TELLING))


def submodule(package: str, name: str) -> types.ModuleType | None:
    """For a package's `__getattr__`: `from workers import wsgi` looks for a module below the name that it has here."""
    found = NAMES.get(f"{package}.{name}")
    return importlib.import_module(f"{_HERE}.{found}") if found is not None else None


def _is_ours(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and module.__name__ == f"{_HERE}.{NAMES.get(name)}"

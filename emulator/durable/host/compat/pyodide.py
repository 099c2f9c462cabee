"""`pyodide`: the package that `pyodide.ffi` and `pyodide.http` are in."""

from __future__ import annotations

from typing import Any

from durable.host.compat.finder import submodule
from durable.host.compat.missing import missing

__version__ = "314.0.0"
"""Of the one that the platform runs at this time."""
__path__: list[str] = []
"""Says that it is a package: its modules are found by name (`finder.NAMES`)."""


def __getattr__(name: str) -> Any:
    module = submodule("pyodide", name)
    if module is not None:
        return module
    raise missing("pyodide", name, "Only pyodide.ffi and pyodide.http are here: there is no JavaScript to run.")

"""The two doors into one implementation: what a program gets from `workers`, `js` and `pyodide`, and from `durable`.

A fact that is played through both asks its `platform` for names instead of importing them, so that the same lines run
against both. A host finds the modules of Cloudflare, nothing else does: ask for names while one is running.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from durable.host.compat import finder
from durable.host.compat.adoption import adopt
from durable.sdk import portability


class Platform:
    """`platform.Response` is the Response a program of this platform would have imported."""

    def __init__(self, name: str, modules: tuple[str, ...], own: Mapping[str, Any]) -> None:
        self.name = name
        self.is_cloudflare = "workers" in modules
        self._modules = modules
        self._own = own

    def __getattr__(self, name: str) -> Any:
        if name in self._own:
            return self._own[name]
        for module in map(importlib.import_module, self._modules):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"{name!r} is in none of {', '.join(self._modules)}")

    def __repr__(self) -> str:
        return f"<Platform {self.name}>"


def _as_it_is(value: Any, **options: Any) -> Any:
    """What `to_js` and `create_proxy` are where there is no JavaScript to go to."""
    return value


CLOUDFLARE = Platform("workers", ("workers", "js", "pyodide.ffi", "pyodide.http"), MappingProxyType({}))
PYTHON = Platform(
    "durable",
    ("durable", "durable.errors"),
    MappingProxyType({"to_js": _as_it_is, "create_proxy": _as_it_is, "jsnull": None, "jsundefined": None}),
)
PLATFORMS = (CLOUDFLARE, PYTHON)


def forget() -> None:
    """No program of this process has imported Cloudflare's modules: the next one starts as in a new host."""
    adopt(False)
    finder.remove()
    portability.watch = None

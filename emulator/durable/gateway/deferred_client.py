"""aiohttp without its client, for as long as nobody asks for it: `durable dev` starts a tenth of a second sooner.

The package's `__init__` imports the client, which makes two TLS contexts from the machine's certificates. The server's
modules need nothing of it but each other, so here `__init__` runs at the first name that only it has.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from importlib.machinery import SourceFileLoader
from typing import Any

_PACKAGE = "aiohttp"
_VERSION = re.compile(rb'^__version__ = "([^"]+)"', re.MULTILINE)


def defer_client() -> None:
    """Call before aiohttp is imported, in a process of our own; does nothing when it is already there."""
    spec = importlib.util.find_spec(_PACKAGE) if _PACKAGE not in sys.modules else None
    if spec is None or not isinstance(loader := spec.loader, SourceFileLoader) or spec.origin is None:
        return
    version = _VERSION.search(loader.get_data(spec.origin))
    if version is None:
        return
    package: Any = importlib.util.module_from_spec(spec)

    def find(name: str) -> object:
        """PEP 562: a name that the package does not have yet, which is a module of it or takes all of `__init__`."""
        if not name.startswith("_") and importlib.util.find_spec(f"{_PACKAGE}.{name}") is not None:
            return importlib.import_module(f"{_PACKAGE}.{name}")
        if name.startswith("__"):
            raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")
        del package.__getattr__
        loader.exec_module(package)
        return getattr(package, name)

    package.__version__ = version[1].decode()  # the server's modules ask for it
    package.__getattr__ = find
    sys.modules[_PACKAGE] = package

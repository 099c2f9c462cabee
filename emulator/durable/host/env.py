"""`env`: bindings and variables by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Env:
    """Attributes and items are the same: `env.ROOMS`, `env["ROOMS"]`."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self.__dict__.update(entries)

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(sorted(self.__dict__)) or "nothing"
        raise AttributeError(f"env has no {name!r}; the configuration gives it {known}")

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __repr__(self) -> str:
        # Values may be secrets.
        return f"Env({', '.join(sorted(self.__dict__))})"

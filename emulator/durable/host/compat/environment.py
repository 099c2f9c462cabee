"""`workers.env`: the bindings at the top of a module, before there is an object or a request."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from durable.sdk.js_values import as_pairs

_patches: ContextVar[Mapping[str, Any]] = ContextVar("durable_env_patches")


class ProgramEnv:
    """The host's `env`, as far as `patch_env` has not put something else in its place."""

    def __init__(self) -> None:
        self._bound: Any = None

    def bind(self, env: Any) -> None:
        """For the host, before it imports the program."""
        self._bound = env

    def __getattr__(self, name: str) -> Any:
        patches = _patches.get({})
        if name in patches:
            return patches[name]
        if self._bound is None:
            raise AttributeError(f"workers.env has no {name!r}: no host has loaded a program here")
        return getattr(self._bound, name)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*(self._bound or ()), *_patches.get({})]))

    def __repr__(self) -> str:
        # Values may be secrets.
        return f"env({', '.join(self)})"


env = ProgramEnv()


@contextlib.contextmanager
def patch_env(
    entries: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None, **more: Any
) -> Generator[None, None, None]:
    """For tests: `workers.env` has these in the block, and in what the block starts; `self.env` does not."""
    token = _patches.set({**_patches.get({}), **dict(as_pairs(entries or ())), **more})
    try:
        yield
    finally:
        _patches.reset(token)

"""The configuration, read again while the emulator runs: what only a restart can change stays as it is, and is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from durable.config import Config
from durable.gateway.events import OnEvent
from durable.supervisor.events import RestartNeeded

_BOUND_AT_START: Final = ("ip", "port", "hosts", "allowed_hosts")
"""Keys of [dev] that last for the life of the emulator."""


class Rereading:
    """Called for the configuration as it is now. Raises `UserInputError` when it cannot be used."""

    def __init__(self, started_with: Config, read: Callable[[], Config], on_event: OnEvent) -> None:
        self._kept = {name: getattr(started_with.dev, name) for name in _BOUND_AT_START}
        self._read = read
        self._on_event = on_event
        self._told: set[str] = set()

    def __call__(self) -> Config:
        config = self._read()
        changed = {f"[dev] {name}" for name, value in self._kept.items() if getattr(config.dev, name) != value}
        if changed - self._told:
            self._on_event(RestartNeeded(tuple(sorted(changed))))
        self._told = changed
        return replace(config, dev=replace(config.dev, **self._kept)) if changed else config

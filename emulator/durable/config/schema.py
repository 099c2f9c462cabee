"""What a configuration is once it has been read and found good: frozen values, no reading and no checking.

Must not know files, TOML or JSON. Paths are absolute; every part that a later step may complain about keeps the
`Location` it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from durable import limits

__all__ = [
    "Binding",
    "Config",
    "ConfigWarning",
    "DevSettings",
    "Durability",
    "ExportedClass",
    "Location",
    "Migration",
    "Portability",
    "Reload",
    "RenamedClass",
    "TransferredClass",
]

Durability = Literal["full", "relaxed"]
Reload = Literal["standby", "restart"]
Portability = Literal["warn", "error", "off"]


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file; line and column count from 1, both are 0 when the whole file is meant."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class ConfigWarning:
    """Something that is probably not meant, but does no harm; `hint` is empty or the next thing to type."""

    message: str
    location: Location
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" + (f" {self.hint}" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Binding:
    """`env.<name>` in user code; `script_name` is None when the class is this worker's. Located at its `class_name`."""

    name: str
    class_name: str
    script_name: str | None
    location: Location


@dataclass(frozen=True, slots=True)
class RenamedClass:
    """`{ from = "<source>", to = "<target>" }`"""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class TransferredClass:
    """`{ from = "<source>", from_script = "<source_script>", to = "<target>" }`"""

    source: str
    source_script: str
    target: str


@dataclass(frozen=True, slots=True)
class Migration:
    """One `[[migrations]]` entry, located at its tag. Its steps run in the order deleted, renamed, transferred, new."""

    tag: str
    new_sqlite_classes: tuple[str, ...]
    new_classes: tuple[str, ...]
    renamed_classes: tuple[RenamedClass, ...]
    deleted_classes: tuple[str, ...]
    transferred_classes: tuple[TransferredClass, ...]
    location: Location
    places: Mapping[tuple[str, str], Location] = field(default_factory=dict[tuple[str, str], Location], compare=False)
    """Where each class stands: `("deleted_classes", "Room")`; those that others come from by the name they have now."""

    def place(self, key: str, name: str) -> Location:
        return self.places.get((key, name), self.location)


ExportState = Literal["created", "renamed", "deleted", "transferred", "expecting-transfer"]
ExportStorage = Literal["sqlite", "legacy-kv"]


@dataclass(frozen=True, slots=True)
class ExportedClass:
    """One class of the `exports` table, located at its key. `other` is the class that `renamed_to` names, or the worker
    that `transferred_to` or `transfer_from` does."""

    name: str
    state: ExportState
    storage: ExportStorage | None
    other: str
    location: Location


@dataclass(frozen=True, slots=True)
class DevSettings:
    """The `[dev]` table. `port` 0 takes a free one; `memory_mb`, `pitr_days` and `watchdog_seconds` 0 switch off."""

    ip: str = "127.0.0.1"
    port: int = 8787
    hosts: int = 1
    idle_seconds: float = limits.IDLE_SECONDS
    durability: Durability = "full"
    drain_seconds: float = limits.DRAIN_SECONDS
    watch: tuple[str, ...] = ()
    reload: Reload = "standby"
    allowed_hosts: tuple[str, ...] = ()
    watchdog_seconds: float = 30.0
    memory_mb: int = 0
    pitr_days: int = 30
    portability: Portability = "off"


@dataclass(frozen=True, slots=True)
class Config:
    """One worker's configuration for one environment.

    `vars` holds JSON values: `{"GREETING": "hello", "LIMITS": {"rooms": 3}}`. Secrets are kept apart, and out of
    `repr()`, so that a log line or a crash report cannot show them. `compatibility_date` is "" when not given.
    """

    path: Path
    root: Path
    environment: str | None
    name: str
    main: Path
    compatibility_date: str
    bindings: tuple[Binding, ...]
    migrations: tuple[Migration, ...]
    vars: Mapping[str, object]
    secrets: Mapping[str, str] = field(repr=False)
    dev: DevSettings
    warnings: tuple[ConfigWarning, ...]
    source: str = field(repr=False)
    crons: tuple[str, ...] = ()
    """Expressions of `[triggers]`, each of them good and none twice."""
    exports: tuple[ExportedClass, ...] | None = None
    """The classes as the `exports` table has them; None where `migrations` tell of the classes."""

"""What a configuration is once it has been read and found good: frozen values, no reading and no checking.

Must not know files, TOML or JSON. Paths are absolute; every part that a later step may complain about keeps the
`Location` it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from durable import limits

__all__ = [
    "Assets",
    "Binding",
    "Config",
    "ConfigWarning",
    "DevSettings",
    "Durability",
    "ExportedClass",
    "HtmlHandling",
    "Location",
    "Migration",
    "NotFoundHandling",
    "Portability",
    "Reload",
    "RenamedClass",
    "ServiceBinding",
    "TransferredClass",
    "UnservedBinding",
]

Durability = Literal["full", "relaxed"]
Reload = Literal["standby", "restart"]
Portability = Literal["auto", "warn", "error", "off"]
HtmlHandling = Literal["auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"]
NotFoundHandling = Literal["none", "404-page", "single-page-application"]


class Location(Struct, frozen=True):
    """A place in a file; line and column count from 1, both are 0 when the whole file is meant."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class ConfigWarning(Struct, frozen=True):
    """Something that is probably not meant, but does no harm; `hint` is empty or the next thing to type."""

    message: str
    location: Location
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" + (f" {self.hint}" if self.hint else "")


class Binding(Struct, frozen=True):
    """`env.<name>` in user code; `script_name` is None when the class is this worker's. Located at its `class_name`."""

    name: str
    class_name: str
    script_name: str | None
    location: Location


class ServiceBinding(Struct, frozen=True):
    """`env.<name>` calls the worker named `service`: its class `entrypoint`, or `Default` where that is "".

    `props` are what the called class finds in `ctx.props`: `{"tenant": "acme"}`. Located at `service`.
    """

    name: str
    service: str
    entrypoint: str
    location: Location
    props: Mapping[str, object] = field(default_factory=dict[str, object])


class UnservedBinding(Struct, frozen=True):
    """`env.<name>` of a product that is not here, set by `key` ("kv_namespaces"); `sentence` is what its use raises."""

    name: str
    key: str
    sentence: str
    location: Location


class Assets(Struct, frozen=True):
    """Files that are answered with as they are. `binding` is "" without `env.<binding>`; located at `directory`.

    `run_worker_first` is True, False, or patterns of paths: `("/api/*", "!/api/docs/*")`.
    """

    directory: Path
    binding: str
    html_handling: HtmlHandling
    not_found_handling: NotFoundHandling
    run_worker_first: bool | tuple[str, ...]
    location: Location


class RenamedClass(Struct, frozen=True):
    """`{ from = "<source>", to = "<target>" }`"""

    source: str
    target: str


class TransferredClass(Struct, frozen=True):
    """`{ from = "<source>", from_script = "<source_script>", to = "<target>" }`"""

    source: str
    source_script: str
    target: str


class Migration(Struct, frozen=True):
    """One `[[migrations]]` entry, located at its tag. Its steps run in the order deleted, renamed, transferred, new."""

    tag: str
    new_sqlite_classes: tuple[str, ...]
    new_classes: tuple[str, ...]
    renamed_classes: tuple[RenamedClass, ...]
    deleted_classes: tuple[str, ...]
    transferred_classes: tuple[TransferredClass, ...]
    location: Location
    places: Mapping[tuple[str, str], Location] = field(default_factory=dict[tuple[str, str], Location])
    """Where each class stands: `("deleted_classes", "Room")`; those that others come from by the name they have now."""

    def place(self, key: str, name: str) -> Location:
        return self.places.get((key, name), self.location)


ExportState = Literal["created", "renamed", "deleted", "transferred", "expecting-transfer"]
ExportStorage = Literal["sqlite", "legacy-kv"]


class ExportedClass(Struct, frozen=True):
    """One class of the `exports` table, located at its key. `other` is the class that `renamed_to` names, or the worker
    that `transferred_to` or `transfer_from` does."""

    name: str
    state: ExportState
    storage: ExportStorage | None
    other: str
    location: Location


class DevSettings(Struct, frozen=True):
    """The `[dev]` table. `port` 0 takes a free one; `memory_mb`, `pitr_days` and `watchdog_seconds` 0 switch off.

    `portability` "auto" is "warn" for a program that imports the platform's modules, and "off" for any other.
    """

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
    portability: Portability = "auto"


class Config(Struct, frozen=True):
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
    secrets: Mapping[str, str]
    dev: DevSettings
    warnings: tuple[ConfigWarning, ...]
    source: str
    crons: tuple[str, ...] = ()
    """Expressions of `[triggers]`, each of them good and none twice."""
    exports: tuple[ExportedClass, ...] | None = None
    """The classes as the `exports` table has them; None where `migrations` tell of the classes."""
    compatibility_flags: tuple[str, ...] = ()
    services: tuple[ServiceBinding, ...] = ()
    assets: Assets | None = None
    unserved: tuple[UnservedBinding, ...] = ()
    notices: tuple[ConfigWarning, ...] = ()
    """Keys of the platform that nothing here acts on, and what that means: told once, by whoever serves."""

    def __repr__(self) -> str:
        return f"Config({str(self.path)!r}, environment={self.environment!r}, name={self.name!r})"

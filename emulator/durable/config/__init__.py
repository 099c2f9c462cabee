"""durable.toml (or wrangler.toml, wrangler.jsonc) → `Config`, frozen; every complaint names its place in the file."""

from __future__ import annotations

from durable.config.classes import check_classes
from durable.config.load import load
from durable.config.schema import (
    Binding,
    Config,
    ConfigWarning,
    DevSettings,
    ExportedClass,
    Location,
    Migration,
    RenamedClass,
    TransferredClass,
)

__all__ = [
    "Binding",
    "Config",
    "ConfigWarning",
    "DevSettings",
    "ExportedClass",
    "Location",
    "Migration",
    "RenamedClass",
    "TransferredClass",
    "check_classes",
    "load",
]

"""durable.toml (or wrangler.toml, wrangler.jsonc) → `Config`, frozen; every complaint names its place in the file."""

from __future__ import annotations

from durable.config.classes import check_classes
from durable.config.load import load
from durable.config.schema import (
    Assets,
    Binding,
    Config,
    ConfigWarning,
    DevSettings,
    ExportedClass,
    Location,
    Migration,
    RenamedClass,
    ServiceBinding,
    TransferredClass,
    UnservedBinding,
)

__all__ = [
    "Assets",
    "Binding",
    "Config",
    "ConfigWarning",
    "DevSettings",
    "ExportedClass",
    "Location",
    "Migration",
    "RenamedClass",
    "ServiceBinding",
    "TransferredClass",
    "UnservedBinding",
    "check_classes",
    "load",
]

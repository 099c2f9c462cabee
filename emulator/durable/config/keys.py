"""Which keys exist and mean something here. Those of the platform that mean nothing here are in `products`.

Names and meanings follow wrangler's configuration (developers.cloudflare.com/workers/wrangler/configuration), so that
one file serves both tools.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ASSETS",
    "ASSETS_SILENT",
    "BINDING",
    "BINDING_SILENT",
    "DEV",
    "DEV_SILENT",
    "DURABLE_OBJECTS",
    "ENVIRONMENT",
    "EXPORTED_CLASS",
    "MIGRATION",
    "RENAMED_CLASS",
    "SERVICE",
    "SERVICE_SILENT",
    "TOP",
    "TRANSFERRED_CLASS",
    "TRIGGERS",
]

ENVIRONMENT: Final = (
    "name",
    "main",
    "compatibility_date",
    "compatibility_flags",
    "durable_objects",
    "migrations",
    "exports",
    "services",
    "assets",
    "triggers",
    "vars",
)
"""Keys of an `[env.<name>]` table."""
TOP: Final = (*ENVIRONMENT, "dev", "env")
DURABLE_OBJECTS: Final = ("bindings",)
BINDING: Final = ("name", "class_name", "script_name", "environment")
BINDING_SILENT: Final = frozenset({"code_update_strategy"})
MIGRATION: Final = (
    "tag",
    "new_sqlite_classes",
    "new_classes",
    "renamed_classes",
    "deleted_classes",
    "transferred_classes",
)
RENAMED_CLASS: Final = ("from", "to")
TRANSFERRED_CLASS: Final = ("from", "from_script", "to")
EXPORTED_CLASS: Final = ("type", "state", "storage", "renamed_to", "transferred_to", "transfer_from")
SERVICE: Final = ("binding", "service", "entrypoint", "environment", "props")
SERVICE_SILENT: Final = frozenset({"remote"})
ASSETS: Final = ("directory", "binding", "html_handling", "not_found_handling", "run_worker_first")
ASSETS_SILENT: Final = frozenset({"experimental_serve_directly"})
TRIGGERS: Final = ("crons",)
DEV: Final = (
    "ip",
    "port",
    "hosts",
    "idle_seconds",
    "durability",
    "drain_seconds",
    "watch",
    "reload",
    "allowed_hosts",
    "watchdog_seconds",
    "memory_mb",
    "pitr_days",
    "portability",
)
DEV_SILENT: Final = frozenset(
    {
        "container_engine",
        "enable_containers",
        "generate_types",
        "host",
        "inspector_ip",
        "inspector_port",
        "local_protocol",
        "upstream_protocol",
    }
)

"""Which keys exist: ours, and the platform's that have no effect here and are passed over in silence.

Names and meanings follow wrangler's configuration (developers.cloudflare.com/workers/wrangler/configuration). The
second group is what lets one file serve both tools.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BINDING",
    "BINDING_SILENT",
    "DEV",
    "DEV_SILENT",
    "DURABLE_OBJECTS",
    "ENVIRONMENT",
    "EXPORTED_CLASS",
    "MIGRATION",
    "RENAMED_CLASS",
    "TOP",
    "TOP_SILENT",
    "TRANSFERRED_CLASS",
    "TRIGGERS",
]

ENVIRONMENT: Final = (
    "name",
    "main",
    "compatibility_date",
    "durable_objects",
    "migrations",
    "exports",
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
TOP_SILENT: Final = frozenset(
    {
        "$schema",
        "access",
        "account_id",
        "ai",
        "ai_search",
        "ai_search_namespaces",
        "alias",
        "analytics_engine_datasets",
        "assets",
        "base_dir",
        "browser",
        "build",
        "cache",
        "cloudchamber",
        "compatibility_flags",
        "compliance_region",
        "configPath",
        "connect",
        "containers",
        "d1_databases",
        "data_blobs",
        "define",
        "dependencies_instrumentation",
        "dispatch_namespaces",
        "find_additional_modules",
        "first_party_worker",
        "hyperdrive",
        "images",
        "jsx_factory",
        "jsx_fragment",
        "keep_names",
        "keep_vars",
        "kv_namespaces",
        "legacy_env",
        "limits",
        "logfwdr",
        "logpush",
        "media",
        "minify",
        "mtls_certificates",
        "no_bundle",
        "observability",
        "pages_build_output_dir",
        "pipelines",
        "placement",
        "preserve_file_names",
        "preview_urls",
        "previews",
        "python_modules",
        "queues",
        "r2_buckets",
        "ratelimits",
        "route",
        "routes",
        "rules",
        "secrets",
        "secrets_store_secrets",
        "send_email",
        "send_metrics",
        "services",
        "site",
        "stream",
        "streaming_tail_consumers",
        "tail_consumers",
        "text_blobs",
        "tsconfig",
        "unsafe",
        "unsafe_hello_world",
        "upload_source_maps",
        "userconfig",
        "vectorize",
        "version_metadata",
        "vpc_networks",
        "vpc_services",
        "wasm_modules",
        "worker_loaders",
        "workers_dev",
        "workflows",
        "zone_id",
    }
)

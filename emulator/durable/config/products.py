"""The platform's keys that nothing here acts on: which product each binds into `env`, and what to expect of the others.

A table; reading it against a file is `unacted_keys`. Names and meanings follow wrangler's configuration
(developers.cloudflare.com/workers/wrangler/configuration).
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ADVICE", "NO_EFFECT", "PRODUCTS", "SILENT", "Product"]


class Product(NamedTuple):
    """What `env.<name>` would be, and the member of the key's entries that holds the name.

    `within` is the array inside the key's table: queues are bound by `[[queues.producers]]`.
    """

    title: str
    binding: str = "binding"
    within: str = ""


PRODUCTS: Final[dict[str, Product]] = {
    "ai": Product("Workers AI"),
    "ai_search": Product("AI Search"),
    "ai_search_namespaces": Product("AI Search"),
    "analytics_engine_datasets": Product("Analytics Engine"),
    "artifacts": Product("Artifacts"),
    "browser": Product("Browser Rendering"),
    "d1_databases": Product("a D1 database"),
    "dispatch_namespaces": Product("a dispatch namespace"),
    "flagship": Product("Flagship"),
    "hyperdrive": Product("Hyperdrive"),
    "images": Product("Images"),
    "kv_namespaces": Product("Workers KV"),
    "logfwdr": Product("a log destination", binding="name", within="bindings"),
    "media": Product("Media Transformations"),
    "mtls_certificates": Product("an mTLS certificate"),
    "pipelines": Product("Pipelines"),
    "queues": Product("a queue", within="producers"),
    "r2_buckets": Product("an R2 bucket"),
    "ratelimits": Product("rate limiting", binding="name"),
    "secrets_store_secrets": Product("a secret of the Secrets Store"),
    "send_email": Product("Email Routing", binding="name"),
    "stream": Product("Stream"),
    "unsafe": Product("a binding that wrangler does not know either", binding="name", within="bindings"),
    "unsafe_hello_world": Product("the hello-world binding"),
    "vectorize": Product("Vectorize"),
    "version_metadata": Product("the version's metadata"),
    "vpc_networks": Product("a VPC network"),
    "vpc_services": Product("a VPC service"),
    "worker_loaders": Product("a Worker Loader"),
    "workflows": Product("a Workflow"),
}
"""Keys that put something into `env` which is not here."""

ADVICE: Final[dict[str, str]] = {
    "ai": "Call its HTTP API with fetch().",
    "d1_databases": "An object's own SQL storage takes the same statements.",
    "hyperdrive": "Connect to the database itself.",
    "kv_namespaces": "An object's storage can hold the same entries.",
    "queues": "An object with an alarm can hold work for later.",
    "r2_buckets": "In development an object's storage can hold what is not large.",
    "secrets_store_secrets": "Put the value into .dev.vars under the same name, and take this entry out.",
    "version_metadata": "Under [vars] it can be a table with id, tag and timestamp.",
}
"""What to do instead in development, for those of `PRODUCTS` where there is something."""

_DEPLOYING = "for deploying only"
_BUNDLING = "no bundle is built: Python imports what it finds"
_LOGS = "the log is in this terminal"
_ELSEWHERE = "everything is served at the address that is printed"

NO_EFFECT: Final[dict[str, str]] = {
    "access": _DEPLOYING,
    "account_id": _DEPLOYING,
    "alias": _BUNDLING,
    "base_dir": _BUNDLING,
    "build": "run the command yourself before",
    "cache": "nothing is cached between client and worker",
    "cloudchamber": "containers are not run",
    "compliance_region": _DEPLOYING,
    "connect": _DEPLOYING,
    "containers": "containers are not run",
    "data_blobs": _BUNDLING,
    "define": _BUNDLING,
    "dependencies_instrumentation": _DEPLOYING,
    "find_additional_modules": _BUNDLING,
    "first_party_worker": _DEPLOYING,
    "jsx_factory": _BUNDLING,
    "jsx_fragment": _BUNDLING,
    "keep_names": _BUNDLING,
    "keep_vars": _DEPLOYING,
    "legacy_env": _DEPLOYING,
    "limits": "CPU time and subrequests are not limited",
    "logpush": _LOGS,
    "minify": _BUNDLING,
    "no_bundle": _BUNDLING,
    "observability": _LOGS,
    "pages_build_output_dir": "Pages are not served; a folder of files belongs into assets",
    "placement": "everything runs on this machine",
    "preserve_file_names": _BUNDLING,
    "preview_urls": _DEPLOYING,
    "previews": _DEPLOYING,
    "python_modules": _BUNDLING,
    "route": _ELSEWHERE,
    "routes": _ELSEWHERE,
    "rules": _BUNDLING,
    "send_metrics": "nothing is reported to anybody",
    "site": "Workers Sites are not served; use assets",
    "streaming_tail_consumers": _LOGS,
    "tail_consumers": _LOGS,
    "text_blobs": _BUNDLING,
    "tsconfig": _BUNDLING,
    "upload_source_maps": _BUNDLING,
    "wasm_modules": _BUNDLING,
    "workers_dev": _ELSEWHERE,
    "zone_id": _DEPLOYING,
}
"""Keys without a binding: what that they have no effect means."""

SILENT: Final = frozenset({"$schema", "configPath", "secrets", "userconfig"})
"""Keys for editors and for wrangler itself; `secrets` is read, see `required_secrets`."""

"""Files that are answered with as they are: which one a path means, and what the response says. Opens no socket.

Serves the gateway, which asks before the worker runs, and `env.ASSETS` in a host. Rules follow the platform
(developers.cloudflare.com/workers/static-assets).
"""

from __future__ import annotations

from durable.assets.answers import Answer, AssetServer
from durable.assets.body import AssetBody
from durable.assets.folder import AssetFile, AssetFolder
from durable.assets.router import AssetRouter, prefers_navigation

__all__ = ["Answer", "AssetBody", "AssetFile", "AssetFolder", "AssetRouter", "AssetServer", "prefers_navigation"]

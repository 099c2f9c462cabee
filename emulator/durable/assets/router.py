"""Whose turn a request is: the assets' or the worker's. The rules of the platform's own router
(workers-sdk `packages/workers-shared`, router-worker and `canFetch` of asset-worker)."""

from __future__ import annotations

from collections.abc import Collection

from durable.assets.answers import Answer, AssetServer, Field
from durable.assets.worker_first import WorkerFirst

_ON, _OFF, _SINCE = "assets_navigation_prefers_asset_serving", "assets_navigation_has_no_effect", "2025-04-01"
"""The flag that switches on, the one that switches off, and the compatibility date from which it is on."""


def prefers_navigation(flags: Collection[str], compatibility_date: str) -> bool:
    """Whether a browser that goes to a page gets the page for missing paths without the worker."""
    return _ON in flags or (_OFF not in flags and (not compatibility_date or compatibility_date >= _SINCE))


class AssetRouter:
    """Answers what is the assets' to answer."""

    def __init__(
        self, server: AssetServer, run_worker_first: bool | Collection[str], *, prefers_navigation: bool
    ) -> None:
        self._server = server
        self._first = WorkerFirst(run_worker_first)
        # Who says which paths are the worker's has said it of all others as well.
        self._is_told_apart = not isinstance(run_worker_first, bool)
        self._prefers_navigation = prefers_navigation

    def answer(self, method: str, target: str, field: Field) -> Answer | None:
        """None when it is the worker's turn. `target` is path and query as they were sent."""
        first = self._first.of(target.partition("?")[0])
        if first == "worker":
            return None
        # What scripts ask for is the worker's, where no asset is meant.
        or_not_found = self._is_told_apart or (self._prefers_navigation and field("sec-fetch-mode") == "navigate")
        answer = self._server.answer(method, target, field, or_not_found=or_not_found)
        return self._server.nothing() if answer is None and first == "assets" else answer

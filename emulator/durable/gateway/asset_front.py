"""Assets before the worker, as the configuration says it at the moment.

It is configured before aiohttp is loaded. What it needs is loaded when there are assets: most projects have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from durable.config import Config

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest
    from aiohttp.web_response import StreamResponse

    from durable.assets import Answer, AssetRouter
    from durable.gateway.responses import Responses


class AssetFront:
    """Without assets in the configuration `is_on` is False and nobody need ask."""

    def __init__(self) -> None:
        self._router: AssetRouter | None = None

    @property
    def is_on(self) -> bool:
        return self._router is not None

    def configure(self, config: Config, private: Sequence[Path] = ()) -> None:
        """From now on as this configuration says. `private` is never served, even where it lies in the folder."""
        assets = config.assets
        if assets is None:
            self._router = None
            return
        from durable.assets import AssetFolder, AssetRouter, AssetServer, prefers_navigation

        folder = AssetFolder(assets.directory, private)
        self._router = AssetRouter(
            AssetServer(folder, assets.html_handling, assets.not_found_handling),
            assets.run_worker_first,
            prefers_navigation=prefers_navigation(config.compatibility_flags, config.compatibility_date),
        )

    def answer(self, request: BaseRequest, target: str) -> Answer | None:
        """What the assets answer; None when it is the worker's turn. `target` is path and query as they were sent."""
        return None if self._router is None else self._router.answer(request.method, target, request.headers.get)

    async def send(self, responses: Responses, request: BaseRequest, answer: Answer) -> StreamResponse:
        """Write an answer. Raises `ConnectionError` when the client is gone, `BodyProblemError` when the file is."""
        from durable.gateway.asset_responses import send_asset

        return await send_asset(responses, request, answer)

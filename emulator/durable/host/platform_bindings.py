"""What `env` holds besides objects, services and values: the assets, and names of products that are not here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from durable.assets import Answer, AssetBody, AssetFolder, AssetRouter, AssetServer, prefers_navigation
from durable.errors import JsTypeError
from durable.limits import INLINE_BODY_BYTES_MAX
from durable.sdk.http import REDIRECT_STATUSES, Request, Response, request_of
from durable.wire.messages import AssetsInfo, Load

REDIRECTS_MAX = 20
"""As many as the Fetch standard lets a request follow."""


def platform_bindings(load: Load) -> dict[str, Any]:
    """Entries of `env` by their names."""
    entries: dict[str, Any] = {name: Unserved(name, sentence) for name, sentence in load.unserved.items()}
    if load.assets is not None and load.assets.binding:
        entries[load.assets.binding] = AssetsBinding(_server(load.assets))
    return entries


class AssetsBinding:
    """`await env.ASSETS.fetch(request)`: a file, a redirect, the page for what is not there, or an empty 404."""

    def __init__(self, server: AssetServer) -> None:
        self._server = server

    async def fetch(
        self, resource: str | Request, init: Mapping[str, Any] | None = None, /, **options: Any
    ) -> Response:
        """Only the path and the query of the URL count."""
        request = request_of(resource, init, options)
        method, url = str(request.method), request.url
        for _ in range(REDIRECTS_MAX):
            answer = self._server.answer(method, _target(url), request.headers.get) or self._server.nothing()
            if answer.status not in REDIRECT_STATUSES or request.redirect == "manual":
                return _response(method, answer, url, redirected=url != request.url)
            location = dict(answer.headers)["Location"]
            if request.redirect == "error":
                raise JsTypeError(f'{url} redirects to {location}, and redirect is "error"')
            parts = urlsplit(url)
            url = f"{parts.scheme}://{parts.netloc}{location}"
        raise JsTypeError(f"{request.url} redirects more than {REDIRECTS_MAX} times")

    def __repr__(self) -> str:
        return "<the assets>"


class ServiceAssets:
    """Assets before the worker, for requests of other workers; clients' requests meet them in the gateway."""

    def __init__(self, load: Load, info: AssetsInfo) -> None:
        prefers = prefers_navigation(load.compatibility_flags, load.compatibility_date)
        self._router = AssetRouter(_server(info), info.run_worker_first, prefers_navigation=prefers)

    def answer(self, request: Request) -> Response | None:
        """None when it is the worker's turn."""
        method, url = str(request.method), request.url
        answer = self._router.answer(method, _target(url), request.headers.get)
        return None if answer is None else _response(method, answer, url)


class Unserved:
    """`env.<name>` of a product that is not here: every use raises NotImplementedError with what to do instead."""

    def __init__(self, name: str, sentence: str) -> None:
        self._name = name
        self._sentence = sentence

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("__") and attribute.endswith("__"):
            raise AttributeError(attribute)
        raise NotImplementedError(self._sentence)

    def __getitem__(self, key: object) -> NoReturn:
        raise NotImplementedError(self._sentence)

    def __call__(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise NotImplementedError(self._sentence)

    def __repr__(self) -> str:
        return f"<env.{self._name}, not served here>"


def _server(info: AssetsInfo) -> AssetServer:
    folder = AssetFolder(Path(info.directory), [Path(path) for path in info.private])
    return AssetServer(folder, info.html_handling, info.not_found_handling)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _response(method: str, answer: Answer, url: str, *, redirected: bool = False) -> Response:
    response = Response(None, answer.status, headers=answer.headers)
    response.url, response.redirected = url, redirected
    if answer.file is not None and method != "HEAD":
        body = AssetBody(answer)
        response.replace_content(body.read_nowait() if answer.length <= INLINE_BODY_BYTES_MAX else _stream(body))
    return response


async def _stream(body: AssetBody) -> AsyncGenerator[bytes]:
    try:
        # Not beside the loop: threads of ours have no place in the program's objects.
        while piece := body.read_piece_nowait():
            yield piece
    finally:
        body.close()

"""`pyodide.http`: requests to the outside by Pyodide's names."""

from __future__ import annotations

from typing import Any

from durable.errors import AbortError
from durable.sdk.body import BodyUsedError
from durable.sdk.http import FetchResponse, HttpStatusError
from durable.sdk.runtime import fetch

__all__ = ["AbortError", "BodyUsedError", "FetchResponse", "HttpStatusError", "pyfetch"]


async def pyfetch(url: str, /, *, signal: Any = None, fetcher: Any = None, **options: Any) -> FetchResponse:
    """`fetch`, or what `fetcher` does with the same arguments."""
    if signal is not None:
        options["signal"] = signal
    response: FetchResponse = await (fetch if fetcher is None else fetcher)(url, **options)
    return response


def __getattr__(name: str) -> Any:
    if name in ("open_url", "pyxhr"):
        raise AttributeError(f"pyodide.http.{name} would hold up every other request: use `await fetch(url)`")
    raise AttributeError(f"pyodide.http has no {name!r} here; it has {', '.join(__all__)}")

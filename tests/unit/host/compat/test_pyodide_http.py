"""`pyodide.http`."""

from typing import Any

import pytest

from durable import Response
from durable.errors import AbortError
from durable.host.compat import pyodide_http


async def test_pyfetch_asks_whoever_it_is_told_to() -> None:
    asked: list[Any] = []

    async def fetcher(url: str, **options: Any) -> Response:
        asked.append((url, options))
        return Response("there")

    response = await pyodide_http.pyfetch("http://host/", fetcher=fetcher, signal="signal", method="PUT")
    assert await response.string() == "there"
    assert asked == [("http://host/", {"method": "PUT", "signal": "signal"})]
    with pytest.raises(RuntimeError, match="only while a request or an event of an actor runs"):
        await pyodide_http.pyfetch("http://host/")


def test_the_errors_are_os_errors() -> None:
    for kind in (pyodide_http.AbortError, pyodide_http.BodyUsedError, pyodide_http.HttpStatusError):
        assert issubclass(kind, OSError)
    assert pyodide_http.AbortError is AbortError


def test_what_would_block_says_what_to_write() -> None:
    with pytest.raises(AttributeError, match="would hold up every other request: use `await fetch"):
        _ = pyodide_http.open_url
    with pytest.raises(AttributeError, match="it has AbortError, BodyUsedError"):
        _ = pyodide_http.nothing

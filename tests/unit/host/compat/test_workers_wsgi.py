"""PEP 3333: what a WSGI app is given, what it may do, and when its answer is closed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from durable import Request, Response
from durable.host.compat import workers_wsgi as wsgi
from durable.host.compat.workers_gateway import BaseOptions


class Closing:
    """An answer that writes down that it was closed."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = chunks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def close(self) -> None:
        self.closed += 1


def app_of(result: Any, status: str = "200 OK", headers: list[tuple[str, str]] | None = None) -> Any:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response(status, headers or [])
        return result

    return app


async def answer(app: Any, **options: Any) -> Response:
    return await wsgi.fetch(app, Request("http://host:81/caf%C3%A9/x?q=%20", **options), {"NAME": "value"})


async def test_pieces_are_streamed_and_closed_at_the_end() -> None:
    result = Closing(b"", b"a", b"b")
    response = await answer(app_of(result, "299 Much As It Is", [("Set-Cookie", "a"), ("Set-Cookie", "b")]))
    assert (response.status, response.status_text) == (299, "Much As It Is")
    assert response.headers.get_all("set-cookie") == ["a", "b"]
    assert result.closed == 0
    assert await response.text() == "ab"
    assert result.closed == 1


async def test_an_answer_whose_length_is_known_is_no_stream() -> None:
    result = Closing(b"all")
    response = await answer(app_of(result, headers=[("Content-Length", "3")]))
    assert (response.take_content(), result.closed) == (b"all", 1)


async def test_a_reader_that_stops_closes_the_answer() -> None:
    result = Closing(b"a", b"b")
    stream: Any = (await answer(app_of(result))).body
    reader = stream.get_reader()
    await reader.read()
    await reader.cancel()
    assert result.closed == 1


async def test_an_answer_without_a_body_is_closed_at_once() -> None:
    result = Closing(b"dropped")
    response = await answer(app_of(result, "304 Not Modified"))
    assert (response.body, result.closed) == (None, 1)


async def test_the_environment_says_what_was_asked() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.update(environ)
        seen["read"] = environ["wsgi.input"].readline() + environ["wsgi.input"].read()
        start_response("200 OK", [])
        return []

    async def parts() -> Any:
        yield b"one\n"
        yield b"two"

    headers = [("Content-Type", "text/x"), ("X-A", "1"), ("x-a", "2")]
    await answer(app, method="POST", body=parts(), headers=headers)
    assert seen["PATH_INFO"] == "/café/x".encode().decode("latin-1")
    assert (seen["QUERY_STRING"], seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("q=%20", "host", "81")
    assert (seen["REQUEST_METHOD"], type(seen["REQUEST_METHOD"])) == ("POST", str)
    assert (seen["CONTENT_TYPE"], seen["HTTP_X_A"], seen["workers.env"]) == ("text/x", "1,2", {"NAME": "value"})
    assert seen["read"] == b"one\ntwo"


async def test_an_app_may_mend_its_head_until_it_is_sent() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError("no luck")
        except ValueError:
            start_response("500 Sorry", [], sys.exc_info())
        return [b"sorry"]

    response = await answer(app)
    assert (response.status, await response.text()) == (500, "sorry")


async def test_an_app_that_breaks_the_rules_fails_its_request() -> None:
    def twice(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(RuntimeError, match=r"start_response\(\) twice without exc_info"):
        await answer(twice)
    with pytest.raises(RuntimeError, match=r"did not call start_response\(\)"):
        await answer(lambda environ, start_response: [])
    failing = Closing(ValueError("no luck"))
    with pytest.raises(ValueError, match="no luck"):
        await answer(app_of(failing))
    assert failing.closed == 1


async def test_a_failure_in_the_middle_breaks_the_answer_off() -> None:
    result = Closing(b"a", ValueError("no luck"))
    response = await answer(app_of(result))
    with pytest.raises(ValueError, match="no luck"):
        await response.text()
    assert result.closed == 1


def test_an_entrypoint_is_a_worker_called_default() -> None:
    assert wsgi.entrypoint(app_of([])).__name__ == "Default"


def test_shared_options_are_checked() -> None:
    assert BaseOptions().response_init() == {}
    assert BaseOptions(encode_body="manual").response_init() == {"encodeBody": "manual"}
    with pytest.raises(ValueError, match="encode_body is one of .*'automatic', 'manual'.*, got 'gzip'"):
        BaseOptions(encode_body="gzip")  # type: ignore[arg-type]


def test_greenlet_is_loaded_with_the_first_request_only() -> None:
    code = (
        "import sys, asyncio, durable.host.compat.workers_wsgi as wsgi, durable.host.compat.workers_asgi\n"
        "from durable import Request\n"
        "print('greenlet' in sys.modules)\n"
        "asyncio.run(wsgi.fetch(lambda e, s: s('204 No', []) and [], Request('http://host/'), None))\n"
        "print('greenlet' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", "True"]

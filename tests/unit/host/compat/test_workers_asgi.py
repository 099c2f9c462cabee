"""The messages of ASGI, with the smallest runtime there can be: what an app may say, and what becomes of it."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest

from durable import Request, Response
from durable.host.compat import workers_asgi as asgi
from durable.sdk.runtime import runtime_variable

START = {"type": "http.response.start", "status": 200, "headers": [(b"X-A", b"\xe9"), (b"x-a", b"2")]}


class Runtime:
    """Remembers what is to be waited for."""

    def __init__(self) -> None:
        self.work: list[Awaitable[Any]] = []

    def wait_until(self, work: Awaitable[Any]) -> None:
        self.work.append(work)

    async def end(self) -> list[object]:
        return await asyncio.gather(*self.work, return_exceptions=True)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    runtime = Runtime()
    token = runtime_variable.set(runtime)  # type: ignore[arg-type]
    yield runtime
    runtime_variable.reset(token)


def app_of(*messages: dict[str, Any], error: Exception | None = None) -> Any:
    """An app without a lifespan that says these, and then raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


async def answer(app: Any, **options: Any) -> Response:
    return await asgi.fetch(app, Request("http://host:81/caf%C3%A9?q=%20", **options), {"NAME": "value"})


def body(data: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_an_answer_in_one_piece_is_no_stream(runtime: Runtime) -> None:
    response = await answer(app_of(START, body(b"all")))
    assert (response.status, response.headers.items()) == (200, [("X-A", "é"), ("x-a", "2")])
    assert response.take_content() == b"all"
    assert await runtime.end() == [None]


async def test_an_answer_in_pieces_is_a_stream(runtime: Runtime) -> None:
    response = await answer(app_of(START, body(b"a", True), body(b"", True), body(b"b"), body(b"ignored")))
    assert await response.text() == "ab"
    assert await runtime.end() == [None]


async def test_the_scope_says_what_was_asked(runtime: Runtime) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        seen.update(scope)
        assert [await receive(), await receive()] == [
            {"type": "http.request", "body": b"data", "more_body": True},
            {"type": "http.request", "body": b"", "more_body": False},
        ]
        await send({**START, "status": 204})
        await send(body(b"dropped"))
        assert await receive() == {"type": "http.disconnect"}

    response = await answer(app, method="POST", body="data", headers={"X-Long": "ÿ"})
    assert (response.status, response.body) == (204, None)
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/café", b"/caf%C3%A9", b"q=%20")
    assert (seen["method"], seen["scheme"], seen["env"]) == ("POST", "http", {"NAME": "value"})
    assert seen["headers"] == [(b"x-long", b"\xff"), (b"content-type", b"text/plain;charset=UTF-8")]
    assert await runtime.end() == [None]


async def test_an_app_hears_that_the_client_is_gone(runtime: Runtime) -> None:
    heard: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await receive()
        await send(START)
        await send(body(b"a", True))
        heard.append(await receive())
        try:
            await send(body(b"b", True))
        except OSError as error:
            heard.append(str(error))
            raise

    response = await answer(app)
    stream: Any = response.body
    reader = stream.get_reader()
    assert (await reader.read()).value == b"a"
    await reader.cancel()
    # What follows from a client that left is nobody's failure.
    assert await runtime.end() == [None]
    assert heard == [{"type": "http.disconnect"}, "whoever read this stream wants no more of it"]


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ((), "the ASGI app ended without a response"),
        ((START, START), "began its response twice"),
        ((body(b"early"),), "sent a body before http.response.start"),
        (({"type": "http.response.trailers"},), "'http.response.trailers', which is no message of an HTTP response"),
    ],
)
async def test_an_app_that_breaks_the_rules_fails_its_request(
    runtime: Runtime, messages: tuple[dict[str, Any], ...], text: str
) -> None:
    with pytest.raises(RuntimeError, match=text):
        await answer(app_of(*messages))
    assert await runtime.end() == [None]


async def test_a_failure_before_the_answer_is_the_answers_and_a_later_one_is_the_tasks(runtime: Runtime) -> None:
    with pytest.raises(ValueError, match="early"):
        await answer(app_of(error=ValueError("early")))
    assert await runtime.end() == [None]

    response = await answer(app_of(START, body(b"a", True), error=ValueError("late")))
    with pytest.raises(OSError, match="the ASGI app ended in the middle of its response"):
        await response.text()
    assert [str(error) for error in await runtime.end()] == ["None", "late"]


async def test_a_request_that_is_cancelled_cancels_its_app(runtime: Runtime) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await asyncio.Event().wait()

    asked = asyncio.ensure_future(answer(app))
    while not runtime.work:
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert [type(error) for error in await runtime.end()] == [asyncio.CancelledError]


class Living:
    """An app with a lifespan, which writes down what happens to it."""

    def __init__(self, fails: str = "") -> None:
        self.said: list[str] = []
        self._fails = fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{phase}"
                self.said.append(phase)
                scope["state"]["who"] = "lifespan"
                if self._fails == phase:
                    await send({"type": f"lifespan.{phase}.failed", "message": f"no {phase}"})
                    return
                await send({"type": f"lifespan.{phase}.complete"})
            return
        self.said.append(scope["state"]["who"])
        await send(START)
        await send(body(b""))


async def test_a_lifespan_is_around_each_request(runtime: Runtime) -> None:
    app = Living()
    for _ in range(2):
        await answer(app)
        assert await runtime.end() == [None] * len(runtime.work)
    assert app.said == ["startup", "lifespan", "shutdown"] * 2


async def test_a_lifespan_that_fails_is_told(runtime: Runtime) -> None:
    with pytest.raises(RuntimeError, match="no startup"):
        await answer(Living("startup"))
    assert runtime.work == []
    await answer(Living("shutdown"))
    assert [str(error) for error in await runtime.end()] == ["no shutdown"]


async def test_a_web_socket_is_refused_in_order(runtime: Runtime) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (scope["type"], scope["scheme"], scope["subprotocols"]) == ("websocket", "ws", ["a", "b"])
        assert await receive() == {"type": "websocket.connect"}
        await send({"type": "websocket.send", "text": "early"})

    request = Request("http://host/", headers={"sec-websocket-protocol": "a, b"})
    with pytest.raises(RuntimeError, match="sends before it has accepted"):
        await asgi.websocket(app, request)
    assert await runtime.end() == [None]


def test_an_entrypoint_is_a_worker_called_default() -> None:
    assert asgi.entrypoint(app_of()).__name__ == "Default"


def test_what_the_module_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = asgi.nothing

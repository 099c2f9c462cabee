"""§1.6: requests, responses and `fetch`, in an object of either platform."""

from __future__ import annotations

import asyncio
from http import HTTPMethod, HTTPStatus
from typing import Any

import pytest

from durable.errors import JsException
from tests.conformance.platforms import Platform
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()

SERVER = """
class Thing(_Base, platform.DurableObject):
    async def fetch(self, request):
        path = platform.urlsplit(request.url).path
        if path == "/raise":
            raise ValueError("boo")
        if path == "/none":
            return None
        if path == "/upgrade":
            client, server = platform.WebSocketPair.new().object_values()
            self.ctx.acceptWebSocket(server)
            return platform.Response(None, status=101, web_socket=client)
        return platform.Response(
            await request.text(), status=201, status_text="Made",
            headers=[("x-method", request.method), ("x-sent", request.headers.get("X-Sent") or "")],
        )
""".replace("platform.urlsplit", "__import__('urllib.parse').parse.urlsplit")


@FACTS.both("1.6 a request tells its properties")
async def properties(thing: Thing, platform: Platform) -> None:
    request = platform.Request("http://host/a?b#c", method="put", headers={"X-A": "1"}, body="x", redirect="manual")
    assert request.method == "PUT"
    assert isinstance(request.method, HTTPMethod)
    assert (request.url, request.redirect, request.body_used) == ("http://host/a?b#c", "manual", False)
    assert request.headers.get("x-a") == request.headers["X-A"] == "1"
    for name in ("cache", "credentials", "destination", "integrity", "mode", "referrer", "referrer_policy"):
        assert isinstance(getattr(request, name), str)
    assert (request.is_history_navigation, request.keepalive) == (False, False)
    assert request.js_object.url == request.url
    assert request.cf.colo is None


@FACTS.both("1.6 a header that is absent is told by get, and by brackets as each platform does")
async def absent_headers(thing: Thing, platform: Platform) -> None:
    headers = platform.Request("http://host/").headers
    assert headers.get("upgrade") is None
    assert headers.get("upgrade", "none") == "none"
    if platform.is_cloudflare:
        assert headers["upgrade"] is None
    else:
        with pytest.raises(KeyError):
            headers["upgrade"]


@FACTS.both("1.6 a body is read once, and its clone once more")
async def read_once(thing: Thing, platform: Platform) -> None:
    request = platform.Request("http://host/", method="POST", body='{"a": 1}')
    copy = request.clone()
    assert await request.json() == {"a": 1}
    assert request.body_used
    for method in ("text", "json", "bytes", "buffer", "blob", "form_data"):
        with pytest.raises(OSError, match="Body already used"):
            await getattr(request, method)()
    with pytest.raises(OSError, match="Body already used"):
        request.clone()
    assert await copy.json(parse_int=str) == {"a": "1"}


@FACTS.both("1.6 every method reads the same body")
async def reading(thing: Thing, platform: Platform) -> None:
    def response() -> Any:
        return platform.Response("é", headers={"content-type": "text/x"})

    assert await response().text() == "é"
    assert await response().bytes() == "é".encode()
    buffer = await response().buffer()
    assert buffer == "é".encode()
    if platform.is_cloudflare:
        assert (buffer.to_bytes(), buffer.byteLength) == ("é".encode(), 2)
    blob = await response().blob()
    assert (await blob.text(), blob.content_type, blob.size) == ("é", "text/x", 2)
    chunks = [bytes(chunk) async for chunk in response().body]
    assert chunks == ["é".encode()]
    assert platform.Response(None).body is None


@FACTS.both("1.6 a streamed body is cloned by reading it twice")
async def streamed_clone(thing: Thing, platform: Platform) -> None:
    async def chunks() -> Any:
        for n in range(3):
            await asyncio.sleep(0)
            yield f"{n} "

    response = platform.Response(chunks())
    copy = response.clone()
    assert [await copy.text(), await response.text()] == ["0 1 2 ", "0 1 2 "]


@FACTS.both("1.6 a form comes back from the body that it makes")
async def forms(thing: Thing, platform: Platform) -> None:
    form = platform.FormData({"name": "é"})
    form.append("name", "second")
    form.append("file", platform.File(["text"], "a.txt", content_type="text/plain"))
    request = platform.Request("http://host/", method="POST", body=form)
    back = await request.form_data()
    assert back["name"] == "é"
    assert back.get_all("name") == ["é", "second"]
    assert list(back.keys()) == ["name", "name", "file"]
    assert (back["file"].name, await back["file"].text()) == ("a.txt", "text")
    assert "missing" not in back
    with pytest.raises(TypeError):
        await platform.Response("no form").form_data()


@FACTS.both("1.6 a response has its defaults and takes headers of either shape")
async def made(thing: Thing, platform: Platform) -> None:
    response = platform.Response("x")
    assert (response.status, response.ok, response.status_text, response.url) == (200, True, "", "")
    assert response.headers["content-type"] == "text/plain;charset=UTF-8"
    other = platform.Response("x", HTTPStatus.NOT_FOUND, "Gone", [("A", "1"), ("a", "2")])
    assert (other.status, other.ok, other.status_text) == (404, False, "Gone")
    assert other.headers.get_all("a") == ["1", "2"]
    assert isinstance(response, platform.FetchResponse if platform.is_cloudflare else platform.Response)


@FACTS.both("1.6 Response.json and Response.redirect make responses, and json reads one")
async def statics(thing: Thing, platform: Platform) -> None:
    for make in (platform.Response.json, platform.Response.from_json):
        response = make({"a": [1, None]}, status=201, status_text="Made", headers={"x": "y"})
        assert (response.status, response.status_text, response.headers["x"]) == (201, "Made", "y")
        assert response.headers["content-type"] == "application/json"
        assert await response.json() == {"a": [1, None]}
    redirect = platform.Response.redirect("http://host/there")
    assert (redirect.status, redirect.headers["location"]) == (302, "http://host/there")
    with pytest.raises(ValueError, match="redirect"):
        platform.Response.redirect("http://host/", 200)


@FACTS.both("1.6 a body is replaced under the same head")
async def replaced(thing: Thing, platform: Platform) -> None:
    response = platform.Response("old", status=203, headers={"x": "y"}).replace_body("new")
    assert (response.status, response.headers["x"], await response.text()) == (203, "y", "new")


@FACTS.both("1.6 what is no body is a TypeError")
async def no_body(thing: Thing, platform: Platform) -> None:
    for body in ({"a": 1}, 5, object()):
        with pytest.raises(TypeError) as raised:
            platform.Response(body)
        assert isinstance(raised.value, JsException)
    for body in ("text", b"bytes", platform.FormData({"a": "b"}), platform.Response("text"), None):
        assert platform.Response(body).status == 200


@FACTS.both("1.6 a request's body that is none is sent as its text by the platform, and refused by Python")
async def request_of_a_list(thing: Thing, platform: Platform) -> None:
    if platform.is_cloudflare:
        assert await platform.Request("http://host/", method="POST", body=[1, "a"]).text() == "[1, 'a']"
    else:
        with pytest.raises(TypeError, match="a body is str, bytes.*not list"):
            platform.Request("http://host/", method="POST", body=[1, "a"])


@FACTS.both("1.6 status 101 and a web socket belong together")
async def status_of_sockets(thing: Thing, platform: Platform) -> None:
    client, _ = platform.WebSocketPair.new().object_values()
    for options in ({"status": 101}, {"status": 600}, {"status": 199}, {"status": 200, "web_socket": client}):
        with pytest.raises(ValueError, match="status") as raised:
            platform.Response(None, **options)
        assert isinstance(raised.value, JsException)
        assert raised.value.name == "RangeError"
    assert platform.Response(None, status=101, web_socket=client).status == 101
    with pytest.raises(TypeError, match="cannot have a body"):
        platform.Response("x", status=204)


@FACTS.both("1.6 a stub's fetch takes options as keywords or as a dict", program=SERVER)
async def stub_options(thing: Thing, platform: Platform) -> None:
    stub = thing.env.THINGS.getByName("b")
    one = await stub.fetch("http://host/", method="POST", body="hi", headers={"X-Sent": "1"})
    assert (one.status, one.status_text, await one.text()) == (201, "Made", "hi")
    assert (one.headers["x-method"], one.headers["x-sent"]) == ("POST", "1")
    two = await stub.fetch("http://host/", platform.to_js({"method": "PUT", "body": "ho"}))
    assert (two.headers["x-method"], await two.text()) == ("PUT", "ho")
    request = platform.Request("http://host/", method="DELETE")
    three = await stub.fetch(request.js_object)
    assert (three.headers["x-method"], await three.text()) == ("DELETE", "")
    four = await stub.fetch(
        platform.Request("http://host/", method=HTTPMethod.PATCH, body=b"x"), headers={"x-sent": "2"}
    )
    assert (four.headers["x-method"], four.headers["x-sent"], await four.text()) == ("PATCH", "2", "x")


@FACTS.both("1.6 a relative URL is an argument error", program=SERVER)
async def relative(thing: Thing, platform: Platform) -> None:
    stub = thing.env.THINGS.getByName("b")
    with pytest.raises(TypeError, match=r"^Invalid URL: /x$") as raised:
        await stub.fetch("/x")
    assert isinstance(raised.value, platform.JsException)
    with pytest.raises(TypeError, match="GET or HEAD method cannot have a body"):
        await stub.fetch("http://host/", body="x")


@FACTS.both("1.6 what the object's fetch raises is raised by the stub's", program=SERVER)
async def failing(thing: Thing, platform: Platform) -> None:
    with pytest.raises(ValueError, match="boo") as raised:
        await thing.env.THINGS.getByName("b").fetch("http://host/raise")
    if platform.is_cloudflare:
        assert isinstance(raised.value, platform.AbortError)
        assert isinstance(raised.value, OSError)
        assert isinstance(raised.value, platform.JsException)


@FACTS.both("1.6 a fetch that returns no Response fails its caller", program=SERVER)
async def returning_nothing(thing: Thing, platform: Platform) -> None:
    with pytest.raises(TypeError, match=r"fetch\(\) must return a Response, got NoneType"):
        await thing.env.THINGS.getByName("b").fetch("http://host/none")


@FACTS.both("1.6 a fetch that nobody answers is an AbortError and an OSError")
async def unanswered(thing: Thing, platform: Platform) -> None:
    # Port 1 of this machine: nobody may listen there.
    with pytest.raises(OSError, match="fetch GET http://127.0.0.1:1/ failed") as raised:
        await platform.fetch("http://127.0.0.1:1/")
    assert isinstance(raised.value, platform.AbortError)
    assert isinstance(raised.value, platform.JsException)


@FACTS.both("1.6 an upgrade hands its socket to whoever fetched", program=SERVER)
async def upgraded(thing: Thing, platform: Platform) -> None:
    response = await thing.env.THINGS.getByName("b").fetch("http://host/upgrade", headers={"Upgrade": "websocket"})
    assert response.status == 101
    socket = response.js_object.webSocket
    socket.accept()
    socket.close(1000, "done")


@FACTS.both_driven(
    "1.6 a worker and its object pass a streamed body on",
    program=SERVER
    + """

class Default(platform.WorkerEntrypoint):
    async def fetch(self, request):
        response = await self.env.THINGS.getByName("b").fetch(request)
        return platform.Response(response.body, status=response.status, headers=dict(response.headers))
""",
)
async def passed_on(stage: Stage, platform: Platform) -> None:
    reply = await stage.gateway.fetch("/", method="POST", body=b"to and fro")
    assert (reply.status, reply.body) == (201, b"to and fro")
    assert ("x-method", "POST") in reply.headers


@FACTS.cloudflare("1.6 the classes of JavaScript are the same classes")
async def of_javascript(thing: Thing, platform: Platform) -> None:
    import js  # type: ignore[import-not-found]
    import workers  # type: ignore[import-not-found]

    response = js.Response.new("x", js.Object.fromEntries([["status", 201], ["statusText", "Made"]]))
    assert (response.status, response.statusText, await response.text()) == (201, "Made", "x")
    assert isinstance(response, workers.Response)
    request = js.Request.new("http://host/", platform.to_js({"method": "POST", "body": "x"}))
    assert (request.method, (await request.arrayBuffer()).to_bytes()) == ("POST", b"x")
    assert js.URL.new("http://host/a?b=c").searchParams.get("b") == "c"
    form = js.FormData.new()
    form.append("a", js.Blob.new(["x"], type="a/b"))
    assert (form["a"].type, form.has("a")) == ("a/b", True)
    readable = js.ReadableStream.new(start=lambda controller: [controller.enqueue(b"x"), controller.close()])
    reader = workers.Response(readable).body.getReader()
    result = await reader.read()
    assert (result.done, result.value.to_bytes()) == (False, b"x")
    assert (await reader.read()).done

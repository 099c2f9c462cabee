"""Requests, responses and headers."""

from collections.abc import AsyncIterator
from http import HTTPMethod
from typing import Any, cast

import pytest

from durable import Headers, Request, Response
from durable.errors import AbortError, JsException
from durable.sdk import habits
from durable.sdk.blobs import Blob
from durable.sdk.buffers import JsBuffer
from durable.sdk.http import request_of
from durable.sdk.streams import ReadableStream
from durable.sdk.urls import URLSearchParams


def test_header_names_compare_without_case_and_values_join() -> None:
    headers = Headers({"Accept": "a"})
    headers.append("accept", "b")
    assert headers["ACCEPT"] == "a, b"
    assert headers.get_all("accept") == ["a", "b"]
    assert "accept" in headers
    headers.set("Accept", "c")
    assert headers.items() == [("Accept", "c")]
    headers.delete("aCCEPT")
    assert headers.get("accept") is None
    with pytest.raises(KeyError):
        headers["accept"]


async def test_response_json_builds_on_the_class_and_reads_on_an_instance() -> None:
    response = Response.json({"n": 1, "text": "é"}, status=201)
    assert response.status == 201
    assert response.headers["content-type"] == "application/json"
    assert await response.json() == {"n": 1, "text": "é"}


async def test_a_body_is_read_once() -> None:
    request = Request("http://localhost/", method="post", body="hello")
    assert request.method == "POST"
    assert request.headers["content-type"] == "text/plain;charset=UTF-8"
    assert await request.text() == "hello"
    with pytest.raises(OSError, match="Body already used"):
        await request.text()


async def test_a_streamed_body_joins_its_chunks() -> None:
    async def chunks() -> AsyncIterator[bytes | str]:
        yield b"one "
        yield "two"

    assert await Response(chunks()).text() == "one two"


@pytest.mark.parametrize("url", ["/x", "x", "http://", "ftp://host/", "http://[::1"])
def test_a_url_must_be_absolute(url: str) -> None:
    with pytest.raises(TypeError, match="Invalid URL: "):
        Request(url)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"status": 101}, "a response's status must be between 200 and 599, got 101"),
        ({"status": 600}, "a response's status must be between 200 and 599, got 600"),
        ({"status": 204, "body": "x"}, "a response with status 204 cannot have a body"),
        ({"body": {"a": 1}}, r"not dict; for JSON use Response\.json\(value\)"),
    ],
)
def test_an_impossible_response_says_why(arguments: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Response(**arguments)  # type: ignore[arg-type]


def test_a_redirect_carries_its_place() -> None:
    response = Response.redirect("/room/a", 303)
    assert (response.status, response.headers["location"]) == (303, "/room/a")
    with pytest.raises(ValueError, match="a redirect has status 301, 302, 303, 307 or 308, got 200"):
        Response.redirect("/", 200)


async def test_a_clone_has_a_body_of_its_own() -> None:
    request = Request("http://localhost/", method="POST", body=b"x")
    copy = request.clone()
    assert await request.bytes() == await copy.bytes() == b"x"


def test_a_request_made_of_another_keeps_what_it_does_not_replace() -> None:
    source = Request("http://localhost/", method="PUT", redirect="manual", headers={"a": "b"})
    copy = Request(source, method="POST")
    assert (copy.url, copy.method, copy.redirect, copy.headers["a"]) == ("http://localhost/", "POST", "manual", "b")
    assert copy.clone().redirect == "manual"


async def test_a_response_that_was_read_cannot_be_cloned() -> None:
    response = Response("x", 201, "Made", {"a": "b"})
    copy = response.clone()
    assert (copy.status, copy.status_text, copy.headers["a"]) == (201, "Made", "b")
    assert await response.text() == await copy.text() == "x"
    with pytest.raises(OSError, match="Body already used"):
        response.clone()


async def test_a_streamed_body_can_be_cloned() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    response = Response(chunks())
    copy = response.clone()
    assert await copy.text() == "one two"
    assert await response.text() == "one two"

    request = Request("http://localhost/", method="POST", body=chunks())
    assert [await request.clone().text(), await request.text()] == ["one two", "one two"]
    with pytest.raises(OSError, match="Body already used"):
        request.clone()


async def test_a_method_is_an_http_method_and_text() -> None:
    request = Request("http://localhost/", method="post")
    assert request.method is HTTPMethod.POST
    assert f"{request.method} {Request('http://localhost/', method='PURGE').method}" == "POST PURGE"
    assert Request("http://localhost/").method == "GET"


async def test_a_body_is_read_in_every_form() -> None:
    body = b'{"a": 1.5}'
    response = Response(body, headers={"content-type": "application/json"})
    assert await response.clone().json(parse_float=str) == {"a": "1.5"}
    assert await response.clone().buffer() == body
    assert await cast("Any", response.clone()).arrayBuffer() == body
    assert (await response.clone().memoryview())[0] == ord("{")
    assert await response.clone().string() == body.decode()
    blob = await response.clone().blob()
    assert (await blob.bytes(), blob.content_type) == (body, "application/json")
    assert response.js_object is response
    assert not response.body_used


async def test_reading_the_stream_uses_the_body_and_looking_at_it_does_not() -> None:
    request = Request("http://localhost/", method="POST", body=b"abc")
    stream = request.body
    assert stream is not None
    assert not cast("Any", request).bodyUsed
    assert [chunk async for chunk in stream] == [b"abc"]
    assert request.body_used
    with pytest.raises(OSError, match="Body already used"):
        await request.bytes()
    assert Request("http://localhost/").body is None


async def test_an_empty_body_is_never_used_up() -> None:
    response = Response(None, 204)
    assert [await response.text(), await response.text()] == ["", ""]
    assert not response.body_used


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("text", "text/plain;charset=UTF-8"),
        (Blob("x", "image/png"), "image/png"),
        (URLSearchParams({"a": "b c"}), "application/x-www-form-urlencoded;charset=UTF-8"),
        (b"raw", None),
        (bytearray(b"raw"), None),
        (ReadableStream(b"raw"), None),
    ],
)
async def test_a_body_brings_its_content_type(body: object, kind: str | None) -> None:
    response = Response(body)  # type: ignore[arg-type]
    assert response.headers.get("content-type") == kind
    assert await response.text() in ("text", "x", "a=b+c", "raw")
    assert Response("x", headers={"Content-Type": "a/b"}).headers.get_all("content-type") == ["a/b"]


async def test_a_response_is_made_of_another() -> None:
    source = Response("x", 201, "Made", {"a": "b"})
    copy = Response(source)
    assert (copy.status, copy.status_text, copy.headers["a"], await copy.text()) == (201, "Made", "b", "x")
    with pytest.raises(ValueError, match=r"takes no options: use response\.replace_body") as raised:
        Response(source, 200)
    assert isinstance(raised.value, JsException)


async def test_a_body_is_replaced() -> None:
    source = Response("x", 201, "Made", {"a": "b"})
    other = source.replace_body("other")
    assert (other.status, other.status_text, other.headers["a"], await other.text()) == (201, "Made", "b", "other")
    assert await source.text() == "x"


def test_a_status_of_a_failure_can_be_raised() -> None:
    Response("").raise_for_status()
    with pytest.raises(OSError, match="404 Client Error: Not here for url: ") as raised:
        Response("", 404, "Not here").raise_for_status()
    assert raised.value.status == 404  # type: ignore[attr-defined]


def test_the_platforms_spelling_makes_the_same() -> None:
    response = Response.new("x", {"status": 201, "statusText": "Made", "headers": {"a": "b"}, "encodeBody": "manual"})
    assert (response.status, response.status_text, response.headers["a"]) == (201, "Made", "b")
    request = Request.new("http://localhost/", {"method": "PUT", "referrerPolicy": "origin"})
    assert (request.method, request.referrer_policy) == ("PUT", "origin")
    with pytest.raises(TypeError, match="no option 'stats'.*did you mean 'status'"):
        Response.new("x", {"stats": 1})


def test_what_a_server_has_no_use_for_is_told_as_the_standard_says() -> None:
    request: Any = Request("http://localhost/")
    assert (request.cache, request.credentials, request.destination, request.integrity) == (
        "default", "same-origin", "", "",
    )  # fmt: skip
    assert (request.mode, request.referrer, request.referrerPolicy) == ("cors", "about:client", "")
    assert (request.isHistoryNavigation, request.keepalive) == (False, False)
    assert request.cf.colo is None
    assert Request("http://localhost/", cf={"colo": "VIE"}).cf.colo == "VIE"


async def test_fetch_options_may_be_a_dict_or_keywords() -> None:
    source = Request("http://localhost/a", method="POST", body=b"x")
    assert request_of(source, None, {}) is source
    request = request_of("http://localhost/", {"method": "POST", "body": "x"}, {"headers": [("a", "b")]})
    assert (request.method, request.headers["a"], await request.text()) == ("POST", "b", "x")
    assert request_of(source, {"redirect": "manual"}, {}).redirect == "manual"


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("/x", {}, "Invalid URL: /x"),
        ("http://h/", {"body": "x"}, "Request with a GET or HEAD method cannot have a body."),
        ("http://h/", {"redirect": "maybe"}, "redirect is one of follow, manual, error, got 'maybe'"),
    ],
)
def test_a_request_that_cannot_be_says_why(url: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(TypeError, match=message) as raised:
        request_of(url, None, options)
    assert isinstance(raised.value, JsException)
    assert (raised.value.name, type(raised.value).__name__) == ("TypeError", "TypeError")


def test_a_request_that_was_aborted_is_not_sent() -> None:
    class Signal:
        aborted = True

    with pytest.raises(AbortError, match="was aborted before it was sent"):
        request_of("http://localhost/", None, {"signal": Signal()})


async def test_bytes_arrive_as_the_platform_has_them_in_a_program_of_its_own() -> None:
    assert type(await Response(b"x").buffer()) is bytes
    habits.adopt(True)
    try:
        buffer = await Response(b"abc").buffer()
        assert isinstance(buffer, JsBuffer)
        assert (buffer.to_bytes(), buffer.to_memoryview()[1], buffer.byteLength) == (b"abc", 98, 3)
        stream = Response(b"abc").body
        assert stream is not None
        assert [chunk.to_bytes() async for chunk in stream] == [b"abc"]  # type: ignore[attr-defined]
    finally:
        habits.adopt(False)

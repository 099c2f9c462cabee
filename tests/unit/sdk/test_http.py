"""Requests, responses and headers."""

from collections.abc import AsyncIterator

import pytest

from durable import Headers, Request, Response


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

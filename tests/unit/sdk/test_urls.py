"""Addresses in pieces."""

from typing import Any

import pytest

from durable.sdk.urls import URL, URLSearchParams


def test_an_address_is_taken_apart() -> None:
    url: Any = URL.new("https://me:pw@Example.COM:8443/a/./b/../c%20d?q=1&q=2#top")
    assert (url.protocol, url.username, url.password) == ("https:", "me", "pw")
    assert (url.host, url.hostname, url.port) == ("example.com:8443", "example.com", "8443")
    assert (url.pathname, url.search, url.hash) == ("/a/c%20d", "?q=1&q=2", "#top")
    assert url.origin == "https://example.com:8443"
    assert url.searchParams.getAll("q") == ["1", "2"]
    assert str(url) == url.href == "https://me:pw@example.com:8443/a/c%20d?q=1&q=2#top"


def test_what_goes_without_saying_is_not_said() -> None:
    url = URL("http://host:80")
    assert (url.port, url.host, url.pathname, url.search, url.hash) == ("", "host", "/", "", "")
    assert url.href == "http://host/"
    assert URL("http://[::1]:8787/x").host == "[::1]:8787"


def test_an_address_is_joined_to_its_base() -> None:
    assert URL.new("/x?y", "http://host/a/b").href == "http://host/x?y"
    assert URL("c", URL("http://host/a/b")).href == "http://host/a/c"


@pytest.mark.parametrize("text", ["/x", "", "http://", "http://[::1", "http://host:port/"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(TypeError, match="Invalid URL: "):
        URL(text)
    assert not URL.canParse(text)


def test_the_address_follows_its_pairs() -> None:
    url = URL("http://host/?a=1&b=2&a=3")
    url.search_params.set("a", "é &")
    assert url.href == "http://host/?a=%C3%A9+%26&b=2"
    url.search_params.delete("b")
    url.search_params.append("c", 4)
    assert url.search == "?a=%C3%A9+%26&c=4"
    url.search = "?z=1"
    assert url.search_params.get("z") == "1"
    url.hash = "end"
    url.pathname = "/p"
    assert str(url) == "http://host/p?z=1#end"


def test_pairs_of_every_kind() -> None:
    assert str(URLSearchParams("?a=1&b=%20")) == "a=1&b=+"
    assert str(URLSearchParams({"a": 1})) == "a=1"
    params: Any = URLSearchParams([("b", "2"), ("a", "1"), ("b", "3")])
    assert (params.get("b"), params.get("x"), params.has("a"), params.has("b", "9"), params.size) == (
        "2", None, True, False, 3,
    )  # fmt: skip
    params.sort()
    assert list(params) == [("a", "1"), ("b", "2"), ("b", "3")]
    params.delete("b", "2")
    assert params.toString() == "a=1&b=3"
    with pytest.raises(KeyError):
        params["x"]

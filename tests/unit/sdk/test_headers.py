"""Header fields read like `http.client.HTTPMessage`, and what a program of the platform's sees otherwise."""

from collections.abc import Iterator

import pytest

from durable import Headers
from durable.errors import JsException
from durable.sdk import habits
from durable.sdk.headers import parameters_of


@pytest.fixture
def platform() -> Iterator[None]:
    habits.adopt(True)
    yield
    habits.adopt(False)


def test_an_absent_field_is_a_key_error_in_python_and_none_on_the_platform(platform: None) -> None:
    assert Headers()["upgrade"] is None
    habits.adopt(False)
    with pytest.raises(KeyError):
        Headers()["upgrade"]


def test_cookies_stay_apart() -> None:
    headers = Headers([("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    assert headers.get_set_cookie() == ["a=1", "b=2"]
    assert headers.get_all("x-none") == []
    assert headers.get_all("x-none", "default") == "default"


def test_the_content_type_is_told_like_httpmessage_tells_it() -> None:
    headers = Headers({"Content-Type": 'Text/HTML; Charset="UTF-8"'})
    assert headers.get_content_type() == "text/html"
    assert (headers.get_content_maintype(), headers.get_content_subtype()) == ("text", "html")
    assert headers.get_content_charset() == "utf-8"
    assert Headers().get_content_type() == "text/plain"
    assert Headers().get_content_charset("ascii") == "ascii"


def test_a_header_may_be_added_with_its_parameters() -> None:
    headers = Headers()
    headers.add_header("Content-Disposition", "attachment", filename="a b.txt", checked=None)
    assert headers["content-disposition"] == 'attachment; filename="a b.txt"; checked'


def test_each_field_can_be_visited() -> None:
    seen: list[tuple[str, str]] = []
    Headers.new({"a": "1", "b": "2"}).forEach(lambda value, name: seen.append((name, value)))
    assert seen == [("a", "1"), ("b", "2")]
    assert Headers({"A": "1"}) == Headers([("a", "1")])
    assert Headers({"A": "1"}) != Headers([("a", "2")])


@pytest.mark.parametrize("init", [["abc"], 5, [("a",)]])
def test_what_is_no_header_is_refused(init: object) -> None:
    with pytest.raises(TypeError, match=r"headers are a dict or a list of \(name, value\), got (list|int)") as raised:
        Headers(init)  # type: ignore[arg-type]
    assert isinstance(raised.value, JsException)


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        ('form-data; name="a;b"; filename=c.txt', {"name": "a;b", "filename": "c.txt"}),
        (r'form-data; name="say \"hi\"; \\"', {"name": 'say "hi"; \\'}),
        ("text/html", {}),
        ("text/html; charset", {}),
        ("x; flag; NAME = y ; name=z", {"name": "y"}),
        (r'form-data; name="f"; filename="C:\dir\a.txt"', {"name": "f", "filename": r"C:\dir\a.txt"}),
        ('form-data; name="never closed', {"name": "never closed"}),
    ],
)
def test_parameters_of_a_field(value: str, parameters: dict[str, str]) -> None:
    assert parameters_of(value) == parameters

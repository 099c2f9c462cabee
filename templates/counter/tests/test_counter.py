"""The counter as its users meet it: real requests, a real database, a state directory of its own for each test."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


def test_each_page_is_counted_by_itself(durable_app):
    assert durable_app.get("/hit/home").json() == {"page": "home", "views": 1}
    assert durable_app.get("/hit/home").json() == {"page": "home", "views": 2}
    assert durable_app.get("/hit/about").json() == {"page": "about", "views": 1}
    assert durable_app.get("/counts").json() == [{"page": "home", "views": 2}, {"page": "about", "views": 1}]


def test_no_view_is_lost_when_many_come_at_once(durable_app):
    with ThreadPoolExecutor(8) as visitors:
        seen = visitors.map(lambda _: durable_app.get("/hit/home").json()["views"], range(200))
    assert sorted(seen) == list(range(1, 201))


def test_the_page_shows_itself(durable_app):
    reply = durable_app.get("/")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "views of this page" in reply.text


def test_other_addresses_are_told_what_is_right(durable_app):
    for path in ("/hit/", "/hit/UPPER", "/hit/a/b", "/nowhere"):
        reply = durable_app.get(path)
        assert reply.status == 404
        assert "/hit/<page>" in reply.text

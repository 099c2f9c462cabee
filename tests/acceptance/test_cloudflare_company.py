"""Projects written for Cloudflare that bring company run as they are: web frameworks, a second worker, assets.

Like those of test_cloudflare_projects.py they lie in tests/cloudflare, and nothing in them knows of us.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.acceptance.cloudflare_project import PROJECTS, Starter, anchors_told, ask, dial, heard, start
from tests.acceptance.running_dev import WAIT_SECONDS, Dev

__all__ = ["start"]


# --- FastAPI and Flask ------------------------------------------------------------------------------------------------
def test_a_fastapi_app_serves_in_the_worker(start: Starter) -> None:
    dev = start("fastapi_app")

    assert ask(dev, "/").json == {"message": "Hello"}
    assert ask(dev, "/setting").json == {"message": "from the settings"}
    assert ask(dev, "/notes/wall", "POST", {"text": "one"}).json == {"count": 1}
    written = ask(dev, "/notes/wall", "POST", {"text": "two", "stars": 3})
    assert (written.status, written.json) == (201, {"count": 2})
    assert ask(dev, "/notes/wall?least=2").json == [{"text": "two", "stars": 3}]
    assert ask(dev, "/notes/empty").json == {"detail": "nothing on empty"}
    refused = ask(dev, "/notes/wall", "POST", {"stars": "many"})
    assert refused.status == 422
    assert {tuple(each["loc"]) for each in refused.json["detail"]} == {("body", "text"), ("body", "stars")}
    assert ask(dev, "/nowhere").status == 404
    assert ask(dev, "/count").text == "0\n1\n2\n"
    assert "/notes/{board}" in ask(dev, "/openapi.json").json["paths"]
    assert dev.end() == 0
    assert anchors_told(dev) == {"sql-int"}


def test_a_fastapi_websocket_route_echoes_until_one_of_both_closes(start: Starter) -> None:
    dev = start("fastapi_app")
    with dial(dev, "/echo?name=ann") as ann, dial(dev, "/echo?name=bob") as bob:
        ann.send("hello")
        bob.send("hi")
        assert ann.recv(timeout=WAIT_SECONDS) == "ann: hello"
        assert bob.recv(timeout=WAIT_SECONDS) == "bob: hi"
        ann.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            ann.recv(timeout=WAIT_SECONDS)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "as you wish")
        bob.close()
    assert ask(dev, "/").status == 200


def test_a_fastapi_app_serves_inside_an_object(start: Starter) -> None:
    dev = start("fastapi_app")
    ask(dev, "/notes/wall", "POST", {"text": "one"})

    assert ask(dev, "/boards/wall/size").json == {"board": "wall", "size": 1}
    assert ask(dev, "/boards/other/size").json == {"board": "other", "size": 0}
    with dial(dev, "/boards/wall/live") as live:
        assert heard(live) == {"size": 1}


def test_a_flask_app_asks_objects_from_its_synchronous_views(start: Starter) -> None:
    dev = start("flask_app")

    assert ask(dev, "/todos").json == []
    assert [ask(dev, "/todos", "POST", {"title": title}).json for title in ("one", "two")] == [{"id": 1}, {"id": 2}]
    assert ask(dev, "/todos").json == [{"id": 1, "title": "one"}, {"id": 2, "title": "two"}]
    assert ask(dev, "/nowhere").status == 404


# --- two workers ------------------------------------------------------------------------------------------------------
@pytest.fixture
def shop(tmp_path: Path, start: Starter, start_dev: Starter) -> Dev:
    shutil.copytree(PROJECTS / "services", tmp_path / "services")
    (tmp_path / "services" / "auth" / ".dev.vars").write_text('TOKENS="ann:secret-a bob:secret-b"\n')
    return start_dev(
        tmp_path / "services", "-c", "shop/wrangler.jsonc", "-c", "auth/wrangler.toml", "--no-reload"
    ).wait_ready()  # fmt: skip


def test_a_worker_asks_another_one_over_its_service_binding(shop: Dev) -> None:
    health = ask(shop, "/health")

    assert (health.text, health.headers["x-served-by"]) == ("auth is well: health", "auth")
    assert re.fullmatch(r"\[auth\] serves on http://127\.0\.0\.1:\d+", shop.wait_told("[auth] serves on "))
    assert ask(shop, "/").status == 401
    assert ask(shop, "/", authorization="Bearer wrong").status == 401
    assert ask(shop, "/", authorization="Bearer secret-a").json == {"user": "ann", "seen": ["shop"]}


def test_an_object_of_another_worker_is_the_same_object_for_both(shop: Dev) -> None:
    ask(shop, "/", authorization="Bearer secret-a")

    answer = ask(shop, "/put/saw", authorization="Bearer secret-a").json

    assert answer == {"held": ["saw"], "seen": ["shop", "cart saw"]}
    assert ask(shop, "/ban/ann").json == {"banned": "ann"}
    assert ask(shop, "/", authorization="Bearer secret-a").status == 500
    assert ask(shop, "/", authorization="Bearer secret-b").json == {"user": "bob", "seen": ["shop"]}


def test_a_service_that_is_not_started_is_told_at_start_and_at_use(tmp_path: Path, start_dev: Starter) -> None:
    shutil.copytree(PROJECTS / "services", tmp_path / "services")

    dev = start_dev(tmp_path / "services" / "shop", "--no-reload").wait_ready()

    told = dev.wait_told("env.AUTH belongs to the worker")
    assert '"auth", which this command has not started' in told
    assert told.endswith("services/auth/wrangler.toml")
    failed = ask(dev, "/health")
    assert failed.status == 500
    assert '"auth", which this command has not started' in failed.text


# --- static assets ----------------------------------------------------------------------------------------------------
def test_a_single_page_application_and_its_api_share_a_port(start: Starter) -> None:
    dev = start("spa")
    page = ask(dev, "/")

    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<title>Front" in page.text
    assert "javascript" in ask(dev, "/app.js").headers["content-type"]
    assert ask(dev, "/some/view", sec_fetch_mode="navigate").text == page.text
    assert ask(dev, "/some/view").text == page.text
    assert ask(dev, "/", if_none_match=page.headers["etag"]).status == 304
    assert ask(dev, "/api/hello").json == {"hello": "there"}
    assert ask(dev, "/api/nothing").text == "no such thing"
    assert "<title>Brand" in ask(dev, "/branded/").text


def test_a_product_that_is_not_here_is_told_once_at_start_and_at_use(start: Starter) -> None:
    dev = start("spa")

    (note,) = [line for line in dev.err if line.startswith("note: ") and "kv_namespaces" in line]
    assert note.startswith("note: wrangler.jsonc:12:3: ")
    assert "env.CACHE fails when used" in note
    assert "Workers KV is not served here" in note
    since = len(dev.err)
    assert ask(dev, "/api/cached").status == 500
    assert "CACHE" in dev.wait_told("CACHE", since=since)

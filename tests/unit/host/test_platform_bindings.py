"""`env.ASSETS` and the names of products that are not here, without a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.errors import JsTypeError
from durable.host.platform_bindings import AssetsBinding, ServiceAssets, Unserved, platform_bindings
from durable.sdk.http import Request
from durable.wire.messages import AssetsInfo, Load


@pytest.fixture
def assets(tmp_path: Path) -> AssetsBinding:
    (tmp_path / "index.html").write_text("<h1>hello</h1>")
    (tmp_path / "about.html").write_text("about")
    (tmp_path / "large.bin").write_bytes(b"x" * 600_000)
    (tmp_path / "private.txt").write_text("x")
    private = [str(tmp_path / "private.txt")]
    info = AssetsInfo("ASSETS", str(tmp_path), "auto-trailing-slash", "none", private, False)
    binding = platform_bindings(load_of(tmp_path, info))["ASSETS"]
    assert isinstance(binding, AssetsBinding)
    return binding


def load_of(root: Path, assets: AssetsInfo | None) -> Load:
    return Load(
        root=str(root), main="", state="", namespaces=[], bindings={}, vars={}, compatibility_date="",
        durability="full", idle_seconds=1, host_number=1, shard=0, shards=1, assets=assets,
    )  # fmt: skip


async def test_a_file_is_a_response(assets: AssetsBinding) -> None:
    response = await assets.fetch("https://any.host/?x=1")
    assert (response.status, response.url, response.redirected) == (200, "https://any.host/?x=1", False)
    assert response.headers.get("content-type") == "text/html; charset=utf-8"
    assert await response.text() == "<h1>hello</h1>"


async def test_a_large_file_streams(assets: AssetsBinding) -> None:
    assert len(await (await assets.fetch("https://x/large.bin")).bytes()) == 600_000


async def test_a_redirect_is_followed_refused_or_handed_on(assets: AssetsBinding) -> None:
    followed = await assets.fetch("https://x/about.html")
    assert (followed.status, followed.url, followed.redirected) == (200, "https://x/about", True)
    handed_on = await assets.fetch(Request("https://x/about.html", redirect="manual"))
    assert (handed_on.status, handed_on.headers.get("location")) == (307, "/about")
    with pytest.raises(JsTypeError, match='https://x/about.html redirects to /about, and redirect is "error"'):
        await assets.fetch("https://x/about.html", redirect="error")


async def test_a_conditional_request_and_a_method_are_understood(assets: AssetsBinding) -> None:
    etag = (await assets.fetch("https://x/")).headers.get("etag")
    unchanged = await assets.fetch("https://x/", headers={"If-None-Match": etag or ""})
    assert (unchanged.status, await unchanged.text()) == (304, "")
    head = await assets.fetch("https://x/", {"method": "HEAD"})
    assert (head.status, head.headers.get("content-length"), await head.text()) == (200, "14", "")
    assert (await assets.fetch("https://x/", method="POST", body="x")).status == 405


@pytest.mark.parametrize("path", ["/nowhere", "/private.txt", "/../x"])
async def test_what_is_not_there_is_an_empty_404(path: str, assets: AssetsBinding) -> None:
    response = await assets.fetch(f"https://x{path}")
    assert (response.status, await response.text()) == (404, "")


def test_every_use_of_a_product_that_is_not_here_says_so() -> None:
    database = Unserved("DB", "env.DB is a D1 database, which is not served here.")
    with pytest.raises(NotImplementedError, match="env.DB is a D1 database"):
        database.prepare("SELECT 1")
    with pytest.raises(NotImplementedError, match="env.DB is a D1 database"):
        database["x"]
    with pytest.raises(NotImplementedError, match="env.DB is a D1 database"):
        database()


def test_looking_at_such_a_name_is_no_use_of_it() -> None:
    database = Unserved("DB", "…")
    assert repr(database) == "<env.DB, not served here>"
    assert bool(database) is True
    assert not hasattr(database, "__len__")


async def test_another_worker_meets_the_assets_before_the_worker(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("the page")
    info = AssetsInfo("", str(tmp_path), "auto-trailing-slash", "single-page-application", [], ["/api/*"])
    load = load_of(tmp_path, info)
    assert platform_bindings(load) == {}
    assets = ServiceAssets(load, info)
    page = assets.answer(Request("https://site/deep/down?x"))
    assert page is not None
    assert (page.status, await page.text()) == (200, "the page")
    assert assets.answer(Request("https://site/api/x")) is None

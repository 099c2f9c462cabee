"""Whose turn it is: the assets' or the worker's. Requests are no more here than a method and fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from durable.config import Assets, Config, load
from durable.config.schema import Location, NotFoundHandling
from durable.gateway.asset_front import AssetFront

Asked = Callable[..., int | None]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "durable.toml").write_text('main = "main.py"')
    (tmp_path / "main.py").write_text("")
    (tmp_path / "public").mkdir()
    for name in ("index.html", "404.html", "app.js"):
        (tmp_path / "public" / name).write_text(name)
    return load(tmp_path / "durable.toml")


def front_of(
    config: Config, *, not_found: NotFoundHandling = "none", first: bool | tuple[str, ...] = False, **more: Any
) -> Asked:
    """Status by target; None when it is the worker's turn."""
    assets = Assets(config.root / "public", "", "auto-trailing-slash", not_found, first, Location("durable.toml", 1, 1))
    front = AssetFront()
    assert not front.is_on
    front.configure(replace(config, assets=assets, **more))
    assert front.is_on

    def ask(target: str, method: str = "GET", **fields: str) -> int | None:
        request: Any = SimpleNamespace(method=method, headers=_Fields(fields))
        answer = front.answer(request, target)
        return None if answer is None else answer.status

    return ask


class _Fields:
    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = {name.replace("_", "-"): value for name, value in fields.items()}

    def get(self, name: str) -> str | None:
        return self._fields.get(name.lower())


def test_the_assets_answer_for_what_they_have(config: Config) -> None:
    ask = front_of(config)
    assert (ask("/app.js"), ask("/"), ask("/index.html"), ask("/app.js", "POST")) == (200, 200, 307, 405)
    assert (ask("/other"), ask("/other", "POST")) == (None, None)


def test_the_worker_is_asked_first_where_that_is_said(config: Config) -> None:
    ask = front_of(config, first=("/app*", "!/app/static/*"), not_found="single-page-application")
    assert ask("/app.js") is None
    assert ask("/app/x", sec_fetch_mode="navigate") is None
    assert ask("/app/static/x") == 200
    assert ask("/") == 200
    assert front_of(config, first=True)("/app.js") is None


@pytest.mark.parametrize(("not_found", "status"), [("single-page-application", 200), ("404-page", 404), ("none", None)])
def test_where_paths_of_the_worker_are_named_all_others_are_the_assets(
    not_found: NotFoundHandling, status: int | None, config: Config
) -> None:
    ask = front_of(config, first=("/api/*",), not_found=not_found)
    assert ask("/other") == status
    assert ask("/other", sec_fetch_mode="cors") == status
    assert ask("/api/other") is None


def test_what_is_the_assets_alone_is_never_the_workers(config: Config) -> None:
    assert front_of(config, first=("/*", "!/static/*"))("/static/x") == 404


@pytest.mark.parametrize(("not_found", "status"), [("single-page-application", 200), ("404-page", 404), ("none", None)])
def test_a_browser_that_goes_to_a_page_gets_the_page_for_what_is_not_there(
    not_found: NotFoundHandling, status: int | None, config: Config
) -> None:
    ask = front_of(config, not_found=not_found)
    assert ask("/other", sec_fetch_mode="navigate") == status
    assert ask("/other", sec_fetch_mode="cors") is None
    assert ask("/other") is None


@pytest.mark.parametrize(
    ("flags", "date", "status"),
    [
        ((), "2025-04-01", 200),
        ((), "2025-03-31", None),
        ((), "", 200),
        (("assets_navigation_prefers_asset_serving",), "2024-01-01", 200),
        (("assets_navigation_has_no_effect",), "2026-01-01", None),
    ],
)
def test_the_date_and_the_flags_decide_about_navigation(
    flags: tuple[str, ...], date: str, status: int | None, config: Config
) -> None:
    ask = front_of(config, not_found="single-page-application", compatibility_flags=flags, compatibility_date=date)
    assert ask("/other", sec_fetch_mode="navigate") == status


def test_a_configuration_without_assets_switches_them_off(config: Config) -> None:
    front = AssetFront()
    assets = Assets(config.root / "public", "", "none", "none", False, Location("durable.toml", 1, 1))
    front.configure(replace(config, assets=assets))
    front.configure(config)
    assert not front.is_on


def test_what_is_private_is_not_served(config: Config) -> None:
    front = AssetFront()
    assets = Assets(config.root, "", "none", "none", False, Location("durable.toml", 1, 1))
    request: Any = SimpleNamespace(method="GET", headers=_Fields({}))
    front.configure(replace(config, assets=assets))
    assert front.answer(request, "/durable.toml") is not None
    front.configure(replace(config, assets=assets), [config.path])
    assert front.answer(request, "/durable.toml") is None

"""Which file a path means, for every setting: tables as the platform's documentation draws them."""

from __future__ import annotations

import pytest

from durable.assets.folder import AssetFile
from durable.assets.paths import Find, Found, Moved, decoded, encoded, meant, not_found


def folder_of(*names: str) -> Find:
    files = {name: AssetFile(name, number, 0) for number, name in enumerate(names)}
    return files.get


SITE = folder_of("/file.html", "/folder/index.html", "/index.html", "/app.js", "/both.html", "/both/index.html")


def shown(path: str, html_handling: str, find: Find = SITE) -> str:
    """ "= /file.html", "→ /file" or "nothing"."""
    match meant(path, html_handling, find):
        case Found(file, status):
            assert status == 200
            return f"= {file.path}"
        case Moved(to):
            return f"→ {to}"
        case _:
            return "nothing"


@pytest.mark.parametrize(
    ("path", "auto", "force", "drop", "none"),
    [
        # path                auto-trailing-slash      force-trailing-slash     drop-trailing-slash      none
        ("/file", "= /file.html", "→ /file/", "= /file.html", "nothing"),
        ("/file.html", "→ /file", "→ /file/", "→ /file", "= /file.html"),
        ("/file/", "→ /file", "= /file.html", "→ /file", "nothing"),
        ("/file/index", "→ /file", "→ /file/", "→ /file", "nothing"),
        ("/file/index.html", "→ /file", "→ /file/", "→ /file", "nothing"),
        ("/folder", "→ /folder/", "→ /folder/", "= /folder/index.html", "nothing"),
        ("/folder.html", "→ /folder/", "→ /folder/", "→ /folder", "nothing"),
        ("/folder/", "= /folder/index.html", "= /folder/index.html", "→ /folder", "nothing"),
        ("/folder/index", "→ /folder/", "→ /folder/", "→ /folder", "nothing"),
        ("/folder/index.html", "→ /folder/", "→ /folder/", "→ /folder", "= /folder/index.html"),
        ("/", "= /index.html", "= /index.html", "= /index.html", "nothing"),
        ("/index", "→ /", "→ /", "→ /", "nothing"),
        ("/index.html", "→ /", "→ /", "→ /", "= /index.html"),
        ("/app.js", "= /app.js", "= /app.js", "= /app.js", "= /app.js"),
        ("/app.js/", "nothing", "nothing", "nothing", "nothing"),
        ("/missing", "nothing", "nothing", "nothing", "nothing"),
        # Two pages that want one address: each stays reachable.
        ("/both", "= /both.html", "→ /both/", "= /both.html", "nothing"),
        ("/both.html", "→ /both", "= /both.html", "→ /both", "= /both.html"),
        ("/both/", "= /both/index.html", "= /both/index.html", "→ /both", "nothing"),
        ("/both/index.html", "→ /both/", "→ /both/", "= /both/index.html", "= /both/index.html"),
    ],
)
def test_a_page_has_one_address_and_the_others_lead_there(path: str, auto: str, force: str, drop: str, none: str):
    settings = ("auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none")
    assert [shown(path, setting) for setting in settings] == [auto, force, drop, none]


@pytest.mark.parametrize("setting", ["auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash"])
def test_redirects_end_at_a_file_and_never_go_in_circles(setting: str) -> None:
    paths = ["", "/file", "/folder", "/both", "/index", "/missing"]
    for path in (base + ending for base in paths for ending in ("", "/", ".html", "/index", "/index.html")):
        seen = [path]
        while isinstance(found := meant(seen[-1] or "/", setting, SITE), Moved):
            assert found.path not in seen, seen
            seen.append(found.path)
        assert len(seen) == 1 or isinstance(found, Found), seen


def test_a_file_that_is_called_index_is_no_page() -> None:
    find = folder_of("/docs/index", "/docs/index.html")
    assert shown("/docs/index", "auto-trailing-slash", find) == "= /docs/index"


def test_a_file_in_the_way_keeps_its_address_and_the_page_its_own() -> None:
    find = folder_of("/about", "/about.html")
    assert shown("/about", "auto-trailing-slash", find) == "= /about"
    assert shown("/about.html", "auto-trailing-slash", find) == "= /about.html"


def test_an_application_of_one_page_gets_it_for_every_path() -> None:
    assert not_found("/deep/down", "single-page-application", SITE) == Found(SITE("/index.html"), 200)  # type: ignore[arg-type]
    assert not_found("/deep/down", "single-page-application", folder_of("/app.js")) is None


def test_the_nearest_page_for_missing_paths_says_so() -> None:
    find = folder_of("/404.html", "/docs/404.html")
    assert not_found("/docs/old/page", "404-page", find) == Found(find("/docs/404.html"), 404)  # type: ignore[arg-type]
    assert not_found("/blog/page", "404-page", find) == Found(find("/404.html"), 404)  # type: ignore[arg-type]
    assert not_found("/docs/page", "none", find) is None


@pytest.mark.parametrize(
    ("sent", "path", "written"),
    [
        ("/caf%C3%A9", "/café", "/caf%C3%A9"),
        ("/caf%c3%a9", "/café", "/caf%C3%A9"),
        ("/[a]", "/[a]", "/%5Ba%5D"),
        ("/%ff", "/%ff", "/%25ff"),
        ("//evil.example/x", "/evil.example/x", "/evil.example/x"),
        ("/%2F%2Fevil.example", "/evil.example", "/evil.example"),
        ("/a%2Fb", "/a/b", "/a/b"),
        ("/!'()*~", "/!'()*~", "/!'()*~"),
        ("/%41\udcff", "/%41\udcff", "/%2541%ED%B3%BF"),
    ],
)
def test_a_path_is_written_in_one_way(sent: str, path: str, written: str) -> None:
    assert decoded(sent) == path
    assert encoded(path) == written

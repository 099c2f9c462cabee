"""What is found in a folder of assets, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from durable.assets.folder import AssetFolder
from durable.limits import ASSET_PATH_CHARACTERS_MAX


@pytest.fixture
def public(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "public"
    (folder / "js").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>hello</h1>")
    (folder / "js" / "app.js").write_text("run()")
    (tmp_path / "project" / "secret.py").write_text("KEY = 1")
    return folder


def test_a_file_is_found_by_its_path(public: Path) -> None:
    found = AssetFolder(public).find("/js/app.js")
    assert found is not None
    assert (found.path, found.size) == (str(public / "js" / "app.js"), 5)


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.py",
        "/js/../../secret.py",
        "/js/../index.html",
        "/./index.html",
        "//index.html",
        "/index.html/",
        "/js",
        "/js/",
        "/",
        "",
        "index.html",
        "/index.html\0.png",
        "/missing",
        "/" + "a/" * ASSET_PATH_CHARACTERS_MAX,
        "/" + "a" * 300,
        "/\udcff",
    ],
)
def test_other_paths_find_nothing(path: str, public: Path) -> None:
    assert AssetFolder(public).find(path) is None


@pytest.mark.parametrize("name", [".env", ".dev.vars", ".durable/state/state.sqlite", ".git/config", ".assetsignore"])
def test_what_begins_with_a_dot_stays_private(name: str, public: Path) -> None:
    (public / name).parent.mkdir(parents=True, exist_ok=True)
    (public / name).write_text("secret")
    assert AssetFolder(public).find(f"/{name}") is None


def test_well_known_addresses_are_for_everybody(public: Path) -> None:
    (public / ".well-known").mkdir()
    (public / ".well-known" / "security.txt").write_text("Contact: x")
    (public / ".well-known" / ".hidden").write_text("x")
    folder = AssetFolder(public)
    assert folder.find("/.well-known/security.txt") is not None
    assert folder.find("/.well-known/.hidden") is None


@pytest.mark.parametrize("name", ["_headers", "_redirects", "_worker.js", "_HEADERS"])
def test_instructions_to_the_platform_are_no_files_to_serve(name: str, public: Path) -> None:
    (public / name).write_text("/* x: y")
    (public / "js" / name).write_text("fine further down")
    folder = AssetFolder(public)
    assert folder.find(f"/{name}") is None
    assert folder.find(f"/js/{name}") is not None


def test_a_link_inside_the_folder_is_followed_and_one_that_leads_out_is_not(public: Path, tmp_path: Path) -> None:
    (public / "copy.html").symlink_to("index.html")
    (public / "out.py").symlink_to(tmp_path / "project" / "secret.py")
    (public / "up").symlink_to(tmp_path / "project")
    (public / ".private").write_text("x")
    (public / "open").symlink_to(".private")
    (public / "loop").symlink_to("loop")
    folder = AssetFolder(public)
    assert folder.find("/copy.html") is not None
    for path in ("/out.py", "/up/secret.py", "/up/public/index.html", "/open", "/loop"):
        found = folder.find(path)
        assert found is None or found.path.startswith(f"{public}{os.sep}"), path
    assert folder.find("/out.py") is folder.find("/up/secret.py") is folder.find("/open") is None


def test_the_folder_itself_may_be_a_link(public: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(public)
    assert AssetFolder(tmp_path / "link").find("/index.html") is not None


def test_a_folder_whose_name_begins_alike_is_outside(public: Path) -> None:
    beside = public.with_name("public-not")
    beside.mkdir()
    (beside / "x").write_text("x")
    (public / "x").symlink_to(beside / "x")
    assert AssetFolder(public).find("/x") is None


def test_what_is_private_is_not_found_though_it_lies_in_the_folder(public: Path) -> None:
    (public / "state").mkdir()
    (public / "state" / "state.sqlite").write_text("x")
    (public / "wrangler.toml").write_text("x")
    assert AssetFolder(public).find("/state/state.sqlite") is not None
    folder = AssetFolder(public, [public / "state", public / "wrangler.toml"])
    assert folder.find("/state/state.sqlite") is None
    (public / "states.txt").write_text("begins alike, and is another file")
    assert folder.find("/states.txt") is not None
    assert folder.find("/wrangler.toml") is None
    assert folder.find("/index.html") is not None


def test_what_assetsignore_lists_is_left_out_and_read_anew_when_it_changes(public: Path) -> None:
    ignore = public / ".assetsignore"
    ignore.write_text("*.js\n")
    folder = AssetFolder(public)
    assert folder.find("/js/app.js") is None
    assert folder.find("/index.html") is not None
    ignore.write_text("index.html\n")
    os.utime(ignore, ns=(1, 1))
    assert folder.find("/js/app.js") is not None
    assert folder.find("/index.html") is None
    ignore.unlink()
    assert folder.find("/index.html") is not None


def test_a_link_to_a_file_that_is_left_out_is_left_out_too(public: Path) -> None:
    (public / ".assetsignore").write_text("secret.txt\n")
    (public / "secret.txt").write_text("x")
    (public / "link.txt").symlink_to("secret.txt")
    assert AssetFolder(public).find("/link.txt") is None


def test_a_folder_that_comes_later_is_served_then(tmp_path: Path) -> None:
    folder = AssetFolder(tmp_path / "dist")
    assert folder.find("/index.html") is None
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text("x")
    assert folder.find("/index.html") is not None


def test_a_changed_file_has_another_etag(public: Path) -> None:
    folder = AssetFolder(public)
    before = folder.find("/index.html")
    (public / "index.html").write_text("<h1>hello, you</h1>")
    after = folder.find("/index.html")
    assert before is not None
    assert after is not None
    assert before.etag != after.etag
    assert before.etag.startswith('"')
    assert before.etag.endswith('"')

"""`[assets]`: the folder whose files are served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from durable.config import Assets, Config
from durable.config.schema import Location
from durable.errors import ConfigError

Load = Callable[..., Config]
Refusal = Callable[..., ConfigError]

MAIN = 'main = "main.py"\n'


@pytest.fixture
def public(project: Path) -> Path:
    folder = project / "public"
    folder.mkdir()
    return folder


def test_without_the_table_there_are_no_assets(load_text: Load) -> None:
    assert load_text(MAIN).assets is None


def test_a_folder_alone_is_enough(load_text: Load, public: Path) -> None:
    config = load_text(MAIN + '[assets]\ndirectory = "./public/"')
    assert config.warnings == ()
    assert config.assets == Assets(
        directory=public,
        binding="",
        html_handling="auto-trailing-slash",
        not_found_handling="none",
        run_worker_first=False,
        location=Location("durable.toml", 3, 13),
    )


def test_everything_can_be_said(load_text: Load, public: Path) -> None:
    assets = load_text(
        MAIN
        + """[assets]
directory = "public"
binding = "ASSETS"
html_handling = "drop-trailing-slash"
not_found_handling = "404-page"
run_worker_first = ["/api/*", "!/api/docs"]
"""
    ).assets
    assert assets is not None
    assert (assets.binding, assets.html_handling, assets.not_found_handling) == (
        "ASSETS",
        "drop-trailing-slash",
        "404-page",
    )
    assert assets.run_worker_first == ("/api/*", "!/api/docs")


@pytest.mark.usefixtures("public")
def test_environments_inherit_assets(load_text: Load) -> None:
    text = MAIN + '[assets]\ndirectory = "public"\n[env.a]\n[env.b]\nassets = { directory = "public", binding = "B" }\n'
    inherited, own = load_text(text, environment="a").assets, load_text(text, environment="b").assets
    assert inherited is not None
    assert own is not None
    assert (inherited.binding, own.binding) == ("", "B")


def test_a_folder_that_a_build_has_yet_to_make_is_a_warning(load_text: Load, project: Path) -> None:
    config = load_text(MAIN + '[assets]\ndirectory = "dist"')
    assert [str(each) for each in config.warnings] == [
        "durable.toml:3:1: dist does not exist, so no assets are served. They are as soon as it is there."
    ]
    assert config.assets is not None
    assert config.assets.directory == project / "dist"


@pytest.mark.parametrize("folder", [".", "..", "./"])
def test_a_folder_that_holds_the_project_is_a_warning(folder: str, load_text: Load) -> None:
    (warning,) = load_text(f'{MAIN}[assets]\ndirectory = "{folder}"').warnings
    assert warning.message == ("the folder of the assets holds this project: its code is served to everybody who asks.")


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('binding = "A"', '"assets" needs "directory", the folder whose files are served'),
        ('directory = ""', 'expected "assets.directory" to be the path of a folder, got "" (a string)'),
        ('directory = "main.py"', "main.py is a file; assets are the files of a folder"),
        (
            'directory = "public"\nbinding = "a-b"',
            'expected "assets.binding" to be an identifier, so that the code can say env.<binding>, '
            'got "a-b" (a string)',
        ),
        (
            'directory = "public"\nnot_found_handling = "spa"',
            'expected "assets.not_found_handling" to be "none" or "404-page" or "single-page-application", '
            'got "spa" (a string)',
        ),
        (
            'directory = "public"\nhtml_handling = "auto"',
            'expected "assets.html_handling" to be "auto-trailing-slash" or "force-trailing-slash" or '
            '"drop-trailing-slash" or "none", got "auto" (a string)',
        ),
        (
            'directory = "public"\nrun_worker_first = "/api/*"',
            'expected "assets.run_worker_first" to be true, false or an array of paths, ["/api/*"], '
            'got "/api/*" (a string)',
        ),
        (
            'directory = "public"\nrun_worker_first = ["api/*"]',
            'expected "assets.run_worker_first[0]" to begin with "/" or "!/", got "api/*"',
        ),
        (
            f'directory = "public"\nrun_worker_first = ["/{"a" * 100}"]',
            '"assets.run_worker_first[0]" has 101 characters; at most 100 are read',
        ),
        (
            'directory = "public"\nrun_worker_first = [' + "'/a', " * 101 + "]",
            "101 patterns; at most 100 are read",
        ),
        (
            'directory = "public"\nrun_worker_first = ["!/a"]',
            'every path begins with "!"; at least one has to say when the worker runs',
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(lines: str, message: str, refused: Refusal) -> None:
    assert refused(f"{MAIN}[assets]\n{lines}").message == message


def test_a_misspelt_key_is_a_warning(load_text: Load, public: Path) -> None:
    (warning,) = load_text(f'{MAIN}[assets]\ndirectory = "{public.name}"\nbindng = "A"').warnings
    assert warning.message == 'unknown key "bindng" in assets; it has no effect.'
    assert warning.hint == 'Did you mean "binding"?'


def test_rules_for_the_platform_that_are_not_applied_are_told(load_text: Load, public: Path) -> None:
    text = f'{MAIN}[assets]\ndirectory = "{public.name}"'
    assert load_text(text).notices == ()
    (public / "_redirects").write_text("/a /b")
    (public / "_headers").write_text("/a")
    assert [str(notice) for notice in load_text(text).notices] == [
        "durable.toml:3:13: _headers and _redirects in public are not applied here. "
        "The worker can do the same with run_worker_first."
    ]

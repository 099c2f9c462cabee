"""Which saves matter, and that they are seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from durable.supervisor.watcher import Fingerprints, ProjectFiles, Saved, differing, saves, sha256_of

WAIT_SECONDS = 10.0
"""A safety net: the kernel tells within milliseconds."""


def project(root: Path, *, patterns: tuple[str, ...] = ()) -> ProjectFiles:
    return ProjectFiles(
        root, config_files=[root / "durable.toml", root / ".dev.vars"], patterns=patterns, excluded=[root / "data"]
    )


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        ("main.py", True),
        ("rooms/chat.py", True),
        ("page.html", True),
        ("schema/0001.sql", True),
        ("durable.toml", True),
        (".dev.vars", True),
        ("README.md", False),
        ("photo.png", False),
        (".env.swp", False),
        (".main.py.swp", False),
        ("main.py~", False),
        ("#main.py#", False),
        (".#main.py", False),
        (".venv/lib/site.py", False),
        ("venv/lib/site.py", False),
        ("node_modules/a/index.js", False),
        ("python_modules/fastapi/routing.py", False),
        ("__pycache__/main.py", False),
        (".git/hooks/x.py", False),
        (".durable/state/x.json", False),
        ("data/state/x.json", False),
        ("database.py", True),
        ("../other/main.py", False),
    ],
)
def test_what_matters_is_the_program_its_configuration_and_what_it_reads(tmp_path: Path, path: str, matters: bool):
    files = project(tmp_path)

    assert files.matters(str((tmp_path / path).resolve())) is matters


def test_a_file_that_the_program_loaded_matters_wherever_it_is(tmp_path: Path):
    files = project(tmp_path / "app")
    files.loaded = frozenset([str(tmp_path / "shared" / "model.py")])

    assert files.matters(str(tmp_path / "shared" / "model.py"))
    assert not files.matters(str(tmp_path / "shared" / "other.py"))


@pytest.mark.parametrize(
    ("pattern", "path", "matters"),
    [
        ("pages/*.md", "pages/index.md", True),
        ("pages/*.md", "pages/deep/index.md", False),
        ("pages/**/*.md", "pages/deep/er/index.md", True),
        ("pages/**/*.md", "pages/index.md", True),
        ("pages/**", "pages/deep/photo.png", True),
        ("pages", "pages/deep/photo.png", True),
        ("pages", "pages.png", False),
        ("image?.png", "image7.png", True),
        ("../common/*.txt", "../common/words.txt", True),
        ("a+b/*.txt", "a+b/x.txt", True),
        ("pages/**", "data/pages/x", False),
    ],
)
def test_watch_patterns_add_to_what_matters(tmp_path: Path, pattern: str, path: str, matters: bool):
    root = tmp_path / "app"
    files = project(root, patterns=(pattern,))

    assert files.matters(str((root / path).resolve())) is matters


def test_folders_that_hold_nothing_of_the_users_are_not_watched(tmp_path: Path):
    for folder in ("rooms/deep", ".venv/lib", "node_modules/x", ".durable/state", "data", "__pycache__", "../common"):
        (tmp_path / "app" / folder).mkdir(parents=True)
    root = tmp_path / "app"

    folders = project(root, patterns=("../common/*.txt",)).folders()

    assert folders == [str(root), str(root / "rooms"), str(root / "rooms" / "deep"), str(tmp_path / "common")]


def test_a_save_that_changes_no_byte_is_no_change(tmp_path: Path):
    file = tmp_path / "main.py"
    file.write_text("x = 1")
    fingerprints = Fingerprints()
    digest = sha256_of(file)
    assert digest is not None
    fingerprints.remember({str(file): digest})

    assert not fingerprints.changed(str(file))
    file.write_text("x = 2")
    assert fingerprints.changed(str(file))
    assert not fingerprints.changed(str(file))
    file.unlink()
    assert fingerprints.changed(str(file))
    assert not fingerprints.changed(str(file))


def test_files_that_the_disk_no_longer_holds_as_they_were_loaded_are_named(tmp_path: Path):
    same, edited = tmp_path / "same.py", tmp_path / "edited.py"
    loaded: dict[str, str] = {}
    for file in (same, edited):
        file.write_text("x = 1")
        loaded[str(file)] = sha256_of(file) or ""

    edited.write_text("x = 2")

    assert differing(loaded) == {str(edited)}


async def next_save(changes: AsyncIterator[Saved]) -> set[str]:
    """The next files that were certainly written."""
    async with asyncio.timeout(WAIT_SECONDS):
        while (saved := await anext(changes)).suspected:
            pass
        return set(saved.paths)


async def test_first_everything_is_suspected_that_could_have_been_saved_before_anybody_looked(tmp_path: Path):
    files = project(tmp_path)
    files.loaded = frozenset([str(tmp_path / "main.py")])
    async with aclosing(saves(files)) as changes:
        first = await anext(changes)

    assert first == Saved(
        frozenset(str(tmp_path / name) for name in ("main.py", "durable.toml", ".dev.vars")), suspected=True
    )


async def test_a_save_is_seen_however_the_editor_writes_it(tmp_path: Path):
    main = tmp_path / "main.py"
    main.write_text("x = 1")
    async with aclosing(saves(project(tmp_path))) as changes:
        await anext(changes)

        main.write_text("x = 2")
        assert await next_save(changes) == {str(main)}

        (tmp_path / "main.py.tmp").write_text("x = 3")
        (tmp_path / "main.py.tmp").replace(main)
        assert await next_save(changes) == {str(main)}


async def test_a_file_in_a_new_folder_is_seen_and_the_folder_is_watched_from_then_on(tmp_path: Path):
    async with aclosing(saves(project(tmp_path))) as changes:
        await anext(changes)

        (tmp_path / "rooms").mkdir()
        (tmp_path / "rooms" / "chat.py").write_text("x = 1")
        assert str(tmp_path / "rooms" / "chat.py") in await next_save(changes)
        while not (await anext(changes)).suspected:
            pass

        (tmp_path / "rooms" / "chat.py").write_text("x = 2")
        assert await next_save(changes) == {str(tmp_path / "rooms" / "chat.py")}


async def test_writes_to_the_state_directory_wake_nobody(tmp_path: Path):
    (tmp_path / ".durable").mkdir()
    async with aclosing(saves(project(tmp_path))) as changes:
        await anext(changes)

        for number in range(50):
            (tmp_path / ".durable" / f"{number}.py").write_text("x")
        (tmp_path / "main.py").write_text("x = 1")

        assert await next_save(changes) == {str(tmp_path / "main.py")}


async def test_watching_ends_at_once_when_it_is_cancelled_at_any_moment(tmp_path: Path):
    async def watch() -> None:
        async with aclosing(saves(project(tmp_path))) as changes:
            async for _ in changes:
                pass

    for turns in range(12):
        watching = asyncio.ensure_future(watch())
        for _ in range(turns):
            await asyncio.sleep(0)
        (tmp_path / "main.py").write_text(str(turns))

        watching.cancel()

        assert await asyncio.wait([watching], timeout=WAIT_SECONDS) == ({watching}, set())

"""The guess where another worker's configuration is."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.config.nearby import find_worker


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("durable.toml", 'main = "main.py"\nname = "auth"\n'),
        ("wrangler.toml", "name='auth'"),
        ("wrangler.jsonc", '// ours\n{\n  "name": "auth",\n  "main": "src/entry.py"\n}'),
        ("wrangler.json", '{"main": "x.py", "name":"auth"}'),
    ],
)
def test_a_worker_is_found_by_its_name_in_a_folder_beside(root: Path, file: str, text: str):
    (root.parent / "login").mkdir()
    (root.parent / "login" / file).write_text(text)

    assert find_worker(root, "auth") == root.parent / "login" / file


@pytest.mark.parametrize("text", ['name = "author"\n', 'service = "auth"\n', 'rename = "auth"\n', ""])
def test_what_only_looks_like_it_is_not_found(root: Path, text: str):
    (root.parent / "login").mkdir()
    (root.parent / "login" / "durable.toml").write_text(text)

    assert find_worker(root, "auth") is None


def test_a_folder_that_cannot_be_read_is_no_failure(tmp_path: Path):
    assert find_worker(tmp_path / "gone" / "shop", "auth") is None

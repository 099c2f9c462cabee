"""The file that was named, or the nearest one upward."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from durable.config.discover import FILE_NAMES, find_config
from durable.config.text_file import read_text, shown
from durable.errors import ConfigError, UserInputError


def test_the_nearest_file_upward_wins_whatever_it_is_called(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "a b ü" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "outer" / "durable.toml").touch()
    assert find_config(None, inner) == tmp_path / "outer" / "durable.toml"
    (inner.parent / "wrangler.json").touch()
    assert find_config(None, inner) == inner.parent / "wrangler.json"


def test_in_one_folder_durable_toml_comes_first(tmp_path: Path) -> None:
    for name in reversed(FILE_NAMES):
        (tmp_path / name).touch()
        assert find_config(None, tmp_path) == tmp_path / name


def test_without_a_start_the_current_folder_is_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "durable.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert find_config(None, None) == tmp_path / "durable.toml"


def test_no_file_anywhere_says_what_was_looked_for_and_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UserInputError) as caught:
        find_config(None, tmp_path)
    assert str(caught.value) == (
        "no configuration found: looked for durable.toml, wrangler.json, wrangler.jsonc or wrangler.toml "
        f"in {tmp_path} and in every folder above it"
    )
    assert caught.value.fix == "durable init"


def test_a_named_folder_means_the_file_in_it_and_none_above(tmp_path: Path) -> None:
    (tmp_path / "durable.toml").touch()
    folder = tmp_path / "empty"
    folder.mkdir()
    assert find_config(tmp_path, None) == tmp_path / "durable.toml"
    with pytest.raises(UserInputError) as caught:
        find_config(folder, None)
    assert str(caught.value).startswith(f"no configuration in {folder}: it holds no durable.toml")


def test_a_named_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserInputError) as caught:
        find_config(tmp_path / "durable.toml", None)
    assert str(caught.value) == f"{tmp_path / 'durable.toml'} does not exist"


def test_a_current_folder_that_was_deleted_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UserInputError) as caught:
        find_config(None, None)
    assert str(caught.value) == "the current folder no longer exists"
    assert shown(tmp_path / "x") == str(tmp_path / "x")


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path / "pipe.toml", bytes_max=10)
    assert caught.value.message == "this is not a regular file"
    (tmp_path / "dangling.toml").symlink_to("nothing")
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path / "dangling.toml", bytes_max=10)
    assert caught.value.message == "cannot be read: No such file or directory"

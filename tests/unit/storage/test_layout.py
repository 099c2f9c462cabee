"""Paths of a state directory, and nothing that leaves it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from durable.errors import UserInputError
from durable.storage.layout import StateLayout, is_namespace_key, unusable

NAMESPACE = "ChatRoom-0123456789ab"
IDENTITY = "ab" * 32


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_file_has_its_place(tmp_path: Path) -> None:
    layout = StateLayout(tmp_path / "state")
    assert layout.object_file(NAMESPACE, IDENTITY) == tmp_path / "state" / NAMESPACE / "ab" / f"{IDENTITY}.sqlite"
    assert layout.index_file(NAMESPACE) == tmp_path / "state" / NAMESPACE / "index.sqlite"
    assert layout.state_file == tmp_path / "state" / "state.sqlite"
    assert layout.lock_file == tmp_path / "state" / ".lock"
    assert layout.deleted_folder == tmp_path / "deleted"


@pytest.mark.parametrize(
    "key", ["", "ChatRoom", "ChatRoom-", "../x-01234567", "a/b-01234567", "ChatRoom-0123456G", "ChatRoom-0123456", ".."]
)
def test_what_is_no_namespace_key_names_no_path(key: str, tmp_path: Path) -> None:
    assert not is_namespace_key(key)
    with pytest.raises(ValueError, match="not the key of a namespace"):
        StateLayout(tmp_path).index_file(key)


@pytest.mark.parametrize("identity", ["", "../" + "a" * 61, "a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n"])
def test_what_is_no_object_id_names_no_path(identity: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the id of an object"):
        StateLayout(tmp_path).object_file(NAMESPACE, identity)


def test_folders_are_made_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        layout = StateLayout(tmp_path / ".durable" / "state")
        assert layout.ensure() == ()
        folder = layout.ensure_object_folder(NAMESPACE, IDENTITY)
        assert layout.ensure_namespace(NAMESPACE) == folder.parent
    finally:
        os.umask(before)
    for made in (folder, folder.parent, layout.state, layout.state.parent):
        assert mode(made) == 0o700


def test_a_state_directory_that_others_may_write_to_is_warned_about_and_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert StateLayout(tmp_path).ensure() == (
        f"{tmp_path} can be written by other users of this machine; run: chmod 700 {tmp_path}",
    )
    assert mode(tmp_path) == 0o777


def test_a_link_to_the_state_directory_is_followed_once_and_deletions_stay_beside_the_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "data").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "state").symlink_to(tmp_path / "disk" / "data")
    layout = StateLayout(tmp_path / "project" / "state")
    assert layout.state == tmp_path / "disk" / "data"
    assert layout.deleted_folder == tmp_path / "project" / "deleted"


def test_a_file_in_the_way_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for state in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(UserInputError) as caught:
            StateLayout(state).ensure()
        assert str(caught.value) == (f"the state directory {state} cannot be used: it, or a folder above it, is a file")
        assert caught.value.fix == "--persist-to DIR keeps it somewhere else"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_write_permission_is_named_with_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for state in (tmp_path, tmp_path / "state"):
        with pytest.raises(UserInputError) as caught:
            StateLayout(state).ensure()
        assert str(caught.value) == f"the state directory {state} cannot be used: Permission denied"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EROFS, "it is on a read-only file system"),
        (errno.ENOLCK, "its file system has no locks"),
        (errno.ENOSPC, "No space left on device"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_each_reason_has_its_words(number: int, reason: str) -> None:
    error = unusable(Path("/x"), OSError(number, "whatever"))
    assert str(error) == f"the state directory /x cannot be used: {reason}"

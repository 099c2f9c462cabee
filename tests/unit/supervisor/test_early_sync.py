"""The disk begins early, and what it says then is not lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from durable.errors import StorageError
from durable.supervisor.fleet import early_sync
from durable.supervisor.fleet.early_sync import EarlySync

WAIT_SECONDS = 20.0


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_sync, "PAUSE_SECONDS", 0.0)


def test_the_folder_is_synced_while_the_work_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    synced: list[Path] = []
    twice = threading.Event()

    def sync(folder: Path) -> None:
        synced.append(folder)
        if len(synced) == 2:
            twice.set()

    monkeypatch.setattr(early_sync, "sync_file_system", sync)
    with EarlySync(tmp_path):
        assert twice.wait(WAIT_SECONDS)

    assert set(synced) == {tmp_path}
    assert not [each for each in threading.enumerate() if each.name == "early sync"]


def test_a_disk_that_refuses_is_heard_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused = threading.Event()

    def refuse(folder: Path) -> None:
        refused.set()
        raise StorageError("the disk refused")

    monkeypatch.setattr(early_sync, "sync_file_system", refuse)
    with pytest.raises(StorageError, match="the disk refused"), EarlySync(tmp_path):
        assert refused.wait(WAIT_SECONDS)


def test_what_the_work_raised_is_what_is_heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused = threading.Event()

    def refuse(folder: Path) -> None:
        refused.set()
        raise StorageError("the disk refused")

    monkeypatch.setattr(early_sync, "sync_file_system", refuse)
    with pytest.raises(ValueError, match="of the work"), EarlySync(tmp_path):
        assert refused.wait(WAIT_SECONDS)
        raise ValueError("of the work")

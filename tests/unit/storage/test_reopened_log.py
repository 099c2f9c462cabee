"""Which logs are synced when a file is opened: those that another process left, not those this one left on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from durable.storage.actor_store import ActorStore


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose logs were synced at their opening."""
    found: list[Path] = []
    monkeypatch.setattr("durable.storage.transaction.sync_log", lambda file, rewrite: found.append(file))
    return found


def write(store: ActorStore, epoch: int, *, durable: bool = True) -> None:
    """A commit, and its epoch as the host's group commit notes it."""
    store.kv.put("n", epoch)
    store.commit()
    store.database.undurable_epoch = epoch
    if durable:
        store.database.became_durable(epoch)


def test_a_log_that_is_on_the_disk_is_not_synced_again(store: ActorStore, synced: list[Path]) -> None:
    write(store, 1)
    store.close()
    assert store.kv.get("n") == 1
    write(store, 2)
    store.close()
    assert store.kv.get("n") == 2
    assert synced == []


def test_a_log_of_which_that_is_not_known_is(store: ActorStore, synced: list[Path]) -> None:
    write(store, 1, durable=False)
    store.close()
    assert store.kv.get("n") == 1
    assert len(synced) == 1


def test_a_log_that_somebody_else_left_is_synced_once(
    store: ActorStore, open_store: Callable[[], ActorStore], synced: list[Path]
) -> None:
    write(store, 1)
    store.close()
    other = open_store()
    assert other.kv.get("n") == 1
    other.close()
    assert other.kv.get("n") == 1
    assert len(synced) == 1


def test_a_log_that_has_grown_since_is_synced(
    store: ActorStore, open_store: Callable[[], ActorStore], synced: list[Path]
) -> None:
    write(store, 1)
    store.close()
    other = open_store()
    write(other, 2)
    other.close()
    assert store.kv.get("n") == 2
    assert len(synced) == 2

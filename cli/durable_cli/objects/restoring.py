"""Brings one object back to an earlier state: through the running emulator, or on its files under the lock.

Must not know how anything is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from durable.errors import StorageError, UserInputError
from durable_cli.moments import At
from durable_cli.objects.finding import Target, known_names, namespace_key, no_such_object, object_file, require_state
from durable_cli.project import Project, with_state

if TYPE_CHECKING:
    from durable.clock import Clock
    from durable.storage.actor_store import ActorStore
    from durable.storage.layout import StateLayout
    from durable_cli.client import Client

Answer = dict[str, object]


def restore(project: Project, target: Target, at: At | None) -> Answer:
    """What was restored, or with `at` None what could be: see `durable.wire.messages.Restore` for the two shapes.

    Raises NotFoundError, StateInUseError, UserInputError for what cannot be restored.
    """
    require_state(project)
    try:
        return with_state(
            project,
            "durable objects restore",
            on_files=lambda layout: _on_files(project, layout, target, at or At()),
            on_emulator=lambda client: _through_emulator(client, target, at or At()),
        )
    except StorageError as error:
        if type(error) is not StorageError:
            raise
        raise UserInputError(
            str(error), fix=f"{target.command('durable objects restore')} shows from when to when it can be restored"
        ) from error


def _through_emulator(client: Client, target: Target, at: At) -> Answer:
    question = {
        "class": target.class_word, "name": target.name, "id": target.id, "bookmark": at.bookmark,
        "moment_ms": at.moment_ms,
    }  # fmt: skip
    return client.post("/__durable/restore", question)


def _on_files(project: Project, layout: StateLayout, target: Target, at: At) -> Answer:
    # Imported here: apsw is not needed when an emulator runs.
    from durable.clock import SystemClock
    from durable.storage.actor_store import ActorStore
    from durable.storage.class_life.applying import open_state

    key = namespace_key(project, layout, target.class_word)
    path = object_file(layout, key, target)
    with open_state(layout) as state:
        clock = SystemClock()
        clock.set(state.clock)
    store = ActorStore(path, clock=clock, on_first_write=lambda: None, keep_days=project.config.dev.pitr_days)
    try:
        if not store.has_file and not store.has_history:
            raise no_such_object(target, known_names(layout, key))
        if not at.bookmark and at.moment_ms is None:
            return store.recovery.reach().to_json()
        if at.moment_ms is not None and at.moment_ms < 0:
            at = replace(at, moment_ms=clock.wall_ms() + at.moment_ms)
        return _restore(layout, key, store, target, at, clock)
    finally:
        store.close()


def _restore(layout: StateLayout, key: str, store: ActorStore, target: Target, at: At, clock: Clock) -> Answer:
    from durable.storage.index import IndexRow, NamespaceIndex

    moment, restore = store.prepare_restore(at.bookmark or at.moment_ms or 0)
    alarm = restore.build()
    index = NamespaceIndex(layout.index_file(key))
    try:
        now = clock.wall_ms()
        identity = store.path.stem
        row = index.get(identity)
        created = row.created_ms if row is not None else now
        new = IndexRow(identity, target.name, created, now, alarm)
        # An earlier alarm reaches the index before it is the object's, a later one after it.
        if row is not None and alarm is not None and (row.alarm_ms is None or alarm < row.alarm_ms):
            index.put_many([new])
        restore.decide(now)
        index.put_many([new])
    finally:
        index.close()
    size = store.path.stat().st_size
    return {"restored": str(restore.target), "moment_ms": moment, "undo": str(restore.undo), "bytes": size}

"""`state.sqlite`: which namespaces exist, which migrations were applied, a few settings. One small database per state.

Written rarely and never lost: `synchronous=FULL`, every change one transaction. Whoever opens it holds the state lock.
Must not know the configuration, nor touch any other file of the state directory; `class_life` does that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from durable.clock import ClockSetting
from durable.errors import MigrationError, NotFoundError, StorageCorruptError, StorageError
from durable.storage.class_life.declared import Declared, digest_of
from durable.storage.layout import is_namespace_key
from durable.storage.migration_plan import CreateClass, DeleteClass, MigrationPlan, RenameClass, Step, TransferClass
from durable.storage.state_format import (
    APPLICATION_ID,
    FORMAT_VERSION,
    deleted_folder_name,
    named,
    open_state_file,
)

__all__ = [
    "APPLICATION_ID",
    "FORMAT_VERSION",
    "AppliedMigration",
    "Arrival",
    "DeletedNamespace",
    "NamespaceRow",
    "StateDatabase",
    "UnfinishedMove",
]

KEY_TRIES_MAX: Final = 100

_NAMESPACES = "SELECT key, class_name, sqlite, environment, created_ms FROM namespaces"
_DELETED = "SELECT key, class_name, sqlite, environment, created_ms, deleted_ms, folder FROM deleted_namespaces"


class NamespaceRow(Struct, frozen=True):
    """One class that has a place for objects; the key names its folder and never changes."""

    key: str
    class_name: str
    sqlite: bool
    environment: str | None
    created_ms: int


class AppliedMigration(Struct, frozen=True):
    """`steps` is what `MigrationPlan.to_json` showed for this tag; `declared` what its entry said, `digest` of that."""

    tag: str
    position: int
    applied_ms: int
    steps: list[dict[str, object]]
    declared: Declared = field(default_factory=dict[str, Any])
    digest: str = ""


class DeletedNamespace(Struct, frozen=True):
    """A namespace that is forgotten; `folder` is the name of what it left, in `deleted` beside the state."""

    key: str
    class_name: str
    sqlite: bool
    environment: str | None
    created_ms: int
    deleted_ms: int
    folder: str


class UnfinishedMove(Struct, frozen=True):
    """A folder that is to be moved yet: `deleted` and `restored` name one in `deleted`, `arrived` the state it left."""

    number: int
    key: str
    kind: str
    place: str


class Arrival(Struct, frozen=True):
    """A namespace that a transfer brings: from another `state`, or, when that is empty, from an environment of ours."""

    key: str
    sqlite: bool
    created_ms: int
    environment: str
    class_name: str
    state: str


class StateDatabase:
    """The open database; `create=False` is for tools, which raise `NotFoundError` where nothing ever ran."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if not path.exists() and not create:
            raise NotFoundError(f"there is no state in {path.parent} yet", fix="durable dev")
        self._connection = open_state_file(path)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> StateDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reading ------------------------------------------------------------------------------------------------------
    def namespaces(self, environment: str | None) -> list[NamespaceRow]:
        """The namespaces of one environment, oldest first."""
        order = " WHERE environment = ? ORDER BY created_ms, class_name"
        return [_namespace(row) for row in self._query(_NAMESPACES + order, environment or "")]

    def applied_tags(self, environment: str | None) -> list[str]:
        return [migration.tag for migration in self.applied_migrations(environment)]

    def applied_migrations(self, environment: str | None) -> list[AppliedMigration]:
        """What was applied to one environment, in the order in which it was."""
        rows = self._query(
            "SELECT tag, position, applied_ms, steps, declared, digest FROM applied_migrations "
            "WHERE environment = ? ORDER BY position",
            environment or "",
        )
        return [
            AppliedMigration(tag, position, applied_ms, json.loads(steps), json.loads(declared), digest)
            for tag, position, applied_ms, steps, declared, digest in rows
        ]

    def deleted_namespaces(self, environment: str | None) -> list[DeletedNamespace]:
        """What was deleted in one environment, the latest first."""
        order = " WHERE environment = ? ORDER BY deleted_ms DESC, key"
        return [
            DeletedNamespace(key, class_name, bool(sqlite), scope or None, created_ms, deleted_ms, folder)
            for key, class_name, sqlite, scope, created_ms, deleted_ms, folder in self._query(
                _DELETED + order, environment or ""
            )
        ]

    def unfinished_moves(self) -> list[UnfinishedMove]:
        """Folders of all environments that are not yet where they belong, in the order in which they have to move."""
        rows = self._query("SELECT number, key, kind, place FROM unfinished_moves ORDER BY number")
        return [UnfinishedMove(*row) for row in rows]

    def unfinished_runs(self) -> list[tuple[str, dict[str, Any]]]:
        """Plans that were about to take classes from other states, by the name of the run."""
        return [(run, json.loads(text)) for run, text in self._query("SELECT run, document FROM unfinished_runs")]

    def was_released(self, key: str, run: str) -> bool:
        """Whether that run of another state has taken the namespace."""
        return bool(self._query("SELECT 1 FROM transferred_namespaces WHERE key = ? AND run = ?", key, run))

    def knows_key(self, key: str) -> bool:
        """Whether the key is in use, or was that of something deleted."""
        used = "SELECT 1 FROM namespaces WHERE key = ?1 UNION ALL SELECT 1 FROM deleted_namespaces WHERE key = ?1"
        return bool(self._query(used, key))

    @property
    def clock(self) -> ClockSetting:
        """How wall time was moved, for every start until it is reset."""
        frozen = self._query("SELECT value FROM settings WHERE name = 'clock_frozen_ms'")
        return ClockSetting(self._setting("clock_offset_ms"), int(frozen[0][0]) if frozen else None)

    # --- writing ------------------------------------------------------------------------------------------------------
    def set_clock(self, setting: ClockSetting) -> None:
        with named(self.path), self._connection:
            self._query("UPDATE settings SET value = ? WHERE name = 'clock_offset_ms'", setting.offset_ms)
            if setting.frozen_ms is None:
                self._query("DELETE FROM settings WHERE name = 'clock_frozen_ms'")
            else:
                # Its own row, and not a column: the format that older versions read stays as it is.
                self._query("INSERT OR REPLACE INTO settings VALUES ('clock_frozen_ms', ?)", setting.frozen_ms)

    def apply(
        self,
        environment: str | None,
        plan: MigrationPlan,
        *,
        now_ms: int,
        make_key: Callable[[str], str],
        arrivals: Mapping[str, Arrival] | None = None,
        run: str = "",
    ) -> None:
        """Record a plan, all of it or nothing; `make_key` proposes a key for a class.

        `arrivals` are what transfers bring, by the class that it becomes; `run` is the note that it ends. Raises
        `MigrationError` when something else was applied since the plan was made.
        """
        scope = environment or ""
        with named(self.path), self._connection:
            applied = tuple(self.applied_tags(environment))
            if applied != plan.applied:
                raise MigrationError(
                    f"the state changed after the plan was made: the last applied tag was {_last(plan.applied)} then "
                    f"and is {_last(applied)} now",
                    fix="durable migrate status",
                )
            position = len(applied)
            for migration in plan.migrations:
                for step in migration.steps:
                    self._apply_step(scope, step, now_ms, make_key, arrivals or {})
                if migration.declared is not None:
                    steps = json.dumps([step.to_json() for step in migration.steps])
                    declared = json.dumps(migration.declared)
                    values = (scope, position, migration.tag, now_ms, steps, declared, digest_of(migration.declared))
                    self._query("INSERT INTO applied_migrations VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
                    position += 1
            self._query("DELETE FROM unfinished_runs WHERE run = ?", run)

    def begin_run(self, run: str, document: Mapping[str, object]) -> None:
        """Note a plan before other states let go of what it takes from them."""
        self._query("INSERT INTO unfinished_runs VALUES (?, ?)", run, json.dumps(document))

    def drop_run(self, run: str) -> None:
        """No other state has let go of anything: as if it had never begun."""
        self._query("DELETE FROM unfinished_runs WHERE run = ?", run)

    def release(self, keys: list[str], run: str, now_ms: int) -> None:
        """Let another state have these namespaces, all of them or none. Their folders are its own from then on."""
        with named(self.path), self._connection:
            for key in keys:
                self._query(
                    "INSERT OR REPLACE INTO transferred_namespaces SELECT key, environment, class_name, ?, ? "
                    "FROM namespaces WHERE key = ?",
                    run, now_ms, key,
                )  # fmt: skip
                self._change_one("DELETE FROM namespaces WHERE key = ?", key)

    def restore(self, deleted: DeletedNamespace, class_name: str, now_ms: int) -> None:
        """Give a deleted namespace the place of the class's present one, which must not have any objects."""
        scope = deleted.environment or ""
        with named(self.path), self._connection:
            self._apply_step(scope, DeleteClass(class_name), now_ms, str, {})
            values = (deleted.key, scope, class_name, int(deleted.sqlite), deleted.created_ms)
            self._query("INSERT INTO namespaces VALUES (?, ?, ?, ?, ?)", *values)
            self._change_one("DELETE FROM deleted_namespaces WHERE key = ?", deleted.key)
            self._plan_move(deleted.key, "restored", deleted.folder)

    def finish_move(self, move: UnfinishedMove) -> None:
        """Note that the folder is where it belongs."""
        self._query("DELETE FROM unfinished_moves WHERE number = ?", move.number)

    def _plan_move(self, key: str, kind: str, place: str) -> None:
        self._query("INSERT INTO unfinished_moves (key, kind, place) VALUES (?, ?, ?)", key, kind, place)

    def _apply_step(
        self, scope: str, step: Step, now_ms: int, make_key: Callable[[str], str], arrivals: Mapping[str, Arrival]
    ) -> None:
        match step:
            case CreateClass(class_name, sqlite):
                key = self._unused_key(class_name, make_key)
                insert = "INSERT INTO namespaces VALUES (?, ?, ?, ?, ?)"
                self._query(insert, key, scope, class_name, int(sqlite), now_ms)
            case RenameClass(source, target):
                rename = "UPDATE namespaces SET class_name = ? WHERE environment = ? AND class_name = ?"
                self._change_one(rename, target, scope, source)
            case DeleteClass(class_name):
                self._delete(scope, class_name, now_ms)
            case TransferClass(target=target):
                self._arrive(scope, arrivals[target], target)

    def _delete(self, scope: str, class_name: str, now_ms: int) -> None:
        found = self._query(f"{_NAMESPACES} WHERE environment = ? AND class_name = ?", scope, class_name)
        if not found:
            raise _vanished(class_name)
        key, _, sqlite, _, created_ms = found[0]
        folder = deleted_folder_name(key, now_ms)
        values = (key, scope, class_name, sqlite, created_ms, now_ms, folder)
        self._query("INSERT INTO deleted_namespaces VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
        self._query("DELETE FROM namespaces WHERE key = ?", key)
        self._plan_move(key, "deleted", folder)

    def _arrive(self, scope: str, arrival: Arrival, target: str) -> None:
        if not arrival.state:
            move = "UPDATE namespaces SET environment = ?, class_name = ? WHERE key = ?"
            self._change_one(move, scope, target, arrival.key)
            return
        values = (arrival.key, scope, target, int(arrival.sqlite), arrival.created_ms)
        self._query("INSERT INTO namespaces VALUES (?, ?, ?, ?, ?)", *values)
        # It may have been ours before.
        self._query("DELETE FROM transferred_namespaces WHERE key = ?", arrival.key)
        self._plan_move(arrival.key, "arrived", arrival.state)

    def _unused_key(self, class_name: str, make_key: Callable[[str], str]) -> str:
        for _ in range(KEY_TRIES_MAX):
            key = make_key(class_name)
            if not is_namespace_key(key):
                raise ValueError(f"not the key of a namespace: {key!r}")
            left = self._query("SELECT 1 FROM transferred_namespaces WHERE key = ?", key)
            if not left and not self.knows_key(key):
                return key
        raise StorageError(f"no unused key for the namespace of {class_name} after {KEY_TRIES_MAX} tries")

    def _setting(self, name: str) -> int:
        rows = self._query("SELECT value FROM settings WHERE name = ?", name)
        if not rows:
            raise StorageCorruptError(str(self.path), f'has lost its setting "{name}"')
        return int(rows[0][0])

    def _change_one(self, sql: str, *bindings: str | int) -> None:
        self._query(sql, *bindings)
        if self._connection.changes() != 1:
            raise _vanished(str(bindings[-1]))

    def _query(self, sql: str, *bindings: str | int) -> list[tuple[Any, ...]]:
        with named(self.path):
            return list(self._connection.execute(sql, bindings))


def _namespace(row: tuple[Any, ...]) -> NamespaceRow:
    key, class_name, sqlite, scope, created_ms = row
    return NamespaceRow(key, class_name, bool(sqlite), scope or None, created_ms)


def _vanished(what: str) -> MigrationError:
    return MigrationError(
        f"the state changed after the plan was made: {what} is not there any more", fix="durable migrate status"
    )


def _last(tags: tuple[str, ...]) -> str:
    return f'"{tags[-1]}"' if tags else "none"

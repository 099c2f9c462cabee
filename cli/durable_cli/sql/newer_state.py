"""Reading an object of a state directory that a newer version wrote: from a copy, so that nothing there is written."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from durable.limits import INSPECT_SECONDS_MAX
from durable_cli.sql.parameters import Parameters
from durable_cli.sql.rows import Rows

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable_cli.objects.finding import Target
    from durable_cli.project import Project


def read_copy(
    project: Project, layout: StateLayout, target: Target, sql: str, parameters: Parameters, *, rows_max: int
) -> list[Rows]:
    """What statements that only read return. Raises NotFoundError, SqlError, StorageError."""
    from durable.clock import SystemClock
    from durable.storage.actor_store import ActorStore
    from durable.storage.state_format import namespace_keys
    from durable_cli.objects.finding import no_such_object, object_file
    from durable_cli.sql.one_object import rows_of

    bindings = {binding.name: binding.class_name for binding in project.config.bindings}
    keys = namespace_keys(layout.state_file, project.config.environment)
    key = keys.get(bindings.get(target.class_word, target.class_word))
    path = object_file(layout, key, target) if key is not None else None
    if path is None or not path.is_file():
        raise no_such_object(target, ())
    with tempfile.TemporaryDirectory(prefix="durable-") as folder:
        for name in (path.name, path.name + "-wal"):
            if path.with_name(name).exists():
                shutil.copy(path.with_name(name), folder)
        store = ActorStore(Path(folder) / path.name, clock=SystemClock(), on_first_write=lambda: None, keep_days=0)
        try:
            results = store.inspect(sql, parameters, write=False, rows_max=rows_max, seconds_max=INSPECT_SECONDS_MAX)
        finally:
            store.close()
    return rows_of(results)

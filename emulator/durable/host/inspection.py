"""Tools look into objects: SQL between an actor's turns, on the actor's own connection, without waking anyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable import values
from durable.errors import DurableError
from durable.storage.file_check import missing_file
from durable.wire.messages import Inspect, InspectedRows, InspectReply

if TYPE_CHECKING:
    from durable.host.host import Host


async def inspect(host: Host, request: Inspect) -> None:
    """Run the statements in a thread while the actor's gate is shut; answer rows or SQLite's message."""
    registry = host.registry
    actor = await registry.lend(request.actor.id)
    epoch = 0
    try:
        store = registry.store(request.actor)
        if not store.has_file and await host.index.is_known(request.actor):
            raise missing_file(store.path)
        if not store.exists:
            raise DurableError(f"object {request.actor.id} has no data")
        parameters = values.decode(request.parameters) if request.parameters else ()
        results = await host.loop.run_in_executor(
            None,
            lambda: [
                InspectedRows(
                    found.columns,
                    [values.encode(row) for row in found.rows],
                    found.truncated,
                    found.rows_written,
                    found.oversized,
                )
                for found in store.inspect(
                    request.sql,
                    parameters,
                    write=request.write,
                    rows_max=request.rows_max,
                    seconds_max=request.seconds_max,
                )
            ],
        )
        if request.write:
            epoch = host.commit(store)
        host.send(InspectReply(request.id, epoch, results))
    except Exception as error:
        # Whoever asked waits for an answer, whatever it is.
        text = str(error) if isinstance(error, DurableError) else f"{type(error).__name__}: {error}"
        host.send(InspectReply(request.id, 0, [], text))
    finally:
        registry.give_back(request.actor.id, actor, epoch)

"""`/__durable/schema`: the schema of objects while they are served, a page of objects at a time. Wakes nobody.

Each object is migrated by the host that has its file, between two of its turns; its sockets stay. Whoever asks goes
from page to page, so that a run can be watched, ended and begun again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import msgspec

from durable import values
from durable.errors import ActorError
from durable.gateway.admin import Route
from durable.gateway.asking_hosts import Links, ask
from durable.gateway.object_finder import AdminProblemError, Json, Namespaces, bad_request
from durable.limits import FLEET_AT_ONCE_MAX, FLEET_PAGE_OBJECTS
from durable.schema.files import ClassSchema, read_schemas
from durable.storage.index import IndexRow
from durable.wire.messages import ActorKey, Failed, MigrateObject, NamespaceInfo


class PagedIndex(Protocol):
    """What the pages are made of."""

    async def find(self, namespace: str, name: str) -> IndexRow | None: ...
    async def page(self, namespace: str, after: str | None = None, limit: int = 100) -> tuple[IndexRow, ...]: ...
    async def count(self, namespace: str) -> int: ...


class SchemaRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "ChatRoom", "todo": "migrate"}`; `after` is the last id of the page before, `only` a name."""

    class_name: str = msgspec.field(name="class")
    todo: str = "look"
    after: str | None = None
    only: str | None = None
    snapshot: str = ""
    continue_on_error: bool = False


class SchemaTools:
    """The answers; `root` says where the project is now, `reload` has the hosts read the files that are there."""

    def __init__(
        self,
        router: Links,
        index: PagedIndex,
        namespaces: Namespaces,
        *,
        root: Callable[[], Path],
        reload: Callable[[], Coroutine[None, None, None]],
    ) -> None:
        self._router = router
        self._index = index
        self._namespaces = namespaces
        self._root = root
        self._reload = reload
        self._reloading: asyncio.Future[None] | None = None

    def routes(self) -> dict[str, Route]:
        return {"/__durable/schema": Route("POST", SchemaRequest, self._answer)}

    async def _answer(self, request: SchemaRequest) -> Json:
        if request.todo not in ("look", "try", "migrate"):
            raise bad_request(f'todo is "look", "try" or "migrate", not "{request.todo}"')
        namespace = self._namespaces().get(request.class_name)
        if namespace is None:
            raise AdminProblemError(HTTPStatus.NOT_FOUND, "no_such_class", f'there is no class "{request.class_name}"')
        names = sorted({space.class_name for space in self._namespaces().values()})
        schema = read_schemas(self._root(), names).get(namespace.class_name) or ClassSchema(namespace.class_name, ())
        rows = await self._page(namespace, request)
        found = await self._all(namespace, schema, rows, request)
        is_last = request.only is not None or len(rows) < FLEET_PAGE_OBJECTS
        return {
            "version": schema.version,
            "total": await self._index.count(namespace.key),
            "next": None if is_last else rows[-1].id,
            "objects": found,
        }

    async def _page(self, namespace: NamespaceInfo, request: SchemaRequest) -> tuple[IndexRow, ...]:
        if request.only is not None:
            row = await self._index.find(namespace.key, request.only)
            return () if row is None else (row,)
        return await self._index.page(namespace.key, request.after, FLEET_PAGE_OBJECTS)

    async def _all(
        self, namespace: NamespaceInfo, schema: ClassSchema, rows: tuple[IndexRow, ...], request: SchemaRequest
    ) -> list[Json]:
        """What became of each; after a failure no further one is begun, unless that is asked for."""
        left, found = iter(rows), list[Json]()
        has_failed = False

        async def work() -> None:
            nonlocal has_failed
            for row in left:
                outcome = await self._one(ActorKey(namespace.key, row.id, row.name), schema, request)
                found.append({"id": row.id, "name": row.name, **outcome})
                has_failed = has_failed or outcome["state"] == "failed"
                if has_failed and not request.continue_on_error:
                    return

        await asyncio.gather(*(work() for _ in range(FLEET_AT_ONCE_MAX)))
        return sorted(found, key=lambda each: str(each["id"]))

    async def _one(self, actor: ActorKey, schema: ClassSchema, request: SchemaRequest) -> Json:
        for is_again in (False, True):
            try:
                link = await self._router.link_for(actor)
                reply = await ask(
                    link, lambda identity: MigrateObject(identity, actor, schema.digest, request.todo, request.snapshot)
                )
            except ActorError as error:
                return _failed(str(error))
            if isinstance(reply, Failed):
                if reply.error.type == "MigrationError" and not is_again:
                    # Its program was loaded before these files were there.
                    await self._reload_once()
                    continue
                return _failed(reply.error.message)
            return dict(values.decode(reply.payload))
        raise AssertionError("unreachable")

    async def _reload_once(self) -> None:
        """Many objects find out at the same time that the files are new."""
        if self._reloading is None:
            self._reloading = asyncio.ensure_future(self._reload())
        reloading = self._reloading
        try:
            await asyncio.shield(reloading)
        finally:
            if self._reloading is reloading:
                self._reloading = None


def _failed(error: str) -> Json:
    return {
        "state": "failed", "before": 0, "after": 0, "ms": 0.0, "error": error, "rows_before": {}, "rows_after": {},
    }  # fmt: skip

"""Which object a tool means: its class or binding and its name or id, looked up in the index. Creates nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

import msgspec

from durable.config.nearest import did_you_mean, nearest
from durable.sdk.ids import checked_id, id_from_name
from durable.storage.index import IndexRow
from durable.wire.messages import ActorKey, NamespaceInfo

_SUGGESTED_FROM = 1000
"""How many names, the last used first, are searched for one like a name that does not exist."""

Json = dict[str, object]
Namespaces = Callable[[], Mapping[str, NamespaceInfo]]


class ObjectIndex(Protocol):
    """What the tools need of the index."""

    async def get(self, namespace: str, identity: str) -> IndexRow | None: ...
    async def names(self, namespace: str, limit: int) -> tuple[str, ...]: ...


class ObjectRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "ChatRoom", "name": "general"}`; `id`, 64 hex digits, may stand for `name`."""

    class_name: str = msgspec.field(name="class")
    name: str | None = None
    id: str | None = None


class AdminProblemError(Exception):
    """An answer that is an error: `{"error": {"code": "no_such_object", "message": "…", "fix": "…"}}`."""

    def __init__(
        self, status: HTTPStatus, code: str, message: str, fix: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fix = fix
        self.headers = dict(headers or {})


class ObjectFinder:
    """Finds what `ObjectRequest`s name."""

    def __init__(self, index: ObjectIndex, namespaces: Namespaces) -> None:
        self._index = index
        self._namespaces = namespaces

    async def find(self, request: ObjectRequest) -> tuple[NamespaceInfo, ActorKey, bool]:
        """The object that is meant, and whether the index knows it: looking creates nothing."""
        namespace = self.namespace(request.class_name)
        if (request.name is None) == (request.id is None):
            raise bad_request("an object is named by either name or id")
        try:
            if request.name is not None:
                identity = id_from_name(namespace.key, request.name)
            else:
                identity = checked_id(namespace.key, request.id or "")
        except TypeError as error:
            raise bad_request(str(error)) from error
        row = await self._index.get(namespace.key, identity)
        name = row.name if row is not None and row.name is not None else request.name
        return namespace, ActorKey(namespace.key, identity, name), row is not None

    def namespace(self, class_name: str) -> NamespaceInfo:
        """By the name of a class or of a binding."""
        namespaces = self._namespaces()
        namespace = namespaces.get(class_name)
        if namespace is None:
            known = ", ".join(sorted(namespaces)) or "none"
            raise AdminProblemError(
                HTTPStatus.NOT_FOUND,
                "no_such_class",
                f'there is no class or binding "{class_name}"; there are {known}',
                did_you_mean(class_name, namespaces),
            )
        return namespace

    async def row(self, namespace: NamespaceInfo, actor: ActorKey) -> IndexRow | None:
        return await self._index.get(namespace.key, actor.id)

    async def no_such_object(self, namespace: NamespaceInfo, actor: ActorKey) -> AdminProblemError:
        return AdminProblemError(
            HTTPStatus.NOT_FOUND,
            "no_such_object",
            f"no such object: {named(namespace, actor)}",
            await self._suggestion(namespace, actor.name),
        )

    async def _suggestion(self, namespace: NamespaceInfo, name: str | None) -> str:
        names = await self._index.names(namespace.key, _SUGGESTED_FROM)
        if name is not None and (found := nearest(name, names)) is not None:
            return f'Did you mean "{found}"?'
        if not names:
            return f"{namespace.class_name} has no objects with a name yet"
        return "there are " + ", ".join(f'"{known}"' for known in names[:5]) + (" and others" if len(names) > 5 else "")


def named(namespace: NamespaceInfo, actor: ActorKey) -> str:
    """`Room "general"`, or with its id when it has no name."""
    return f"{namespace.class_name} " + (actor.id if actor.name is None else f'"{actor.name}"')


def described(namespace: NamespaceInfo, actor: ActorKey, row: IndexRow | None) -> Json:
    """What the index tells of an object; times are None for one that has stored nothing."""
    return {
        "class": namespace.class_name,
        "name": actor.name,
        "id": actor.id,
        "created_ms": None if row is None else row.created_ms,
        "alarm_ms": None if row is None else row.alarm_ms,
    }


def bad_request(message: str) -> AdminProblemError:
    return AdminProblemError(HTTPStatus.BAD_REQUEST, "bad_request", message)

"""`/__durable/objects/find`, `classes`, `copy`, `replace` and `delete`: whole objects, for tools that move data.

Paths are of this machine, and the host that has the object's file open writes or reads there. Wakes nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from http import HTTPStatus

from durable import values
from durable.gateway.admin import Route
from durable.gateway.asking_hosts import Links, NoRequest, ask
from durable.gateway.link import Question
from durable.gateway.object_finder import (
    AdminProblemError,
    Json,
    Namespaces,
    ObjectFinder,
    ObjectIndex,
    ObjectRequest,
    bad_request,
)
from durable.wire.messages import (
    ActorKey,
    CopyObject,
    DeleteObject,
    Failed,
    NamespaceInfo,
    ReplaceObject,
)


class CopyRequest(ObjectRequest, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "ChatRoom", "name": "general", "target": "/home/me/general.sqlite"}`; a file there is replaced."""

    target: str
    sync: bool = True


class ReplaceRequest(ObjectRequest, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "ChatRoom", "name": "general", "image": "/home/me/general.sqlite", "create": true}`"""

    image: str
    create: bool = False


class DataTools:
    """The answers about whole objects."""

    def __init__(self, links: Links, index: ObjectIndex, namespaces: Namespaces) -> None:
        self._links = links
        self._namespaces = namespaces
        self._objects = ObjectFinder(index, namespaces)

    def routes(self) -> dict[str, Route]:
        return {
            "/__durable/objects/classes": Route("POST", NoRequest, self._classes),
            "/__durable/objects/find": Route("POST", ObjectRequest, self._find),
            "/__durable/objects/copy": Route("POST", CopyRequest, self._copy),
            "/__durable/objects/replace": Route("POST", ReplaceRequest, self._replace),
            "/__durable/objects/delete": Route("POST", ObjectRequest, self._delete),
        }

    async def _classes(self, _request: NoRequest) -> Json:
        """`{"classes": ["ChatRoom"]}`: those that have or may have objects."""
        return {"classes": list(dict.fromkeys(space.class_name for space in self._namespaces().values()))}

    async def _find(self, request: ObjectRequest) -> Json:
        """`{"class": "ChatRoom", "namespace": "ChatRoom-9f3a…", "id": "…", "name": "general", "known": true}`"""
        namespace, actor, is_known = await self._objects.find(request)
        return {
            "class": namespace.class_name, "namespace": namespace.key, "id": actor.id, "name": actor.name,
            "known": is_known,
        }  # fmt: skip

    async def _copy(self, request: CopyRequest) -> Json:
        _check_path(request.target)
        return await self._ask(request, lambda number, actor: CopyObject(number, actor, request.target, request.sync))

    async def _replace(self, request: ReplaceRequest) -> Json:
        _check_path(request.image)
        return await self._ask(
            request, lambda number, actor: ReplaceObject(number, actor, request.image, request.create)
        )

    async def _delete(self, request: ObjectRequest) -> Json:
        return await self._ask(request, DeleteObject)

    async def _ask(self, request: ObjectRequest, question: Callable[[int, ActorKey], Question]) -> Json:
        # The host says whether there is such an object: one that has stored nothing yet is in no index, and one that
        # the index lost has its file all the same.
        namespace, actor, _ = await self._objects.find(request)
        link = await self._links.link_for(actor)
        reply = await ask(link, lambda number: question(number, actor))
        if isinstance(reply, Failed):
            raise await self._problem(namespace, actor, reply)
        return dict(values.decode(reply.payload))

    async def _problem(self, namespace: NamespaceInfo, actor: ActorKey, failed: Failed) -> AdminProblemError:
        error = failed.error
        if error.type == "NotFoundError":
            return await self._objects.no_such_object(namespace, actor)
        if error.type == "UserInputError":
            return AdminProblemError(HTTPStatus.BAD_REQUEST, "refused", error.message)
        return AdminProblemError(HTTPStatus.BAD_REQUEST, "storage_error", error.message)


def _check_path(path: str) -> None:
    if not os.path.isabs(path) or "\0" in path:
        raise bad_request("a file is named by its absolute path")

"""`/__durable/classes/*`: what deleted classes left, and bringing one back."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

import msgspec

from durable.errors import NotFoundError
from durable.gateway.admin import Route
from durable.gateway.asking_hosts import NoRequest
from durable.gateway.object_finder import AdminProblemError, Json


class RestoreClassRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`{"snapshot": "Room-9f3a0c21b7de-20231114T221320Z"}`, or the name of a class; `into` is the class to fill."""

    snapshot: str
    into: str | None = None


class DeletedClasses(Protocol):
    async def deleted(self) -> list[dict[str, object]]: ...
    async def restore(self, word: str, into: str | None) -> dict[str, object]: ...


def class_routes(classes: DeletedClasses) -> dict[str, Route]:
    async def deleted(_request: NoRequest) -> Json:
        return {"deleted": await classes.deleted()}

    async def restore(request: RestoreClassRequest) -> Json:
        try:
            return await classes.restore(request.snapshot, request.into)
        except NotFoundError as error:
            raise AdminProblemError(HTTPStatus.NOT_FOUND, "no_such_snapshot", error.message, error.fix) from error

    return {
        "/__durable/classes/deleted": Route("POST", NoRequest, deleted),
        "/__durable/classes/restore": Route("POST", RestoreClassRequest, restore),
    }

"""`/__durable/show` and `/__durable/evict`: what keeps objects in memory, and having them leave it.

Looking wakes nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import msgspec

from durable import values
from durable.gateway.admin import Route
from durable.gateway.asking_hosts import Hosts, ask
from durable.gateway.link import HostLink, Question
from durable.gateway.object_finder import (
    AdminProblemError,
    Json,
    Namespaces,
    ObjectFinder,
    ObjectIndex,
    ObjectRequest,
    bad_request,
    described,
    named,
)
from durable.wire.messages import ActorKey, Evict, EvictAll, Failed, Look, NamespaceInfo


class EvictRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One object, as in `ObjectRequest`; or `{"all": true}`, with a `class` or without."""

    class_name: str | None = msgspec.field(name="class", default=None)
    name: str | None = None
    id: str | None = None
    all: bool = False


class PresenceTools:
    """The answers about objects in memory."""

    def __init__(self, hosts: Hosts, index: ObjectIndex, namespaces: Namespaces) -> None:
        self._hosts = hosts
        self._namespaces = namespaces
        self._objects = ObjectFinder(index, namespaces)

    def routes(self) -> dict[str, Route]:
        return {
            "/__durable/show": Route("POST", ObjectRequest, self._show),
            "/__durable/evict": Route("POST", EvictRequest, self._evict),
        }

    async def evict_all(self, class_name: str | None = None) -> Json:
        """`{"evicted": 12, "pinned": [{"class": "Room", "name": "a", "id": "…", "pins": […]}], "pinned_count": 1}`

        Of one class, or of all; every object that nothing keeps in memory leaves it.
        """
        namespace = "" if class_name is None else self._objects.namespace(class_name).key
        links = [link for link in self._hosts.links if link is not None]
        answers = await asyncio.gather(
            *(_asked(link, lambda number: EvictAll(number, None, namespace)) for link in links)
        )
        class_names = {space.key: space.class_name for space in self._namespaces().values()}
        pinned: list[Json] = []
        for answer in answers:
            for one in cast("list[Json]", answer["pinned"]):
                space = str(one.pop("namespace"))
                pinned.append({"class": class_names.get(space, space), **one})
        return {
            "evicted": sum(cast("int", answer["evicted"]) for answer in answers),
            "pinned": pinned,
            "pinned_count": sum(cast("int", answer["pinned_count"]) for answer in answers),
        }

    async def _show(self, request: ObjectRequest) -> Json:
        namespace, actor, _ = await self._objects.find(request)
        row = await self._objects.row(namespace, actor)
        presence = await self._presence(namespace, actor, Look, is_known=row is not None)
        return described(namespace, actor, row) | presence

    async def _evict(self, request: EvictRequest) -> Json:
        if request.all:
            if request.name is not None or request.id is not None:
                raise bad_request("either one object is evicted, or all of them are")
            return await self.evict_all(request.class_name)
        if request.class_name is None:
            raise bad_request("an object is named by its class and its name or id: class is missing")
        target = ObjectRequest(class_name=request.class_name, name=request.name, id=request.id)
        namespace, actor, is_known = await self._objects.find(target)
        presence = await self._presence(namespace, actor, Evict, is_known=is_known)
        pins = presence["pins"]
        if isinstance(pins, list) and pins:
            reasons = "; ".join(str(pin["text"]) for pin in cast("list[Json]", pins))
            raise AdminProblemError(
                HTTPStatus.CONFLICT,
                "pinned",
                f"{named(namespace, actor)} cannot leave memory: {reasons}",
                "let that end, or save the program: a reload resets what is pinned",
            )
        return presence

    async def _presence(
        self, namespace: NamespaceInfo, actor: ActorKey, question: type[Look | Evict], *, is_known: bool
    ) -> Json:
        link = await self._hosts.link_for(actor)
        presence = await _asked(link, lambda identity: question(identity, actor))
        if not is_known and presence["state"] == "inactive" and not presence.get("evicted"):
            # An object that has stored nothing is in no index, and lives all the same.
            raise await self._objects.no_such_object(namespace, actor)
        return presence


async def _asked(link: HostLink, question: Callable[[int], Question]) -> Json:
    reply = await ask(link, question)
    if isinstance(reply, Failed):
        raise AdminProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "inspection_failed", reply.error.message)
    return dict(values.decode(reply.payload))

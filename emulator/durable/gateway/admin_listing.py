"""`/__durable/objects`: a page of the objects of a class, or of all. Wakes nobody, and opens no object's file.

The order comes from the index and from the sizes of files, read in another thread; who is in memory, from the hosts.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import msgspec

from durable import values
from durable.clock import Clock
from durable.errors import ActorError, StorageError
from durable.gateway.admin import Route
from durable.gateway.asking_hosts import Hosts
from durable.gateway.link import HostLink
from durable.gateway.object_finder import (
    AdminProblemError,
    Json,
    Namespaces,
    ObjectFinder,
    ObjectIndex,
    bad_request,
)
from durable.limits import LIST_ANSWER_SECONDS_MAX, LIST_OBJECTS_MAX
from durable.schema.files import FOLDER
from durable.storage.layout import StateLayout
from durable.storage.listing_place import place_of
from durable.storage.object_listing import SORTS, Listing, Space, StoredObject, Wish, list_objects
from durable.wire.messages import ActorKey, CallReply, LookMany

_ID = re.compile("[0-9a-f]{64}")


class ListRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "ChatRoom", "name_glob": "room-*", "sort": "size", "limit": 100}`

    `after` is that of the page before; `ids` narrows the listing to these objects of the class, known or not.
    """

    class_name: str | None = msgspec.field(name="class", default=None)
    name_glob: str | None = None
    sort: str = "name"
    reverse: bool = False
    live_only: bool = False
    limit: int = 100
    after: str | None = None
    ids: list[str] | None = None


Memory = dict[str, Json]
"""What hosts say of objects in memory, by id."""
Among = dict[str, dict[str, str | None]]
"""Names by ids by namespaces."""


class ListingTools:
    """The answers."""

    def __init__(
        self,
        router: Hosts,
        index: ObjectIndex,
        namespaces: Namespaces,
        *,
        layout: StateLayout,
        clock: Clock,
        root: Callable[[], Path],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`root` says where the project is now.

        `now` is the machine's time, as files have it, wherever the emulator's clock was moved to.
        """
        self._router = router
        self._index = index
        self._namespaces = namespaces
        self._objects = ObjectFinder(index, namespaces)
        self._layout = layout
        self._clock = clock
        self._root = root
        self._now = now

    def routes(self) -> dict[str, Route]:
        return {"/__durable/objects": Route("POST", ListRequest, self._list)}

    async def _list(self, request: ListRequest) -> Json:
        wish = _wish(request)
        spaces = self._spaces(request.class_name)
        for space in spaces:
            # What was asked to be written before is seen by whoever reads after it.
            await self._index.get(space.key, "")
        in_memory = Memory()
        if request.live_only or request.sort == "used":
            in_memory = await self._all_in_memory(spaces)
        among = _among(in_memory) if request.live_only else None
        if request.ids is not None:
            among = {spaces[0].key: dict.fromkeys(request.ids)}
        listing = await asyncio.to_thread(self._read, spaces, wish, among, in_memory)
        looks = await asyncio.gather(*(self._look(space, listing.objects) for space in spaces))
        found = {identity: facts for look in looks for identity, facts in look.items()}
        return {
            "objects": [self._described(each, found.get(each.known.id, {})) for each in listing.objects],
            "after": None if listing.after is None else listing.after.to_word(),
            "count": listing.count,
            "now_ms": self._clock.wall_ms(),
        }

    def _now_ms(self) -> int:
        return int(self._now() * 1000)

    def _spaces(self, class_name: str | None) -> list[Space]:
        if class_name is not None:
            spaces = [self._objects.namespace(class_name)]
        else:
            spaces = list({space.key: space for space in self._namespaces().values()}.values())
        return [Space(space.class_name, space.key) for space in spaces]

    def _read(self, spaces: Sequence[Space], wish: Wish, among: Among | None, in_memory: Memory) -> Listing:
        now_ms = self._now_ms()
        used_ms = {identity: _used_ms(facts, now_ms) for identity, facts in in_memory.items()}
        try:
            return list_objects(self._layout, spaces, wish, among=among, used_ms=used_ms)
        except StorageError as error:
            raise AdminProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "storage_error", str(error)) from error

    # --- what hosts say ----------------------------------------------------------------------------------------------
    async def _all_in_memory(self, spaces: Sequence[Space]) -> Memory:
        links = [link for link in self._router.links if link is not None]
        found = Memory()
        for space in spaces:
            answers = await asyncio.gather(*(_asked(link, LookMany(0, None, space.key)) for link in links))
            for facts in (facts for answer in answers for facts in answer or []):
                found[str(facts["id"])] = {**facts, "namespace": space.key}
        return found

    async def _look(self, space: Space, objects: Sequence[StoredObject]) -> Memory:
        """One question for each host that has objects of this page. A host that does not answer leaves `unknown`."""
        by_host = dict[HostLink, list[str]]()
        for each in objects:
            if each.space == space:
                try:
                    link = await self._router.link_for(ActorKey(space.key, each.known.id, each.known.name))
                except ActorError:
                    return {}  # no program is loaded, so nothing is in memory
                by_host.setdefault(link, []).append(each.known.id)
        versions = (self._root() / FOLDER / space.class_name).is_dir()
        questions = [LookMany(0, None, space.key, ids, versions) for ids in by_host.values()]
        answers = await asyncio.gather(*(_asked(link, one) for link, one in zip(by_host, questions, strict=True)))
        found = Memory()
        for ids, answer in zip(by_host.values(), answers, strict=True):
            if answer is None:
                found |= {identity: {"state": "unknown"} for identity in ids}
            else:
                found |= {str(facts["id"]): facts for facts in answer}
        return found

    def _described(self, stored: StoredObject, memory: Json) -> Json:
        used_ms = stored.used_ms
        if "idle_seconds" in memory:
            used_ms = max(used_ms or 0, _used_ms(memory, self._now_ms()))
        return {
            "class": stored.space.class_name,
            "namespace": stored.space.key,
            "id": stored.known.id,
            "name": stored.known.name,
            "bytes": stored.bytes,
            "created_ms": stored.known.created_ms,
            "used_ms": used_ms,
            "alarm_ms": stored.known.alarm_ms,
            "schema_version": memory.get("version"),
            "state": memory.get("state", "inactive"),
            "sockets": memory.get("sockets", 0),
        }


def _wish(request: ListRequest) -> Wish:
    if request.sort not in SORTS:
        raise bad_request(f'sort is one of {", ".join(SORTS)}, not "{request.sort}"')
    if not 1 <= request.limit <= LIST_OBJECTS_MAX:
        raise bad_request(f"limit is between 1 and {LIST_OBJECTS_MAX}, not {request.limit}")
    if request.ids is not None:
        if request.class_name is None or request.live_only:
            raise bad_request("ids are of one class, and stand for themselves")
        if not all(_ID.fullmatch(identity) for identity in request.ids):
            raise bad_request("an id is 64 hex digits")
    place = None if request.after is None else place_of(request.after, request.sort)
    return Wish(request.sort, request.limit, request.reverse, request.name_glob, place)


def _among(in_memory: Memory) -> Among:
    found: Among = {}
    for identity, facts in in_memory.items():
        found.setdefault(str(facts["namespace"]), {})[identity] = cast("str | None", facts.get("name"))
    return found


def _used_ms(facts: Mapping[str, Any], now_ms: int) -> int:
    return now_ms - round(float(facts.get("idle_seconds", 0)) * 1000)


async def _asked(link: HostLink, question: LookMany) -> list[Json] | None:
    """None when the host is too busy to answer, or gone: a listing is shown without its word."""
    try:
        async with asyncio.timeout(LIST_ANSWER_SECONDS_MAX):
            reply = await link.request(lambda number: msgspec.structs.replace(question, id=number))
    except (ActorError, TimeoutError):
        return None
    if not isinstance(reply, CallReply):
        return None
    return cast("list[Json]", values.decode(reply.payload)["objects"])

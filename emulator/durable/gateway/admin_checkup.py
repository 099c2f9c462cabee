"""`/__durable/checkup`: the contents of objects looked over while they are served, a page of a class at a time.

Every object is looked at by the host that has its file, between two of its turns. Wakes nobody and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from durable.errors import ActorError
from durable.gateway.admin import Route
from durable.gateway.admin_query import ask_many
from durable.gateway.asking_hosts import PlacedHosts
from durable.gateway.object_finder import Json, Namespaces, ObjectFinder, ObjectIndex
from durable.limits import FLEET_PAGE_OBJECTS
from durable.storage.index import IndexRow
from durable.storage.sql.answers import Answers
from durable.wire.messages import ActorKey, NamespaceInfo

_CHECK: Final = "PRAGMA quick_check(1)"


class CheckedIndex(ObjectIndex, Protocol):
    """What the pages are made of."""

    async def page(self, namespace: str, after: str | None = None, limit: int = 100) -> tuple[IndexRow, ...]: ...
    async def count(self, namespace: str) -> int: ...


class CheckupRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "Room", "after": "<64 hex>"}`, the last id of the page before; without a class: which there are."""

    class_name: str | None = msgspec.field(name="class", default=None)
    after: str | None = None


class CheckupTools:
    """`{"total": 10000, "objects": 512, "findings": […], "next": "<64 hex>" | None}`"""

    def __init__(self, hosts: PlacedHosts, index: CheckedIndex, namespaces: Namespaces) -> None:
        self._hosts = hosts
        self._index = index
        self._namespaces = namespaces
        self._objects = ObjectFinder(index, namespaces)

    def routes(self) -> dict[str, Route]:
        return {"/__durable/checkup": Route("POST", CheckupRequest, self._answer)}

    async def _answer(self, request: CheckupRequest) -> Json:
        if request.class_name is None:
            return {"classes": sorted({space.class_name for space in self._namespaces().values()})}
        space = self._objects.namespace(request.class_name)
        rows = await self._index.page(space.key, request.after, FLEET_PAGE_OBJECTS)
        return {
            "total": await self._index.count(space.key),
            "objects": len(rows),
            "findings": await self._findings(space, rows),
            "next": rows[-1].id if len(rows) == FLEET_PAGE_OBJECTS else None,
        }

    async def _findings(self, space: NamespaceInfo, rows: tuple[IndexRow, ...]) -> list[Json]:
        by_host: dict[int, list[ActorKey]] = {}
        for row in rows:
            actor = ActorKey(space.key, row.id, row.name)
            by_host.setdefault(self._hosts.placement(row.id), []).append(actor)
        answers = await asyncio.gather(*(self._damages(actors) for actors in by_host.values()))
        damages = {label: damage for answer in answers for label, damage in answer.items()}
        found: list[Json] = []
        for row in rows:
            damage = damages.get(row.name if row.name is not None else row.id)
            # An object may be removed between the page and the look.
            if damage and await self._index.get(space.key, row.id) is not None:
                found.append(_finding(space, row, damage))
        return found

    async def _damages(self, actors: list[ActorKey]) -> dict[str, str]:
        """What is wrong with objects of one host, by their names, or ids where they have none."""
        found: dict[str, str] = {}
        done = 0
        while done < len(actors):
            left = actors[done:]
            try:
                answered, answers = await self._ask(left)
            except ActorError as error:
                return found | {actor.name or actor.id: f"could not be looked at: {error}" for actor in left}
            done += answered
            found |= dict(answers.failed)
            for table in answers.tables:
                found |= {label: f"is damaged: {verdict}" for label, verdict in table.rows if verdict != "ok"}
        return found

    async def _ask(self, actors: list[ActorKey]) -> tuple[int, Answers]:
        """How many of them were looked at, and their answers."""
        link = await self._hosts.link_for(actors[0])
        done, content = await ask_many(link, actors, _CHECK, 1)
        return done, msgspec.json.decode(content, type=Answers)


def _finding(space: NamespaceInfo, row: IndexRow, damage: str) -> Json:
    """As `durable.storage.checkup` has them; the file is named by the damage, where that is known."""
    facts: Mapping[str, object] = {
        "kind": "damaged", "problem": True, "class": space.class_name, "environment": None, "name": row.name,
        "id": row.id, "file": "", "what": damage, "meaning": "the object cannot be used until that is mended",
        "remedy": "stop the emulator and run durable doctor, which says more", "fixable": False, "mended": False,
        "kept": None, "failure": "",
    }  # fmt: skip
    return dict(facts)

"""`POST /__durable/query`: one query of all objects of a class, answered in lines of JSON as the answers come in.

    {"total": 10000}                                                    of the class, when it begins
    {"seen": 128, "objects": 128, "tables": […], "failed": […], "cut": […]}    as `durable.storage.sql.answers` has it
    {"end": true}                                                       or {"error": {"code": …, "message": …}}

`seen` counts the objects that a pattern leaves out, too. Objects come in the order of their ids, a page after the
other; the hosts work on the next page while one is being sent, and on none when the client does not read. Wakes nobody.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from durable.errors import ActorError
from durable.gateway.admin import Route
from durable.gateway.asking_hosts import PlacedHosts, ask
from durable.gateway.link import HostLink
from durable.gateway.object_finder import AdminProblemError, Namespaces, ObjectFinder, bad_request
from durable.gateway.sql_json import encoded_parameters
from durable.limits import (
    INSPECT_ROWS_MAX,
    INSPECT_SECONDS_MAX,
    QUERIES_MAX,
    QUERY_BATCH_OBJECTS,
    QUERY_PAGES_AHEAD,
    QUERY_TRIES_MAX,
)
from durable.storage.index import IndexRow
from durable.storage.name_glob import NameGlob
from durable.wire.messages import ActorKey, Failed, InspectMany, NamespaceInfo

_ANSWER: Final = msgspec.msgpack.Decoder(tuple[int, bytes])
_NOTHING: Final = b'{"objects":0,"tables":[],"failed":[],"cut":[]}'


class QueryIndex(Protocol):
    """What is needed of the index."""

    async def get(self, namespace: str, identity: str) -> IndexRow | None: ...
    async def names(self, namespace: str, limit: int) -> tuple[str, ...]: ...
    async def page(self, namespace: str, after: str | None = None, limit: int = 100) -> tuple[IndexRow, ...]: ...
    async def count(self, namespace: str) -> int: ...


class QueryRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "ChatRoom", "sql": "SELECT count(*) AS n FROM messages", "where_name": "room-*"}`"""

    class_name: str = msgspec.field(name="class")
    sql: str
    parameters: list[Any] | dict[str, Any] = msgspec.field(default_factory=list[Any])
    where_name: str | None = None
    rows_max: int = INSPECT_ROWS_MAX


@dataclass(frozen=True, slots=True)
class _Query:
    """What is asked of every object."""

    namespace: NamespaceInfo
    sql: str
    parameters: bytes
    where_name: str | None
    rows_max: int


@dataclass(frozen=True, slots=True)
class _Part:
    """Objects of one page that one host has; their first answer is on its way, and may not be for all of them."""

    actors: list[ActorKey]
    answer: asyncio.Task[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class _Page:
    """`seen` objects of the class, some of which may not be asked."""

    seen: int
    parts: list[_Part]

    def cancel(self) -> None:
        for part in self.parts:
            part.answer.cancel()


class QueryTools:
    """The answers to a bounded number of queries at a time."""

    def __init__(self, hosts: PlacedHosts, index: QueryIndex, namespaces: Namespaces) -> None:
        self._hosts = hosts
        self._index = index
        self._objects = ObjectFinder(index, namespaces)
        self._running = 0

    def routes(self) -> dict[str, Route]:
        return {"/__durable/query": Route("POST", QueryRequest, self._serve, is_stream=True)}

    async def _serve(self, question: QueryRequest, request: BaseRequest) -> StreamResponse:
        if not 1 <= question.rows_max <= INSPECT_ROWS_MAX:
            raise bad_request(f"rows_max is between 1 and {INSPECT_ROWS_MAX}, not {question.rows_max}")
        namespace = self._objects.namespace(question.class_name)
        query = _Query(
            namespace, question.sql, encoded_parameters(question.parameters), question.where_name, question.rows_max
        )
        if self._running >= QUERIES_MAX:
            raise AdminProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many",
                f"{QUERIES_MAX} queries of all objects of a class are running already",
                "wait for one of them, or end it",
            )
        self._running += 1
        try:
            return await self._stream(query, request)
        finally:
            self._running -= 1

    async def _stream(self, query: _Query, request: BaseRequest) -> StreamResponse:
        response = StreamResponse(headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        await response.write(_line({"total": await self._index.count(query.namespace.key)}))
        try:
            await self._send_all(query, response)
        except ActorError as error:
            await response.write(_line({"error": {"code": "host_crashed", "message": str(error)}}))
        else:
            await response.write(_line({"end": True}))
        await response.write_eof()
        return response

    async def _send_all(self, query: _Query, response: StreamResponse) -> None:
        """Until all are answered. A client that is gone cancels this; one that does not read holds it up."""
        under_way: deque[_Page] = deque()
        pages = self._pages(query)
        try:
            async for page in pages:
                under_way.append(page)
                if len(under_way) > QUERY_PAGES_AHEAD:
                    await self._send(query, under_way[0], response)
                    under_way.popleft()
            while under_way:
                await self._send(query, under_way[0], response)
                under_way.popleft()
        finally:
            for page in under_way:
                page.cancel()
            await asyncio.gather(*(part.answer for page in under_way for part in page.parts), return_exceptions=True)
            await pages.aclose()

    async def _pages(self, query: _Query) -> AsyncGenerator[_Page]:
        glob = None if query.where_name is None else NameGlob(query.where_name)
        after: str | None = None
        while rows := await self._index.page(query.namespace.key, after, QUERY_BATCH_OBJECTS):
            after = rows[-1].id
            wanted = rows if glob is None else glob.of(rows)
            by_host: dict[int, list[ActorKey]] = {}
            for row in wanted:
                by_host.setdefault(self._hosts.placement(row.id), []).append(
                    ActorKey(query.namespace.key, row.id, row.name)
                )
            yield _Page(
                len(rows),
                [
                    _Part(actors, asyncio.ensure_future(self._ask(query, actors)))
                    for _, actors in sorted(by_host.items())
                ],
            )

    async def _send(self, query: _Query, page: _Page, response: StreamResponse) -> None:
        """The last line of a page says that it was seen."""
        last = _NOTHING
        for part in page.parts:
            if last is not _NOTHING:
                await response.write(_with_seen(last, 0))
            done, last = await part.answer
            # What did not fit into one answer is asked for when that was sent.
            while done < len(part.actors):
                await response.write(_with_seen(last, 0))
                more, last = await self._ask(query, part.actors[done:])
                done += more
        await response.write(_with_seen(last, page.seen))

    async def _ask(self, query: _Query, actors: list[ActorKey]) -> tuple[int, bytes]:
        """How many of the objects were done, and their answers. Raises ActorError when their host is gone for good."""
        for tries_left in reversed(range(QUERY_TRIES_MAX)):
            try:
                return await self._ask_once(query, actors)
            except ActorError:
                # It died or was replaced; what only reads may be repeated.
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    async def _ask_once(self, query: _Query, actors: list[ActorKey]) -> tuple[int, bytes]:
        link = await self._hosts.link_for(actors[0])
        return await ask_many(link, actors, query.sql, query.rows_max, query.parameters)


async def ask_many(
    link: HostLink, actors: list[ActorKey], sql: str, rows_max: int, parameters: bytes = b""
) -> tuple[int, bytes]:
    """How many of the objects were done, at least one, and `Answers` of them as JSON. Raises ActorError."""
    reply = await ask(
        link, lambda identity: InspectMany(identity, actors, sql, rows_max, INSPECT_SECONDS_MAX, parameters)
    )
    if isinstance(reply, Failed):
        raise ActorError(reply.error.message)
    done, answers = _ANSWER.decode(reply.payload)
    if not 0 < done <= len(actors):
        raise ActorError(f"a process that was asked about {len(actors)} objects answered about {done}")
    return done, answers


def _with_seen(answers: bytes, seen: int) -> bytes:
    """One more field at the front of what a host wrote, without reading it."""
    return b'{"seen":%d,%b\n' % (seen, answers[1:])


def _line(content: dict[str, object]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"

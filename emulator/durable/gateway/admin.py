"""`/__durable/*`: what the command line and other tools ask of a running emulator. JSON in and out, behind a token.

Nothing here wakes an object or creates one. It knows no file: what is on disk it asks of the index and of the host that
has the object's file open.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from msgspec import Struct

from durable import values
from durable.errors import ActorError, OverloadedError, ReloadingError, UserCodeError, UserInputError
from durable.gateway.access import split_target
from durable.gateway.asking_hosts import Links, NoRequest, ask
from durable.gateway.object_finder import (
    AdminProblemError,
    Json,
    Namespaces,
    ObjectFinder,
    ObjectIndex,
    ObjectRequest,
    bad_request,
)
from durable.gateway.sql_json import encoded_parameters, json_result
from durable.limits import (
    ADMIN_BODY_BYTES_MAX,
    ADMIN_BODY_SECONDS_MAX,
    INSPECT_ROWS_MAX,
    INSPECT_SECONDS_MAX,
)
from durable.wire.messages import (
    Failed,
    Inspect,
    InspectReply,
    Restore,
)

StatusReport = Callable[[], Mapping[str, object]]
Migrate = Callable[[bool, str], Awaitable[Mapping[str, object]]]
Reload = Callable[[], Awaitable[None]]


class SqlRequest(ObjectRequest, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "ChatRoom", "name": "general", "sql": "SELECT ?", "parameters": [1]}`, or `{"n": 1}` for `:n`"""

    sql: str
    parameters: list[Any] | dict[str, Any] = msgspec.field(default_factory=list[Any])
    write: bool = False
    rows_max: int = 1000


class RestoreRequest(ObjectRequest, forbid_unknown_fields=True, kw_only=True):
    """To a `bookmark`, or to `moment_ms`: wall time, or negative: that long ago. With neither: what can be restored."""

    bookmark: str = ""
    moment_ms: int | None = None


class MigrateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`folder` is that of the project that classes are transferred from."""

    dry_run: bool = False
    folder: str = ""


class Route(Struct, frozen=True):
    """One path: its method, the shape of its body (of a GET: of its query), and who answers."""

    method: str
    body: type[msgspec.Struct] | None
    answer: Callable[..., Awaitable[Json | StreamResponse]]
    is_stream: bool = False
    """Whether `answer` is handed the request, too, and returns the response itself, which may last."""


class Admin:
    """`handle` is an aiohttp handler for every path below `/__durable`."""

    def __init__(
        self,
        token: str,
        router: Links,
        index: ObjectIndex,
        *,
        namespaces: Namespaces,
        status: StatusReport,
        migrate: Migrate,
        reload: Reload,
        more: Callable[[], Mapping[str, Route]],
    ) -> None:
        """`namespaces` maps the names of classes and of bindings; `migrate` takes `dry_run` and `folder`.

        `more` makes the routes of others, at the first question that may be asked.
        """
        self._token = token.encode()
        self._router = router
        self._objects = ObjectFinder(index, namespaces)
        self._status = status
        self._migrate = migrate
        self._reload = reload
        # Nothing that changes anything is a GET: a page can make a browser send one without asking.
        self._routes = {
            "/__durable/status": Route("GET", None, self._answer_status),
            "/__durable/sql": Route("POST", SqlRequest, self._answer_sql),
            "/__durable/restore": Route("POST", RestoreRequest, self._answer_restore),
            "/__durable/migrate": Route("POST", MigrateRequest, self._answer_migrate),
            "/__durable/reload": Route("POST", NoRequest, self._answer_reload),
        }
        self._more: Callable[[], Mapping[str, Route]] | None = more

    async def handle(self, request: BaseRequest) -> StreamResponse:
        try:
            answer = await self._answer(request)
            return answer if isinstance(answer, StreamResponse) else _response(HTTPStatus.OK, answer)
        except AdminProblemError as problem:
            error = {"code": problem.code, "message": problem.message, "fix": problem.fix}
            return _response(problem.status, {"error": error}, problem.headers)

    async def _answer(self, request: BaseRequest) -> Json | StreamResponse:
        self._authorize(request)
        if self._more is not None:
            self._routes |= self._more()
            self._more = None
        path = split_target(request.raw_path)[1].partition("?")[0]
        route = self._routes.get(path)
        if route is None:
            known = ", ".join(self._routes)
            raise AdminProblemError(
                HTTPStatus.NOT_FOUND, "no_such_path", f"{path} does not exist", f"there are {known}"
            )
        if request.method != route.method:
            raise AdminProblemError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method_not_allowed",
                f"{path} is asked with {route.method}, not {request.method}",
                headers={"Allow": route.method},
            )
        arguments: list[msgspec.Struct] = []
        if route.body is not None:
            is_query = route.method == "GET"
            arguments = [_query(request, route.body) if is_query else _decode(await _read(request), route.body)]
        try:
            return await route.answer(*arguments, *([request] if route.is_stream else []))
        except ActorError as error:
            code = "host_crashed"
            if isinstance(error, (OverloadedError, ReloadingError)):
                code = "overloaded" if isinstance(error, OverloadedError) else "reloading"
            raise AdminProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, code, str(error), "try again", {"Retry-After": "1"}
            ) from error
        except UserInputError as error:
            raise AdminProblemError(HTTPStatus.BAD_REQUEST, "configuration", str(error), error.fix) from error
        except UserCodeError as error:
            raise AdminProblemError(HTTPStatus.BAD_REQUEST, "user_code_failed", str(error)) from error

    def _authorize(self, request: BaseRequest) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise AdminProblemError(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "this needs the token of the running emulator",
                "send Authorization: Bearer <token>; the token is in .durable/run/emulator.json",
                {"WWW-Authenticate": "Bearer"},
            )
        # Header values are text that latin-1 or UTF-8 with surrogates can hold; the comparison takes bytes of any kind.
        if not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token):
            raise AdminProblemError(
                HTTPStatus.FORBIDDEN,
                "wrong_token",
                "the token is not the one of this emulator",
                "it changes with every start; read .durable/run/emulator.json again",
            )

    # --- answers -----------------------------------------------------------------------------------------------------
    async def _answer_status(self) -> Json:
        return dict(self._status())

    async def _answer_migrate(self, request: MigrateRequest) -> Json:
        return dict(await self._migrate(request.dry_run, request.folder))

    async def _answer_reload(self, _request: NoRequest) -> Json:
        await self._reload()
        return {}

    async def _answer_sql(self, request: SqlRequest) -> Json:
        if not 1 <= request.rows_max <= INSPECT_ROWS_MAX:
            raise bad_request(f"rows_max is between 1 and {INSPECT_ROWS_MAX}, not {request.rows_max}")
        parameters = encoded_parameters(request.parameters)
        namespace, actor, is_known = await self._objects.find(request)
        if not is_known:
            raise await self._objects.no_such_object(namespace, actor)
        link = await self._router.link_for(actor)
        reply = await link.request(
            lambda identity: Inspect(
                identity, actor, request.sql, request.write, request.rows_max, INSPECT_SECONDS_MAX, parameters
            )
        )
        if isinstance(reply, Failed):
            raise AdminProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "inspection_failed", reply.error.message)
        if not isinstance(reply, InspectReply):
            raise TypeError(f"an inspection was answered with {type(reply).__name__}")
        if reply.error:
            raise AdminProblemError(HTTPStatus.BAD_REQUEST, "sql_error", reply.error)
        return {"results": [json_result(found) for found in reply.results]}

    async def _answer_restore(self, request: RestoreRequest) -> Json:
        # Also of an object that the index does not know any more: what it held before it was removed may be kept.
        namespace, actor, _ = await self._objects.find(request)
        link = await self._router.link_for(actor)
        reply = await ask(link, lambda identity: Restore(identity, actor, request.bookmark, request.moment_ms))
        if isinstance(reply, Failed):
            if reply.error.type == "NotFoundError":
                raise await self._objects.no_such_object(namespace, actor)
            raise AdminProblemError(HTTPStatus.BAD_REQUEST, "storage_error", reply.error.message)
        return dict(values.decode(reply.payload))


async def _read(request: BaseRequest) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(ADMIN_BODY_SECONDS_MAX):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > ADMIN_BODY_BYTES_MAX:
                    raise AdminProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        "too_large",
                        f"the body is larger than {ADMIN_BODY_BYTES_MAX} bytes",
                        headers={"Connection": "close"},
                    )
    except TimeoutError as error:
        raise AdminProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            "too_slow",
            f"the body did not arrive within {ADMIN_BODY_SECONDS_MAX:g} seconds",
            headers={"Connection": "close"},
        ) from error
    return bytes(body)


def _decode(body: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise bad_request(f"the body is not what is expected here: {error}") from error


def _query(request: BaseRequest, kind: type[msgspec.Struct]) -> msgspec.Struct:
    words = dict(parse_qsl(split_target(request.raw_path)[1].partition("?")[2], keep_blank_values=True))
    try:
        return msgspec.convert(words, kind, strict=False)
    except msgspec.ValidationError as error:
        raise bad_request(f"the query is not what is expected here: {error}") from error


def _response(status: HTTPStatus, body: Json, headers: Mapping[str, str] | None = None) -> Response:
    fields = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    text = json.dumps(body, ensure_ascii=False, allow_nan=False)
    return Response(status=status, text=text, content_type="application/json", headers=fields)

"""`/__durable/call`: one call of an object's method, as the program's own calls are: through the same gates and limits.

Unlike every other tool this wakes the object and runs its code. An object that has stored nothing is not made for it,
unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

import msgspec

from durable import values
from durable.errors import CorruptValueError, DataCloneError, HostGoneError, ProgramBrokenError, UserCodeError
from durable.gateway.admin import Route
from durable.gateway.error_page import facts
from durable.gateway.events import OnEvent, UserCodeFailed
from durable.gateway.link import HostLink, Question, Reply
from durable.gateway.object_finder import (
    AdminProblemError,
    Json,
    Namespaces,
    ObjectFinder,
    ObjectIndex,
    ObjectRequest,
)
from durable.limits import RPC_PAYLOAD_BYTES_MAX
from durable.sdk.stub import RESERVED_METHODS
from durable.values.json_form import from_json, to_json
from durable.wire.messages import ActorKey, Call, CallReply, ErrorReport, Failed, NamespaceInfo


class Calls(Protocol):
    """What the tool needs of the router."""

    async def link_for(self, actor: ActorKey | None) -> HostLink: ...
    async def ask_again(self, question: Callable[[int], Question], error: HostGoneError) -> tuple[HostLink, Reply]: ...


class CallRequest(ObjectRequest, forbid_unknown_fields=True, kw_only=True):
    """`{"class": "Room", "name": "a", "method": "say", "args": ["hello"], "kwargs": {}}`

    Arguments are values in the form of `durable.values.json_form`. `create` calls an object also when there is none.
    """

    method: str
    args: list[Any] = []  # noqa: RUF012 - msgspec makes a new list for every struct
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - as above
    create: bool = False


class CallTools:
    """`{"result": …}`, in the form of `durable.values.json_form`; or `{"failure": …}`, as HTTP errors are told."""

    def __init__(
        self,
        router: Calls,
        index: ObjectIndex,
        namespaces: Namespaces,
        *,
        redact: Callable[[ErrorReport], ErrorReport],
        on_event: OnEvent,
    ) -> None:
        """`redact` takes the secrets out of a report that is about to be shown."""
        self._router = router
        self._objects = ObjectFinder(index, namespaces)
        self._redact = redact
        self._on_event = on_event

    def routes(self) -> dict[str, Route]:
        return {"/__durable/call": Route("POST", CallRequest, self._call)}

    async def _call(self, request: CallRequest) -> Json:
        namespace, actor, is_known = await self._objects.find(request)
        if not is_known and not request.create:
            raise await self._objects.no_such_object(namespace, actor)
        if request.method in RESERVED_METHODS or request.method == "fetch":
            raise AdminProblemError(
                HTTPStatus.BAD_REQUEST,
                "reserved_method",
                f'"{request.method}" is a reserved method and cannot be called',
            )
        payload = _encoded(request)

        def question(identity: int) -> Call:
            return Call(identity, actor, request.method, payload)

        try:
            link = await self._router.link_for(actor)
        except ProgramBrokenError as error:
            raise UserCodeError(str(error)) from error
        try:
            reply = await link.request(question)
        except HostGoneError as error:
            link, reply = await self._router.ask_again(question, error)
        if isinstance(reply, Failed):
            return self._failure(reply, namespace, actor)
        if not isinstance(reply, CallReply):
            raise TypeError(f"a call was answered with {type(reply).__name__}")
        try:
            return {"result": to_json(values.decode(reply.payload))}
        except CorruptValueError as error:
            link.discard(reply)
            raise AdminProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "not_a_value",
                f'"{request.method}" returned what only code of the program can hold, such as a function or a Response',
            ) from error

    def _failure(self, failed: Failed, namespace: NamespaceInfo, actor: ActorKey) -> Json:
        report = self._redact(failed.error)
        self._on_event(UserCodeFailed(failed.error, "", "", namespace.class_name, actor.name, actor.id))
        return {"failure": facts(report), "report": cast("Json", msgspec.to_builtins(report))}


def _encoded(request: CallRequest) -> bytes:
    try:
        args = tuple(from_json(item) for item in request.args)
        kwargs = {key: from_json(item) for key, item in request.kwargs.items()}
        payload = values.encode((args, kwargs))
    except (ValueError, DataCloneError) as error:
        raise AdminProblemError(HTTPStatus.BAD_REQUEST, "bad_argument", str(error)) from error
    if len(payload) > RPC_PAYLOAD_BYTES_MAX:
        raise AdminProblemError(
            HTTPStatus.BAD_REQUEST, "bad_argument",
            f"arguments are limited to {RPC_PAYLOAD_BYTES_MAX} bytes, and these have {len(payload)}",
        )  # fmt: skip
    return payload

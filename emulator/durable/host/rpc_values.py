"""What an RPC call carries that is no value: stubs, requests and responses, exceptions. One way for all, near and far.

An object is described in plain values, and what cannot be described goes beside them as luggage: targets by index,
streamed bodies by index. Inside one host the description is undone at once with the same luggage; between hosts both
cross the wire, the description inside the encoded value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

from durable import values
from durable.actor.failure import raise_from_report
from durable.errors import DataCloneError
from durable.host.bodies import detached
from durable.host.rpc_scope import Scope
from durable.host.rpc_targets import Hold, Target
from durable.sdk.blobs import Blob, File
from durable.sdk.headers import Headers
from durable.sdk.http import Request, Response
from durable.sdk.ids import DurableObjectId
from durable.sdk.rpc import RpcFunction, RpcStub, RpcTarget, held_by
from durable.sdk.stub import Destination, DurableObjectStub, ServiceStub, receiver_of
from durable.wire.messages import ErrorReport

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.host.host import Host

_FUNCTIONS: Final = (FunctionType, MethodType, BuiltinFunctionType, functools.partial, type, RpcFunction)
_NO_STREAM: Final = -1


class Luggage:
    """What travels beside one value. The sender packs it, the receiver unpacks it, each object once."""

    def __init__(self, host: Host, home: Actor | Scope | None = None) -> None:
        """`home` is whose code sends the value: what it sends by reference runs there."""
        self._host = host
        self._home = home
        self.targets: list[Target | None] = []
        """Each held once, until it is unpacked: None from then on, as its stub holds it."""
        self.streams: list[Any] = []
        self.stubs: list[RpcStub] = []
        """Made while it was unpacked."""

    def carry(self, value: Any) -> Any:
        """Send and receive at once, inside this host."""
        return self.unpack(self.pack(value))

    def pack(self, value: Any) -> list[Any]:
        """The description of an object that `takes` takes."""
        for kind, packer in _PACKERS:
            if isinstance(value, kind):
                return packer(self, value)
        raise values.Refused

    def unpack(self, description: list[Any]) -> Any:
        return _UNPACKERS[description[0]](self, *description[1:])

    def give_back(self) -> None:
        """The value goes nowhere."""
        targets, self.targets = self.targets, []
        for target in targets:
            if target is not None:
                target.release()

    # --- packing ----------------------------------------------------------------------------------------------------
    def pack_target(self, value: Any) -> list[Any]:
        if self._home is None:
            raise DataCloneError("functions travel only from code that runs for a request or in an object")
        self.targets.append(self._host.transport.targets.export(value, self._home))
        return ["target", len(self.targets) - 1]

    def pack_stub(self, stub: RpcStub) -> list[Any]:
        held = held_by(stub)
        assert isinstance(held, Hold)
        target = held.target
        target.retain()
        self.targets.append(target)
        return ["target", len(self.targets) - 1]

    def pack_actor(self, stub: DurableObjectStub) -> list[Any]:
        id, script = stub.id, receiver_of(stub).script or self._host.script
        return ["actor", id.namespace_key, str(id), id.name, id.jurisdiction, script]

    def pack_service(self, stub: ServiceStub) -> list[Any]:
        destination = receiver_of(stub).destination
        return ["service", destination.script or self._host.script, destination.entrypoint, destination.props]

    def pack_request(self, request: Request) -> list[Any]:
        head = [str(request.url), str(request.method), request.headers.items(), request.redirect]
        return ["request", *head, *self._pack_body(request.take_content())]

    def pack_response(self, response: Response) -> list[Any]:
        if response.web_socket is not None:
            raise DataCloneError(
                "a response with a web socket cannot be sent over RPC: return it from fetch(), and call stub.fetch()"
            )
        head = [response.status, response.status_text, response.headers.items(), response.url]
        return ["response", *head, *self._pack_body(response.take_content())]

    def _pack_body(self, content: Any) -> list[Any]:
        if content is None or isinstance(content, bytes):
            return [content, _NO_STREAM]
        self.streams.append(detached(None if isinstance(self._home, Scope) else self._home, content))
        return [None, len(self.streams) - 1]

    def pack_headers(self, headers: Headers) -> list[Any]:
        return ["headers", headers.items()]

    def pack_blob(self, blob: Blob) -> list[Any]:
        if isinstance(blob, File):
            return ["file", blob.content, blob.content_type, blob.name, blob.last_modified]
        return ["blob", blob.content, blob.content_type]

    def pack_error(self, error: BaseException) -> list[Any]:
        report = self._host.report(error, "", "")
        return ["error", report.type, report.message, report.module, report.qualname, report.args, report.flags]

    # --- unpacking --------------------------------------------------------------------------------------------------
    def unpack_target(self, index: int) -> RpcStub:
        target, self.targets[index] = self.targets[index], None
        if target is None:
            raise ValueError("a stub is referred to twice")
        stub = RpcStub(Hold(target))
        self.stubs.append(stub)
        return stub

    def unpack_actor(
        self, namespace: str, text: str, name: str | None, jurisdiction: str | None, script: str
    ) -> DurableObjectStub:
        here = "" if script == self._host.script else script
        return DurableObjectStub(self._host.transport, DurableObjectId(namespace, text, name, jurisdiction), here)

    def unpack_service(self, script: str, entrypoint: str, props: bytes) -> ServiceStub:
        here = "" if script == self._host.script else script
        return ServiceStub(self._host.transport, Destination(here, entrypoint, bytes(props)))

    def unpack_request(
        self, url: str, method: str, headers: list[Any], redirect: str, body: Any, stream: int
    ) -> Request:
        request = Request(url, method=method, headers=_pairs(headers), redirect=redirect)
        request.replace_content(self._unpack_body(body, stream))
        return request

    def unpack_response(
        self, status: int, status_text: str, headers: list[Any], url: str, body: Any, stream: int
    ) -> Response:
        response = Response(None, status=status, status_text=status_text, headers=_pairs(headers))
        response.url = url
        response.replace_content(self._unpack_body(body, stream))
        return response

    def _unpack_body(self, body: Any, stream: int) -> Any:
        if stream == _NO_STREAM:
            return None if body is None else bytes(body)
        return self.streams[stream]

    def unpack_headers(self, headers: list[Any]) -> Headers:
        return Headers(_pairs(headers))

    def unpack_blob(self, content: bytes, content_type: str) -> Blob:
        return Blob(bytes(content), content_type)

    def unpack_file(self, content: bytes, content_type: str, name: str, last_modified: int) -> File:
        return File(bytes(content), name, content_type, last_modified=last_modified)

    def unpack_error(
        self, kind: str, message: str, module: str, qualname: str, args: bytes, flags: list[str]
    ) -> BaseException:
        report = ErrorReport(
            type=kind, message=message, module=module, qualname=qualname, args=bytes(args), flags=flags
        )
        error = raise_from_report(report)
        error.__cause__ = None
        return error


def takes(value: Any) -> bool:
    """Whether an object travels beside values."""
    return isinstance(value, _TAKEN)


def _pairs(headers: list[Any]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers]


_PACKERS: Final[tuple[tuple[Any, Callable[[Luggage, Any], list[Any]]], ...]] = (
    (RpcStub, Luggage.pack_stub),
    (DurableObjectStub, Luggage.pack_actor),
    (ServiceStub, Luggage.pack_service),
    (RpcTarget, Luggage.pack_target),
    (_FUNCTIONS, Luggage.pack_target),
    (Request, Luggage.pack_request),
    (Response, Luggage.pack_response),
    (Headers, Luggage.pack_headers),
    (Blob, Luggage.pack_blob),
    (Exception, Luggage.pack_error),
)
_TAKEN: Final = (
    RpcStub, DurableObjectStub, ServiceStub, RpcTarget, *_FUNCTIONS, Request, Response, Headers, Blob, Exception,
)  # fmt: skip
_UNPACKERS: Final[dict[str, Callable[..., Any]]] = {
    "target": Luggage.unpack_target,
    "actor": Luggage.unpack_actor,
    "service": Luggage.unpack_service,
    "request": Luggage.unpack_request,
    "response": Luggage.unpack_response,
    "headers": Luggage.unpack_headers,
    "blob": Luggage.unpack_blob,
    "file": Luggage.unpack_file,
    "error": Luggage.unpack_error,
}

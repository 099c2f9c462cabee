"""Namespaces and stubs: how code names an actor or a service and talks to it. Getting a stub creates nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from durable.errors import JsRangeError, JsTypeError
from durable.sdk import portability
from durable.sdk.aliases import CamelCase, merge_options
from durable.sdk.http import Request, Response, request_of
from durable.sdk.ids import DurableObjectId, checked_id, id_from_name, unique_id

JURISDICTIONS = frozenset({"eu", "fedramp", "fedramp-high", "us"})
RESERVED_METHODS = frozenset(
    {"alarm", "connect", "dup", "constructor"}
    | {"web_socket_message", "web_socket_close", "web_socket_error"}
    | {"webSocketMessage", "webSocketClose", "webSocketError"}
)


class Destination(NamedTuple):
    """An entrypoint: of the worker `script`, or of this one; of the class named `Default`, or of another."""

    script: str = ""
    entrypoint: str = ""
    props: bytes = b""
    """What its `ctx.props` holds, encoded; empty for nothing."""


class Receiver:
    """Whom a stub talks to, as the transport knows it. Not the stub itself, whose every attribute is a method there."""

    __slots__ = ("activation", "broken")

    def __init__(self) -> None:
        self.broken: BaseException | None = None
        """Set by the transport when the actor was reset: this stub fails from then on, a fresh one does not."""
        self.activation: Any = None
        """Which activation answered last, for the transport: when that one is reset, this stub is broken."""


class ActorReceiver(Receiver):
    __slots__ = ("id", "key", "script")

    def __init__(self, id: DurableObjectId, script: str) -> None:
        super().__init__()
        self.id = id
        self.script = script
        """The worker whose actor it is; empty for this one's."""
        self.key: Any = None
        """What the transport calls the actor."""


class ServiceReceiver(Receiver):
    __slots__ = ("destination",)

    def __init__(self, destination: Destination) -> None:
        super().__init__()
        self.destination = destination


class Transport(Protocol):
    """Delivers to actors and workers, wherever they run: when called, not when awaited, so that the order is kept."""

    def call(
        self, receiver: ActorReceiver, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]: ...
    def fetch(self, receiver: ActorReceiver, request: Request) -> Awaitable[Response]: ...
    def call_service(
        self, receiver: ServiceReceiver, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]: ...
    def fetch_service(self, receiver: ServiceReceiver, request: Request) -> Awaitable[Response]: ...


class Stub(CamelCase):
    """What stubs of actors and of services share: `await stub.fetch(request)`, `await stub.any_public_method(…)`."""

    __slots__ = ("_call", "_fetch", "_receiver", "_transport")

    _receiver: Any
    _call: Callable[[Any, str, tuple[Any, ...], dict[str, Any]], Awaitable[Any]]
    _fetch: Callable[[Any, Request], Awaitable[Response]]

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def fetch(
        self, resource: str | Request, init: Mapping[str, Any] | None = None, /, **options: Any
    ) -> Awaitable[Response]:
        """Call `fetch` over there; what it raises is raised here. `init` is for options as one dict."""
        return self._fetch(self._receiver, request_of(resource, init, options))

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith("__") and method.endswith("__"):
            raise AttributeError(method)
        if method in RESERVED_METHODS:
            return partial(_refuse, method)
        send, receiver = self._call, self._receiver

        def call(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            if portability.watch is not None:
                portability.look_at_call(method, args, kwargs)
            return send(receiver, method, args, kwargs)

        # Not kept: the stub would refer to itself, and most stubs are asked for one method once.
        return call


def _refuse(method: str, *_args: Any, **_kwargs: Any) -> Awaitable[Any]:
    raise JsTypeError(f"'{method}' is a reserved method and cannot be called over RPC.")


class DurableObjectStub(Stub):
    """Talks to one actor."""

    __slots__ = ("id",)

    def __init__(self, transport: Transport, id: DurableObjectId, script: str = "") -> None:
        """`script` is the worker whose actor it is; empty for this one's."""
        super().__init__(transport)
        self.id = id
        self._receiver = ActorReceiver(id, script)
        self._call, self._fetch = transport.call, transport.fetch

    @property
    def name(self) -> str | None:
        return self.id.name

    def __repr__(self) -> str:
        return f"<DurableObjectStub {self.id!r}>"


class ServiceStub(Stub):
    """Talks to an entrypoint: each call runs in an instance of its own."""

    __slots__ = ()

    def __init__(self, transport: Transport, destination: Destination) -> None:
        super().__init__(transport)
        self._receiver = ServiceReceiver(destination)
        self._call, self._fetch = transport.call_service, transport.fetch_service

    def __repr__(self) -> str:
        destination = receiver_of(self).destination
        return f"<ServiceStub {destination.entrypoint or 'Default'} of {destination.script or 'this worker'}>"


def receiver_of(stub: Stub) -> Any:
    """For the runtime: an ActorReceiver or a ServiceReceiver."""
    return stub._receiver  # pyright: ignore[reportPrivateUsage]


def service_with(stub: ServiceStub, props: bytes) -> ServiceStub:
    """A stub for the same entrypoint with other props, encoded."""
    destination = receiver_of(stub).destination
    transport = stub._transport  # pyright: ignore[reportPrivateUsage]
    return ServiceStub(transport, destination._replace(props=props))


class DurableObjectNamespace(CamelCase):
    """A binding to one class of actors."""

    def __init__(
        self, class_name: str, key: str, transport: Transport, *, restricted_to: str | None = None, script: str = ""
    ) -> None:
        """`script` is the worker whose class it is, when that is not this one."""
        self.class_name = class_name
        self._key = key
        self._transport = transport
        self._jurisdiction = restricted_to
        self._script = script

    def id_from_name(self, name: str) -> DurableObjectId:
        """The id that this name always leads to."""
        if not isinstance(name, str):
            raise JsTypeError(f"an object name is a str, got {type(name).__name__}")
        return DurableObjectId(self._key, id_from_name(self._key, name), name, self._jurisdiction)

    def id_from_string(self, text: str) -> DurableObjectId:
        """The id that `str(id)` printed; it has no name. Raises TypeError for any other text."""
        return DurableObjectId(self._key, checked_id(self._key, str(text)), None, self._jurisdiction)

    def new_unique_id(
        self, options: Mapping[str, Any] | None = None, /, *, jurisdiction: str | None = None
    ) -> DurableObjectId:
        """An id that no name leads to."""
        chosen = merge_options("new_unique_id", ("jurisdiction",), options).get("jurisdiction") or jurisdiction
        return DurableObjectId(self._key, unique_id(self._key), None, _known_jurisdiction(chosen) or self._jurisdiction)

    def get(self, id: DurableObjectId, init: Mapping[str, Any] | None = None, /, **options: Any) -> DurableObjectStub:
        """A stub for the id; options such as `location_hint` place it on the platform, and are ignored here."""
        if init or options:
            _check_options(init, options)
        if not isinstance(id, DurableObjectId):
            raise JsTypeError(
                "Failed to execute 'get' on 'DurableObjectNamespace': parameter 1 is not of type 'DurableObjectId': "
                f"got {type(id).__name__}; use get_by_name(name) for a name"
            )
        if id.namespace_key != self._key:
            raise JsTypeError("Durable Object ID is not valid for this namespace.")
        if self._jurisdiction is not None and id.jurisdiction != self._jurisdiction:
            raise JsTypeError("get called on jurisdictional subnamespace with an ID from a different jurisdiction")
        return DurableObjectStub(self._transport, id, self._script)

    def get_by_name(self, name: str, init: Mapping[str, Any] | None = None, /, **options: Any) -> DurableObjectStub:
        """A stub for the object of this name."""
        return self.get(self.id_from_name(name), init, **options)

    def jurisdiction(self, name: str | None) -> DurableObjectNamespace:
        """The same class restricted to a jurisdiction; on one machine that is a label."""
        return DurableObjectNamespace(
            self.class_name,
            self._key,
            self._transport,
            restricted_to=_known_jurisdiction(name),
            script=self._script,
        )

    def __repr__(self) -> str:
        return f"<DurableObjectNamespace {self.class_name}>"


def _known_jurisdiction(name: str | None) -> str | None:
    if name is not None and name not in JURISDICTIONS:
        raise JsTypeError(f"unknown jurisdiction {name!r}; known are {', '.join(sorted(JURISDICTIONS))}")
    return name


def _check_options(init: Mapping[str, Any] | None, options: Mapping[str, Any]) -> None:
    chosen = {**(init or {}), **options}
    mode = chosen.get("routing_mode", chosen.get("routingMode", "primary-only"))
    if mode != "primary-only":
        raise JsRangeError(f"unknown routingMode: {mode}")

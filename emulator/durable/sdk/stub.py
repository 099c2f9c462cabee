"""Namespaces and stubs: how code names an actor and talks to it. Getting a stub creates nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from durable.sdk.aliases import CamelCase
from durable.sdk.http import Request, Response
from durable.sdk.ids import DurableObjectId, checked_id, id_from_name, unique_id

JURISDICTIONS = frozenset({"eu", "fedramp", "fedramp-high", "us"})
RESERVED_METHODS = frozenset(
    {"alarm", "connect", "dup", "constructor"}
    | {"web_socket_message", "web_socket_close", "web_socket_error"}
    | {"webSocketMessage", "webSocketClose", "webSocketError"}
)


class ActorTransport(Protocol):
    """Delivers to actors, wherever they run. Both methods deliver when called, not when awaited: order is kept."""

    def call(
        self,
        actor: DurableObjectId,
        stub: DurableObjectStub,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Awaitable[Any]: ...
    def fetch_actor(self, actor: DurableObjectId, stub: DurableObjectStub, request: Request) -> Awaitable[Response]: ...


class DurableObjectStub(CamelCase):
    """Talks to one actor: `await stub.fetch(request)`, `await stub.any_public_method(…)`."""

    __slots__ = ("_transport", "activation", "broken", "id")

    def __init__(self, transport: ActorTransport, id: DurableObjectId) -> None:
        self._transport = transport
        self.broken: BaseException | None = None
        """Set by the transport when the actor was reset: this stub fails from then on, a fresh one does not."""
        self.activation: Any = None
        """Which activation answered last, for the transport: when that one is reset, this stub is broken."""
        self.id = id

    @property
    def name(self) -> str | None:
        return self.id.name

    def fetch(self, resource: str | Request, **options: Any) -> Awaitable[Response]:
        """Call the actor's `fetch`; what it raises is raised here."""
        request = resource if isinstance(resource, Request) and not options else Request(resource, **options)
        return self._transport.fetch_actor(self.id, self, request)

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith("__") and method.endswith("__"):
            raise AttributeError(method)
        if method in RESERVED_METHODS:
            raise TypeError(f"'{method}' is a reserved method and cannot be called over RPC.")

        transport, actor = self._transport, self.id

        def call(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            return transport.call(actor, self, method, args, kwargs)

        # Not kept: the stub would refer to itself, and most stubs are asked for one method once.
        return call

    def __repr__(self) -> str:
        return f"<DurableObjectStub {self.id!r}>"


class DurableObjectNamespace(CamelCase):
    """A binding to one class of actors."""

    def __init__(
        self, class_name: str, key: str, transport: ActorTransport, *, restricted_to: str | None = None
    ) -> None:
        self.class_name = class_name
        self._key = key
        self._transport = transport
        self._jurisdiction = restricted_to

    def id_from_name(self, name: str) -> DurableObjectId:
        """The id that this name always leads to."""
        if not isinstance(name, str):
            raise TypeError(f"an object name is a str, got {type(name).__name__}")
        return DurableObjectId(self._key, id_from_name(self._key, name), name, self._jurisdiction)

    def id_from_string(self, text: str) -> DurableObjectId:
        """The id that `str(id)` printed; it has no name. Raises TypeError for any other text."""
        return DurableObjectId(self._key, checked_id(self._key, str(text)), None, self._jurisdiction)

    def new_unique_id(self, *, jurisdiction: str | None = None) -> DurableObjectId:
        """An id that no name leads to."""
        return DurableObjectId(self._key, unique_id(self._key), None, jurisdiction or self._jurisdiction)

    def get(self, id: DurableObjectId, **options: Any) -> DurableObjectStub:
        """A stub for the id; options such as `location_hint` place it on the platform, and are ignored here."""
        if not isinstance(id, DurableObjectId):
            raise TypeError(f"get() takes a DurableObjectId, got {type(id).__name__}; use get_by_name(name) for a name")
        if id.namespace_key != self._key:
            raise TypeError("Durable Object ID is not valid for this namespace.")
        return DurableObjectStub(self._transport, id)

    def get_by_name(self, name: str, **options: Any) -> DurableObjectStub:
        """A stub for the object of this name."""
        return self.get(self.id_from_name(name), **options)

    def jurisdiction(self, name: str | None) -> DurableObjectNamespace:
        """The same class restricted to a jurisdiction; on one machine that is a label."""
        if name is not None and name not in JURISDICTIONS:
            raise TypeError(f"unknown jurisdiction {name!r}; known are {', '.join(sorted(JURISDICTIONS))}")
        return DurableObjectNamespace(self.class_name, self._key, self._transport, restricted_to=name)

    def __repr__(self) -> str:
        return f"<DurableObjectNamespace {self.class_name}>"

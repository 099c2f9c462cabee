"""`ctx`: what an actor, and a worker, can ask of the platform. Interfaces with their documentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar, overload

from durable.sdk.aliases import CamelCase
from durable.sdk.ids import DurableObjectId
from durable.sdk.storage import DurableObjectStorage
from durable.sdk.websocket import WebSocket, WebSocketRequestResponsePair

T = TypeVar("T")


class ExecutionContext(CamelCase, ABC):
    """A worker request's `ctx`."""

    props: Mapping[str, Any] = MappingProxyType({})
    """What the binding that the request came by was given."""

    @abstractmethod
    def wait_until(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
        """Let `work` go on after the response has been sent; its failure is logged."""

    def pass_through_on_exception(self) -> None:
        """Accepted for code written for the platform; there is no origin server to pass to."""


class DurableObjectState(CamelCase, ABC):
    """An actor's `ctx`."""

    id: DurableObjectId
    storage: DurableObjectStorage
    props: Mapping[str, Any] = MappingProxyType({})
    container = None
    """Objects have no containers here."""

    @abstractmethod
    def wait_until(self, work: Coroutine[Any, Any, Any] | Awaitable[Any]) -> None:
        """Keep the actor in memory until `work` is done; its failure is logged."""

    @overload
    def block_concurrency_while(self, callback: Callable[[], Awaitable[T]]) -> Awaitable[T]: ...
    @overload
    def block_concurrency_while(self, callback: Callable[[], T]) -> Awaitable[T]: ...
    @abstractmethod
    def block_concurrency_while(self, callback: Callable[[], Any]) -> Awaitable[Any]:
        """Run `callback` while no other event is delivered; what it raises resets the actor. At most 30 s."""

    @abstractmethod
    def accept_web_socket(self, ws: WebSocket, tags: Sequence[str] = ()) -> None:
        """Take the server's end for hibernation: events go to `web_socket_*` methods. At most 10 tags of 256 bytes."""

    @abstractmethod
    def get_web_sockets(self, tag: str | None = None) -> list[WebSocket]:
        """Every accepted socket, newest first; with a tag only those that carry it, oldest first."""

    @abstractmethod
    def get_tags(self, ws: WebSocket) -> list[str]:
        """The tags given when `ws` was accepted."""

    @abstractmethod
    def set_web_socket_auto_response(self, pair: WebSocketRequestResponsePair | None = None) -> None:
        """Answer an exact text without waking the actor, on all its sockets; None stops that."""

    @abstractmethod
    def get_web_socket_auto_response(self) -> WebSocketRequestResponsePair | None: ...

    @abstractmethod
    def get_web_socket_auto_response_timestamp(self, ws: WebSocket) -> datetime | None:
        """When the last auto-response went to `ws` (UTC); None before the first."""

    @abstractmethod
    def set_hibernatable_web_socket_event_timeout(self, timeout_ms: int | None = None) -> None:
        """Let no `web_socket_*` handler run for longer; 0 or None lets them. At most seven days."""

    @abstractmethod
    def get_hibernatable_web_socket_event_timeout(self) -> int | None:
        """In milliseconds; None when there is none."""

    @abstractmethod
    def abort(self, reason: str | None = None, options: Mapping[str, Any] | None = None, **more: Any) -> NoReturn:
        """Reset the actor now: this turn's writes are discarded, everyone who waits for it gets `reason`.

        An alarm handler that runs has failed, and is tried again unless the option `retry_alarm` is False.
        """
        raise NotImplementedError

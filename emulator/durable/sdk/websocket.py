"""Web sockets as user code holds them: pairs, their two ends, and what an end needs from the runtime."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from durable.limits import AUTO_RESPONSE_BYTES_MAX, SOCKET_CLOSE_REASON_BYTES_MAX, SOCKET_MESSAGE_BYTES_MAX
from durable.sdk.aliases import CamelCase

CONNECTING, OPEN, CLOSING, CLOSED = 0, 1, 2, 3

_RESERVED_CLOSE_CODES = frozenset({1004, 1005, 1006, 1015})
"""Codes that RFC 6455 §7.4 reserves for reports and forbids in a close frame."""


def is_close_code(code: int) -> bool:
    """Whether a close frame may carry this code."""
    return 1000 <= code <= 4999 and code not in _RESERVED_CLOSE_CODES


class SocketLink(Protocol):
    """What the runtime does for an accepted socket; `socket` is its number on the wire."""

    @property
    def socket(self) -> int: ...
    def send(self, text: str | None, binary: bytes | None) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def save_attachment(self, value: Any) -> None: ...
    def load_attachment(self) -> Any: ...
    def accept(self) -> None: ...


class SocketEvent(CamelCase):
    """What a listener of an `accept()`ed socket receives; `type` is "message", "close" or "error"."""

    def __init__(
        self, type: str, data: str | bytes | None = None, code: int = 0, reason: str = "", was_clean: bool = False
    ) -> None:
        self.type = type
        self.data = data
        self.code = code
        self.reason = reason
        self.was_clean = was_clean


class WebSocket(CamelCase):
    """One end of a socket. The server's end is accepted, the client's end goes into a `Response`."""

    def __init__(self) -> None:
        self.ready_state = OPEN
        self.url: str | None = None
        self.protocol = ""
        self.peer: WebSocket | None = None
        self.link: SocketLink | None = None
        self.remote_socket = 0
        self.handed_over = False
        self._attachment: Any = None
        self._close_sent = False
        self._listeners: dict[str, list[Callable[[SocketEvent], Any]]] = {}

    def accept(self) -> None:
        """Take this end in memory, for `add_event_listener`; it pins its actor until it is closed."""
        if self.link is not None:
            raise TypeError("this WebSocket was already accepted")
        if self.handed_over:
            raise TypeError("Can't accept() WebSocket that was already used in a response.")
        _accept_in_memory(self)

    def send(self, message: str | bytes | bytearray | memoryview) -> None:
        """Queue one text (str) or binary message. Raises TypeError before accepting and after `close()`."""
        if self.link is None:
            raise TypeError(
                "accept this WebSocket before sending: ctx.accept_web_socket(server), "
                "or server.accept() without hibernation"
            )
        if self._close_sent:
            raise TypeError("Can't call WebSocket send() after close().")
        if isinstance(message, str):
            _check_size(len(message) if message.isascii() else _encoded_size(message))
            self.link.send(message, None)
        elif isinstance(message, (bytes, bytearray, memoryview)):
            binary = bytes(message)
            _check_size(len(binary))
            self.link.send(None, binary)
        else:
            raise TypeError(f"a WebSocket message is str or bytes, got {type(message).__name__}; try json.dumps(value)")

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Start or answer the closing handshake; a second close is ignored. Raises ValueError for a forbidden code."""
        if code is None:
            if reason:
                raise ValueError("If you specify a WebSocket close reason, you must also specify a code.")
        elif not is_close_code(code):
            raise ValueError(f"Invalid WebSocket close code: {code}.")
        if reason and len(reason.encode()) > SOCKET_CLOSE_REASON_BYTES_MAX:
            raise ValueError(
                f"a close reason is at most {SOCKET_CLOSE_REASON_BYTES_MAX} bytes, got {len(reason.encode())}"
            )
        if self.link is None:
            raise TypeError("accept this WebSocket before closing it")
        if self._close_sent:
            return
        self._close_sent = True
        self.ready_state = CLOSED if self.ready_state >= CLOSING else CLOSING
        self.link.close(code or 0, reason or "")

    @property
    def close_sent(self) -> bool:
        """Whether this end has said close; the other end's close needs no second answer then."""
        return self._close_sent

    def serialize_attachment(self, value: Any) -> None:
        """Keep `value` (at most 16 384 bytes encoded) with the socket; it survives hibernation and reload."""
        if self.link is None:
            self._attachment = copy.deepcopy(value)
        else:
            self.link.save_attachment(value)

    def deserialize_attachment(self) -> Any:
        """A fresh copy of the attachment; None when there is none."""
        return copy.deepcopy(self._attachment) if self.link is None else self.link.load_attachment()

    @property
    def unsaved_attachment(self) -> Any:
        """For the runtime: what was attached before anybody accepted this end."""
        return self._attachment

    def add_event_listener(self, type: str, listener: Callable[[SocketEvent], Any]) -> None:
        """`type` is "message", "close" or "error"; only `accept()`ed sockets have events."""
        self._listeners.setdefault(type, []).append(listener)

    def remove_event_listener(self, type: str, listener: Callable[[SocketEvent], Any]) -> None:
        if listener in self._listeners.get(type, ()):
            self._listeners[type].remove(listener)

    def listeners(self, type: str) -> list[Callable[[SocketEvent], Any]]:
        """For the runtime: who wants this event."""
        return list(self._listeners.get(type, ()))

    def bind(self, link: SocketLink) -> None:
        """For the runtime: connect this end; an attachment set before is kept."""
        self.link = link
        if self._attachment is not None:
            link.save_attachment(self._attachment)
            self._attachment = None


def _encoded_size(message: str) -> int:
    try:
        return len(message.encode())
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a WebSocket message must be valid Unicode; it has a lone surrogate at index {error.start}"
        ) from None


def _check_size(size: int) -> None:
    if size > SOCKET_MESSAGE_BYTES_MAX:
        raise ValueError(f"a WebSocket message is at most {SOCKET_MESSAGE_BYTES_MAX} bytes, got {size}")


def _accept_in_memory(socket: WebSocket) -> None:
    # The runtime knows which actor is running; the sdk only knows how to ask it.
    from durable.sdk.runtime import current_runtime

    current_runtime().accept_in_memory(socket)


class WebSocketPair:
    """Two connected ends: `client, server = WebSocketPair()`."""

    def __init__(self) -> None:
        self.client = WebSocket()
        self.server = WebSocket()
        self.client.peer, self.server.peer = self.server, self.client

    @classmethod
    def new(cls) -> WebSocketPair:
        return cls()

    def object_values(self) -> tuple[WebSocket, WebSocket]:
        return self.client, self.server

    def __iter__(self) -> Iterator[WebSocket]:
        return iter((self.client, self.server))

    def __getitem__(self, index: int | str) -> WebSocket:
        return (self.client, self.server)[int(index)]


class WebSocketRequestResponsePair:
    """A text that the gateway answers by itself, without waking the actor."""

    def __init__(self, request: str, response: str) -> None:
        for what, text in (("Request", request), ("Response", response)):
            size = len(text.encode())
            if size > AUTO_RESPONSE_BYTES_MAX:
                raise ValueError(
                    f"{what} cannot be larger than {AUTO_RESPONSE_BYTES_MAX} bytes. "
                    f"A {what.lower()} of size {size} was provided."
                )
        self.request = request
        self.response = response

    @classmethod
    def new(cls, request: str, response: str) -> WebSocketRequestResponsePair:
        return cls(request, response)

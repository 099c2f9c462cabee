"""Web sockets as user code holds them: pairs, their two ends, and what an end needs from the runtime."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from durable.errors import JsRangeError, JsTypeError
from durable.limits import AUTO_RESPONSE_BYTES_MAX, SOCKET_CLOSE_REASON_BYTES_MAX, SOCKET_MESSAGE_BYTES_MAX
from durable.sdk import portability
from durable.sdk.aliases import merge_options
from durable.sdk.event_target import EventTarget, SocketEvent
from durable.sdk.runtime import current_runtime, runtime_variable
from durable.sdk.socket_address import checked_address, checked_protocols

__all__ = [
    "CLOSED",
    "CLOSING",
    "CONNECTING",
    "OPEN",
    "SocketEvent",
    "SocketLink",
    "WebSocket",
    "WebSocketPair",
    "WebSocketRequestResponsePair",
    "is_close_code",
]

CONNECTING, OPEN, CLOSING, CLOSED = 0, 1, 2, 3

_RESERVED_CLOSE_CODES = frozenset({1004, 1005, 1006, 1015})
"""Codes that RFC 6455 §7.4 reserves for reports and forbids in a close frame."""
_CLOSE_REPLIED = "2026-04-07"
"""Compatibility date from which the close of the other end is answered (flag `web_socket_auto_reply_to_close`)."""
_LONG_REASONS_REFUSED = "2026-03-03"
"""Compatibility date from which a close reason that does not fit its frame is an error; before, it is cut."""
_BLOBS = "2026-03-17"
"""Compatibility date from which binary messages are blobs unless `binary_type` says otherwise."""
_BINARY_TYPES = ("blob", "arraybuffer")
_SENT_AS_TEXT = frozenset({bytes, bytearray, memoryview})
"""Exact types that the platform sends the `str()` of; what `to_js` makes is sent as bytes there, too."""
_NEEDS_TO_JS = _SENT_AS_TEXT | {list, dict, tuple, set, frozenset, datetime}
"""Exact types that the platform refuses as an attachment."""


def is_close_code(code: int) -> bool:
    """Whether a close frame may carry this code."""
    return 1000 <= code <= 4999 and code not in _RESERVED_CLOSE_CODES


class SocketLink(Protocol):
    """What the runtime does for an accepted socket; `socket` is its number on the wire, 0 when it has none."""

    @property
    def socket(self) -> int: ...
    @property
    def hibernatable(self) -> bool: ...
    def send(self, text: str | None, binary: bytes | None) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def save_attachment(self, value: Any) -> None: ...
    def load_attachment(self) -> Any: ...


class WebSocket(EventTarget):
    """One end of a socket: of a `WebSocketPair`, of a response with status 101, or `WebSocket(url)` to the outside.

    Listeners hear "message", "close", "error" and, after `WebSocket(url)`, "open". Binary messages are `bytes`.
    """

    CONNECTING, OPEN, CLOSING, CLOSED = CONNECTING, OPEN, CLOSING, CLOSED

    url: str | None
    """What `WebSocket(url)` was given; None for every other end."""

    def __init__(self, url: str, protocols: str | Sequence[str] = ()) -> None:
        """Connect to a server outside; send after the "open" event. Raises ValueError for an address that is none."""
        self._begin()
        self.url = checked_address(url)
        self.ready_state = CONNECTING
        current_runtime().connect(self, checked_protocols(protocols))

    @classmethod
    def new(cls, url: str, protocols: str | Sequence[str] = ()) -> WebSocket:
        return cls(url, protocols)

    @classmethod
    def unaccepted(cls) -> WebSocket:
        """For the runtime: an end that nobody has accepted."""
        socket = cls.__new__(cls)
        socket._begin()
        return socket

    def _begin(self) -> None:
        super().__init__()
        self.ready_state = OPEN
        self.url = None
        self.protocol = ""
        self.extensions = ""
        self.allow_half_open = False
        self.peer: WebSocket | None = None
        self.link: SocketLink | None = None
        self.remote_socket = 0
        """The number of the socket whose client's end this is, when the other end is somewhere else."""
        self.outside: Any = None
        """For the runtime: the connection to the outside that this end is, until somebody accepts it."""
        self.handed_over = False
        self._binary_type: str | None = None
        self._attachment: Any = None
        self._close_sent = False
        self._muted = False

    # --- accepting -------------------------------------------------------------------------------------------------
    def accept(self, options: Mapping[str, Any] | None = None, *, allow_half_open: bool | None = None) -> None:
        """Take this end in memory, for `add_event_listener`; it pins its actor until it is closed.

        With `allow_half_open` the close of the other end is not answered: this one may go on sending and has to close.
        """
        chosen = merge_options("accept", ("allow_half_open",), options).get("allow_half_open", allow_half_open)
        if self.ready_state == CONNECTING:
            raise JsTypeError("Websockets obtained from the 'new WebSocket()' constructor cannot call accept")
        if self.handed_over:
            raise JsTypeError("Can't accept() WebSocket that was already used in a response.")
        if self.link is not None:
            if self.link.hibernatable:
                raise JsTypeError("Can't accept() WebSocket after enabling hibernation.")
            return
        runtime = current_runtime()
        self.allow_half_open = runtime.compatibility_date < _CLOSE_REPLIED if chosen is None else bool(chosen)
        runtime.accept_in_memory(self)

    @property
    def other_socket(self) -> int:
        """For the runtime: the number of the other end, when somebody has accepted that; 0 before."""
        if self.peer is None or self.peer.link is None:
            return self.remote_socket
        return self.peer.link.socket

    def bind(self, link: SocketLink) -> None:
        """For the runtime: connect this end; an attachment set before is kept."""
        self.link = link
        if self._attachment is not None:
            link.save_attachment(self._attachment)
            self._attachment = None

    # --- talking ---------------------------------------------------------------------------------------------------
    def send(self, message: str | bytes | bytearray | memoryview) -> None:
        """Queue one text (str) or binary message. Raises TypeError before accepting and after `close()`.

        To an end that is gone it goes nowhere.
        """
        link = self.link
        if link is None or self._muted:
            self._check_sendable()
            return
        if isinstance(message, str):
            _check_size(len(message) if message.isascii() else _encoded_size(message))
            link.send(message, None)
        elif isinstance(message, (bytes, bytearray, memoryview)):
            if portability.watch is not None and type(message) in _SENT_AS_TEXT:
                portability.watch("socket-bytes", f"send() is given {type(message).__name__}")
            binary = bytes(message)
            _check_size(len(binary))
            link.send(None, binary)
        else:
            raise JsTypeError(
                f"a WebSocket message is str or bytes, got {type(message).__name__}; try json.dumps(value)"
            )

    def _check_sendable(self) -> None:
        if self._close_sent:
            raise JsTypeError("Can't call WebSocket send() after close().")
        if self.ready_state == CONNECTING:
            raise JsTypeError('this WebSocket is still connecting: send in a listener of its "open" event')
        if self.link is None:
            raise JsTypeError(
                "You must call one of accept() or ctx.accept_web_socket(ws) on this WebSocket before sending messages."
            )

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Start or answer the closing handshake; a second close is ignored. Raises ValueError for a forbidden code."""
        if self._close_sent or (self._muted and self.ready_state != CONNECTING):
            return
        if self.link is None:
            raise JsTypeError(
                "You must call one of accept() or ctx.accept_web_socket(ws) on this WebSocket before closing it."
            )
        if code is not None and not is_close_code(code):
            raise JsRangeError(f"Invalid WebSocket close code: {code}.")
        if reason and code is None:
            raise JsRangeError("If you specify a WebSocket close reason, you must also specify a code.")
        self._say_close(code or 0, _fitting(reason or ""))

    def _say_close(self, code: int, reason: str) -> None:
        assert self.link is not None
        self._close_sent = self._muted = True
        self.ready_state = CLOSED if self.ready_state >= CLOSING else CLOSING
        self.link.close(code, reason)

    @property
    def close_sent(self) -> bool:
        """Whether this end has said close; the other end's close needs no second answer then."""
        return self._close_sent

    def opened(self) -> None:
        """For the runtime: the connection of `WebSocket(url)` is there."""
        self.ready_state = OPEN
        self._muted = False

    def restore_closing(self) -> None:
        """For the runtime: this end said close before its actor left memory."""
        self._close_sent = self._muted = True
        self.ready_state = CLOSING

    def part(self) -> None:
        """For the runtime: the ends of the pair have found their places, and no longer keep each other in memory."""
        if self.peer is not None:
            self.peer.peer = None
            self.peer = None

    def mute(self) -> None:
        """For the runtime: nothing that is said from now on arrives anywhere."""
        self._muted = True

    def answer_close(self, code: int, reason: str) -> None:
        """For the runtime: say close because the other end did; what is said later is ignored, not refused."""
        self.ready_state = CLOSING
        self._say_close(code, reason)
        self._close_sent = False

    # --- attachments -----------------------------------------------------------------------------------------------
    def serialize_attachment(self, value: Any) -> None:
        """Keep `value` (at most 16 384 bytes encoded) with the socket; it survives hibernation and reload."""
        if portability.watch is not None and type(value) in _NEEDS_TO_JS:
            portability.watch("socket-attachment", f"serialize_attachment() is given a {type(value).__name__}")
        if self.link is None:
            runtime = runtime_variable.get(None)
            self._attachment = copy.deepcopy(value) if runtime is None else runtime.copied_attachment(value)
        else:
            self.link.save_attachment(value)

    def deserialize_attachment(self) -> Any:
        """A fresh copy of the attachment; None when there is none."""
        return copy.deepcopy(self._attachment) if self.link is None else self.link.load_attachment()

    @property
    def unsaved_attachment(self) -> Any:
        """For the runtime: what was attached before anybody accepted this end."""
        return self._attachment

    # --- binary messages -------------------------------------------------------------------------------------------
    @property
    def binary_type(self) -> str:
        """What the platform makes of binary messages, "blob" or "arraybuffer"; here they are `bytes` either way."""
        if self._binary_type is None:
            self._binary_type = "blob" if _compatibility_date() >= _BLOBS else "arraybuffer"
        return self._binary_type

    @binary_type.setter
    def binary_type(self, value: str) -> None:
        if value not in _BINARY_TYPES:
            raise JsRangeError(f"binary_type is {' or '.join(map(repr, _BINARY_TYPES))}, got {value!r}")
        self._binary_type = value

    binaryType = binary_type  # assigned to, which `CamelCase` does not see


def _compatibility_date() -> str:
    runtime = runtime_variable.get(None)
    return _BLOBS if runtime is None else runtime.compatibility_date


def _fitting(reason: str) -> str:
    """The reason as far as a close frame has room for it. Raises ValueError where the platform refuses a longer one."""
    size = len(reason.encode())
    if size <= SOCKET_CLOSE_REASON_BYTES_MAX:
        return reason
    if _compatibility_date() >= _LONG_REASONS_REFUSED:
        raise JsRangeError(
            f"WebSocket close reason must not be longer than {SOCKET_CLOSE_REASON_BYTES_MAX} bytes when UTF-8 encoded, "
            f"got {size} bytes."
        )
    return reason.encode()[:SOCKET_CLOSE_REASON_BYTES_MAX].decode(errors="ignore")


def _encoded_size(message: str) -> int:
    try:
        return len(message.encode())
    except UnicodeEncodeError as error:
        raise JsRangeError(
            f"a WebSocket message must be valid Unicode; it has a lone surrogate at index {error.start}"
        ) from None


def _check_size(size: int) -> None:
    if size > SOCKET_MESSAGE_BYTES_MAX:
        raise JsRangeError(f"a WebSocket message is at most {SOCKET_MESSAGE_BYTES_MAX} bytes, got {size}")


class WebSocketPair:
    """Two connected ends: `client, server = WebSocketPair()`."""

    def __init__(self) -> None:
        self.client = WebSocket.unaccepted()
        self.server = WebSocket.unaccepted()
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
            if not isinstance(text, str):
                raise JsTypeError(f"the {what.lower()} of an auto-response is a str, got {type(text).__name__}")
            size = len(text.encode())
            if size > AUTO_RESPONSE_BYTES_MAX:
                raise JsRangeError(
                    f"{what} cannot be larger than {AUTO_RESPONSE_BYTES_MAX} bytes. "
                    f"A {what.lower()} of size {size} was provided."
                )
        self._request = request
        self._response = response

    @property
    def request(self) -> str:
        return self._request

    @property
    def response(self) -> str:
        return self._response

    @classmethod
    def new(cls, request: str, response: str) -> WebSocketRequestResponsePair:
        return cls(request, response)

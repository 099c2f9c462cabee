"""One WebSocket connection to a server outside, in the words of the wire. aiohttp speaks for us; knows no actors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from durable.host.outgoing import client
from durable.limits import CONNECT_SECONDS_MAX, SOCKET_MESSAGE_BYTES_MAX
from durable.sdk.http import Response
from durable.sdk.websocket import is_close_code
from durable.wire.messages import SocketClosed, SocketFailed, SocketMessage

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse

VANISHED = "WebSocket disconnected without sending Close frame."
_NO_CODE, _ABNORMAL = 1005, 1006
_OWN_FIELDS = frozenset({"connection", "upgrade", "content-length", "transfer-encoding"})
"""Fields that the handshake sets itself, with every `sec-websocket-*`."""
_WINDOW_BITS = 15


class OutgoingConnection:
    """Reading and writing wait as long as the server makes them; `drop` ends both."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        # The handshake's answer: aiohttp shows neither its headers nor a way to hang up without another frame.
        self._handshake: Any = getattr(socket, "_response")  # noqa: B009
        self.protocol = socket.protocol or ""
        self.extensions: str = self._handshake.headers.get("sec-websocket-extensions", "")
        self.headers = list(self._handshake.headers.items())

    async def receive(self) -> SocketMessage | SocketClosed | SocketFailed:
        """The next thing the server does; after anything but a message there is no next."""
        from aiohttp import WSMsgType
        from aiohttp.http import WebSocketError

        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            return SocketMessage(0, 0, message.data, None)
        if message.type is WSMsgType.BINARY:
            return SocketMessage(0, 0, None, message.data)
        if message.type is WSMsgType.CLOSE:
            return SocketClosed(0, 0, message.data or _NO_CODE, message.extra or "", True)
        if message.type is WSMsgType.ERROR and isinstance(message.data, WebSocketError):
            return SocketFailed(
                0,
                0,
                f"WebSocket protocol error; protocolError.statusCode = {int(message.data.code)}; "
                f"protocolError.description = {message.data}",
            )
        return SocketClosed(0, 0, _ABNORMAL, VANISHED, False)

    async def send(self, text: str | None, binary: bytes | None) -> None:
        """Raises OSError when the connection is gone."""
        if text is not None:
            await self._socket.send_str(text)
        else:
            await self._socket.send_bytes(binary or b"")

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame; 0 makes an empty one. What the server still sends can be received."""
        from aiohttp import WSMsgType

        data = code.to_bytes(2, "big") + reason.encode() if is_close_code(code) else b""
        await self._socket.send_frame(data, WSMsgType.CLOSE)

    def drop(self) -> None:
        """Hang up; what was written before still leaves."""
        self._handshake.close()


async def open_connection(
    url: str, headers: Iterable[tuple[str, str]], protocols: Iterable[str], *, deflate: bool
) -> OutgoingConnection | Response:
    """Shake hands; the Response, without its body, when the server answers with another status than 101.

    Raises OSError when there is no answer in time, or none that makes a WebSocket.
    """
    from aiohttp import ClientError, WSServerHandshakeError

    fields = [
        (name, value)
        for name, value in headers
        if name.lower() not in _OWN_FIELDS and not name.lower().startswith("sec-websocket-")
    ]
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            socket = await client(sockets=True).ws_connect(
                url,
                headers=fields,
                protocols=list(protocols),
                autoclose=False,
                # The parser refuses messages of exactly this size; the platform delivers those of exactly 32 MiB.
                max_msg_size=SOCKET_MESSAGE_BYTES_MAX + 1,
                compress=_WINDOW_BITS if deflate else 0,
            )
    except WSServerHandshakeError as error:
        if error.status >= 200:
            return Response(None, error.status, headers=list((error.headers or {}).items()))
        raise OSError(f"WebSocket {url} failed: {error.message}") from error
    except TimeoutError as error:
        raise OSError(f"WebSocket {url} failed: no answer within {CONNECT_SECONDS_MAX:g} seconds") from error
    except (ClientError, ValueError) as error:
        raise OSError(f"WebSocket {url} failed: {error}") from error
    return OutgoingConnection(socket)

"""One WebSocket in the messages of ASGI: what the client says is queued for the app, what the app says is sent."""

from __future__ import annotations

import asyncio
from typing import Any

from durable.host.compat.asgi_lifespan import App, Message
from durable.host.compat.plain_endpoints import waiting_endpoints
from durable.sdk.buffers import JsBuffer
from durable.sdk.http import Response
from durable.sdk.websocket import SocketEvent, WebSocketPair

_NORMAL, _ABNORMAL, _FAILED = 1000, 1006, 1011


class AsgiWebSocket:
    """`response` is there when the app has accepted or refused; a refused client sees the socket close with the code.

    That is what it sees on the platform, which accepts before it asks the app.
    """

    def __init__(self) -> None:
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._received: asyncio.Queue[Message] = asyncio.Queue()
        self._received.put_nowait({"type": "websocket.connect"})
        self._client, self._server = WebSocketPair()
        self._gone = False
        self._closed = False

    async def serve(self, app: App, scope: dict[str, Any]) -> None:
        """Run the app to its end, and close what it leaves open. Raises what the app raises after it accepted."""
        try:
            with waiting_endpoints():
                await app(scope, self._received.get, self._send)
        except BaseException as error:
            if not self.response.done():
                self.response.set_exception(error)
                if isinstance(error, Exception):
                    return
            else:
                self._close(_FAILED, "")
            raise
        else:
            self._close(_NORMAL, "")

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self._accept(message.get("subprotocol"), message.get("headers", ()))
        elif kind == "websocket.send":
            if not self.response.done():
                raise RuntimeError("the ASGI app sends before it has accepted: send websocket.accept first")
            data, text = message.get("bytes"), message.get("text")
            if data is not None:
                self._server.send(JsBuffer(data))
            if text is not None:
                self._server.send(text)
        elif kind == "websocket.close":
            self._close(message.get("code", _NORMAL), message.get("reason") or "")
        else:
            raise RuntimeError(f"the ASGI app sent {kind!r}, which is no message of a WebSocket")

    def _accept(self, subprotocol: str | None, headers: Any) -> None:
        if self.response.done():
            raise RuntimeError("the ASGI app accepted its WebSocket twice")
        fields = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in headers]
        if subprotocol is not None:
            fields.append(("sec-websocket-protocol", subprotocol))
        server = self._server
        server.accept()
        server.binary_type = "arraybuffer"
        server.add_event_listener("message", self._heard)
        server.add_event_listener("close", self._ended)
        server.add_event_listener("error", self._ended)
        self.response.set_result(Response(None, 101, headers=fields, web_socket=self._client))

    def _close(self, code: int, reason: str) -> None:
        if self._closed:
            return
        if not self.response.done():
            self._accept(None, ())
        self._closed = True
        if not self._gone:
            self._server.close(code, reason or None)

    def _heard(self, event: SocketEvent) -> None:
        if isinstance(event.data, str):
            self._received.put_nowait({"type": "websocket.receive", "text": event.data})
        else:
            self._received.put_nowait({"type": "websocket.receive", "bytes": bytes(event.data)})

    def _ended(self, event: SocketEvent) -> None:
        if not self._gone:
            self._gone = True
            code, reason = event.code or _ABNORMAL, event.reason
            self._received.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

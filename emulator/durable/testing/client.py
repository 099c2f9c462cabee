"""HTTP and WebSockets for plain functions: aiohttp's client at work in the emulator's thread. Knows no emulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from durable.errors import SocketClosedError, SocketRefusedError

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDictProxy

CALL_SECONDS = 30.0
"""How long a request may take before the test fails instead of hanging."""


class Wait(Protocol):
    """Runs a coroutine in the emulator's loop and waits for its result."""

    def __call__(self, work: Coroutine[Any, Any, Any], seconds: float = CALL_SECONDS) -> Any: ...


@dataclass(frozen=True)
class Reply:
    """An HTTP response, whatever its status; `headers` are found in any case of letters."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


async def send_request(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None,
    json_body: object,
    data: bytes | str | None,
) -> Reply:
    async with session.request(
        method, url, headers=headers, json=json_body, data=data, allow_redirects=False
    ) as response:
        return Reply(response.status, response.headers, await response.read())


class Socket:
    """The client end of a WebSocket; closes itself at the end of a `with` block."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, wait: Wait) -> None:
        self._socket = socket
        self._wait = wait

    def send(self, message: str | bytes) -> None:
        """Send text as a text frame, bytes as a binary one."""
        sending = self._socket.send_str(message) if isinstance(message, str) else self._socket.send_bytes(message)
        self._wait(sending)

    def receive(self, timeout: float = 5.0) -> str | bytes:
        """The next message; raises `TimeoutError` after so many seconds and `SocketClosedError` at the end."""
        message: str | bytes = self._wait(self._receive(timeout), timeout + CALL_SECONDS)
        return message

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close and wait for the server's answer; does nothing the second time."""
        self._wait(self._socket.close(code=code, message=reason.encode()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _receive(self, seconds: float) -> str | bytes:
        import aiohttp

        async with asyncio.timeout(seconds):
            message = await self._socket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        raise SocketClosedError(self._socket.close_code or 1006, str(message.extra or ""))


async def open_socket(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None, made: Callable[[Any], Socket]
) -> Socket:
    import aiohttp

    try:
        return made(await session.ws_connect(url, headers=headers, max_msg_size=0))
    except aiohttp.WSServerHandshakeError as error:
        raise SocketRefusedError(url, error.status) from None

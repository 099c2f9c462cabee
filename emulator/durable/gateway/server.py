"""The listening sockets of the gateway. Knows addresses and ports; what is served is handed in."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server
from msgspec import Struct

from durable.clock import Clock, SystemClock
from durable.errors import UserInputError
from durable.gateway.connection import ClientConnection
from durable.gateway.events import BoundBeyondLoopback, GatewayFault, MalformedRequest, OnEvent
from durable.gateway.port_holder import port_holder
from durable.gateway.refusals import RefusalReports, excerpt
from durable.limits import (
    BODY_LINGER_SECONDS,
    DESCRIPTORS_RESERVED,
    HTTP_HEADER_BYTES_MAX,
    HTTP_HEADERS_MAX,
    HTTP_URL_BYTES_MAX,
    KEEP_ALIVE_SECONDS,
)
from durable.storage.descriptors import descriptor_limit

Handler = Callable[[BaseRequest], Awaitable[StreamResponse]]


class ServerStatistics(Struct, frozen=True):
    """`requests` counts everything since the start."""

    connections: int
    requests: int


class GatewayServer:
    """Listens on one address; on loopback for IPv4 and, where there is one, on that for IPv6 too."""

    def __init__(
        self,
        handler: Handler,
        ip: str = "127.0.0.1",
        port: int = 8787,
        *,
        on_event: OnEvent,
        clock: Clock | None = None,
        shutdown_seconds: float = 5.0,
    ) -> None:
        self._handler = handler
        self._ip = ip
        self._port = port
        self._on_event = on_event
        self._clock = clock or SystemClock()
        self._shutdown_seconds = shutdown_seconds
        self._server: Server | None = None
        self._listening: list[asyncio.Server] = []

    async def start(self) -> int:
        """Listen, and return the port: the one asked for, or a free one for 0. Raises `UserInputError`."""
        # aiohttp logs each malformed request with a traceback and 100 bytes of its sender's choice. This logger is in
        # no hierarchy, so nothing but our own handler sees them.
        logger = logging.Logger("durable.gateway.malformed")  # noqa: LOG001
        logger.addHandler(_MalformedRequests(self._on_event, self._clock))
        self._server = _Server(
            self._handler,
            connections_max=max(1, descriptor_limit() - DESCRIPTORS_RESERVED),
            handler_cancellation=True,
            access_log=None,
            logger=logger,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            lingering_time=BODY_LINGER_SECONDS,
            max_line_size=HTTP_URL_BYTES_MAX,
            max_field_size=HTTP_HEADER_BYTES_MAX,
            max_headers=HTTP_HEADERS_MAX,
            auto_decompress=False,
        )
        try:
            port = await self._listen(self._server, self._ip, self._port)
        except OSError as error:
            raise self._explained(error) from error
        if self._ip in ("127.0.0.1", "localhost"):
            # No IPv6 on this machine, or another program's port there, is no failure: 127.0.0.1 is what we announce.
            with contextlib.suppress(OSError):
                await self._listen(self._server, "::1", port)
        if not _is_loopback(self._ip):
            self._on_event(BoundBeyondLoopback(self._ip, port))
        return port

    async def stop(self) -> None:
        """Refuse new connections, give open requests `shutdown_seconds`, then cancel what is left. Harmless twice."""
        listening, self._listening = self._listening, []
        if not listening or self._server is None:
            return
        for each in listening:
            each.close()
        await asyncio.sleep(0)  # what has arrived is begun before connections without a request are closed
        self._server.pre_shutdown()
        await self._server.shutdown(self._shutdown_seconds)

    def statistics(self) -> ServerStatistics:
        if self._server is None:
            return ServerStatistics(0, 0)
        return ServerStatistics(len(self._server.connections), self._server.requests_count)

    async def _listen(self, server: Server, ip: str, port: int) -> int:
        # Not aiohttp's runner and site, which come with its router: that takes as long to import as 20 modules of ours.
        listening = await asyncio.get_running_loop().create_server(server, ip, port, backlog=1024)
        self._listening.append(listening)
        return int(listening.sockets[0].getsockname()[1])

    def _explained(self, error: OSError) -> UserInputError:
        place = f"{self._ip}:{self._port}"
        if error.errno == errno.EADDRINUSE:
            holder = port_holder(self._port)
            return UserInputError(
                f"Port {self._port} is already in use" + (f" by {holder}." if holder else "."),
                fix=f"durable dev --port {self._port + 1 if self._port < 65_535 else 0}",
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return UserInputError(
                f"Port {self._port} may not be opened by this user; ports below 1024 need privileges.",
                fix="durable dev --port 8787",
            )
        if error.errno == errno.EADDRNOTAVAIL:
            return UserInputError(f"{self._ip} is not an address of this machine.", fix="durable dev --ip 127.0.0.1")
        reason = os.strerror(error.errno) if error.errno else str(error)
        return UserInputError(f"Cannot listen on {place}: {reason}.", fix="durable dev --ip 127.0.0.1 --port 8787")


class _Server(Server):
    """Turns connections away that would take the descriptors which files, hosts and the index need.

    Closed at once they cost nothing. Left in the kernel's queue they would keep the listening socket readable, and a
    process that is out of descriptors busy with not accepting them.
    """

    def __init__(self, handler: Handler, *, connections_max: int, **options: Any) -> None:
        super().__init__(handler, **options)
        self._connections_max = connections_max
        self._connected = 0  # aiohttp's own count still has those whose task has not seen yet that they are gone

    def __call__(self) -> RequestHandler:
        return ClientConnection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._connected += 1
        if self._connected > self._connections_max:
            transport.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        self._connected -= 1
        super().connection_lost(handler, exc)


class _MalformedRequests(logging.Handler):
    """Turns what aiohttp logs about refused requests into events: one escaped, truncated line, not too often."""

    def __init__(self, on_event: OnEvent, clock: Clock) -> None:
        super().__init__(logging.DEBUG)
        self._on_event = on_event
        self._reports = RefusalReports(on_event, clock)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None and record.levelno < logging.WARNING:
            return
        if error is not None and not type(error).__module__.startswith("aiohttp"):
            self._on_event(GatewayFault("".join(traceback.format_exception(error))))
            return
        text = str(error) if error is not None else record.getMessage()
        line = excerpt(excerpt(text).encode("unicode_escape").decode("ascii"))
        self._reports.report("malformed", lambda unreported: MalformedRequest(line, unreported))


def _is_loopback(ip: str) -> bool:
    try:
        return ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return ip == "localhost"

"""The ports of `durable dev --debug`: an editor that connects is led to the host that serves at this moment.

debugpy in a host listens on a port of its own and goes with it. These ports stay, so that a reload leaves the editor an
address to come back to at once: who connects between two generations waits for the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

from durable.errors import UserInputError
from durable.limits import DEBUG_CLIENTS_MAX, DEBUG_WAIT_SECONDS_MAX
from durable.supervisor.debug_session import DebugSession
from durable.supervisor.host_debugger import HostDebugger

LOOPBACK: Final = "127.0.0.1"
"""Who reaches the port runs code as you: it is never opened to other machines."""

_POLL_SECONDS: Final = 0.02
_FIRST_WORD: Final = b"Content-Length:"
"""How every client of the Debug Adapter Protocol begins (microsoft.github.io/debug-adapter-protocol, Base Protocol)."""


class Debugged(Protocol):
    """What is asked of a host."""

    @property
    def alive(self) -> bool: ...
    @property
    def draining(self) -> bool: ...
    @property
    def debugger(self) -> HostDebugger: ...


class DebugPorts:
    """One port per shard, from `start` to `stop`."""

    def __init__(self, port: int, shards: int, host: Callable[[int], Debugged | None]) -> None:
        """`host(shard)` is the one that serves. `port` 0 takes free ones, else shard n has `port + n`."""
        self.ports: tuple[int, ...] = ()
        self._wanted = [port + shard if port else 0 for shard in range(shards)]
        self._host = host
        self._servers: list[asyncio.Server] = []
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises `UserInputError` for a port that cannot be had."""
        for shard, port in enumerate(self._wanted):
            try:
                server = await asyncio.start_server(self._accept(shard), LOOPBACK, port)
            except OSError as error:
                raise UserInputError(
                    f"--debug: port {port} of {LOOPBACK} cannot be had: {error.strerror}",
                    fix=f"durable dev --debug {port + 1}",
                ) from error
            self._servers.append(server)
        self.ports = tuple(server.sockets[0].getsockname()[1] for server in self._servers)

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _accept(self, shard: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(self._clients) >= DEBUG_CLIENTS_MAX:
                writer.close()
                return
            client = asyncio.get_running_loop().create_task(self._serve(shard, reader, writer))
            self._clients.add(client)
            client.add_done_callback(self._clients.discard)

        return accept

    async def _serve(self, shard: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError), contextlib.closing(writer):
            async with asyncio.timeout(DEBUG_WAIT_SECONDS_MAX):
                first_word = await reader.readexactly(len(_FIRST_WORD))
                if first_word != _FIRST_WORD:
                    return  # a page in a browser, for one: it must not get to speak to what runs code
                debugger = await self._wait_debugger(shard)
                host_reader, host_writer = await asyncio.open_connection(LOOPBACK, debugger.port)
            # Counted before the first word: an editor may stop the host with it.
            debugger.clients += 1
            try:
                with contextlib.closing(host_writer):
                    await DebugSession().relay(first_word, (reader, writer), (host_reader, host_writer))
            finally:
                debugger.clients -= 1

    async def _wait_debugger(self, shard: int) -> HostDebugger:
        while True:
            host = self._host(shard)
            if host is not None and host.alive and not host.draining and host.debugger.port:
                return host.debugger
            await asyncio.sleep(_POLL_SECONDS)

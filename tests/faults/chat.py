"""Rooms full of clients on bare connections, and the book of what each said and heard, and what went wrong.

Everybody in a room hears everything said in it, under the number that its object gave it. So each client sees for
itself whether a number came twice or too early, and who said something knows whether it was ever heard.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.settings import settings

SETTINGS = settings("Room", "ROOMS")

PROGRAM = """\
import asyncio
import json
from urllib.parse import parse_qs, urlsplit

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

VERSION = 0


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS said(n INTEGER PRIMARY KEY, token TEXT NOT NULL)")
        self.sql.exec("CREATE TABLE IF NOT EXISTS begun(token TEXT NOT NULL)")

    async def fetch(self, request):
        parts = urlsplit(request.url)
        if parts.path.endswith("/book"):
            return Response.json({
                "said": [row["token"] for row in self.sql.exec("SELECT token FROM said ORDER BY n")],
                "begun": [row["token"] for row in self.sql.exec("SELECT token FROM begun ORDER BY rowid")],
            })
        client, server = WebSocketPair()
        who = parse_qs(parts.query)["who"][0]
        self.ctx.accept_web_socket(server, tags=[who, "everybody"])
        server.serialize_attachment({"who": who, "sent": 0})
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws, message):
        if message == "?":
            kept = {"tags": self.ctx.get_tags(ws), "attachment": ws.deserialize_attachment(), "version": VERSION}
            ws.send("? " + json.dumps(kept))
            return
        if message.startswith("hang"):
            # Begun, and never to end: what becomes of it when its host dies?
            self.sql.exec("INSERT INTO begun VALUES (?)", message)
            ws.send("begun")
            await asyncio.sleep(3600)
        n = self.sql.exec("INSERT INTO said(token) VALUES (?) RETURNING n", message).one()["n"]
        kept = ws.deserialize_attachment()
        kept["sent"] += 1
        ws.serialize_attachment(kept)
        text = f"{n} {message}"
        for each in self.ctx.get_web_sockets("everybody"):
            each.send(text)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ROOMS.get_by_name(urlsplit(request.url).path.split("/")[1]).fetch(request)
"""

_UNHEARD_MAX = 50
"""Messages that one client lets be underway."""
_PATIENCE_SECONDS = 60.0
"""A safety net."""


def write_project(folder: Path, version: int = 0) -> None:
    """Write what the room's code is, as an editor does: the new file takes the place of the old one."""
    if not (folder / "durable.toml").exists():
        (folder / "durable.toml").write_text(SETTINGS)
    (folder / "main.new").write_text(PROGRAM.replace("VERSION = 0", f"VERSION = {version}"))
    (folder / "main.new").replace(folder / "main.py")


class Client(asyncio.Protocol):
    """One WebSocket of a room: RFC 6455 by hand, for frames of up to 64 KiB."""

    def __init__(self, room: str, who: str) -> None:
        self.room = room
        self.who = who
        self.sent: list[str] = []
        self.heard_own = 0
        """How many of `sent` it has heard, or may not expect any more because it has heard a later one."""
        self.last = 0
        self.gaps: set[int] = set()
        self.doubled = 0
        self.reordered = 0
        self.dropped = False
        self.kept: deque[dict[str, Any]] = deque()
        self.begun = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._positions: dict[str, int] = {}
        self._heard: set[str] = set()
        self._buffer = b""
        self._ended = False
        self._changed = asyncio.Event()
        self._transport: asyncio.Transport

    # --- the connection -------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(random.randbytes(16)).decode()
        host = "{}:{}".format(*transport.get_extra_info("peername"))
        transport.write(
            f"GET /{self.room}?who={self.who} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        if not self.opened.done():
            head, found, rest = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = buffer
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.opened.set_result(None)
            buffer = rest
        position = 0
        while (end := self._end_of_frame(buffer, position)) is not None:
            start, stop = end
            if buffer[position] == 0x81:
                self._take(buffer[start:stop].decode())
            else:
                self.dropped = True  # nothing but a close frame may come
            position = stop
        self._buffer = buffer[position:]
        self._changed.set()

    @staticmethod
    def _end_of_frame(buffer: bytes, position: int) -> tuple[int, int] | None:
        known = len(buffer) - position
        if known < 2:
            return None
        length, start = buffer[position + 1], position + 2
        if length == 126:
            if known < 4:
                return None
            length, start = struct.unpack_from("!H", buffer, start)[0], start + 2
        return (start, start + length) if start + length <= len(buffer) else None

    def connection_lost(self, error: Exception | None) -> None:
        self.dropped = self.dropped or not self._ended
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("the handshake was not answered"))
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._transport.abort()

    # --- what is said ---------------------------------------------------------------------------------------------
    def say(self, token: str) -> None:
        self._positions[token] = len(self.sent)
        self.sent.append(token)
        self.write(token)

    def write(self, text: str) -> None:
        data = text.encode()
        # Masked with zeros, which leaves the payload as it is.
        self._transport.write(bytes((0x81, 0x80 | len(data))) + b"\0\0\0\0" + data)

    def _take(self, text: str) -> None:
        number, _, token = text.partition(" ")
        if number == "?":
            self.kept.append(json.loads(token))
            return
        if number == "begun":
            self.begun += 1
            return
        n = int(number)
        if n > self.last:
            self.gaps.update(range(self.last + 1, n))
            self.last = n
        elif n in self.gaps:
            self.gaps.discard(n)
            self.reordered += 1
        else:
            self.doubled += 1
        position = self._positions.get(token)
        if position is not None:
            if token in self._heard:
                self.doubled += 1
            elif position < self.heard_own:
                self.reordered += 1
            self._heard.add(token)
            self.heard_own = max(self.heard_own, position + 1)

    @property
    def unheard(self) -> list[str]:
        """What it said and nobody will ever repeat, once it has heard the last of it."""
        return [token for token in self.sent if token not in self._heard]

    async def wait_heard(self, count: int) -> None:
        """Until the first `count` things that it said have been heard, or will never be."""
        await self.until(lambda: self.heard_own >= count)

    async def wait_last(self, n: int) -> None:
        await self.until(lambda: self.last >= n)

    async def wait_begun(self, count: int) -> None:
        await self.until(lambda: self.begun >= count)

    async def wait_kept(self) -> dict[str, Any]:
        await self.until(lambda: self.kept)
        return self.kept.popleft()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not condition():
                assert not self.dropped, f"{self.who} in {self.room} was dropped"
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Book:
    """What happened to everybody in the end."""

    clients: int
    messages: int
    frames: int
    dropped: int
    lost: int
    doubled: int
    reordered: int
    rerun: int
    """Events that were begun twice."""
    kept_wrong: list[str] = field(default_factory=list[str])
    """Tags or attachments that are not what they were, or claim more than the database has."""

    def __str__(self) -> str:
        return (
            f"{self.clients} sockets, {self.messages} messages sent, {self.frames} heard: dropped {self.dropped}, "
            f"lost {self.lost}, doubled {self.doubled}, reordered {self.reordered}, run twice {self.rerun}, "
            f"wrong tags or attachments {len(self.kept_wrong)}"
        )


class Chat:
    """Clients in rooms; the first `chatting` of each room talk until told to stop."""

    def __init__(self, url: str, rooms: int, clients: int, chatting: int, *, seed: int, pause: float = 0.15) -> None:
        """`pause` is how many seconds somebody who talks is silent between one and three messages, on average."""
        address = urlsplit(url)
        self._address = address.hostname or "", address.port or 0
        self.rooms = [f"room{number}" for number in range(rooms)]
        self._clients_per_room, self._chatting_per_room = clients // rooms, chatting // rooms
        self.clients: list[Client] = []
        self.chatters: list[Client] = []
        self._choice = random.Random(seed)
        self._pause = pause
        self._talking: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for room in self.rooms:
            for number in range(self._clients_per_room):
                made = partial(Client, room, f"{room}-{number}")
                _, client = await loop.create_connection(made, *self._address)
                await client.opened
                self.clients.append(client)
                if number < self._chatting_per_room:
                    self.chatters.append(client)

    def start(self) -> None:
        self._talking = [asyncio.ensure_future(self._talk(client)) for client in self.chatters]

    async def _talk(self, client: Client) -> None:
        while True:
            for _ in range(self._choice.randrange(1, 4)):
                client.say(f"{client.who}:{len(client.sent)}")
            await client.wait_heard(len(client.sent) - _UNHEARD_MAX)
            # The pace of people; nothing is waited for.
            await asyncio.sleep(self._choice.uniform(0.5, 1.5) * self._pause)

    async def heard_anew(self) -> None:
        """Everybody who talks has been heard with something said after this was called."""
        await asyncio.gather(*(client.wait_heard(len(client.sent) + 1) for client in self.chatters))

    async def stop(self) -> None:
        """Say a last word each, and wait until everybody has heard all of them."""
        for task in self._talking:
            task.cancel()
        outcomes = await asyncio.gather(*self._talking, return_exceptions=True)
        failed = [error for error in outcomes if isinstance(error, Exception)]
        assert not failed, failed
        for client in self.chatters:
            client.say(f"{client.who}:last")
        last: dict[str, int] = {}
        for client in self.chatters:
            await client.wait_heard(len(client.sent))
            last[client.room] = max(last.get(client.room, 0), client.last)
        for client in self.clients:
            if client.room in last:
                await client.wait_last(last[client.room])

    async def hang(self) -> None:
        """Have one handler of each room begin what it will not end."""
        for client in self.chatters[:: self._chatting_per_room]:
            client.say(f"hang {client.who}:{len(client.sent)}")
            await client.wait_begun(client.begun + 1)

    def burst(self, messages: int) -> None:
        """Say so much at once, without waiting for anybody."""
        for client in self.chatters:
            for _ in range(messages):
                client.say(f"{client.who}:{len(client.sent)}")

    async def kept(self, clients: Iterable[Client]) -> dict[Client, dict[str, Any]]:
        """What the objects find of these sockets: tags, attachment, and the code that looked."""
        found: dict[Client, dict[str, Any]] = {}
        for client in clients:
            client.write("?")
            found[client] = await client.wait_kept()
        return found

    async def close_book(self, books: dict[str, dict[str, list[str]]], *, may_lag: int) -> Book:
        """Compare what was said and heard with what the rooms have written down.

        `may_lag` is how many messages a room may have stored that an attachment does not count: it may be older than
        the database, never newer.
        """
        kept = await self.kept(self.clients)
        stored = {token: room for room, book in books.items() for token in book["said"]}
        wrong: list[str] = []
        for client, found in kept.items():
            count = sum(stored.get(token) == client.room for token in client.sent)
            attachment = found["attachment"] or {}
            ahead = attachment.get("sent", 0) > count
            behind = attachment.get("sent", 0) < count - may_lag
            if found["tags"] != [client.who, "everybody"] or attachment.get("who") != client.who or ahead or behind:
                wrong.append(f"{client.who}: {found}, stored {count}")
        twice = sum(count - 1 for book in books.values() for count in Counter(book["said"]).values())
        return Book(
            clients=len(self.clients),
            messages=sum(len(client.sent) for client in self.clients),
            frames=sum(client.last - len(client.gaps) for client in self.clients),
            dropped=sum(client.dropped for client in self.clients),
            lost=len(self._lost(books)),
            doubled=twice + sum(client.doubled for client in self.clients),
            reordered=sum(client.reordered for client in self.clients),
            rerun=sum(count - 1 for book in books.values() for count in Counter(book["begun"]).values()),
            kept_wrong=wrong,
        )

    def _lost(self, books: dict[str, dict[str, list[str]]]) -> set[str]:
        """Every message that somebody should have heard and did not."""
        lost = {token for client in self.clients for token in client.unheard}
        for client in self.clients:
            said = books[client.room]["said"]
            lost.update(said[n - 1] for n in client.gaps)
        return lost

    def end(self) -> None:
        for client in self.clients:
            client.end()

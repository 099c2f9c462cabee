"""A chat. Each room is one `ChatRoom` object: its own SQLite database, and the sockets of everybody who is in it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from durable import (
    DurableObject,
    DurableObjectState,
    DurableObjectStub,
    Request,
    Response,
    WebSocket,
    WebSocketPair,
    WebSocketRequestResponsePair,
    WorkerEntrypoint,
)

PAGE = (Path(__file__).parent / "static" / "chat.html").read_text("utf-8")

ROOM_PATH = re.compile(r"/room/(?P<room>[a-z0-9][a-z0-9-]{0,39})(?P<rest>/socket|/messages)?")
USER_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
NAME_LENGTH_MAX = 40
TEXT_LENGTH_MAX = 2000
FRAME_LENGTH_MAX = 16_000
HISTORY_LENGTH = 50
HOUR_MS = 3_600_000


class ChatRoom(DurableObject):
    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec("""
            CREATE TABLE IF NOT EXISTS messages(
                id INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL, client_id TEXT NOT NULL,
                name TEXT NOT NULL, text TEXT NOT NULL, sent_at INTEGER NOT NULL, UNIQUE(user_id, client_id)
            )""")
        # "ping" is answered without waking this object: a quiet room with a thousand open sockets costs nothing.
        ctx.set_web_socket_auto_response(WebSocketRequestResponsePair("ping", "pong"))

    async def fetch(self, request: Request) -> Response:
        """Somebody joins: the upgrade request of a socket, `?user=<id>&name=<name>`."""
        if (request.headers.get("upgrade") or "").lower() != "websocket":
            return Response("expected a WebSocket\n", status=426)
        query = parse_qs(urlsplit(request.url).query)
        user_id, name = query.get("user", [""])[0], clean_name(query.get("name", [""])[0])
        if not USER_ID.fullmatch(user_id):
            return Response("user must be 8 to 64 letters, digits or dashes\n", status=400)

        person = {"user_id": user_id, "name": name, "joined_at": now_ms()}
        already_here = bool(self.ctx.get_web_sockets(user_id))
        client, server = WebSocketPair()
        # An accepted socket outlives this object in memory; the attachment is what it finds again when it wakes.
        self.ctx.accept_web_socket(server, tags=[user_id])
        server.serialize_attachment(person)
        send(server, {"type": "welcome", "you": person, "people": self.people(), "messages": self.history()})
        if not already_here:
            self._broadcast({"type": "joined", "person": person}, but=server)
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        try:
            event = json.loads(message) if len(message) <= FRAME_LENGTH_MAX else None
        except ValueError:
            event = None
        match event:
            case {"type": "say", "id": str(client_id), "text": str(text)} if 0 < len(client_id) <= 64:
                await self._say(ws, client_id, text)
            case {"type": "rename", "name": str(name)}:
                self._rename(ws, clean_name(name))
            case _:
                send(ws, {"type": "error", "text": "This room does not understand that."})

    async def web_socket_close(self, ws: WebSocket) -> None:
        self._left(ws)

    async def web_socket_error(self, ws: WebSocket) -> None:
        self._left(ws)

    async def alarm(self) -> None:
        """Delete what is too old, and come back when the next message is."""
        self.sql.exec("DELETE FROM messages WHERE sent_at <= ?", now_ms() - self._keep_ms())
        oldest = self.sql.exec("SELECT min(sent_at) AS sent_at FROM messages").one()["sent_at"]
        if oldest is not None:
            await self.ctx.storage.set_alarm(max(oldest + self._keep_ms(), now_ms() + HOUR_MS))

    def history(self, before: int = 2**53 - 1) -> list[dict[str, Any]]:
        """The last messages whose id is lower than `before`, oldest first."""
        rows = self.sql.exec("SELECT * FROM messages WHERE id < ? ORDER BY id DESC LIMIT ?", before, HISTORY_LENGTH)
        return [dict(row) for row in rows][::-1]

    def people(self) -> list[dict[str, Any]]:
        """Who is here, in order of arrival; somebody with two tabs counts once."""
        sockets = self.ctx.get_web_sockets()
        people = {person["user_id"]: person for person in (ws.deserialize_attachment() for ws in sockets)}
        return sorted(people.values(), key=lambda person: person["joined_at"])

    async def _say(self, ws: WebSocket, client_id: str, text: str) -> None:
        text = text.strip()
        if not 0 < len(text) <= TEXT_LENGTH_MAX:
            problem = f"A message has 1 to {TEXT_LENGTH_MAX} characters."
            send(ws, {"type": "error", "id": client_id, "text": problem})
            return
        person = ws.deserialize_attachment()
        stored = self.sql.exec(
            "INSERT INTO messages(user_id, client_id, name, text, sent_at) VALUES(?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING RETURNING *",
            person["user_id"],
            client_id,
            person["name"],
            text,
            now_ms(),
        ).to_array()
        if not stored:
            # The page sends again what nobody confirmed in time. It was stored the first time: only say so.
            same = "SELECT * FROM messages WHERE user_id = ? AND client_id = ?"
            send(ws, {"type": "message", **self.sql.exec(same, person["user_id"], client_id).one()})
            return
        # Nobody sees this before the row is on disk: what an object sends waits for what it wrote.
        self._broadcast({"type": "message", **stored[0]})
        if await self.ctx.storage.get_alarm() is None:
            await self.ctx.storage.set_alarm(now_ms() + self._keep_ms())

    def _rename(self, ws: WebSocket, name: str) -> None:
        was = ws.deserialize_attachment()
        for same_person in self.ctx.get_web_sockets(was["user_id"]):
            same_person.serialize_attachment({**same_person.deserialize_attachment(), "name": name})
        self._broadcast({"type": "renamed", "person": {**was, "name": name}, "was": was["name"]})

    def _left(self, ws: WebSocket) -> None:
        person = ws.deserialize_attachment()
        if all(other == ws for other in self.ctx.get_web_sockets(person["user_id"])):
            self._broadcast({"type": "left", "person": person}, but=ws)

    def _broadcast(self, event: dict[str, Any], but: WebSocket | None = None) -> None:
        text = json.dumps(event)
        for ws in self.ctx.get_web_sockets():
            if ws != but:
                ws.send(text)

    def _keep_ms(self) -> int:
        return int(float(self.env.KEEP_DAYS) * 24 * HOUR_MS)


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        url = urlsplit(request.url)
        if url.path == "/":
            return Response.redirect(urljoin(request.url, "/room/general"))
        match = ROOM_PATH.fullmatch(url.path)
        if match is None:
            return Response("Not found. A room is at /room/<name>: small letters, digits and dashes.\n", status=404)
        # Check here who may enter, if it matters: every request to a room passes this line.
        room: DurableObjectStub = self.env.ROOMS.get_by_name(match["room"])
        if match["rest"] == "/socket":
            return await room.fetch(request)
        if match["rest"] == "/messages":
            before = re.fullmatch(r"before=([0-9]{1,15})", url.query)
            return Response.json({"messages": await (room.history(int(before[1])) if before else room.history())})
        return Response(PAGE, headers=PAGE_HEADERS)


PAGE_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def send(ws: WebSocket, event: dict[str, Any]) -> None:
    ws.send(json.dumps(event))


def clean_name(name: str) -> str:
    return " ".join(name.split())[:NAME_LENGTH_MAX] or "Guest"


def now_ms() -> int:
    return int(time.time() * 1000)

"""A chat with rooms: sockets that hibernate, names as attachments, history in SQL, a ping answered while asleep."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlparse

from js import Date, Object, WebSocketPair, WebSocketRequestResponsePair
from pyodide.ffi import to_js
from workers import DurableObject, Response, WorkerEntrypoint


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sql = self.ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS said(id INTEGER PRIMARY KEY, who TEXT, text TEXT)")
        self.ctx.setWebSocketAutoResponse(WebSocketRequestResponsePair.new("ping", "pong"))
        self.woken = True

    async def fetch(self, request):
        upgrade = request.headers.get("Upgrade")
        if upgrade is None or upgrade.lower() != "websocket":
            return Response("Expected a WebSocket", status=426)
        who = parse_qs(urlparse(request.url).query).get("name", ["somebody"])[0]

        client, server = WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server, to_js([who]))
        server.serializeAttachment(
            to_js({"who": who, "since": Date.now()}, dict_converter=Object.fromEntries),
        )
        for row in self.recent():
            server.send(json.dumps({"type": "history", "who": row.who, "text": row["text"]}))
        self.broadcast({"type": "joined", "who": who, "present": self.present()})
        return Response(None, status=101, web_socket=client)

    async def webSocketMessage(self, ws, message):
        if not isinstance(message, str):
            ws.send(to_js(message.to_bytes()[::-1]))
            return
        who = ws.deserializeAttachment().who
        data = json.loads(message)
        if data.get("to"):
            for other in self.ctx.getWebSockets(data["to"]):
                other.send(json.dumps({"type": "whisper", "who": who, "text": data["text"]}))
            return
        self.sql.exec("INSERT INTO said(who, text) VALUES(?, ?)", who, data["text"])
        self.broadcast({"type": "said", "who": who, "text": data["text"], "woken": self.woken})
        self.woken = False

    async def webSocketClose(self, ws, code, reason, wasClean):
        (left,) = self.ctx.getTags(ws)
        ws.close(1000 if code in (1005, 1006) else code, reason)
        self.broadcast({"type": "left", "who": left, "code": code, "clean": wasClean}, but=ws)

    async def webSocketError(self, ws, error):
        ws.close(1011, "error")

    def broadcast(self, message, but=None):
        for other in self.ctx.getWebSockets():
            if but is None or other != but:
                other.send(json.dumps(message))

    def recent(self):
        count = int(self.env.HISTORY)
        rows = self.sql.exec("SELECT who, text FROM said ORDER BY id DESC LIMIT ?", count).toArray()
        return reversed(list(rows))

    def present(self):
        return sorted(ws.deserializeAttachment().who for ws in self.ctx.getWebSockets())

    async def who_is_there(self):
        return self.present()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlparse(request.url).path
        if path == "/":
            page = (Path(__file__).parent / "chat.html").read_text()
            return Response(page, headers={"Content-Type": "text/html; charset=utf-8"})
        if path.startswith("/room/"):
            return await self.env.ROOMS.getByName(path[6:]).fetch(request)
        if path.startswith("/present/"):
            return Response.json(await self.env.ROOMS.getByName(path[9:]).who_is_there())
        return Response("Not found", status=404)

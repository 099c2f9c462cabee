"""The program that is measured; `benchmarks/peers/worker.js` is the same program for workerd."""

from __future__ import annotations

from urllib.parse import urlsplit

from durable import DurableObject, Request, Response, WebSocket, WebSocketPair, WorkerEntrypoint

VERSION = "version-0"


def odd(id) -> bool:
    return int(str(id)[:8], 16) % 2 == 1


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.in_memory = 0
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS hits(page TEXT PRIMARY KEY, n INTEGER NOT NULL)")

    def bump(self) -> int:
        self.in_memory += 1
        return self.in_memory

    def increment(self, page: str) -> int:
        return self.ctx.storage.sql.exec(
            "INSERT INTO hits VALUES(?, 1) ON CONFLICT(page) DO UPDATE SET n = n + 1 RETURNING n", page
        ).one()["n"]

    def read(self, page: str) -> int:
        rows = self.ctx.storage.sql.exec("SELECT n FROM hits WHERE page = ?", page).to_array()
        return rows[0]["n"] if rows else 0


class Caller(DurableObject):
    async def calls(self, name: str, times: int) -> int:
        counter = self.env.COUNTER.get_by_name(name)
        for _ in range(times):
            bumped = await counter.bump()
        return bumped


class Kv(DurableObject):
    async def increment(self) -> int:
        n = await self.ctx.storage.get("n") or 0
        await self.ctx.storage.put("n", n + 1)
        return n + 1


class Echo(DurableObject):
    def fetch(self, request: Request) -> Response:
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        ws.send(message)


class Room(DurableObject):
    def fetch(self, request: Request) -> Response:
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        for member in self.ctx.get_web_sockets():
            member.send(message)


class Sleeper(DurableObject):
    """Says how many messages it has had since it was constructed."""

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.messages = 0
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS dreams(text TEXT)")

    def fetch(self, request: Request) -> Response:
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        self.messages += 1
        ws.send(str(self.messages))


class Default(WorkerEntrypoint):
    def counter(self, caller, *, far: bool) -> str:
        """A counter of the caller's own host of two, or of the other."""
        names = (f"n{number}" for number in range(64))
        return next(name for name in names if (odd(self.env.COUNTER.id_from_name(name)) != odd(caller)) is far)

    async def fetch(self, request: Request) -> Response:
        _, kind, *rest = urlsplit(request.url).path.split("/")
        name = rest[0] if rest else "a"
        if kind == "hello":
            return Response("Hello, world!")
        if kind == "version":
            return Response(VERSION)
        if kind == "rpc":
            return Response(str(await self.env.COUNTER.get_by_name(name).bump()))
        if kind == "calls":
            where, times = rest
            caller = self.env.CALLER.get_by_name("a")
            return Response(str(await caller.calls(self.counter(caller.id, far=where == "far"), int(times))))
        if kind == "sql":
            return Response(str(await self.env.COUNTER.get_by_name(name).increment("home")))
        if kind == "read":
            return Response(str(await self.env.COUNTER.get_by_name(name).read("home")))
        if kind == "kv":
            return Response(str(await self.env.KV.get_by_name(name).increment()))
        if kind == "echo":
            return await self.env.ECHO.get_by_name(name).fetch(request)
        if kind == "room":
            return await self.env.ROOM.get_by_name(name).fetch(request)
        if kind == "sleep":
            return await self.env.SLEEPER.get_by_name(name).fetch(request)
        return Response("not found", status=404)

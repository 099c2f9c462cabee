"""One object holds one outgoing WebSocket; its alarm looks every minute whether the connection is still there."""

import json
import time

import js
from pyodide.ffi import create_proxy
from workers import DurableObject, Response, WorkerEntrypoint

MINUTE = 60_000


class Consumer(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.ws = None
        self.connected = False

    async def fetch(self, request):
        if self.ws is None:
            await self.next_look()
            self.connect()
        return Response.json(
            {
                "connected": self.connected,
                "cursor": self.ctx.storage.kv.get("cursor"),
                "total": self.ctx.storage.kv.get("total") or 0,
                "looks": self.ctx.storage.kv.get("looks") or 0,
                "alarm": await self.ctx.storage.getAlarm() is not None,
            }
        )

    async def alarm(self):
        self.ctx.storage.kv.put("looks", (self.ctx.storage.kv.get("looks") or 0) + 1)
        if self.ws is None:
            self.connect()
        await self.next_look()

    async def next_look(self):
        await self.ctx.storage.setAlarm(int(time.time() * 1000) + MINUTE)

    def connect(self):
        url = self.env.FEED
        if cursor := self.ctx.storage.kv.get("cursor"):
            url += f"?cursor={cursor}"
        self.ws = js.WebSocket.new(url)
        self.ws.addEventListener("open", create_proxy(self.on_open))
        self.ws.addEventListener("message", create_proxy(self.on_message))
        self.ws.addEventListener("error", create_proxy(self.on_error))
        self.ws.addEventListener("close", create_proxy(self.on_close))

    async def on_open(self, event):
        self.connected = True
        self.ws.send("hello")

    def on_message(self, event):
        item = json.loads(event.data)
        self.ctx.storage.kv.put("cursor", item["at"])
        self.ctx.storage.kv.put("total", (self.ctx.storage.kv.get("total") or 0) + item["value"])

    def on_error(self, event):
        self.connected = False

    async def on_close(self, event):
        print(f"feed closed: {event.code} {event.reason}")
        self.ctx.abort("the feed is gone")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        namespace = self.env.CONSUMER
        return await namespace.get(namespace.idFromName("feed")).fetch(request)

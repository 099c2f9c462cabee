"""An object that starts afresh when it does not trust its own memory any more."""

import asyncio
from urllib.parse import urlparse

from pyodide.ffi import JsException
from workers import DurableObject, Response, WorkerEntrypoint


class Meter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.seen = 0

    async def count(self):
        self.seen += 1
        stored = (await self.ctx.storage.get("count") or 0) + 1
        await self.ctx.storage.put("count", stored)
        return {"seen": self.seen, "stored": stored}

    async def give_up(self):
        await self.ctx.storage.put("count", 100)
        await asyncio.sleep(0.01)
        await self.ctx.storage.put("count", 1_000_000)
        try:
            self.ctx.abort("the meter does not trust itself")
        except Exception:
            return "abort was caught"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        meter = self.env.METER.getByName("a")
        if urlparse(request.url).path == "/abort":
            try:
                return Response.json(await meter.give_up())
            except JsException as error:
                try:
                    await meter.count()
                    held = "alive"
                except JsException:
                    held = "broken"
                fresh = await self.env.METER.getByName("a").count()
                return Response.json({"message": error.message, "held": held, "fresh": fresh})
        return Response.json(await meter.count())

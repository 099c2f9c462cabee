"""Shopping lists: one object per list, its items under one key, a receipt per item under a key of its own."""

from datetime import UTC, datetime
from urllib.parse import urlparse

from js import Object
from pyodide.ffi import to_js
from workers import DurableObject, Response, WorkerEntrypoint


class List(DurableObject):
    async def add(self, text, amount=1):
        items = await self.ctx.storage.get("items") or []
        items.append({"text": text, "amount": amount, "done": False})
        await self.ctx.storage.put("items", to_js(items, dict_converter=Object.fromEntries))
        await self.ctx.storage.put(f"added:{len(items):04}", {"text": text, "at": datetime.now(UTC)})
        return len(items)

    async def items(self):
        return await self.ctx.storage.get("items") or []

    async def done(self, number):
        items = await self.items()
        try:
            item = items[number]
        except IndexError:
            raise ValueError(f"there is no item {number}") from None
        item["done"] = True
        await self.ctx.storage.put("items", items)
        return item.text

    async def newest(self, count):
        found = await self.ctx.storage.list(prefix="added:", reverse=True, limit=count)
        return [entry.text for entry in found.values()]

    async def clear(self):
        await self.ctx.storage.deleteAll()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, name, *rest = urlparse(request.url).path.split("/")
        if not name:
            return Response("Name a list: /groceries", status=404)
        lists = self.env.LISTS
        stub = lists.get(lists.idFromName(name))

        if request.method == "POST" and not rest:
            body = await request.json()
            return Response.json({"number": await stub.add(body["text"], body.get("amount", 1))}, status=201)
        if request.method == "POST" and rest[0] == "done":
            try:
                return Response.json({"done": await stub.done(int(rest[1]))})
            except Exception as error:
                return Response.json({"error": str(error).strip().splitlines()[-1]}, status=409)
        if request.method == "DELETE":
            await stub.clear()
            return Response(None, status=204)
        if rest and rest[0] == "newest":
            return Response.json(await stub.newest(2))
        items = await stub.items()
        return Response.json({"name": stub.name, "items": items, "open": [i.text for i in items if not i.done]})

"""A shop that leaves to another worker who somebody is."""

from urllib.parse import urlparse

from workers import DurableObject, Response, WorkerEntrypoint


class Cart(DurableObject):
    async def put(self, what):
        held = await self.ctx.storage.get("held") or []
        held.append(what)
        await self.ctx.storage.put("held", held)
        session = self.env.SESSIONS.getByName(self.ctx.id.name)
        return {"held": held, "seen": await session.seen(f"cart {what}")}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlparse(request.url).path
        if path == "/health":
            return await self.env.AUTH.fetch(request)
        if path.startswith("/ban/"):
            return Response.json(await self.env.ADMIN.ban(path[5:]))

        user = await self.env.AUTH.user_of(request.headers.get("authorization"))
        if user is None:
            return Response("Who are you?", status=401)
        if path.startswith("/put/"):
            return Response.json(await self.env.CARTS.getByName(user.name).put(path[5:]))
        return Response.json({"user": user.name, "seen": await self.env.SESSIONS.getByName(user.name).seen("shop")})

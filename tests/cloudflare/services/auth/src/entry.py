"""Knows who holds which token; other workers ask it over RPC."""

from workers import DurableObject, Response, WorkerEntrypoint


class Session(DurableObject):
    async def seen(self, where):
        places = await self.ctx.storage.get("places") or []
        if "banned" in places:
            raise PermissionError(f"{self.ctx.id.name} is banned")
        places.append(where)
        await self.ctx.storage.put("places", places)
        return places


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"auth is well: {request.url.split('/')[-1]}", headers={"x-served-by": "auth"})

    async def user_of(self, authorization):
        for pair in self.env.TOKENS.split():
            name, token = pair.split(":")
            if authorization == f"Bearer {token}":
                return {"name": name}
        return None


class Admin(WorkerEntrypoint):
    async def ban(self, name):
        await self.env.SESSIONS.getByName(name).seen("banned")
        return {"banned": name}

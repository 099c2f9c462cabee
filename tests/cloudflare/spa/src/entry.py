"""A single-page application and its API."""

from urllib.parse import urlparse

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlparse(request.url).path
        if path == "/api/hello":
            return Response.json({"hello": "there"})
        if path == "/api/cached":
            return Response.json(await self.env.CACHE.get("greeting"))
        if path.startswith("/branded/"):
            page = await self.env.ASSETS.fetch(request.url.replace("/branded", ""))
            text = (await page.text()).replace("<title>Front", "<title>Brand")
            return Response(text, status=page.status, headers={"content-type": page.headers.get("content-type")})
        return Response("no such thing", status=404)

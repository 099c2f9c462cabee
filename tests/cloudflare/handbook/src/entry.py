"""The Worker chapters of the documentation, one path each."""

import asyncio
import logging
from urllib.parse import urlparse

import workers
from js import JSON, URL, Date, Object, Promise, ReadableStream, TextEncoder, Uint8Array, console, crypto
from objects import Batcher, Plain, Sessions, Sockets, Store
from pyodide.ffi import JsException, create_proxy, to_js
from workers import Blob, File, FormData, Request, Response, WorkerEntrypoint, env, wait_until

__all__ = ["Batcher", "Default", "Greeter", "Plain", "Sessions", "Sockets", "Store"]


class Greeter(WorkerEntrypoint):
    async def greet(self, name):
        return f"{self.env.GREETING}, {name}"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlparse(request.url).path
        if path == "/batch":
            return await self.env.BATCHER.getByName("foo").fetch(request)
        if path == "/batches":
            return Response.json(await self.env.BATCHER.getByName("foo").batches())
        if path == "/plain":
            return await self.env.PLAIN.getByName("a").fetch(request)
        if path == "/session":
            return await self.env.SESSIONS.getByName("a").fetch(request)
        if path == "/socket":
            return await self.env.SOCKETS.getByName("a").fetch(request)
        if path.startswith("/store/"):
            return Response.json(await getattr(self.env.STORE.getByName("a"), path[7:])())
        return await getattr(self, path.strip("/"))(request)

    async def scheduled(self, controller, env, ctx):
        await env.STORE.getByName("log").note(controller.cron)

    async def logged(self, request):
        return Response.json(await self.env.STORE.getByName("log").notes())

    async def top_level_env(self, request):
        with workers.patch_env({"GREETING": "patched"}):
            inside = env.GREETING
        return Response.json([env.GREETING, inside, env.LIMITS.most, self.env.LIMITS["most"]])

    async def request_parts(self, request):
        url = URL.new(request.url)
        return Response.json(
            {
                "method": request.method,
                "is_post": request.method == "POST",
                "path": url.pathname,
                "q": url.searchParams.get("q"),
                "none": url.searchParams.get("none"),
                "agent": request.headers.get("User-Agent"),
                "nothing": request.headers["x-nothing"],
            }
        )

    async def form(self, request):
        form = await request.form_data()
        upload = form["upload"]
        return Response.json(
            {"name": form["name"], "file": upload.name, "type": upload.content_type, "text": await upload.text()}
        )

    async def make_form(self, request):
        form = FormData({"a": "1"})
        form["file"] = File("inside", "x.txt", content_type="text/plain")
        blob = Blob(["two ", b"parts"], content_type="text/plain")
        again = await Response(form).form_data()
        return Response.json([again["a"], await again["file"].text(), await blob.text(), blob.size])

    async def responses(self, request):
        kind = URL.new(request.url).searchParams.get("kind")
        if kind == "redirect":
            return Response.redirect("https://example.com/there", 301)
        if kind == "bytes":
            return Response(to_js(b"\x01\x02"), headers=[("content-type", "application/x-two"), ("x-a", "1")])
        if kind == "array":
            return Response(Uint8Array.new([3, 4]).to_bytes(), status=201, status_text="Made")
        return "not a response"

    async def rest_of_it(self, request):
        async def later():
            await asyncio.sleep(0)
            await self.env.STORE.getByName("log").note("waited")

        wait_until(later())
        self.ctx.waitUntil(later())
        console.log("one", 2)
        return Response.json([len(crypto.randomUUID()), Date.now() > 1_700_000_000_000])

    async def rpc(self, request):
        store = self.env.STORE.getByName("rpc")
        seen = []

        async def double(number):
            seen.append(number)
            return number * 2

        doubled = await store.each([1, 2, 3], double)
        counter = await store.counter(10)
        counted = [await counter.up(), await counter.up(5)]
        kept = await store.keep(Request("http://inside/", method="POST", body='{"a": 1}'))
        return Response.json([doubled, seen, counted, counter.start, await kept.json(), kept.headers["x-kept"]])

    async def exports(self, request):
        return Response(await self.ctx.exports.Greeter.greet("ann"))

    async def failing(self, request):
        from pyodide.http import AbortError

        store = self.env.STORE.getByName("failing")
        found = []
        try:
            await store.fetch("http://inside/x")
        except AbortError as error:
            found.append(str(error))
        try:
            await store.refuse("x")
        except JsException as error:
            found.append([error.message.strip().splitlines()[-1], error.remote])
        return Response.json(found)

    async def streams(self, request):
        async def start(controller):
            for number in range(3):
                controller.enqueue(TextEncoder.new().encode(f"{number} "))
            controller.close()

        stream = ReadableStream.new(start=create_proxy(start))
        reader = Response(stream).body.getReader()
        first = (await reader.read()).value.to_bytes().decode()
        rest = []
        while not (chunk := await reader.read()).done:
            rest.append(chunk.value.to_bytes().decode())
        return Response.json([first, "".join(rest), [bytes(chunk).decode() async for chunk in Response("whole").body]])

    async def interop(self, request):
        from workers import import_from_javascript

        module = import_from_javascript("cloudflare:workers")
        plain = Object.fromEntries(to_js({"a": {"b": [1, 2]}}))
        nested = to_js({"a": {"b": [1, 2]}}, dict_converter=Object.fromEntries)
        return Response.json(
            [
                module.env.GREETING,
                JSON.parse(JSON.stringify(nested)).a.b[1],
                nested.to_py(),
                list(Object.keys(nested)),
                plain.a.get("b")[0],
                [item async for item in self.numbers()],
            ]
        )

    async def numbers(self):
        for number in await Promise.all(to_js([asyncio.sleep(0, 1), asyncio.sleep(0, 2)])):
            yield number

    async def logs(self, request):
        logging.basicConfig(level=logging.INFO)
        logging.getLogger("own").info("an info of the logger")
        console.error("an error of the console")
        print("printed")
        return Response("")

    async def clone(self, request):
        copy = request.clone()
        inner = Request("http://inside/", method="PUT", body="put", headers={"x-a": "b"})
        twice = None
        await request.text()
        try:
            await request.text()
        except OSError as error:
            twice = str(error)
        stub = self.env.BATCHER.getByName("other")
        queued = await stub.fetch("http://inside/x", method="POST", body="by hand")
        return Response.json(
            [await copy.text(), await inner.text(), inner.headers["x-a"], twice, (await queued.json())["queued"]]
        )

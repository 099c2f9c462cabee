"""The yardstick: what aiohttp on uvloop does without us. It imports nothing of the product.

    python -m benchmarks.bare application PORT     web.Application with a route, as applications are written
    python -m benchmarks.bare server PORT          web.Server, aiohttp's low-level server without routing

`application` also answers `/echo` and `/room`: a room is a list of sockets and a loop of `send_str`.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import WSMsgType, web

HELLO = "Hello, world!"
room: list[web.WebSocketResponse] = []


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text=HELLO)


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


async def join(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    room.append(socket)
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                for member in room:
                    await member.send_str(message.data)
    except ConnectionError:
        pass  # the load client leaves without a close handshake
    finally:
        room.remove(socket)
    return socket


def application() -> web.AppRunner:
    app = web.Application()
    app.router.add_get("/hello", hello)
    app.router.add_get("/echo", echo)
    app.router.add_get("/room", join)
    return web.AppRunner(app, access_log=None)


async def serve(kind: str, port: int) -> None:
    runner = application() if kind == "application" else web.ServerRunner(web.Server(hello, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))

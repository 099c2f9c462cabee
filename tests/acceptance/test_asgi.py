"""FastAPI, Starlette, Flask and bare ASGI and WSGI apps in projects of the platform's, over HTTP and sockets."""

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.acceptance.running_dev import WAIT_SECONDS, Dev

CONFIG = """{
    "name": "app", "main": "src/entry.py", "compatibility_date": "2026-06-01",
    "compatibility_flags": ["python_workers"], "vars": {"GREETING": "hi"},
    "durable_objects": {"bindings": [{"name": "ROOMS", "class_name": "Room"}]},
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["Room"]}]
}"""

ROOM = """
from workers import DurableObject

class Counting(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.n = 0
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS said(text TEXT)")

    def add(self, by):
        self.n += by
        return self.n

    def said(self):
        return [row.text for row in self.ctx.storage.sql.exec("SELECT text FROM said")]
"""

FASTAPI = """
import asyncio
from contextlib import asynccontextmanager

import asgi
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from pyodide.ffi import run_sync
from workers import WorkerEntrypoint

from room import Counting

events = []


@asynccontextmanager
async def lifespan(app):
    events.append("up")
    yield {"who": "lifespan"}
    events.append("down")


app = FastAPI(lifespan=lifespan)


@app.get("/hello/{name}")
async def hello(name: str, request: Request, q: int = 0):
    return {"hello": name, "q": q, "who": request.state.who, "greeting": request.scope["env"].GREETING}


@app.get("/depends")
async def by_depends(env=asgi.env):
    return env.GREETING


@app.get("/plain/{n}")
def plain(n: int, request: Request):
    return run_sync(request.scope["env"].ROOMS.getByName("a").add(n))


@app.post("/echo")
async def echo(request: Request):
    return PlainTextResponse((await request.body())[::-1], headers={"x-length": request.headers["content-length"]})


@app.post("/unread")
async def unread():
    return "ok"


@app.get("/cookies", status_code=201)
async def cookies():
    answer = PlainTextResponse("c", status_code=201)
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


@app.get("/stream")
async def stream():
    async def parts():
        for n in range(3):
            await asyncio.sleep(0)
            yield f"part {n};"

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/endless")
async def endless():
    async def parts():
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            events.append("stopped")

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/later")
async def later(tasks: BackgroundTasks):
    tasks.add_task(events.append, "later")
    return "ok"


@app.delete("/nothing", status_code=204)
async def nothing():
    return None


@app.get("/fails")
async def fails():
    raise ValueError("no luck")


@app.get("/events")
async def told():
    return events


@app.websocket("/ws")
async def ws(socket: WebSocket):
    await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            events.append(["gone", message["code"], message["reason"]])
            return
        text = message.get("text")
        if text is None:
            await socket.send_bytes(message["bytes"][::-1])
        elif text == "close":
            return await socket.close(4001, "as you like")
        elif text == "fail":
            raise ValueError("no luck")
        elif text != "end":
            await socket.send_json({"greeting": socket.scope["env"].GREETING, "text": text})
        else:
            return


@app.websocket("/refused")
async def refused(socket: WebSocket):
    await socket.close(1008, "not you")


@app.websocket("/never")
async def never(socket: WebSocket):
    raise ValueError("no luck before")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if "/room/" in request.url:
            return await self.env.ROOMS.getByName("a").fetch(request.js_object)
        if request.headers.get("upgrade") == "websocket":
            return await asgi.websocket(app, request.js_object, self.env)
        return await asgi.fetch(app, request.js_object, self.env)


rooms = FastAPI()


@rooms.get("/room/plain")
def plain_said(request: Request):
    room = request.scope["env"]
    run_sync(room.ctx.storage.put("key", "value"))
    room.ctx.storage.sql.exec("INSERT INTO said VALUES('plain')")
    return room.said()


@rooms.websocket("/room/ws")
async def say(socket: WebSocket):
    await socket.accept()
    room = socket.scope["env"]
    async for text in socket.iter_text():
        room.ctx.storage.sql.exec("INSERT INTO said VALUES(?)", text)
        await socket.send_json(room.said())


class Room(Counting):
    async def fetch(self, request):
        if request.headers.get("upgrade") == "websocket":
            return await asgi.websocket(rooms, request, self)
        return await asgi.fetch(rooms, request, self, self.ctx)
"""

FLASK = """
from flask import Flask, Response, abort, request, stream_with_context
from pyodide.ffi import run_sync
from workers import wsgi

from room import Counting

app = Flask(__name__)


def env():
    return request.environ["workers.env"]


@app.get("/hello/<name>")
def hello(name):
    return {"hello": name, "q": request.args.get("q", type=int), "greeting": env().GREETING}


@app.get("/count")
def count():
    room = env().ROOMS.getByName("a")
    return [run_sync(room.add(2)), run_sync(room.add(3))]


@app.post("/echo")
def echo():
    return Response(request.get_data()[::-1], 201, {"x-length": request.headers["content-length"]})


@app.post("/form")
def form():
    return {"a": request.form["a"], "file": request.files["f"].read().decode(), "name": request.files["f"].filename}


@app.get("/stream")
def stream():
    room = env().ROOMS.getByName("a")

    @stream_with_context
    def parts():
        for _ in range(3):
            yield f"{request.path} {run_sync(room.add(1))};"

    return parts()


@app.get("/missing")
def missing():
    abort(404)


@app.get("/room")
def to_room():
    answer = run_sync(env().ROOMS.getByName("a").fetch("http://room/said", method="POST", body="hello"))
    return [answer.status, run_sync(answer.json())]


Default = wsgi.entrypoint(app)
rooms = Flask("rooms")


@rooms.post("/said")
def said():
    env().ctx.storage.sql.exec("INSERT INTO said VALUES(?)", request.get_data(as_text=True))
    run_sync(env().ctx.storage.put("key", "value"))
    return env().said(), 202


class Room(Counting):
    async def fetch(self, request):
        return await wsgi.fetch(rooms, request, self, self.ctx)
"""

OTHERS = """
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from workers import WorkerEntrypoint, asgi, wsgi

from room import Counting


class Room(Counting):
    pass


async def home(request):
    return JSONResponse({"path": request.url.path, "query": dict(request.query_params)})


starlette = Starlette(routes=[Route("/starlette/{rest:path}", home)])


async def bare_asgi(scope, receive, send):
    assert scope["type"] == "http"
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 207, "headers": [(b"X-Path", scope["raw_path"])]})
    await send({"type": "http.response.body", "body": body.upper()})


async def silent_asgi(scope, receive, send):
    pass


def bare_wsgi(environ, start_response):
    write = start_response("202 Taken", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
    write(b"written ")
    yield environ["wsgi.input"].read(3)
    yield b""
    yield environ["wsgi.input"].read()


def silent_wsgi(environ, start_response):
    return []


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        app = request.url.split("/")[3]
        if app.endswith("wsgi"):
            return await wsgi.fetch(globals()[app], request, self.env, self.ctx)
        return await asgi.fetch(globals()[app], request, self.env, self.ctx)
"""


@pytest.fixture
def serve(tmp_path: Path, start_dev: Callable[..., Dev]) -> Callable[[str], Dev]:
    """A project with this entry, started with `durable dev` and nothing else."""

    def start(entry: str) -> Dev:
        (tmp_path / "src").mkdir()
        (tmp_path / "wrangler.jsonc").write_text(CONFIG)
        (tmp_path / "src" / "room.py").write_text(ROOM)
        (tmp_path / "src" / "entry.py").write_text(entry)
        return start_dev(tmp_path, "--no-reload").wait_ready()

    return start


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.reason = response.status, response.headers, response.reason
        self.body = response.read()

    @property
    def value(self) -> object:
        return json.loads(self.body)


def ask(dev: Dev, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(dev.url).netloc, timeout=WAIT_SECONDS)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def address(dev: Dev, path: str) -> str:
    return dev.url.replace("http", "ws") + path


def told(dev: Dev, wanted: object) -> None:
    """Wait until the app has said this of what happened after its answers."""
    dev.wait_for(lambda: wanted in list(ask(dev, "GET", "/events").value), f"event {wanted!r}")  # type: ignore[call-overload]


def test_fastapi_serves_requests_and_streams(serve: Callable[[str], Dev]) -> None:
    dev = serve(FASTAPI)

    hello = ask(dev, "GET", "/hello/caf%C3%A9?q=5")
    assert hello.value == {"hello": "café", "q": 5, "who": "lifespan", "greeting": "hi"}
    assert ask(dev, "GET", "/depends").value == "hi"
    assert ask(dev, "GET", "/hello/x?q=no").status == 422
    # A plain endpoint waits for an object, and is in turns with everything else.
    assert [ask(dev, "GET", f"/plain/{n}").value for n in (3, 4)] == [3, 7]
    body = bytes(range(256)) * 2000
    echo = ask(dev, "POST", "/echo", body)
    assert (echo.body, echo.headers["x-length"]) == (body[::-1], "512000")
    assert ask(dev, "POST", "/unread", body).value == "ok"
    cookies = ask(dev, "GET", "/cookies")
    assert (cookies.status, len(cookies.headers.get_all("set-cookie") or ())) == (201, 2)
    assert ask(dev, "GET", "/stream").body == b"part 0;part 1;part 2;"
    nothing = ask(dev, "DELETE", "/nothing")
    assert (nothing.status, nothing.body) == (204, b"")

    assert ask(dev, "GET", "/later").value == "ok"
    told(dev, "later")
    told(dev, "down")
    fails = ask(dev, "GET", "/fails")
    assert (fails.status, fails.body) == (500, b"Internal Server Error")
    dev.wait_told("ValueError: no luck")

    connection = http.client.HTTPConnection(urlsplit(dev.url).netloc, timeout=WAIT_SECONDS)
    connection.request("GET", "/endless")
    assert connection.getresponse().read(5) == b"first"
    connection.close()
    told(dev, "stopped")


def test_fastapi_speaks_web_sockets(serve: Callable[[str], Dev]) -> None:
    dev = serve(FASTAPI)

    with connect(address(dev, "/ws"), subprotocols=[Subprotocol("chat")]) as socket:
        assert socket.subprotocol == "chat"
        socket.send("hello")
        assert json.loads(socket.recv(WAIT_SECONDS)) == {"greeting": "hi", "text": "hello"}
        socket.send(b"\x00\x01\xff")
        assert socket.recv(WAIT_SECONDS) == b"\xff\x01\x00"
        socket.close(4002, "enough")
    told(dev, ["gone", 4002, "enough"])

    for word, code, reason in (("close", 4001, "as you like"), ("fail", 1011, ""), ("end", 1000, "")):
        assert closed_by(dev, "/ws", word) == (code, reason)
    dev.wait_told("ValueError: no luck")
    assert closed_by(dev, "/refused") == (1008, "not you")
    failed = ask(dev, "GET", "/never", upgrade="websocket", connection="Upgrade",
                 sec_websocket_version="13", sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
    assert failed.status == 500


def closed_by(dev: Dev, path: str, word: str | None = None) -> tuple[int, str]:
    with connect(address(dev, path)) as socket:
        if word is not None:
            socket.send(word)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(WAIT_SECONDS)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_fastapi_serves_an_object_with_its_storage(serve: Callable[[str], Dev]) -> None:
    dev = serve(FASTAPI)

    with connect(address(dev, "/room/ws")) as one, connect(address(dev, "/room/ws")) as two:
        one.send("one")
        assert json.loads(one.recv(WAIT_SECONDS)) == ["one"]
        two.send("two")
        assert json.loads(two.recv(WAIT_SECONDS)) == ["one", "two"]

    assert ask(dev, "GET", "/room/plain").value == ["one", "two", "plain"]


def test_flask_serves_and_waits_for_objects(serve: Callable[[str], Dev]) -> None:
    dev = serve(FLASK)

    assert ask(dev, "GET", "/hello/caf%C3%A9?q=5").value == {"hello": "café", "q": 5, "greeting": "hi"}
    assert ask(dev, "GET", "/count").value == [2, 5]
    body = bytes(range(256)) * 2000
    echo = ask(dev, "POST", "/echo", body)
    assert (echo.status, echo.body, echo.headers["x-length"]) == (201, body[::-1], "512000")
    form = (
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--X\r\n'
        b'Content-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\ntext\r\n--X--\r\n'
    )
    uploaded = ask(dev, "POST", "/form", form, content_type="multipart/form-data; boundary=X")
    assert uploaded.value == {"a": "1", "file": "text", "name": "f.txt"}
    assert ask(dev, "GET", "/stream").body == b"/stream 6;/stream 7;/stream 8;"
    assert ask(dev, "GET", "/missing").status == 404
    assert [ask(dev, "GET", "/room").value for _ in range(2)] == [[202, ["hello"]], [202, ["hello", "hello"]]]


def test_other_apps_serve_as_well(serve: Callable[[str], Dev]) -> None:
    dev = serve(OTHERS)

    home = ask(dev, "GET", "/starlette/a%20b?c=d")
    assert home.value == {"path": "/starlette/a b", "query": {"c": "d"}}
    bare = ask(dev, "PUT", "/bare_asgi/x%20y", b"body")
    assert (bare.status, bare.headers["x-path"], bare.body) == (207, "/bare_asgi/x%20y", b"BODY")
    plain = ask(dev, "POST", "/bare_wsgi/x%20y", b"abcdef")
    assert (plain.status, plain.reason, plain.headers["x-path"]) == (202, "Taken", "/bare_wsgi/x y")
    assert plain.body == b"written abcdef"

    assert ask(dev, "GET", "/silent_asgi").status == 500
    dev.wait_told("the ASGI app ended without a response")
    assert ask(dev, "GET", "/silent_wsgi").status == 500
    dev.wait_told("the WSGI app did not call start_response()")

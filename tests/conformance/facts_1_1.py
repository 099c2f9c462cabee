"""What `workers`, `js` and `pyodide` have, and what they have not."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage

FACTS = Facts()

ALL = [
    "Blob", "BlobEnding", "BlobValue", "Body", "Context", "DurableObject", "FetchKwargs", "FetchResponse", "File",
    "FormData", "FormDataValue", "Headers", "JSBody", "Request", "RequestInitCfProperties", "Response",
    "WorkerEntrypoint", "WorkflowEntrypoint", "env", "fetch", "handler", "import_from_javascript", "patch_env",
    "python_from_rpc", "python_to_rpc", "waitUntil", "wait_until",
]  # fmt: skip


def run(code: str) -> dict[str, Any]:
    """A program's lines, and the names they leave."""
    names: dict[str, Any] = {}
    exec(code, names)
    return names


@FACTS.cloudflare("1.1 workers.__all__ is what it is there, and every name of it can be imported")
def exported(thing: Any, platform: Any) -> None:
    import workers  # type: ignore[import-not-found]

    assert workers.__all__ == ALL
    assert set(run("from workers import *")) >= set(ALL)


@FACTS.cloudflare("1.1 classes of JavaScript are in js and not in workers")
def elsewhere(thing: Any, platform: Any) -> None:
    for name in ("WebSocketPair", "WebSocketRequestResponsePair", "WebSocket"):
        with pytest.raises(ImportError, match=f"Write `from js import {name}`"):
            run(f"from workers import {name}")
        assert run(f"from js import {name}")[name] is getattr(platform, name)
    for name in ("DurableObjectNamespace", "RpcTarget"):
        with pytest.raises(ImportError, match=f"workers.{name}` of the platform is not here"):
            run(f"from workers import {name}")


@FACTS.cloudflare("1.1 the modules beside it are there by their names, the old and the new")
def modules(thing: Any, platform: Any) -> None:
    one = {name: importlib.import_module(name) for name in ("asgi", "wsgi", "workers.asgi", "workers.wsgi")}
    assert one["asgi"] is one["workers.asgi"] is run("from workers import asgi")["asgi"]
    assert one["wsgi"] is one["workers.wsgi"]
    assert issubclass(run("from workers.workflows import NonRetryableError")["NonRetryableError"], Exception)
    assert run("import pyodide.http")["pyodide"].http is importlib.import_module("pyodide.http")


@FACTS.both("1.1 a WebSocketPair is unpacked, listed and indexed: the client's end, then the server's")
def pair(thing: Any, platform: Any) -> None:
    made = platform.WebSocketPair.new()
    client, server = made.object_values()
    assert [made[0], made[1]] == [client, server]
    assert client is not server
    thing.ctx.acceptWebSocket(server)
    assert thing.ctx.getWebSockets()[0] is server


@FACTS.cloudflare("1.1 Object.values(WebSocketPair.new()) are the two ends")
def values_of_pair(thing: Any, platform: Any) -> None:
    made = platform.WebSocketPair.new()
    ends = platform.Object.values(made)
    assert (ends[0], ends[1], ends.length) == (*made.object_values(), 2)


@FACTS.both("1.1 an auto-response is a pair of texts, made by new()")
def auto_response(thing: Any, platform: Any) -> None:
    thing.ctx.setWebSocketAutoResponse(platform.WebSocketRequestResponsePair.new("ping", "pong"))
    pair = thing.ctx.getWebSocketAutoResponse()
    assert (pair.request, pair.response) == ("ping", "pong")


@FACTS.cloudflare("1.1 Date.now() is a whole number of milliseconds, of the time that alarms go by")
async def date_now(thing: Any, platform: Any) -> None:
    import durable

    before = round(durable.now().timestamp() * 1000)
    now = platform.Date.now()
    assert type(now) is int
    assert before <= now <= round(durable.now().timestamp() * 1000)
    await thing.ctx.storage.setAlarm(now + 60_000)
    assert await thing.ctx.storage.getAlarm() == now + 60_000
    await thing.ctx.storage.setAlarm(platform.Date.new(now + 70_000))
    assert await thing.ctx.storage.getAlarm() == now + 70_000


MAIN_ENV = """
from workers import env as at_import
SEEN = at_import.COLOUR

class Thing(_Base, platform.DurableObject):
    seen = SEEN
"""


@FACTS.cloudflare("1.1 workers.env has the bindings of self.env, also while the program is imported", program=MAIN_ENV)
async def env(thing: Any, platform: Any) -> None:
    top = run("from workers import env")["env"]
    assert (thing.seen, top.COLOUR) == ("blue", "blue")
    assert top.THINGS is thing.env.THINGS
    with pytest.raises(AttributeError, match="env has no 'MISSING'"):
        _ = top.MISSING


@FACTS.cloudflare("1.1 patch_env puts something else in workers.env for a while, and not in self.env")
async def patched(thing: Any, platform: Any) -> None:
    top = platform.env
    with platform.patch_env({"COLOUR": "red"}, EXTRA=1):
        assert (top.COLOUR, top.EXTRA, "EXTRA" in top) == ("red", 1, True)
        with platform.patch_env([("COLOUR", "green")]):
            assert (top.COLOUR, top.EXTRA) == ("green", 1)
        assert thing.env.COLOUR == "blue"
    assert (top.COLOUR, "EXTRA" in top) == ("blue", False)


@FACTS.cloudflare_driven(
    "1.1 wait_until is the waitUntil of whatever runs: its failure is logged, the answer is not late"
)
async def wait_until(stage: Stage, platform: Any) -> None:
    done: list[str] = []

    def part(thing: Any) -> str:
        async def later(name: str) -> None:
            done.append(name)

        async def fails() -> None:
            raise LookupError("behind the answer")

        platform.wait_until(later("one"))
        platform.waitUntil(later("two"))
        platform.wait_until(fails())
        return "answered"

    assert await stage.run(part) == "answered"
    logged = await stage.gateway.until(lambda: [m for m in stage.gateway.of(wire.Log) if "behind" in m.text])
    assert logged[0].text == "LookupError: behind the answer"
    assert done == ["one", "two"]


WORKER = """
from workers import wait_until

class Thing(_Base, platform.DurableObject):
    noted = None

    async def note(self, text):
        self.noted = text

class Default(platform.WorkerEntrypoint):
    async def fetch(self, request):
        wait_until(self.env.THINGS.getByName("a").note("later"))
        return platform.Response("answered")
"""


@FACTS.cloudflare_driven("1.1 and in a worker, where it goes on behind the answer", program=WORKER)
async def wait_until_in_worker(stage: Stage, platform: Any) -> None:
    assert (await stage.gateway.fetch("/")).body == b"answered"
    assert await stage.run(lambda thing: thing.noted) == "later"


@FACTS.cloudflare("1.1 handler gives the function back: what it is given are Python's objects")
def handler(thing: Any, platform: Any) -> None:
    def on_fetch(request: Any) -> Any: ...

    assert platform.handler(on_fetch) is on_fetch


@FACTS.cloudflare('1.1 import_from_javascript has "cloudflare:workers" and refuses everything else')
def from_javascript(thing: Any, platform: Any) -> None:
    module = platform.import_from_javascript("cloudflare:workers")
    assert (module.env.COLOUR, module.waitUntil) == ("blue", platform.wait_until)
    with pytest.raises(ImportError, match="no JavaScript runs here.*Use a Python package"):
        platform.import_from_javascript("cloudflare:sockets")


@FACTS.cloudflare("1.1 names of js that are not here say what to write instead")
def not_here(thing: Any, platform: Any) -> None:
    import js  # type: ignore[import-not-found]

    with pytest.raises(ImportError, match="`js.caches` of the platform is not here. Keep what is to be cached in"):
        run("from js import caches")
    with pytest.raises(AttributeError, match="`js.Foo` of the platform is not here. There is no JavaScript"):
        _ = js.Foo
    with pytest.raises(ImportError, match="Only pyodide.ffi and pyodide.http are here"):
        run("from pyodide import code")

"""Headers across a running emulator: what a program may not say, and what a client may not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from durable.gateway.events import GatewayFault
from tests.integration.raw_http import Answer, connected
from tests.integration.running_emulator import SETTINGS, Running, running

PROGRAM = """
import json

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

ANSWERS = {
    "line": lambda: Response("x", headers={"X-A": "a\\r\\nX-Injected: yes"}),
    "feed": lambda: Response("x", headers={"X-A": "a\\nX-Injected: yes"}),
    "return": lambda: Response("x", headers={"X-A": "a\\rX-Injected: yes"}),
    "body": lambda: Response("x", headers={"X-A": "a\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nX-Injected: yes"}),
    "nul": lambda: Response("x", headers={"X-A": "a\\0X-Injected"}),
    "escape": lambda: Response("x", headers={"X-A": "\\x1b[2JX-Injected"}),
    "name": lambda: Response("x", headers={"X-A: a\\r\\nX-Injected": "yes"}),
    "colon": lambda: Response("x", headers={"X-A:": "X-Injected"}),
    "empty": lambda: Response("x", headers={"": "X-Injected"}),
    "cookie": lambda: Response("x", headers=[("Set-Cookie", "a=b"), ("Set-Cookie", "c=d\\r\\nX-Injected: yes")]),
    "reason": lambda: Response("x", 200, "OK\\r\\nX-Injected: yes"),
    "redirect": lambda: Response(None, 302, headers={"Location": "/x\\r\\nX-Injected: yes"}),
    "emoji": lambda: Response("x", headers={"X-A": "\\N{snowman} X-Injected"}),
    "large": lambda: Response("x", headers={"X-A": "X-Injected" * 100_000}),
    "many": lambda: Response("x", headers=[("X-A", "X-Injected" * 100)] * 1000),
    "length": lambda: Response("x", headers={"Content-Length": "1\\r\\nX-Injected: yes"}),
    "framing": lambda: Response("xyz", headers={"Transfer-Encoding": "chunked", "Connection": "close", "X-A": "fine"}),
    "stream": lambda: Response(pieces(), headers={"X-A": "a\\r\\nX-Injected: yes"}),
    "socket": lambda: upgraded(),
}

async def pieces():
    yield "x"

def upgraded():
    client, _ = WebSocketPair()
    return Response(None, 101, headers={"X-A": "a\\r\\nX-Injected: yes"}, web_socket=client)

class Counter(DurableObject):
    async def fetch(self, request):
        return ANSWERS[request.url.rpartition("/")[2]]()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        where, name = request.url.split("/")[3:5]
        if where == "heard":
            return Response(json.dumps([[name, value] for name, value in request.headers.items()]))
        if where == "object":
            return await self.env.COUNTER.get_by_name("a").fetch(request)
        return ANSWERS[name]()
"""
INJECTING = [
    "line", "feed", "return", "body", "nul", "escape", "name", "colon", "empty", "cookie", "reason", "redirect",
    "emoji", "large", "many", "stream", "socket",
]  # fmt: skip
HOST = "Host: localhost\r\nAccept: application/json\r\n"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        yield run
    assert run.told(GatewayFault) == []


def port_of(run: Running) -> int:
    return urlsplit(run.emulator.url).port or 0


@pytest.mark.parametrize("where", ["worker", "object"])
async def test_a_program_cannot_say_more_than_its_own_headers(run: Running, where: str) -> None:
    async with connected(port_of(run)) as client:
        for name in INJECTING:
            answer = await client.ask(f"GET /{where}/{name} HTTP/1.1\r\n{HOST}\r\n")

            assert answer.status == 500, name
            assert not any("injected" in field for field in answer.headers), name
            error = json.loads(answer.body)["error"]
            assert error["message"], name
            # The same connection goes on, and in step.
            following = await client.ask(f"GET /{where}/framing HTTP/1.1\r\n{HOST}\r\n")
            assert (following.status, following.body, following.headers["x-a"]) == (200, b"xyz", "fine")
            assert following.headers["content-length"] == "3"
            assert "transfer-encoding" not in following.headers


async def test_a_length_of_the_programs_own_is_never_believed(run: Running) -> None:
    async with connected(port_of(run)) as client:
        answer = await client.ask(f"GET /worker/length HTTP/1.1\r\n{HOST}\r\n")

        assert answer.status in (200, 500)
        assert "x-injected" not in answer.headers


async def heard(run: Running, *fields: str, method: str = "GET") -> tuple[Answer, dict[str, str]]:
    async with connected(port_of(run)) as client:
        answer = await client.ask(f"{method} /heard/x HTTP/1.1\r\nHost: localhost\r\n" + "\r\n".join([*fields, "", ""]))
    return answer, dict(json.loads(answer.body))


async def test_a_client_cannot_speak_for_the_gateway(run: Running) -> None:
    _, fields = await heard(
        run,
        "X-Durable-Token: forged",
        "x-durable-actor: forged",
        "CF-Connecting-IP: 10.0.0.1",
        "cf-connecting-ip: 10.0.0.2",
        "X-Forwarded-For: 10.0.0.3",
        "X-Mine: kept",
    )

    assert not [name for name in fields if name.startswith("x-durable-")]
    assert fields["cf-connecting-ip"] == "127.0.0.1"
    # Nothing of ours is built on these two; a program that runs behind a proxy of its own may want them.
    assert (fields["x-forwarded-for"], fields["x-mine"]) == ("10.0.0.3", "kept")


async def test_fields_for_one_hop_end_at_the_gateway(run: Running) -> None:
    answer, fields = await heard(
        run,
        "Connection: keep-alive, X-Hop, cf-connecting-ip",
        "X-Hop: a",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Trailer: X-T",
        "Proxy-Authorization: Basic x",
        "Proxy-Connection: keep-alive",
        "X-End: b",
    )

    assert answer.status == 200
    assert fields["x-end"] == "b"
    assert fields["cf-connecting-ip"] == "127.0.0.1"
    gone = {"connection", "x-hop", "keep-alive", "te", "trailer", "proxy-authorization", "proxy-connection", "upgrade"}
    assert gone.isdisjoint(fields)


@pytest.mark.parametrize("upgrade", ["h2c", "h2c, websocket", "TLS/1.0", "tcp", "websocket2", ""])
async def test_other_protocols_are_not_spoken(run: Running, upgrade: str) -> None:
    answer, fields = await heard(
        run, f"Upgrade: {upgrade}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"
    )

    assert answer.status == 200
    assert {"upgrade", "connection", "http2-settings"}.isdisjoint(fields)
    assert "upgrade" not in answer.headers


async def test_a_program_that_answers_101_to_an_ordinary_request_is_told_so(run: Running) -> None:
    async with connected(port_of(run)) as client:
        answer = await client.ask(f"GET /worker/socket HTTP/1.1\r\n{HOST}\r\n")

    assert answer.status == 500
    error: dict[str, Any] = json.loads(answer.body)["error"]
    assert error["code"] == "exception"

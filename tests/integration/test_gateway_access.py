"""Who may speak to a running emulator: a table of hosts, targets and origins, as bytes on a real socket.

Each rule has a twin that breaks it the way somebody once did, and with which the same table comes out otherwise.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import durable.gateway.front as front_module
from durable.gateway.access import Access, split_target
from durable.gateway.events import GatewayFault, RequestRefused
from tests.integration.raw_http import Answer, ask, connected
from tests.integration.running_emulator import SETTINGS, Running, running

PROGRAM = """
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

class Counter(DurableObject):
    async def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.headers.get("upgrade") == "websocket":
            return await self.env.COUNTER.get_by_name("a").fetch(request)
        return Response("the program answers " + request.method)
"""
LISTED = SETTINGS + 'allowed_hosts = ["dev.example.test", "*.tunnel.example", "192.0.2.7", "2001:db8::7"]\n'

APP, ADMIN, UPGRADE = "/x", "/__durable/status", "/socket"
EVERYWHERE = (APP, ADMIN, UPGRADE)

# Host, on each of the three ways in, in the usual form of the target.
HOSTS: list[tuple[str | None, bool]] = [
    ("127.0.0.1:{port}", True),
    ("localhost:{port}", True),
    ("LocalHost:{port}", True),
    ("localhost", True),
    ("localhost.:{port}", True),
    ("app.localhost:{port}", True),
    ("127.9.8.7:1", True),
    ("[::1]:{port}", True),
    ("dev.example.test", True),
    ("a.b.tunnel.example:443", True),
    ("192.0.2.7", True),
    ("[2001:db8::7]:{port}", True),
    ("", False),
    ("rebind.example:{port}", False),
    ("localhost.evil.example:{port}", False),
    ("127.0.0.1.evil.example", False),
    ("xlocalhost:{port}", False),
    ("evil.example#localhost", False),
    ("localhost:{port}@evil.example", False),
    ("user@localhost:{port}", False),
    ("localhost,evil.example", False),
    ("0.0.0.0:{port}", False),
    ("2130706433:{port}", False),
    ("127.1:{port}", False),
    ("0x7f000001", False),
    ("[::1", False),
    ("[::ffff:127.0.0.1]:{port}", False),
    ("[::]:{port}", False),
    ("a/b?c#d", False),
    ("localhost:{port}:1", False),
    ("localhost:-1", False),
    ("localhost:99999", False),
    ("\xef\xbd\x8cocalhost", False),
    ("\xff\xfe", False),
    ("tunnel.example", False),
    ("dev.example.test.evil", False),
    ("a" * 5000 + ".localhost", False),
]
# Target in absolute form beside an honest Host: (what stands before the path, allowed)
TARGETS = [
    ("http://127.0.0.1:{port}", True),
    ("HTTP://127.0.0.1:{port}", True),
    ("http://evil.example", False),
    ("http://localhost:{port}", False),
    ("http://127.0.0.1", False),
    ("http://127.0.0.1:{port}@evil.example", False),
    ("http://evil.example:{port}", False),
]
# Origin: (value, an upgrade is allowed, our own tools answer)
ORIGINS: list[tuple[str | None, bool, bool]] = [
    (None, True, True),
    ("http://127.0.0.1:{port}", True, True),
    ("http://localhost:3000", True, False),
    ("https://a.tunnel.example", True, False),
    ("http://192.0.2.7", True, False),
    ("null", False, False),
    ("", False, False),
    ("https://evil.example", False, False),
    ("http://127.0.0.1.evil", False, False),
    ("http://localhost.evil.example", False, False),
    ("http://localhost@evil.example", False, False),
    ("file://localhost", False, False),
    ("http://localhost, http://evil.example", False, False),
    ("http://localhost/x", False, False),
    ("http://[::1", False, False),
]


def request(target: str, host: str | None, token: str, origin: str | None = None) -> str:
    lines = [f"GET {target} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    if origin is not None:
        lines.append(f"Origin: {origin}")
    if target.endswith(ADMIN):
        lines.append(f"Authorization: Bearer {token}")
    if target.endswith(UPGRADE):
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        lines.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    return "\r\n".join([*lines, "", ""])


def table(port: int, token: str) -> list[tuple[str, str, bool]]:
    """What is asked, the request, and whether it is to be served."""
    honest = f"127.0.0.1:{port}"
    rows: list[tuple[str, str, bool]] = []
    for way in EVERYWHERE:
        for host, allowed in HOSTS:
            named = None if host is None else host.format(port=port)
            rows.append((f"{way} Host: {host}", request(way, named, token), allowed))
        for prefix, allowed in TARGETS:
            target = prefix.format(port=port) + way
            rows.append((f"{prefix}{way}", request(target, honest, token), allowed))
    for origin, may_upgrade, may_administer in ORIGINS:
        page = None if origin is None else origin.format(port=port)
        rows += [
            # What a page of another origin gets to see is up to the program and its CORS headers.
            (f"{APP} Origin: {origin}", request(APP, honest, token, page), True),
            (f"{UPGRADE} Origin: {origin}", request(UPGRADE, honest, token, page), may_upgrade),
            (f"{ADMIN} Origin: {origin}", request(ADMIN, honest, token, page), may_administer),
        ]
    return rows


async def misjudged(run: Running) -> dict[str, Answer]:
    """Play the table; the rows that came out otherwise. After each the emulator answers as before."""
    port = urlsplit(run.emulator.url).port or 0
    wrong: dict[str, Answer] = {}
    async with connected(port) as witness:
        for what, sent, allowed in table(port, run.emulator.token):
            answer = await ask(port, sent)
            expected = (101 if UPGRADE in sent.partition("\r\n")[0] else 200) if allowed else 403
            if answer.status != expected:
                wrong[what] = answer
            alive = await witness.ask(f"GET /alive HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")
            assert (alive.status, alive.body) == (200, b"the program answers GET"), what
    return wrong


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, PROGRAM, LISTED, watch=False) as run:
        yield run


async def test_only_local_and_listed_places_are_served_on_every_way_in(run: Running) -> None:
    pids = run.pids
    assert len(table(1, "")) > 150

    assert await misjudged(run) == {}

    assert run.pids == pids
    assert run.told(GatewayFault) == []
    # A line a second for each reason, not one for each of a hundred requests.
    assert len(run.told(RequestRefused)) < 60


async def test_what_is_refused_says_why_in_plain_text_and_is_told_in_short_words(run: Running) -> None:
    port = urlsplit(run.emulator.url).port or 0

    answer = await ask(port, f"GET / HTTP/1.1\r\nHost: {'e' * 300}.evil\r\nOrigin: {'o' * 9000}\r\n\r\n")

    assert answer.status == 403
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert b"allowed_hosts" in answer.body
    assert b"evil" not in answer.body
    refused = await run.event(RequestRefused)
    assert len(refused.host) == len(refused.origin or "") == 160


HOSTLESS = [
    b"GET /x HTTP/1.1\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: localhost\x00evil.example\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: localhost\revil.example\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: localhost\x1b[2J\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost : localhost\r\n\r\n",
    b"GET evil.example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /x HTTP/1.0\r\n\r\n",
    b"GET /x HTTP/1.0\r\nHost: evil.example\r\n\r\n",
]


async def test_what_names_no_host_or_two_of_them_reaches_nobody(run: Running) -> None:
    port = urlsplit(run.emulator.url).port or 0

    for sent in HOSTLESS:
        answer = await ask(port, sent)

        assert answer.status in (400, 403, 405), sent
        assert b"program answers" not in answer.body
        assert (await run.get("/alive"))[0] == 200


# --- twins ------------------------------------------------------------------------------------------------------------
class ByPrefix(Access):
    """What looks local from the left (cf. CVE-2026-40110)."""

    def allows_host(self, host_header: str) -> bool:
        return host_header.lower().startswith(("localhost", "127.", "[::1]")) or super().allows_host(host_header)


class HeaderOnly(Access):
    """The Host header decides, and the target is not looked at."""

    def allowed(self, host_header: str | None, target: str, origin: str | None) -> str | None:
        return super().allowed(host_header, "/", origin)


class AnyOrigin(Access):
    """The same-origin policy will do (cf. CVE-2023-7080)."""

    def allowed(self, host_header: str | None, target: str, origin: str | None) -> str | None:
        return super().allowed(host_header, target, None)


class NullIsNone(Access):
    """A sandboxed frame taken for a client that is no browser (cf. CVE-2026-27977)."""

    def allowed(self, host_header: str | None, target: str, origin: str | None) -> str | None:
        return super().allowed(host_header, target, None if origin in ("null", "") else origin)


class NotTotal(Access):
    """An exception for what cannot be parsed (cf. CVE-2026-14631)."""

    def allows_host(self, host_header: str) -> bool:
        host = urlsplit("http://" + host_header).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback


class ToolsForEveryLocalPage(Access):
    """Our own tools answer the pages of other local programs."""

    def same_origin(self, host_header: str, origin: str | None) -> bool:
        return self.allowed(host_header, "/", origin) is None


class Rebuilt(Access):
    """The authority of a URL that was put together from the header (cf. CVE-2026-48710)."""

    def allows_host(self, host_header: str) -> bool:
        authority, _ = split_target(f"http://{host_header}/")
        return super().allows_host((authority or "").rpartition("@")[2])


@pytest.mark.parametrize(
    ("twin", "noticed"),
    [
        (ByPrefix, "/x Host: localhost.evil.example:{port}"),
        (HeaderOnly, "http://evil.example/__durable/status"),
        (AnyOrigin, "/socket Origin: https://evil.example"),
        (NullIsNone, "/socket Origin: null"),
        (NotTotal, "/x Host: [::1"),
        (ToolsForEveryLocalPage, "/__durable/status Origin: http://localhost:3000"),
        (Rebuilt, "/__durable/status Host: user@localhost:{port}"),
    ],
)
async def test_a_rule_that_is_broken_shows_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twin: Any, noticed: str
) -> None:
    monkeypatch.setattr(front_module, "Access", twin)

    async with running(tmp_path, PROGRAM, LISTED, watch=False) as run:
        assert noticed in await misjudged(run)

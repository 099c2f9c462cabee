"""Requests of which two servers might see different ends: what was sent is what the host sees, or nothing is.

The table is played with both of aiohttp's parsers. A second request hides in many of the rows as /smuggled.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import web_protocol
from aiohttp.http_parser import HttpRequestParserPy

from durable.gateway import uploads
from durable.gateway.events import GatewayFault, MalformedRequest
from durable.limits import HTTP_HEADERS_MAX
from durable.wire.messages import BodyCredit, HttpReply
from tests.integration.raw_http import connected
from tests.integration.scripted_gateway import EchoHost, ScriptedGateway

HOST = b"Host: 127.0.0.1"
CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n\r\n"
ZERO = b"0\r\n\r\n"

Seen = list[tuple[str, bytes]]


class RecordingHost(EchoHost):
    """Reads every body to its end and answers 200; `told` is the path and body of what it was asked."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.told: Seen = []
        self._open: dict[int, tuple[Any, bytes]] = {}

    def on_HttpRequest(self, message: Any) -> None:
        if message.stream:
            self._open[message.stream] = (message, b"")
        else:
            self._answer(message, message.body)

    def on_BodyChunk(self, message: Any) -> None:
        request, body = self._open[message.stream]
        self._open[message.stream] = (request, body + message.data)
        self.channel.send(BodyCredit(message.stream, len(message.data)))

    def on_BodyEnd(self, message: Any) -> None:
        request, body = self._open.pop(message.stream)
        if not message.error:
            self._answer(request, body)

    def _answer(self, request: Any, body: bytes) -> None:
        self.told.append(("/" + request.url.split("/", 3)[3], body))
        self.channel.send(HttpReply(request.id, 0, 200, "", [], b"ok"))


@dataclass(frozen=True)
class Row:
    """`seen`: what the host is told. `after`: the connection was "closed", goes on ("open"), or "waits" for more."""

    name: str
    sent: bytes
    seen: tuple[tuple[str, bytes], ...] = ()
    after: str = "closed"
    status: int | tuple[int, ...] = 400
    or_refused: bool = False
    """Unambiguous, but not what the standard says: a parser may as well refuse it."""
    waits_in_python: bool = False
    """The parser in Python knows no integer that is too large, and looks at nothing before the end of a line."""

    def allows(self, told: Seen, after: str, status: int) -> bool:
        statuses = (self.status,) if isinstance(self.status, int) else self.status
        if (told, after) == (list(self.seen), self.after) and status in statuses:
            return True
        return self.or_refused and (told, after, status) == ([], "closed", 400)


def head(*fields: bytes, line: bytes = b"POST /a HTTP/1.1") -> bytes:
    return b"\r\n".join([line, HOST, *fields, b"", b""])


def get(line: bytes = b"GET /a HTTP/1.1", *fields: bytes) -> bytes:
    return head(*fields, line=line)


A, EMPTY = ("/a", b"hello"), ("/a", b"")
FIVE = b"Content-Length: 5"

TABLE = [
    # --- two lengths --------------------------------------------------------------------------------------------------
    Row("two lengths", head(FIVE, b"Content-Length: 6") + b"hello!"),
    Row("the same length twice", head(FIVE, FIVE) + b"hello"),
    Row("a list of lengths", head(b"Content-Length: 5, 5") + b"hello"),
    Row("a length and a coding", head(b"Content-Length: 4", CHUNKED) + ZERO + SMUGGLED),
    Row("a coding and a length", head(CHUNKED, b"Content-Length: 60") + ZERO + SMUGGLED),
    # --- lengths that are no numbers ----------------------------------------------------------------------------------
    Row("a plus sign", head(b"Content-Length: +5") + b"hello"),
    Row("a minus sign", head(b"Content-Length: -5") + b"hello"),
    Row("hexadecimal", head(b"Content-Length: 0x5") + b"hello"),
    Row("an underscore", head(b"Content-Length: 0_5") + b"hello"),
    Row("a space inside", head(b"Content-Length: 5 0") + b"hello"),
    Row("a fraction", head(b"Content-Length: 5.0") + b"hello"),
    Row("digits that are not ASCII", head("Content-Length: ５".encode()) + b"hello"),
    Row("superscript digits", head(b"Content-Length: \xb2") + b"hello"),
    Row("no digits", head(b"Content-Length:") + b"hello"),
    Row("beyond 64 bits", head(b"Content-Length: 18446744073709551621") + b"hello", status=(400, 413)),
    Row("a hundred digits", head(b"Content-Length: " + b"9" * 100) + b"hello", status=(400, 413)),
    Row("a leading zero", head(b"Content-Length: 05") + b"hello", (A,), "open", 200),
    Row("spaces around", head(b"Content-Length: \t 5 \t") + b"hello", (A,), "open", 200),
    Row("a length and then another request", head(FIVE) + b"hello" + SMUGGLED, (A, ("/smuggled", b"")), "open", 200),
    Row("fewer bytes than the length", head(b"Content-Length: 500") + SMUGGLED, (), "waits", 0),
    # --- codings ------------------------------------------------------------------------------------------------------
    Row("chunked", head(CHUNKED) + b"5\r\nhello\r\n" + ZERO, (A,), "open", 200),
    Row("chunked in capitals", head(b"TRANSFER-ENCODING: CHUNKED") + b"5\r\nhello\r\n" + ZERO, (A,), "open", 200),
    Row("an unknown coding", head(b"Transfer-Encoding: xchunked") + ZERO + SMUGGLED),
    Row("a coding that begins like it", head(b"Transfer-Encoding: chunkedx") + ZERO + SMUGGLED),
    Row("gzip, chunked", head(b"Transfer-Encoding: gzip, chunked") + ZERO + SMUGGLED, status=(400, 501)),
    Row("chunked, gzip", head(b"Transfer-Encoding: chunked, gzip") + ZERO + SMUGGLED),
    Row("chunked, identity", head(b"Transfer-Encoding: chunked, identity") + ZERO + SMUGGLED),
    Row("identity, chunked", head(b"Transfer-Encoding: identity, chunked") + ZERO + SMUGGLED, status=(400, 501)),
    Row("identity", head(b"Transfer-Encoding: identity", FIVE) + b"hello"),
    Row("chunked twice", head(CHUNKED, CHUNKED) + ZERO + SMUGGLED),
    Row("chunked, chunked", head(b"Transfer-Encoding: chunked, chunked") + ZERO + SMUGGLED, status=(400, 501)),
    Row("two fields of codings", head(b"Transfer-Encoding: identity", CHUNKED) + ZERO + SMUGGLED, status=(400, 501)),
    Row("no coding", head(b"Transfer-Encoding:") + ZERO + SMUGGLED),
    Row("a vertical tab before", head(b"Transfer-Encoding: \x0bchunked") + ZERO + SMUGGLED),
    Row("a quoted coding", head(b'Transfer-Encoding: "chunked"') + ZERO + SMUGGLED),
    Row("a letter whose lower case is in ASCII", head("Transfer-Encoding: chun\u212aed".encode()) + ZERO + SMUGGLED),
    Row("a space before the colon", head(b"Transfer-Encoding : chunked") + ZERO + SMUGGLED),
    Row("a space before the name", head(b"X: y", b" " + CHUNKED) + ZERO + SMUGGLED),
    Row("a coding in HTTP/1.0", head(CHUNKED, line=b"POST /a HTTP/1.0") + ZERO + SMUGGLED),
    Row("a coding and a length in HTTP/1.0", head(CHUNKED, FIVE, line=b"POST /a HTTP/1.0") + ZERO + SMUGGLED),
    # --- chunks -------------------------------------------------------------------------------------------------------
    Row("a chunk size with a prefix", head(CHUNKED) + b"0x5\r\nhello\r\n" + ZERO + SMUGGLED),
    Row("a chunk size with a sign", head(CHUNKED) + b"+5\r\nhello\r\n" + ZERO + SMUGGLED),
    Row("a negative chunk size", head(CHUNKED) + b"-5\r\nhello\r\n" + ZERO + SMUGGLED),
    Row("an underscore in a chunk size", head(CHUNKED) + b"0_5\r\nhello\r\n" + ZERO + SMUGGLED),
    Row("no chunk size", head(CHUNKED) + b"\r\nhello\r\n" + ZERO + SMUGGLED),
    Row(
        "a chunk size beyond 64 bits",
        head(CHUNKED) + b"10000000000000005\r\nhello\r\n" + ZERO + SMUGGLED,
        waits_in_python=True,
    ),
    Row("a chunk longer than its size", head(CHUNKED) + b"4\r\nhello\r\n" + ZERO + SMUGGLED),
    Row("a chunk that ends in a bare LF", head(CHUNKED) + b"5\r\nhello\n" + ZERO + SMUGGLED),
    Row("a chunk size that ends in a bare LF", head(CHUNKED) + b"5\nhello\r\n" + ZERO + SMUGGLED),
    Row("a chunk size that ends in a bare CR", head(CHUNKED) + b"5\rhello\r\n" + ZERO + SMUGGLED),
    Row("a chunk extension", head(CHUNKED) + b"5;x=y\r\nhello\r\n" + ZERO, (A,), "open", 200),
    Row("an LF in a chunk extension", head(CHUNKED) + b"5;\nxx\r\nhello\r\n" + ZERO + SMUGGLED),
    Row("a space before a chunk extension", head(CHUNKED) + b"5 ;x\r\nhello\r\n" + ZERO + SMUGGLED),
    Row("a trailer", head(CHUNKED) + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", (A,), "open", 200),
    Row(
        "a trailer that frames",
        head(CHUNKED) + b"5\r\nhello\r\n0\r\nContent-Length: 60\r\n\r\n" + SMUGGLED,
        (A, ("/smuggled", b"")),
        "open",
        200,
        or_refused=True,
    ),
    Row("a chunk that does not end", head(CHUNKED) + b"ff\r\n" + SMUGGLED, (), "waits", 0),
    # --- heads --------------------------------------------------------------------------------------------------------
    Row("two hosts", get(b"GET /a HTTP/1.1", b"Host: localhost")),
    Row("no host", b"GET /a HTTP/1.1\r\n\r\n"),
    Row("a bare CR in a value", get(b"GET /a HTTP/1.1", b"X: a\rGET /smuggled HTTP/1.1")),
    Row("a bare LF after a field", b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nX: a\nY: b\r\n\r\n"),
    Row("bare LFs only", b"GET /a HTTP/1.1\n" + HOST + b"\n\n"),
    Row("a NUL in a value", get(b"GET /a HTTP/1.1", b"X: a\x00b")),
    Row("a folded field", get(b"GET /a HTTP/1.1", b"X: a", b" b: c")),
    Row("a tab before the first field", b"GET /a HTTP/1.1\r\n\t" + HOST + b"\r\n\r\n"),
    Row("a field without a name", get(b"GET /a HTTP/1.1", b": a")),
    Row("a field without a colon", get(b"GET /a HTTP/1.1", b"Content-Length 5")),
    Row("a control character in a name", get(b"GET /a HTTP/1.1", b"X\x01: a")),
    Row("a letter beyond ASCII in a name", get(b"GET /a HTTP/1.1", b"Content-\xffLength: 5")),
    Row("a parenthesis in a name", get(b"GET /a HTTP/1.1", b"X(): a")),
    Row("a URL that is too long", get(b"GET /" + b"a" * 17_000 + b" HTTP/1.1")),
    Row("a URL of a megabyte", get(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1"), status=(0, 400, 414)),
    Row("a header that is too long", get(b"GET /a HTTP/1.1", b"X: " + b"a" * 70_000)),
    Row("headers of a megabyte", get(b"GET /a HTTP/1.1", *[b"X: " + b"a" * 40_000] * 25), status=(0, 400, 431)),
    Row("too many headers", get(b"GET /a HTTP/1.1", *[b"X: a"] * (HTTP_HEADERS_MAX + 1))),
    # --- request lines ------------------------------------------------------------------------------------------------
    Row("two spaces", get(b"GET  /a HTTP/1.1"), (EMPTY,), "open", 200, or_refused=True),
    Row("a tab for a space", get(b"GET\t/a HTTP/1.1")),
    Row("a space in the target", get(b"GET /a HTTP/1.1 HTTP/1.1")),
    Row("no version", get(b"GET /a"), status=(400, 505)),
    Row("another version", get(b"GET /a HTTP/1.2"), status=(400, 505)),
    Row("HTTP/0.9", b"GET /a\r\n\r\n", status=(400, 403)),
    Row("HTTP/2.0", get(b"GET /a HTTP/2.0"), status=(400, 505)),
    Row("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Row("a version of three digits", get(b"GET /a HTTP/1.10")),
    Row("a method of other letters", get("GÉT /a HTTP/1.1".encode())),
    Row("a method in lower case", get(b"get /a HTTP/1.1"), (EMPTY,), "open", 200, or_refused=True),
    Row("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", waits_in_python=True),
    Row("a fragment in the target", get(b"GET /a#/smuggled HTTP/1.1"), (("/a#/smuggled", b""),), "open", 200),
    Row("the absolute form of elsewhere", get(b"GET http://evil.example/a HTTP/1.1"), (), "open", 403),
    Row("CONNECT", get(b"CONNECT 127.0.0.1 HTTP/1.1") + SMUGGLED, status=(400, 403, 405)),
    # --- switches that are declined -----------------------------------------------------------------------------------
    Row(
        "h2c",
        get(b"GET /a HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        (EMPTY,),
        "open",
        200,
    ),
    Row(
        "an upgrade that is declined, and what follows",
        get(b"GET /a HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket") + SMUGGLED,
        (EMPTY, ("/smuggled", b"")),
        "open",
        200,
    ),
    Row(
        "an upgrade with a body",
        head(FIVE, b"Connection: Upgrade", b"Upgrade: websocket") + b"hello" + SMUGGLED,
        (A, ("/smuggled", b"")),
        "open",
        200,
    ),
]


@pytest.fixture(params=["C", "Python"])
async def gateway(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "Python":
        monkeypatch.setattr(web_protocol, "HttpRequestParser", HttpRequestParserPy)
    gateway = await ScriptedGateway(RecordingHost).start()
    gateway.lane = request.param
    yield gateway
    await gateway.stop()


async def played(gateway: Any, row: Row) -> tuple[Seen, str, int]:
    """What the host was told, what became of the connection, and the status of the first answer."""
    gateway.host.told = []
    after = "closed"
    async with connected(gateway.port) as client:
        await client.send(row.sent)
        if row.after == "waits":
            # Everything that can happen has happened when a later client was answered.
            async with connected(gateway.port) as later:
                await later.ask(get(b"GET /last HTTP/1.1"))
            first = asyncio.ensure_future(client.reader.read(1))
            await asyncio.sleep(0)
            after = "answered" if first.done() else "waits"
            first.cancel()
            return [told for told in gateway.host.told if told[0] != "/last"], after, 0
        # A request that is known to come last: everything before it has been answered when it is.
        first_answer = answer = await client.answer()
        if not answer.ends_connection:
            await client.send(get(b"GET /last HTTP/1.1"))
            while not answer.ends_connection and ("/last", b"") not in gateway.host.told:
                answer = await client.answer()
            after = "closed" if answer.ends_connection else "open"
    return [told for told in gateway.host.told if told[0] != "/last"], after, first_answer.status


async def wrong(gateway: Any) -> dict[str, tuple[Seen, str, int]]:
    """The rows that came out otherwise."""
    found: dict[str, tuple[Seen, str, int]] = {}
    for row in TABLE:
        if row.waits_in_python and gateway.lane == "Python":
            row = replace(row, after="waits", status=0)
        outcome = await played(gateway, row)
        if not row.allows(*outcome):
            found[row.name] = outcome
    return found


async def test_what_was_sent_is_what_the_host_sees_or_nothing_is(gateway: Any) -> None:
    assert len(TABLE) > 65

    assert await wrong(gateway) == {}

    # One line a second about all of that, and no traceback.
    assert not any(isinstance(event, GatewayFault) for event in gateway.events)
    assert len([event for event in gateway.events if isinstance(event, MalformedRequest)]) <= 20
    assert gateway.link.statistics().pending == gateway.link.statistics().bodies == 0


async def test_without_the_look_at_codings_the_table_comes_out_otherwise(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "check_framing", lambda request: None)

    assert "gzip, chunked" in await wrong(gateway)

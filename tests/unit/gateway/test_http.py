"""Requests as bytes into aiohttp's real protocol, responses as bytes out of it; no socket on the client's side."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

import durable.gateway.uploads as uploads_module
from durable.clock import ManualClock
from durable.gateway.access import Access
from durable.gateway.events import RequestRefused, RequestServed, UserCodeFailed
from durable.gateway.http import HttpFront, HttpStatistics
from durable.gateway.link import HostLink
from durable.gateway.router import Router
from durable.limits import INLINE_BODY_BYTES_MAX
from durable.wire.messages import (
    ActorKey,
    BodyChunk,
    BodyCredit,
    BodyEnd,
    CallReply,
    Cancel,
    ErrorReport,
    Failed,
    HttpReply,
    HttpRequest,
)

ROOM = ActorKey("ChatRoom-9f3a", "a" * 64, "general")


class Client(asyncio.Transport):
    """One connection: what is written to it is in `received`."""

    def __init__(self, server, settle):
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8787)})
        self.received = b""
        self.closed = False
        self.aborted = False
        self.settle = settle
        self.protocol = server()
        self.protocol.connection_made(self)

    def write(self, data):
        self.received += data

    def writelines(self, chunks):
        self.received += b"".join(chunks)

    def is_closing(self):
        return self.closed

    def close(self):
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self):
        self.aborted = True
        self.close()

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    async def send(self, data: bytes | str) -> bytes:
        """Send bytes, and return everything that came back by the time all settled."""
        self.received = b""
        self.protocol.data_received(data if isinstance(data, bytes) else data.encode("latin-1"))
        await self.settle()
        return self.received

    async def get(self, path="/", *headers, method="GET", version="1.1") -> bytes:
        lines = [f"{method} {path} HTTP/{version}", "Host: localhost:8787", *headers, "", ""]
        return await self.send("\r\n".join(lines))


class Gateway:
    def __init__(self, host, settle):
        self.host, self.settle = host, settle
        self.events = host.events
        self.router = Router(1)
        self.router.attach([host.link])
        self.connected: list[tuple[int, HostLink]] = []
        self.clients: list[Client] = []
        self.clock = ManualClock()

        async def connect_socket(request, reply, link):
            if "Sec-WebSocket-Key" not in request.headers:
                raise web.HTTPBadRequest(text="Handshake error")
            self.connected.append((reply.socket, link))
            return web.Response(status=200, text="connected")

        async def admin(request):
            return web.Response(text=f"admin {request.path}")

        self.front = HttpFront(
            self.router,
            Access(["dev.example"]),
            connect_socket=connect_socket,
            admin=admin,
            on_event=self.events.append,
            class_names={"ChatRoom-9f3a": "ChatRoom"},
            clock=self.clock,
        )
        self.server = web.Server(
            self.front, handler_cancellation=True, access_log=None, auto_decompress=False, keepalive_timeout=3600
        )

    def client(self):
        self.clients.append(Client(self.server, self.settle))
        return self.clients[-1]

    def answers(self, status=200, headers=(), body=b"", **fields):
        def answer(message):
            if isinstance(message, HttpRequest):
                self.host.say_nowait(HttpReply(message.id, 0, status, "", list(headers), body, **fields))

        self.host.answer = answer

    async def requests(self) -> list[HttpRequest]:
        return await self.host.said(HttpRequest)


@pytest.fixture
async def gateway(host, settle):
    gateway = Gateway(host, settle)
    yield gateway
    for client in gateway.clients:
        client.close()
    await settle()


@pytest.fixture
def client(gateway):
    return gateway.client()


def split(response: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


# --- what the worker sees ---------------------------------------------------------------------------------------------
async def test_a_request_reaches_the_worker_as_it_was_sent(gateway, client):
    gateway.answers(body=b"hi")

    await client.get("/a//b/../c%2F%00?q=%ff&r=1", "X-Thing: 1", "Accept: */*")

    [request] = await gateway.requests()
    assert request == HttpRequest(
        1,
        None,
        "GET",
        "http://localhost:8787/a//b/../c%2F%00?q=%ff&r=1",
        [("host", "localhost:8787"), ("x-thing", "1"), ("accept", "*/*"), ("cf-connecting-ip", "127.0.0.1")],
    )


async def test_header_bytes_beyond_ascii_reach_the_worker(gateway, client):
    gateway.answers()

    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \xff\xfe\xc3\xa9\r\n\r\n")

    [request] = await gateway.requests()
    assert ("x", "\u00ff\u00fe\u00c3\u00a9") in request.headers


async def test_bytes_beyond_ascii_in_a_path_are_refused_or_percent_encoded(gateway, client):
    gateway.answers()

    response = await client.send(b"GET /caf\xc3\xa9/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n")

    # aiohttp's parser in C refuses them, the one in Python does not.
    requests = await gateway.requests()
    assert response.startswith(b"HTTP/1.0 400 ") or requests[0].url == "http://localhost/caf%C3%A9/%FF"


async def test_an_absolute_target_is_read_as_its_path(gateway, client):
    gateway.answers()

    await client.get("http://localhost:8787/a?b")

    assert [request.url for request in await gateway.requests()] == ["http://localhost:8787/a?b"]


async def test_a_small_body_travels_with_its_request(gateway, client):
    gateway.answers(body=b"ok")

    response = await client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")

    assert response.endswith(b"\r\n\r\nok")
    assert [request.body for request in await gateway.requests()] == [b"hello"]


async def test_a_body_that_arrives_in_pieces_is_put_together(gateway, client):
    gateway.answers(body=b"ok")

    await client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe")
    assert await gateway.requests() == []
    response = await client.send("llo")

    assert response.endswith(b"ok")
    assert [request.body for request in await gateway.requests()] == [b"hello"]


async def test_an_encoded_body_is_not_decoded_on_the_way(gateway, client):
    gateway.answers()

    await client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")

    assert [request.body for request in await gateway.requests()] == [b"abcd"]


async def test_a_large_body_streams_and_its_reply_may_come_before_its_end(gateway, client):
    size = INLINE_BODY_BYTES_MAX + 1

    await client.send(f"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\nabc")
    [request] = await gateway.requests()
    assert (request.body, request.stream) == (b"", 1)
    assert await gateway.host.said(BodyChunk) == [BodyChunk(1, b"abc")]
    await client.send(b"x" * (size - 3))
    assert await gateway.host.said(BodyEnd) == [BodyEnd(1, "")]
    await gateway.host.say(HttpReply(request.id, 0, 201, "", []))

    assert client.received.startswith(b"HTTP/1.1 201 Created\r\n")
    assert gateway.host.link.statistics().bodies == 0


async def test_a_chunked_body_streams(gateway, client):
    await client.send("PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    [request] = await gateway.requests()
    assert request.stream == 1
    assert ("transfer-encoding", "chunked") not in request.headers
    await client.send("2\r\nde\r\n0\r\n\r\n")

    assert b"".join(chunk.data for chunk in await gateway.host.said(BodyChunk)) == b"abcde"
    assert await gateway.host.said(BodyEnd) == [BodyEnd(1, "")]
    await gateway.host.say(HttpReply(request.id, 0, 200, "", []))


async def test_a_body_announced_as_too_large_is_refused_unread(gateway, client):
    response = await client.send(
        "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857601\r\nExpect: 100-continue\r\n\r\n"
    )

    assert response.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close\r\n" in response
    assert response.endswith(b"body_too_large: The request body is larger than 100 MiB.\n")
    assert await gateway.requests() == []


async def test_a_streamed_body_that_grows_too_large_is_refused_on_the_way(gateway, client, monkeypatch):
    monkeypatch.setattr(uploads_module, "HTTP_BODY_BYTES_MAX", 5)

    await client.send("PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    response = await client.send("3\r\ndef\r\n")

    assert response.startswith(b"HTTP/1.1 413 ")
    assert await gateway.host.said(BodyEnd) == [BodyEnd(1, "The request body is larger than 100 MiB.")]
    assert await gateway.host.said(Cancel) == [Cancel(1)]


async def test_who_waits_for_100_continue_is_told_to_go_on(gateway, client):
    gateway.answers(body=b"ok")

    response = await client.send(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    assert response == b"HTTP/1.1 100 Continue\r\n\r\n"
    response = await client.send("hi")

    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    [request] = await gateway.requests()
    assert "expect" not in dict(request.headers)


async def test_other_expectations_are_refused(client):
    response = await client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: magic\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 417 Expectation Failed\r\n")


async def test_connect_is_refused(client):
    response = await client.send("CONNECT localhost:8787 HTTP/1.1\r\nHost: localhost:8787\r\n\r\n")

    assert response.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 405 "))


# --- what the client gets ---------------------------------------------------------------------------------------------
async def test_a_reply_goes_out_whole_and_the_connection_stays(gateway, client):
    gateway.answers(headers=[("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], body=b"hi")

    status, headers, body = split(await client.get())

    assert (status, body) == ("HTTP/1.1 200 OK", b"hi")
    assert headers["content-length"] == "2"
    assert "server" not in headers
    assert "connection" not in headers
    assert client.received.count(b"Set-Cookie: ") == 2
    assert b"\r\n\r\nhi" in await client.get()
    assert not client.closed


async def test_pipelined_requests_are_answered_in_order(gateway, client):
    gateway.answers(body=b"ok")

    response = await client.send("GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)

    assert response.count(b"HTTP/1.1 200 OK") == 3


async def test_http_1_0_is_answered_in_its_own_way(gateway, client):
    gateway.answers(body=b"hi")

    status, headers, _ = split(await client.get(version="1.0"))

    assert status == "HTTP/1.1 200 OK"
    assert "connection" not in headers
    assert client.closed


async def test_http_1_0_may_keep_its_connection(gateway, client):
    gateway.answers(body=b"hi")

    response = await client.get("/", "Connection: keep-alive", version="1.0")

    assert b"Connection: keep-alive\r\n" in response
    assert not client.closed


async def test_who_asks_for_the_end_of_the_connection_gets_it(gateway, client):
    gateway.answers(body=b"hi")

    assert b"Connection: close\r\n" in await client.get("/", "Connection: close")
    assert client.closed


async def test_head_has_the_length_and_not_the_body(gateway, client):
    gateway.answers(body=b"hello")

    _, headers, body = split(await client.get(method="HEAD"))

    assert (headers["content-length"], body) == ("5", b"")


async def test_head_keeps_the_length_that_the_program_gave(gateway, client):
    gateway.answers(headers=[("Content-Length", "1234")])

    assert split(await client.get(method="HEAD"))[1]["content-length"] == "1234"


@pytest.mark.parametrize(("status", "length"), [(204, None), (304, None), (205, "0")])
async def test_statuses_without_a_body_have_none(gateway, client, status, length):
    gateway.answers(status=status, body=b"surplus")

    _, headers, body = split(await client.get())

    assert (headers.get("content-length"), body) == (length, b"")
    assert not client.closed


async def test_a_streamed_reply_is_chunked_and_credited(gateway, client):
    gateway.answers(stream=4)
    response = await client.get()
    assert b"Transfer-Encoding: chunked\r\n" in response

    client.received = b""
    await gateway.host.say(BodyChunk(4, b"abc"))
    assert client.received == b"3\r\nabc\r\n"
    assert await gateway.host.said(BodyCredit) == [BodyCredit(4, 3)]
    await gateway.host.say(BodyEnd(4))

    assert client.received.endswith(b"0\r\n\r\n")
    assert not client.closed


async def test_a_streamed_reply_with_a_length_is_not_chunked(gateway, client):
    gateway.answers(headers=[("Content-Length", "3")], stream=4)
    response = await client.get()
    assert b"Content-Length: 3\r\n" in response
    assert b"chunked" not in response

    await gateway.host.say(BodyChunk(4, b"abc"), BodyEnd(4))

    assert client.received.endswith(b"\r\n\r\nabc")
    assert not client.closed


async def test_a_streamed_reply_shorter_than_its_length_ends_the_connection(gateway, client):
    gateway.answers(headers=[("Content-Length", "5")], stream=4)
    await client.get()

    await gateway.host.say(BodyChunk(4, b"abc"), BodyEnd(4))

    assert client.closed


async def test_a_streamed_reply_that_breaks_off_never_looks_complete(gateway, client):
    gateway.answers(stream=4)
    await client.get()

    await gateway.host.say(BodyChunk(4, b"abc"), BodyEnd(4, "ValueError: broke"))

    assert client.closed
    assert not client.received.endswith(b"0\r\n\r\n")


async def test_a_streamed_reply_to_http_1_0_ends_with_the_connection(gateway, client):
    gateway.answers(stream=4)
    await client.get(version="1.0")

    await gateway.host.say(BodyChunk(4, b"abc"), BodyEnd(4))

    assert client.received.endswith(b"\r\n\r\nabc")
    assert client.closed
    assert not client.aborted


async def test_a_streamed_reply_to_http_1_0_that_breaks_off_is_reset(gateway, client):
    gateway.answers(stream=4)
    await client.get(version="1.0")

    await gateway.host.say(BodyChunk(4, b"abc"), BodyEnd(4, "broke"))

    assert client.aborted


async def test_head_does_not_want_a_streamed_body(gateway, client):
    gateway.answers(stream=4)

    _, _, body = split(await client.get(method="HEAD"))

    assert body == b""
    assert await gateway.host.said(BodyCredit) == [BodyCredit(4, 0)]
    assert not client.closed


async def test_a_client_that_leaves_cancels_its_request(gateway, client):
    await client.get("/slow")
    client.close()

    assert await gateway.host.said(Cancel) == [Cancel(1)]
    assert [event.status for event in gateway.events] == [499]


async def test_a_client_that_leaves_stops_the_stream_it_was_reading(gateway, client):
    gateway.answers(stream=4)
    await client.get()
    client.close()

    assert await gateway.host.said(BodyCredit) == [BodyCredit(4, 0)]


async def test_a_client_that_leaves_in_the_middle_of_its_body_ends_it_for_the_host(gateway, client):
    await client.send("PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.close()

    assert await gateway.host.said(Cancel) == [Cancel(1)]
    [end] = await gateway.host.said(BodyEnd)
    assert end.error != ""


# --- failures ---------------------------------------------------------------------------------------------------------
async def test_an_exception_of_the_program_is_shown_and_reported(gateway, client):
    report = ErrorReport("ValueError", "boo", label='ChatRoom "general"', method="fetch")
    gateway.host.answer = lambda message: gateway.host.say_nowait(Failed(message.id, 0, report, 500, ROOM))

    status, headers, body = split(await client.get("/x?token=1", "Accept: application/json"))

    assert status == "HTTP/1.1 500 Internal Server Error"
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert json.loads(body)["error"]["message"] == "boo"
    assert gateway.events == [
        UserCodeFailed(report, "GET", "/x", "ChatRoom", "general", ROOM.id),
        RequestServed("GET", "/x", 500, 0.0, "ChatRoom", "general", ROOM.id),
    ]
    assert not client.closed


async def test_an_overloaded_object_says_when_to_come_back(gateway, client):
    report = ErrorReport("OverloadedError", "too many", flags=["overloaded"])
    gateway.host.answer = lambda message: gateway.host.say_nowait(Failed(message.id, 0, report, 503))

    status, headers, _ = split(await client.get())

    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([("X", "a\r\nSet-Cookie: evil=1")], "The value of header 'X' contains the control character '\\r'"),
        ([("X", "\u20ac")], "which is not a latin-1 character"),
        ([("X Y", "1")], "'X Y' is not a valid header name."),
    ],
)
async def test_a_header_that_cannot_be_sent_is_a_clear_error_and_injects_nothing(gateway, client, headers, message):
    gateway.answers(headers=headers, body=b"secret")

    response = await client.get()

    assert response.startswith(b"HTTP/1.1 500 ")
    assert message in response.decode()
    assert b"\r\nSet-Cookie" not in response
    assert b"secret" not in response
    assert not client.closed


async def test_a_bad_header_on_a_streamed_reply_stops_the_stream(gateway, client):
    gateway.answers(headers=[("X", "\n")], stream=4)

    assert (await client.get()).startswith(b"HTTP/1.1 500 ")
    assert await gateway.host.said(BodyCredit) == [BodyCredit(4, 0)]
    assert gateway.host.link.statistics().bodies == 0


@pytest.mark.parametrize("status", [0, 99, 100, 199, 600, 1000])
async def test_a_status_that_http_does_not_have_is_a_clear_error(gateway, client, status):
    gateway.answers(status=status)

    response = await client.get()

    assert response.startswith(b"HTTP/1.1 500 ")
    assert f"The status of a response is between 200 and 599, not {status}.".encode() in response


async def test_a_dead_host_is_said_to_whoever_waited(gateway, client):
    await client.get("/slow", "Accept: application/json")
    client.received = b""
    gateway.host.link.lost()
    await gateway.settle()

    status, headers, body = split(client.received)
    assert (status, headers["retry-after"]) == ("HTTP/1.1 503 Service Unavailable", "1")
    assert json.loads(body)["error"] == {
        "code": "host_crashed",
        "message": "The process that ran this object ended before it answered.",
    }


async def test_a_request_cut_off_by_a_reload_is_told_so(gateway, client):
    await client.get("/slow")
    gateway.host.link.lost(reloading=True)
    await gateway.settle()

    assert client.received.endswith(b"reloading: The program was reloaded before this request was answered.\n")


async def test_a_held_request_is_served_after_the_reload(gateway, client):
    gateway.answers(body=b"new")
    gateway.router.hold()
    assert await client.get() == b""

    gateway.router.release()
    await gateway.settle()

    assert client.received.endswith(b"new")


async def test_a_program_that_never_loaded_is_shown_to_every_request(gateway, client):
    gateway.router.detach(gateway.host.link)
    gateway.router.refuse(ErrorReport("SyntaxError", "invalid syntax"))

    response = await client.get("/", "Accept: text/html")

    assert response.startswith(b"HTTP/1.1 500 ")
    assert b"<h1>invalid syntax</h1>" in response


async def test_a_bug_of_ours_is_answered_and_reported(gateway, client):
    gateway.host.answer = lambda message: gateway.host.say_nowait(CallReply(message.id, 0, b""))

    response = await client.get()

    assert response.startswith(b"HTTP/1.1 500 ")
    assert response.endswith(b"gateway_fault: This is a bug in the emulator; its log has the traceback.\n")
    assert "TypeError: a host answered an HTTP request with CallReply" in gateway.events[0].traceback


async def test_a_bug_of_ours_after_the_answer_ends_the_connection(gateway, client):
    gateway.answers(body=b"ok", served_by=ROOM)
    gateway.front._class_names = None

    assert (await client.get()).endswith(b"ok")
    assert client.closed
    assert "AttributeError" in gateway.events[0].traceback


async def test_statistics_count_what_became_of_requests(gateway, client):
    gateway.host.answer = lambda message: gateway.host.say_nowait(Failed(message.id, 0, ErrorReport("E", ""), 500))
    await client.get()
    await client.send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")

    assert gateway.front.statistics() == HttpStatistics(served=1, failed=1, refused=1)


# --- who may speak ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("named", ["rebind.example", "[::1", "a/b?c#d", "localhost.evil"])
async def test_a_foreign_host_is_refused_in_plain_text_before_anything_else(gateway, client, named):
    response = await client.send(f"GET /__durable/status HTTP/1.1\r\nHost: {named}\r\nAccept: text/html\r\n\r\n")

    status, headers, body = split(response)
    assert status == "HTTP/1.1 403 Forbidden"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert body == (
        b"forbidden: This Host is not served here; names other than localhost are listed in [dev] allowed_hosts.\n"
    )
    assert gateway.events == [RequestRefused("host", named, None)]
    assert await gateway.requests() == []


async def test_http_1_0_without_a_host_is_refused(client):
    assert (await client.send("GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 403 Forbidden\r\n")


async def test_an_absolute_target_of_another_host_is_refused(gateway, client):
    assert (await client.get("http://evil.example/")).startswith(b"HTTP/1.1 403 ")
    assert await gateway.requests() == []


async def test_a_listed_host_is_served(gateway, client):
    gateway.answers(body=b"ok")

    response = await client.send("GET / HTTP/1.1\r\nHost: dev.example\r\n\r\n")

    assert response.endswith(b"ok")


@pytest.mark.parametrize("path", ["/__durable", "/__durable/status", "/__durable?x"])
async def test_our_own_paths_never_reach_the_worker(gateway, client, path):
    assert b"admin /__durable" in await client.get(path)
    assert await gateway.requests() == []


async def test_a_path_that_only_begins_like_ours_is_the_workers(gateway, client):
    gateway.answers(body=b"worker")

    assert (await client.get("/__durables")).endswith(b"worker")


async def test_pages_of_another_origin_do_not_reach_our_own_paths(gateway, client):
    response = await client.get("/__durable/status", "Origin: http://localhost:3000")

    assert response.startswith(b"HTTP/1.1 403 ")
    assert gateway.events == [RequestRefused("origin", "localhost:8787", "http://localhost:3000")]


SOCKET_REQUEST = ("Upgrade: websocket", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Key: x")


async def test_an_upgrade_goes_to_the_worker_and_its_socket_to_the_sockets(gateway, client):
    gateway.answers(status=101, socket=31, served_by=ROOM)

    response = await client.get("/", *SOCKET_REQUEST, "Origin: http://localhost:3000")

    [request] = await gateway.requests()
    assert request.upgrade
    assert ("upgrade", "websocket") in request.headers
    assert gateway.connected == [(31, gateway.host.link)]
    assert response.endswith(b"connected")
    assert gateway.events == [RequestServed("GET", "/", 101, 0.0, "ChatRoom", "general", ROOM.id)]


async def test_a_handshake_that_the_sockets_refuse_is_answered_as_they_say(gateway, client):
    gateway.answers(status=101, socket=31)

    response = await client.get("/", "Upgrade: websocket", "Connection: Upgrade")

    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert response.endswith(b"Handshake error")
    assert gateway.events == []


async def test_an_upgrade_from_a_foreign_page_is_refused(gateway, client):
    response = await client.get("/", *SOCKET_REQUEST, "Origin: https://evil.example")

    assert response.startswith(b"HTTP/1.1 403 ")
    assert await gateway.requests() == []


async def test_a_request_for_h2c_is_an_ordinary_one(gateway, client):
    gateway.answers(body=b"ok")

    response = await client.get("/", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AA")

    assert response.endswith(b"ok")
    [request] = await gateway.requests()
    assert not request.upgrade
    assert {"upgrade", "connection", "http2-settings"}.isdisjoint(dict(request.headers))


async def test_a_refused_upgrade_is_answered_like_any_request(gateway, client):
    gateway.answers(status=426, body=b"no")

    response = await client.get("/", *SOCKET_REQUEST)

    assert response.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"\r\n\r\nno" in await client.get()


async def test_a_socket_for_a_client_that_asked_for_none_is_given_back(gateway, client):
    unclaimed: list[HttpReply] = []
    gateway.host.link.unclaimed = unclaimed.append
    gateway.answers(status=101, socket=31)

    response = await client.get()

    assert b"The response has status 101, but the client did not ask for a WebSocket." in response
    assert [reply.socket for reply in unclaimed] == [31]


async def test_status_101_without_a_socket_says_how_to_hand_one_over(gateway, client):
    gateway.answers(status=101)

    assert b"Response(None, status=101, web_socket=client)" in await client.get("/", *SOCKET_REQUEST)

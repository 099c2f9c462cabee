"""The gateway's listening half as a whole: real TCP clients on one side, a scripted host on a real channel."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys

import pytest

from durable.errors import UserInputError
from durable.gateway.events import BoundBeyondLoopback, Event, MalformedRequest, RequestServed
from durable.gateway.server import GatewayServer
from durable.limits import MIB
from durable.wire.messages import HttpReply
from tests.integration.scripted_gateway import ScriptedGateway, wait_until


@pytest.fixture
async def running():
    gateway = await ScriptedGateway().start()
    yield gateway
    await gateway.stop()


async def nobody(_request):
    raise AssertionError("no request is expected here")


async def curl(*arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--max-time", "20", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output


async def test_curl_gets_an_answer(running):
    assert await curl(running.url + "/hello") == b"hello"
    [served] = [event for event in running.events if isinstance(event, RequestServed)]
    assert (served.method, served.path, served.status) == ("GET", "/hello", 200)
    assert served.duration_ms > 0


async def test_localhost_is_served_under_both_protocols_and_nowhere_else(running):
    listening = {connection.local for connection in listeners(running.port)}

    assert "127.0.0.1" in listening
    assert listening <= {"127.0.0.1", "::1"}
    assert await curl(f"http://localhost:{running.port}/hello") == b"hello"


async def test_a_large_upload_streams_through_and_back(running, tmp_path):
    data = os.urandom(5 * MIB + 17)
    (tmp_path / "data").write_bytes(data)

    echoed = await curl("-T", str(tmp_path / "data"), running.url + "/echo")

    assert echoed == data


async def test_a_chunked_upload_of_unknown_length_streams(running, tmp_path):
    data = os.urandom(3 * MIB)
    (tmp_path / "data").write_bytes(data)

    size = await curl("-H", "Transfer-Encoding: chunked", "-T", str(tmp_path / "data"), running.url + "/count")

    assert int(size) == len(data)


async def test_curls_100_continue_is_answered_at_once(running):
    body = "x" * 2000

    echoed = await curl("-H", "Expect: 100-continue", "--expect100-timeout", "15", "-d", body, running.url + "/echo")

    assert echoed == body.encode()


async def test_a_reader_that_does_not_read_holds_its_source_back(running):
    reader, writer = await running.connect()
    writer.write(f"GET /endless HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
    await wait_until(lambda: running.host.sent_bytes > 0)
    sent = -1
    while sent != running.host.sent_bytes:
        sent = running.host.sent_bytes
        await asyncio.sleep(0.2)

    # What is under way fits into the windows and the kernel's buffers; it does not grow with what the source has.
    assert sent < 16 * MIB
    for _ in range(50):
        await reader.read(MIB)
    await wait_until(lambda: running.host.sent_bytes > sent)
    writer.close()
    await wait_until(lambda: running.host._refused)


async def test_a_client_that_leaves_cancels_at_the_host(running):
    _, writer = await running.connect()
    writer.write(f"GET /never HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
    await wait_until(lambda: running.host.seen)

    writer.close()

    await wait_until(lambda: running.host.cancelled == [1])
    await wait_until(lambda: [e.status for e in running.events if isinstance(e, RequestServed)] == [499])


async def test_a_host_that_dies_in_the_middle_of_a_body_cuts_the_response_short(running):
    reader, writer = await running.connect()
    writer.write(f"GET /endless HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")

    running.host.channel.close()
    running.link.lost()

    rest = await asyncio.wait_for(reader.read(), 10)
    assert not rest.endswith(b"0\r\n\r\n")
    writer.close()


async def test_malformed_requests_are_refused_and_reported_in_one_line(running, caplog):
    for _ in range(5):
        reader, writer = await running.connect()
        writer.write(b"\x1b[31mGET / HTTP/9.9\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.0 400 Bad Request\r\n")
        writer.close()

    reports = [event for event in running.events if isinstance(event, MalformedRequest)]
    assert len(reports) == 1
    assert reports[0].text.isprintable()
    assert caplog.records == []


async def test_a_bad_chunk_ends_the_body_and_the_connection_at_once(running):
    # aiohttp's parser in C tells nobody who reads the body; waiting for the bound of a slow one would hang the test.
    reader, writer = await running.connect()
    writer.write(b"POST /count HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await wait_until(lambda: running.host.seen)

    writer.write(b"zz\r\nGET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close\r\n" in answer
    assert [request.url.rpartition("/")[2] for request in running.host.seen] == ["count"]
    writer.close()


async def test_a_taken_port_is_named_with_its_holder_and_another_to_try():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        server = GatewayServer(nobody, "127.0.0.1", port, on_event=print)

        with pytest.raises(UserInputError) as caught:
            await server.start()

    assert caught.value.fix == f"durable dev --port {port + 1}"
    if sys.platform == "linux":
        assert str(caught.value).startswith(f"Port {port} is already in use by pid {os.getpid()} (")
    else:
        assert str(caught.value) == f"Port {port} is already in use."


async def test_an_address_of_another_machine_is_refused_clearly():
    server = GatewayServer(nobody, "192.0.2.1", 0, on_event=print)

    with pytest.raises(UserInputError, match=r"192\.0\.2\.1 is not an address of this machine"):
        await server.start()


async def test_listening_beyond_this_machine_is_reported():
    events: list[Event] = []
    server = GatewayServer(nobody, "0.0.0.0", 0, on_event=events.append)
    port = await server.start()
    await server.stop()
    await server.stop()

    assert events == [BoundBeyondLoopback("0.0.0.0", port)]


async def test_a_stop_lets_running_requests_finish(running):
    reader, writer = await running.connect()
    writer.write(f"GET /never HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n\r\n".encode())
    await wait_until(lambda: running.host.seen)

    stopping = asyncio.ensure_future(running.server.stop())
    await asyncio.sleep(0.05)
    running.host.channel.send(HttpReply(1, 0, 200, "", [], b"finished"))
    await stopping

    assert (await reader.read()).endswith(b"finished")
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await running.connect()


async def test_forgotten_tasks_complain_to_nobody(running):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    for path in ("endless", "never", "echo"):
        _, writer = await running.connect()
        head = f"POST /{path} HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + b"3\r\nabc\r\n")
        await asyncio.sleep(0.02)
        writer.transport.abort()
    await wait_until(lambda: not running.link.statistics().pending)
    await asyncio.sleep(0.05)

    assert complaints == []
    assert running.link.statistics().bodies == 0


def listeners(port: int):
    """What the kernel says listens on a port, from a program that is not ours."""
    output = subprocess.run(
        [sys.executable, "-c", LISTENERS, str(port)], capture_output=True, text=True, check=True
    ).stdout
    return [type("Listener", (), {"local": address})() for address in json.loads(output)]


LISTENERS = """
import ipaddress, json, sys
found = []
for table, width in (("/proc/net/tcp", 8), ("/proc/net/tcp6", 32)):
    for line in open(table).read().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        address, port = local.split(":")
        if state == "0A" and int(port, 16) == int(sys.argv[1]):
            words = [bytes.fromhex(address[i:i + 8])[::-1] for i in range(0, width, 8)]
            found.append(str(ipaddress.ip_address(b"".join(words))))
print(json.dumps(found))
"""

from __future__ import annotations

import errno
import logging

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from durable.clock import ManualClock
from durable.gateway.events import Event, GatewayFault, MalformedRequest
from durable.gateway.port_holder import port_holder
from durable.gateway.server import GatewayServer, ServerStatistics, _MalformedRequests


async def nobody(_request):
    raise AssertionError("no request is expected here")


def record(error):
    return logging.LogRecord(
        "x", logging.ERROR, "", 0, "Error handling request", (), (type(error), error, error.__traceback__)
    )


def test_malformed_requests_are_one_escaped_line_and_not_too_many():
    clock = ManualClock()
    events: list[Event] = []
    handler = _MalformedRequests(events.append, clock)

    for _ in range(3):
        handler.emit(record(BadHttpMessage("\x1b[2J\r\nINFO forged line " + "x" * 500)))
    clock.advance(1.0)
    handler.emit(record(BadHttpMessage("again")))

    first, second = events
    assert isinstance(first, MalformedRequest)
    assert isinstance(second, MalformedRequest)
    assert first.text.startswith("400, message:\\n  \\x1b[2J\\r\\n  INFO forged line xxx")
    assert len(first.text) == 160
    assert first.text.isascii()
    assert first.text.isprintable()
    assert (first.unreported, second.unreported) == (0, 2)


def test_what_is_no_malformed_request_is_a_fault_of_ours():
    events: list[Event] = []
    _MalformedRequests(events.append, ManualClock()).emit(record(ZeroDivisionError("ours")))

    [fault] = events
    assert isinstance(fault, GatewayFault)
    assert fault.traceback == "ZeroDivisionError: ours\n"


@pytest.mark.parametrize(
    ("number", "message", "fix"),
    [
        (errno.EACCES, "Port 80 may not be opened by this user; ports below 1024 need", "durable dev --port 8787"),
        (errno.EADDRNOTAVAIL, "192.0.2.1 is not an address of this machine.", "durable dev --ip 127.0.0.1"),
        (errno.ENOBUFS, "Cannot listen on 192.0.2.1:80: No buffer space", "durable dev --ip 127.0.0.1 --port 8787"),
    ],
)
def test_why_it_cannot_listen_is_said_with_the_next_thing_to_type(number, message, fix):
    server = GatewayServer(nobody, "192.0.2.1", 80, on_event=print)

    error = server._explained(OSError(number, "x"))

    assert str(error).startswith(message)
    assert error.fix == fix
    assert server.statistics() == ServerStatistics(connections=0, requests=0)


@pytest.fixture
def proc(tmp_path):
    """A /proc in which process 4711 listens on port 8787 and 12 on another."""
    header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "  0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(
        header
        + row.format(port=8788, state="0A", inode=1)
        + row.format(port=8787, state="01", inode=2)
        + row.format(port=8787, state="0A", inode=3)
    )
    for pid, name, inode in ((12, "other", 1), (13, "connected", 2), (4711, "python3", 3)):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "comm").write_text(name + "\n")
        (tmp_path / str(pid) / "fd" / "7").symlink_to(f"socket:[{inode}]")
    (tmp_path / "self").mkdir()
    return tmp_path


def test_the_holder_of_a_port_is_named(proc):
    assert port_holder(8787, proc) == "pid 4711 (python3)"


def test_a_holder_that_cannot_be_seen_is_not_invented(proc):
    assert port_holder(9999, proc) == ""
    (proc / "4711" / "fd" / "7").unlink()
    assert port_holder(8787, proc) == ""


def test_a_machine_without_proc_knows_nobody(tmp_path):
    assert port_holder(8787, tmp_path / "missing") == ""

"""Sockets that a worker holds, with the test as the gateway: what goes over the wire, and what is left behind."""

from __future__ import annotations

from typing import Any

import pytest

from durable.wire import messages as wire

PROGRAM = """
import sys
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

class Thing(DurableObject):
    pass

class Default(WorkerEntrypoint):
    def fetch(self, request):
        client, server = WebSocketPair()
        server.serialize_attachment({"heard": 0})
        server.accept(allow_half_open="half-open" in request.url)

        async def message(event):
            if event.data == "exit":
                sys.exit(3)
            attached = server.deserialize_attachment()
            attached["heard"] += 1
            server.serialize_attachment(attached)
            server.send(f"{event.data} {attached['heard']}")

        server.add_event_listener("message", message)
        server.add_event_listener("close", lambda event: server.send("behind the close"))
        return Response(None, status=101, web_socket=client)
"""


async def connect(gateway: Any, path: str = "/") -> int:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch(path, upgrade=True)
    assert isinstance(reply, wire.HttpReply)
    return reply.socket


async def say(gateway: Any, message: Any) -> None:
    gateway.send(message)
    await gateway.until(lambda: any(message.event in done.events for done in gateway.of(wire.Done)))


def said(gateway: Any) -> list[str]:
    return [message.text for message in gateway.of(wire.SocketSend)]


async def test_it_is_accepted_as_nobodys_before_the_reply_and_its_events_are_begun_and_done(gateway: Any) -> None:
    socket = await connect(gateway)
    accepted, reply = gateway.of(wire.SocketAccepted, wire.HttpReply)
    assert accepted == wire.SocketAccepted(socket, wire.WORKER, [], False)
    assert reply.socket == socket
    await say(gateway, wire.SocketMessage(7, socket, "hello", None))
    await say(gateway, wire.SocketMessage(8, socket, "again", None))
    assert said(gateway) == ["hello 1", "again 2"]
    assert gateway.of(wire.Begun, wire.Done) == [wire.Begun([7]), wire.Done([7]), wire.Begun([8]), wire.Done([8])]
    assert gateway.host.registry.actors == []


async def test_a_listener_that_exits_is_logged_and_ends_nothing(gateway: Any) -> None:
    socket = await connect(gateway)
    await say(gateway, wire.SocketMessage(1, socket, "exit", None))
    (log,) = gateway.of(wire.Log)
    assert (log.error.type, log.error.message, log.error.method, log.label) == (
        "SystemExit", "3", "message listener", "Default",
    )  # fmt: skip
    await say(gateway, wire.SocketMessage(2, socket, "still", None))
    assert said(gateway) == ["still 1"]


@pytest.mark.parametrize(("code", "answer"), [(4000, 4000), (1005, 1000)])
async def test_a_clients_close_is_answered_and_the_socket_forgotten(gateway: Any, code: int, answer: int) -> None:
    socket = await connect(gateway)
    await say(gateway, wire.SocketClosed(1, socket, code, "", True))
    assert gateway.of(wire.SocketClose) == [wire.SocketClose(socket, answer, "")]
    assert gateway.host.held.statistics() == 0
    assert said(gateway) == []


async def test_a_client_that_vanishes_is_forgotten_without_an_answer(gateway: Any) -> None:
    socket = await connect(gateway)
    await say(gateway, wire.SocketClosed(1, socket, 1006, "", False))
    assert gateway.of(wire.SocketClose) == []
    assert gateway.host.held.statistics() == 0


async def test_a_half_open_end_that_is_not_closed_in_time_is_dropped(
    gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = await connect(gateway, "/half-open")
    monkeypatch.setattr("durable.host.held_sockets.SOCKET_CLOSE_ANSWER_SECONDS_MAX", 0)
    await say(gateway, wire.SocketClosed(1, socket, 4000, "", True))
    assert said(gateway) == ["behind the close"]
    await gateway.until(lambda: gateway.of(wire.SocketClose))
    assert gateway.of(wire.SocketClose) == [wire.SocketClose(socket, 1006, "")]
    assert gateway.host.held.statistics() == 0


async def test_one_socket_too_many_is_refused_with_the_number(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await connect(gateway)
    monkeypatch.setattr("durable.host.held_sockets.WORKER_SOCKETS_MAX", 1)
    reply = await gateway.fetch("/", upgrade=True)
    assert isinstance(reply, wire.Failed)
    assert (reply.error.type, reply.status) == ("OverloadedError", 503)
    assert reply.error.message == "the workers of one process can hold 1 WebSockets, all are in use"
    assert len(gateway.of(wire.SocketAccepted)) == 1

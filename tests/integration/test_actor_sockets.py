"""Web sockets of one actor: accepting, tags, attachments, events, closing, hibernation."""

from __future__ import annotations

from typing import Any

import pytest

from durable import values
from durable.errors import DurableError
from durable.wire import messages as wire
from durable.wire.messages import ActorKey

PROGRAM = """
import asyncio
from durable import DurableObject, Response, WebSocketPair, WebSocketRequestResponsePair, WorkerEntrypoint

class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.log = []

    def fetch(self, request):
        client, server = WebSocketPair()
        path = request.url.split("/")[3:]
        if path[0] == "memory":
            server.accept()
            server.add_event_listener("message", lambda event: server.send("heard " + event.data))
            server.add_event_listener("close", lambda event: self.log.append(["closed", event.code]))
        elif path[0] != "unaccepted":
            self.ctx.accept_web_socket(server, path[1:])
            server.serialize_attachment({"tags": path[1:]})
            server.send("welcome")
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws, message):
        if message == "raise":
            raise ValueError("bad message")
        if message == "write":
            await self.ctx.storage.put("n", 1)
        if message == "broadcast":
            for other in self.ctx.get_web_sockets():
                other.send("to all")
            return
        if message == "bye":
            return ws.close(4001, "bye")
        if message == "hang":
            self.log.append("hanging")
            await asyncio.Event().wait()
        self.log.append(message)
        attached = ws.deserialize_attachment()
        attached["last"] = message
        ws.serialize_attachment(attached)
        ws.send(message)

    def web_socket_close(self, ws, code, reason):
        self.log.append([code, reason, ws.ready_state, len(self.ctx.get_web_sockets())])

    def web_socket_error(self, ws, error):
        self.log.append([type(error).__name__, str(error)])

    def look(self):
        return list(self.log)

    def tags(self, tag=None):
        return [self.ctx.get_tags(ws) for ws in self.ctx.get_web_sockets(tag)]

    def attachments(self):
        return [ws.deserialize_attachment() for ws in self.ctx.get_web_sockets("x")]

    def same_objects(self):
        return [a is b for a, b in zip(self.ctx.get_web_sockets(), self.ctx.get_web_sockets())]

    def attach_before_accepting(self):
        client, server = WebSocketPair()
        server.serialize_attachment("x" * 20_000)
        self.ctx.accept_web_socket(server)

    def send(self, kind):
        ws = self.ctx.get_web_sockets()[0]
        ws.send({"surrogate": "half \\ud800", "large": "x" * (32 * 1024 * 1024 + 1), "number": 5}[kind])

    def many_tags(self, count):
        self.ctx.accept_web_socket(WebSocketPair().server, [str(n) for n in range(count)])

    def set_auto(self, request=None, response=None):
        pair = None if request is None else WebSocketRequestResponsePair(request, response)
        self.ctx.set_web_socket_auto_response(pair)

    def get_auto(self):
        pair = self.ctx.get_web_socket_auto_response()
        return None if pair is None else [pair.request, pair.response]

    async def from_a_thread(self):
        return await asyncio.to_thread(self.ctx.get_web_sockets()[0].send, "x")

    def abort(self):
        self.ctx.abort("enough")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.THINGS.get_by_name("a").fetch(request)
"""


async def connect(gateway: Any, *tags: str) -> int:
    reply = await gateway.fetch("/" + "/".join(["hibernate", *tags]), upgrade=True)
    assert (reply.status, reply.served_by) == (101, gateway.key())
    socket: int = reply.socket
    return socket


async def say(gateway: Any, event: int, socket: int, text: str) -> None:
    gateway.send(wire.SocketMessage(event, socket, text, None))
    await gateway.until(lambda: any(event in done.events for done in gateway.of(wire.Done)))


def sent_to(gateway: Any, socket: int) -> list[str | bytes]:
    return [
        message.text if message.text is not None else message.binary
        for message in gateway.of(wire.SocketSend)
        if socket in message.sockets
    ]


async def test_accepting_comes_first_then_what_was_sent_then_the_clients_end(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway, "x", "y", "x")
    about = [type(m) for m in gateway.of(wire.SocketAccepted, wire.SocketAttachment, wire.SocketSend, wire.HttpReply)]
    assert about == [wire.SocketAccepted, wire.SocketAttachment, wire.SocketSend, wire.HttpReply]
    [accepted] = gateway.of(wire.SocketAccepted)
    assert (accepted.socket, accepted.actor, accepted.tags, accepted.hibernatable) == (
        socket,
        gateway.key(),
        ["x", "y"],
        True,
    )


async def test_an_event_is_begun_before_it_runs_and_done_with_the_epoch_of_its_writes(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    await say(gateway, 7, socket, "write")
    order = [m for m in gateway.of(wire.Begun, wire.SocketSend, wire.Done) if getattr(m, "text", "") != "welcome"]
    assert [type(m) for m in order] == [wire.Begun, wire.SocketSend, wire.Done]
    assert order[0].events == [7]
    assert order[1].epoch == order[2].epoch > 0


async def test_a_broadcast_is_one_message_for_all_sockets(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    sockets = [await connect(gateway) for _ in range(3)]
    await say(gateway, 1, sockets[0], "broadcast")
    assert gateway.of(wire.SocketSend)[-1] == wire.SocketSend(sockets[::-1], "to all", None, 0)


async def test_sockets_are_listed_newest_first_and_by_tag_oldest_first(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    for n in "123":
        await connect(gateway, n, "odd" if n != "2" else "even")
    assert await gateway.call("tags") == [["3", "odd"], ["2", "even"], ["1", "odd"]]
    assert await gateway.call("tags", "odd") == [["1", "odd"], ["3", "odd"]]
    assert await gateway.call("tags", "none") == []
    assert await gateway.call("same_objects") == [True, True, True]


async def test_a_handler_that_raises_is_logged_and_the_socket_goes_on(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    await say(gateway, 1, socket, "raise")
    [log] = gateway.of(wire.Log)
    assert (log.error.message, log.error.method, log.label) == ("bad message", "web_socket_message", 'Thing "a"')
    await say(gateway, 2, socket, "still")
    assert sent_to(gateway, socket) == ["welcome", "still"]


async def test_a_clients_close_is_answered_with_its_code_and_the_socket_is_gone(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    gateway.send(wire.SocketClosed(1, socket, 4000, "done", True))
    await gateway.until(lambda: gateway.of(wire.Done))
    assert gateway.of(wire.SocketClose) == [wire.SocketClose(socket, 4000, "done", 0)]
    assert await gateway.call("look") == [[4000, "done", 2, 1]]
    assert await gateway.call("tags") == []


@pytest.mark.parametrize(("code", "answer"), [(1005, [1000]), (1006, []), (1004, [1000]), (1001, [1001])])
async def test_a_close_code_that_may_not_be_sent_is_answered_with_one_that_may(
    gateway: Any, code: int, answer: list[int]
) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    gateway.send(wire.SocketClosed(1, socket, code, "", code != 1006))
    await gateway.until(lambda: gateway.of(wire.Done))
    assert [message.code for message in gateway.of(wire.SocketClose)] == answer
    assert await gateway.call("tags") == []


async def test_a_close_that_the_actor_began_is_not_answered_a_second_time(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    await say(gateway, 1, socket, "bye")
    gateway.send(wire.SocketClosed(2, socket, 4001, "bye", True))
    await gateway.until(lambda: len(gateway.of(wire.Done)) == 2)
    assert gateway.of(wire.SocketClose) == [wire.SocketClose(socket, 4001, "bye", 0)]
    assert await gateway.call("look") == [[4001, "bye", 3, 1]]


async def test_a_protocol_error_reaches_its_handler_and_ends_the_socket(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    gateway.send(wire.SocketFailed(1, socket, "not a frame"))
    await gateway.until(lambda: gateway.of(wire.Done))
    assert await gateway.call("look") == [["ConnectionError", "not a frame"]]
    assert gateway.of(wire.SocketClose) == []
    assert await gateway.call("tags") == []


async def test_an_event_of_a_socket_that_nobody_knows_is_finished_at_once(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    gateway.send(wire.SocketMessage(3, 99, "x", None))
    await gateway.until(lambda: gateway.of(wire.Done))
    assert gateway.of(wire.Begun, wire.Done) == [wire.Begun([3]), wire.Done([3])]
    assert gateway.host.registry.actors == []


async def test_an_evicted_actor_finds_its_sockets_tags_and_attachments_again(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway, "x")
    await say(gateway, 1, socket, "before")
    assert gateway.host.registry.evict(gateway.key().id)
    await say(gateway, 2, socket, "after")
    assert await gateway.call("look") == ["after"]
    assert await gateway.call("attachments") == [{"tags": ["x"], "last": "after"}]
    assert sent_to(gateway, socket) == ["welcome", "before", "after"]
    assert gateway.of(wire.SocketClose) == []


async def test_the_next_host_takes_sockets_over_from_the_gateway(gateway: Any) -> None:
    state = wire.SocketState(5, gateway.key(), ["x"], values.encode({"tags": ["x"]}), "chat", 1)
    attach = wire.Attach([state], [wire.AutoResponseState(gateway.key(), "ping", "pong")])
    await gateway.start(PROGRAM, attach=attach)
    await gateway.settled()
    assert gateway.host.registry.actors == []
    await say(gateway, 1, 5, "hello")
    assert await gateway.call("attachments") == [{"tags": ["x"], "last": "hello"}]
    assert await gateway.call("get_auto") == ["ping", "pong"]


async def test_a_reset_drops_the_sockets_and_the_auto_response(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    await gateway.call("set_auto", "ping", "pong")
    with pytest.raises(DurableError, match="enough"):
        await gateway.call("abort")
    assert gateway.of(wire.SocketClose) == [wire.SocketClose(socket, 1006, "", 0)]
    assert gateway.of(wire.SetAutoResponse)[-1] == wire.SetAutoResponse(gateway.key(), None, None, 0)
    assert await gateway.call("get_auto") is None
    assert await gateway.call("tags") == []


async def test_a_socket_accepted_in_memory_pins_its_actor_and_hears_events(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/memory", upgrade=True)
    assert gateway.of(wire.SocketAccepted)[0].hibernatable is False
    assert not gateway.host.registry.evict(gateway.key().id)
    await say(gateway, 1, reply.socket, "hello")
    assert sent_to(gateway, reply.socket) == ["heard hello"]
    gateway.send(wire.SocketClosed(2, reply.socket, 1001, "", True))
    await gateway.until(lambda: len(gateway.of(wire.Done)) == 2)
    assert await gateway.call("look") == [["closed", 1001]]
    assert gateway.host.registry.evict(gateway.key().id)


@pytest.mark.parametrize("name", [None, "a"])
async def test_a_socket_that_nobody_accepted_is_refused_with_the_line_to_add(gateway: Any, name: str | None) -> None:
    await gateway.start(PROGRAM)
    reply = await gateway.fetch("/unaccepted", upgrade=True, name=name)
    assert isinstance(reply, wire.Failed)
    assert reply.error.type == "TypeError"
    assert "call ctx.accept_web_socket(server) before returning the client's" in reply.error.message


async def test_an_attachment_that_is_too_large_is_refused_before_anything_is_accepted(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    with pytest.raises(DurableError, match="cannot be larger than 16384 bytes"):
        await gateway.call("attach_before_accepting")
    assert gateway.of(wire.SocketAccepted) == []
    assert await gateway.call("tags") == []


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("surrogate", ValueError, "must be valid Unicode; it has a lone surrogate at index 5"),
        ("large", ValueError, "at most 33554432 bytes, got 33554433"),
        ("number", TypeError, r"is str or bytes, got int; try json.dumps\(value\)"),
    ],
)
async def test_a_message_that_cannot_be_sent_is_refused_where_it_is_sent(
    gateway: Any, kind: str, error: type[Exception], message: str
) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    with pytest.raises(error, match=message):
        await gateway.call("send", kind)
    assert sent_to(gateway, socket) == ["welcome"]


async def test_a_socket_used_in_another_thread_says_how_to_do_it(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    await connect(gateway)
    with pytest.raises(
        DurableError, match=r"belong to the thread that runs the actor. Give asyncio.to_thread\(\) only"
    ):
        await gateway.call("from_a_thread")


async def test_too_many_tags_are_refused(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    await gateway.call("many_tags", 10)
    with pytest.raises(DurableError, match="cannot have more than 10 tags, got 11"):
        await gateway.call("many_tags", 11)


async def test_messages_interleave_only_where_their_handlers_wait(gateway: Any) -> None:
    await gateway.start(PROGRAM)
    socket = await connect(gateway)
    gateway.send(wire.SocketMessage(1, socket, "hang", None))
    await say(gateway, 2, socket, "next")
    assert await gateway.call("look") == ["hanging", "next"]
    assert gateway.of(wire.Begun) == [wire.Begun([1]), wire.Begun([2])]
    assert gateway.of(wire.Done) == [wire.Done([2])]


async def test_events_of_two_objects_do_not_mix(gateway: Any) -> None:
    other = ActorKey(gateway.key("b").namespace, gateway.key("b").id, "b")
    attach = wire.Attach([wire.SocketState(n, key, [], None) for n, key in ((1, gateway.key()), (2, other))], [])
    await gateway.start(PROGRAM, attach=attach)
    await say(gateway, 1, 2, "broadcast")
    assert sent_to(gateway, 1) == []
    assert sent_to(gateway, 2) == ["to all"]

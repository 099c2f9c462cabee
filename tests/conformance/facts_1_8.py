"""WebSockets as the platform's Python holds them: raw objects of JavaScript's, and where that shows."""

from __future__ import annotations

from typing import Any

import pytest

from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage

FACTS = Facts()


def accepted(thing: Any, platform: Any) -> Any:
    _, server = platform.WebSocketPair.new().object_values()
    thing.ctx.acceptWebSocket(server)
    return server


@FACTS.both_driven("1.8 text is sent as text, and what to_js makes of bytes as bytes")
async def send(stage: Stage, platform: Any) -> None:
    def part(thing: Any) -> None:
        ws = accepted(thing, platform)
        ws.send("text")
        ws.send(platform.to_js(b"abc"))
        ws.send(b"here, too")

    await stage.run(part)
    sent = [(m.text, m.binary) for m in stage.gateway.of(wire.SocketSend)]
    assert sent == [("text", None), (None, b"abc"), (None, b"here, too")]
    assert [m.text for m in stage.gateway.of(wire.Log)] == []


@FACTS.cloudflare('1.8 bytes that are no buffer are refused under portability = "error"', portability="error")
def send_bytes(thing: Any, platform: Any) -> None:
    ws = accepted(thing, platform)
    with pytest.raises(TypeError, match="socket-bytes") as caught:
        ws.send(b"abc")
    assert caught.value.kind == "socket-bytes"  # type: ignore[attr-defined]
    ws.send(platform.to_js(b"abc"))


@FACTS.both("1.8 an attachment is a text, or what to_js makes; it is read back as a copy, with attributes")
def attachment(thing: Any, platform: Any) -> None:
    ws = accepted(thing, platform)
    assert ws.deserializeAttachment() is platform.jsnull
    ws.serializeAttachment("anon")
    assert ws.deserializeAttachment() == "anon"
    ws.serializeAttachment(platform.to_js({"user": {"id": 7}}))
    found = ws.deserializeAttachment()
    assert found == {"user": {"id": 7}}
    assert ws.deserializeAttachment() is not found


@FACTS.cloudflare("1.8 its items are attributes")
def attributes(thing: Any, platform: Any) -> None:
    ws = accepted(thing, platform)
    ws.serializeAttachment(platform.to_js({"user": {"id": 7}}, dict_converter=platform.Object.fromEntries))
    assert ws.deserializeAttachment().user.id == 7


@FACTS.cloudflare('1.8 a plain dict is none under portability = "error"', portability="error")
def plain_attachment(thing: Any, platform: Any) -> None:
    ws = accepted(thing, platform)
    with pytest.raises(TypeError, match="socket-attachment"):
        ws.serializeAttachment({"a": 1})
    ws.serializeAttachment(platform.to_js({"a": 1}))


@FACTS.both("1.8 a socket is equal to itself in getWebSockets()")
def same(thing: Any, platform: Any) -> None:
    ws, other = accepted(thing, platform), accepted(thing, platform)
    assert ws == thing.ctx.getWebSockets()[1]
    assert ws != other


BINARY = """
class Thing(_Base, platform.DurableObject):
    async def webSocketMessage(self, ws, message):
        self.seen = message
"""


@FACTS.both_driven("1.8 a binary message is bytes", program=BINARY)
async def binary(stage: Stage, platform: Any) -> None:
    await stage.run(lambda thing: accepted(thing, platform) and None)
    number = stage.gateway.of(wire.SocketAccepted)[0].socket
    stage.gateway.send(wire.SocketMessage(1, number, None, b"abc"))

    def part(thing: Any) -> Any:
        buffer = thing.seen.to_bytes() if platform.is_cloudflare else thing.seen
        return [type(buffer), len(thing.seen), bytes(thing.seen)] == [bytes, 3, b"abc"]

    assert await stage.run(part)

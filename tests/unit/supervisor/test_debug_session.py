"""The one word that is ours in what an editor and debugpy say: come back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from durable.limits import DEBUG_MESSAGE_BYTES_MAX
from durable.supervisor.debug_session import DebugSession

ATTACH = {"seq": 1, "type": "request", "command": "attach", "arguments": {"restart": True}}
TERMINATED = {"seq": 9, "type": "event", "event": "terminated"}


def framed(*messages: dict[str, Any]) -> bytes:
    texts = [json.dumps(message).encode() for message in messages]
    return b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(text), text) for text in texts)


class Sink:
    """As much of a `StreamWriter` as the session uses."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        return


async def relayed(from_editor: bytes, from_debugpy: bytes, read: bytes = b"") -> tuple[bytes, bytes]:
    """What debugpy and the editor get; the editor speaks first."""
    editor, debugpy = asyncio.StreamReader(), asyncio.StreamReader()
    to_editor, to_debugpy = Sink(), Sink()
    editor.feed_data(from_editor)
    session = asyncio.ensure_future(
        DebugSession().relay(read, (editor, to_editor), (debugpy, to_debugpy))  # type: ignore[arg-type]
    )
    while len(to_debugpy.data) < len(from_editor):
        await asyncio.sleep(0)
    debugpy.feed_data(from_debugpy)
    debugpy.feed_eof()
    await session
    return to_debugpy.data, to_editor.data


def spoken(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while data:
        header, _, data = data.partition(b"\r\n\r\n")
        length = int(header.partition(b":")[2])
        found.append(json.loads(data[:length]))
        data = data[length:]
    return found


async def test_who_attached_with_restart_is_told_to_come_back() -> None:
    output = {"seq": 8, "type": "event", "event": "output", "body": {"output": 'he said "terminated"'}}
    to_debugpy, to_editor = await relayed(framed(ATTACH), framed(output, TERMINATED))
    assert spoken(to_debugpy) == [ATTACH]
    assert spoken(to_editor) == [output, TERMINATED | {"body": {"restart": True}}]


@pytest.mark.parametrize(
    "said",
    [
        (ATTACH | {"arguments": {}},),
        (ATTACH | {"arguments": None},),
        (ATTACH, {"seq": 2, "type": "request", "command": "disconnect"}),
        (ATTACH, {"seq": 2, "type": "request", "command": "terminate"}),
    ],
    ids=["no restart", "no arguments", "disconnect", "terminate"],
)
async def test_nobody_else_is(said: tuple[dict[str, Any], ...]) -> None:
    _, to_editor = await relayed(framed(*said), framed(TERMINATED))
    assert spoken(to_editor) == [TERMINATED]


async def test_what_is_no_message_of_ours_is_handed_on_to_the_byte() -> None:
    odd = b'Content-Length: 3\r\nX-More: 1\r\n\r\n"\xff"'
    _, to_editor = await relayed(framed(ATTACH), odd)
    assert to_editor == b'Content-Length: 3\r\n\r\n"\xff"'


@pytest.mark.parametrize("length", [b"0", b"-1", b"many", b"%d" % (DEBUG_MESSAGE_BYTES_MAX + 1)])
async def test_a_length_that_cannot_be_ends_the_session(length: bytes) -> None:
    _, to_editor = await relayed(framed(ATTACH), b"Content-Length: " + length + b"\r\n\r\n" + framed(TERMINATED))
    assert to_editor == b""

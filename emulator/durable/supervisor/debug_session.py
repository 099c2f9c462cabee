"""What an editor and debugpy say to each other, handed on; one word of it is ours.

debugpy ends the session with its process. An editor that attached with `"restart": true` is told to attach anew, as
debugpy itself tells it when it is the one that is connected to (Debug Adapter Protocol, event `terminated`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from durable.limits import DEBUG_MESSAGE_BYTES_MAX

_HEADER_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length"
_SHORT_BYTES: Final = 64 * 1024
"""Requests and events that concern us are far shorter; what is longer is handed on unread."""


class DebugSession:
    """One connection of an editor, from its first byte to the last."""

    def __init__(self) -> None:
        self._wants_restart = False

    async def relay(
        self,
        read: bytes,
        editor: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        debugpy: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Hand over messages each way until one side ends; `read` is what was taken of the editor's first one."""
        copies = [
            asyncio.ensure_future(_copy(editor[0], debugpy[1], self._from_editor, read)),
            asyncio.ensure_future(_copy(debugpy[0], editor[1], self._from_debugpy)),
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)

    def _from_editor(self, body: bytes) -> bytes:
        message = _parsed(body)
        match message.get("command"):
            case "attach":
                arguments: dict[str, Any] = message.get("arguments") or {}
                self._wants_restart = bool(arguments.get("restart"))
            case "disconnect" | "terminate":
                # Somebody pressed the button: it is to stay ended.
                self._wants_restart = False
            case _:
                pass
        return body

    def _from_debugpy(self, body: bytes) -> bytes:
        if not self._wants_restart or b'"terminated"' not in body:
            return body
        message = _parsed(body)
        if message.get("event") != "terminated":
            return body
        return msgspec.json.encode(message | {"body": {**(message.get("body") or {}), "restart": True}})


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes], read: bytes = b""
) -> None:
    while True:
        header, read = read + await reader.readuntil(_HEADER_END), b""
        length = _length(header)
        if not 0 < length <= DEBUG_MESSAGE_BYTES_MAX:
            return
        body = change(await reader.readexactly(length))
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()


def _length(header: bytes) -> int:
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == _LENGTH and value.strip().isdigit():
            return int(value)
    return 0


def _parsed(body: bytes) -> dict[str, Any]:
    if len(body) > _SHORT_BYTES:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}

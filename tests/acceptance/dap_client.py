"""An editor as debugpy meets it: enough of the Debug Adapter Protocol to attach, stop and go on.

https://microsoft.github.io/debug-adapter-protocol/specification
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tests.acceptance.running_dev import WAIT_SECONDS


class Editor:
    """One debug session over one connection; what is not waited for is kept for whoever waits later."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
        self._stream = self._socket.makefile("rb")
        self._sequence = 0
        self._kept: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Without this word debugpy takes a moment to see that the editor is gone, and refuses the next one meanwhile.
        with suppress(OSError, EOFError, AssertionError):
            self.ask("disconnect", terminateDebuggee=False)
        self._stream.close()
        self._socket.close()

    def attach(self, breakpoints: dict[str, list[int]], **configuration: Any) -> None:
        """As VS Code does with an "attach" configuration; `breakpoints` are lines by file."""
        self.ask("initialize", adapterID="debugpy", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        attached = self.send("attach", type="debugpy", request="attach", **configuration)
        self.wait_event("initialized")
        for file, lines in breakpoints.items():
            found = self.ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": line} for line in lines])
            assert [each["verified"] for each in found["breakpoints"]] == [True] * len(lines), found
        self.ask("configurationDone")
        self._wait(lambda message: message.get("request_seq") == attached)

    def send(self, command: str, **arguments: Any) -> int:
        self._sequence += 1
        request = {"seq": self._sequence, "type": "request", "command": command, "arguments": arguments}
        text = json.dumps(request).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
        return self._sequence

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The body of the answer."""
        number = self.send(command, **arguments)
        answer = self._wait(lambda message: message.get("request_seq") == number)
        return dict(answer.get("body") or {})

    def wait_event(self, name: str) -> dict[str, Any]:
        event = self._wait(lambda message: message["type"] == "event" and message["event"] == name)
        return dict(event.get("body") or {})

    def wait_stopped(self) -> tuple[int, str, int]:
        """The thread that stopped, and where: function and line."""
        thread = int(self.wait_event("stopped")["threadId"])
        top = self.ask("stackTrace", threadId=thread, startFrame=0, levels=1)["stackFrames"][0]
        return thread, top["name"], top["line"]

    def _wait(self, wanted: Any) -> dict[str, Any]:
        for message in self._kept:
            if wanted(message):
                self._kept.remove(message)
                return message
        while True:
            message = self._read()
            if wanted(message):
                return message
            self._kept.append(message)

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if not length:
            raise EOFError(f"the debugger hung up; it had said {self._kept}")
        message = dict(json.loads(self._stream.read(length)))
        assert message.get("success", True), message
        return message

"""Plays cases of the Autobahn testsuite against a WebSocket server that echoes, and prints what came of each as JSON.

    python -m tests.conformance.autobahn_client .autobahn ws://127.0.0.1:8787/ --cases '1.*' '7.9.*'
    {"1.1.1": ["OK", "OK", "Actual events match at least one expected."], ...}

`.autobahn` is what `make autobahn` fetches: the sdist of `autobahntestsuite` unpacked, and `site/` with the `autobahn`
library. The suite is written for Python 2, so its cases are translated as they are imported: a string that stands for
bytes is a Latin-1 string here, and becomes bytes where it meets the library, whose protocol speaks and judges.
"""

from __future__ import annotations

import argparse
import asyncio
import binascii
import builtins
import contextlib
import importlib
import importlib.abc
import importlib.util
import json
import re
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TOGETHER = 12
"""Cases played at the same time: most of their time is spent waiting for what must not happen."""
CASE_SECONDS_MAX = 240.0
TRANSLATIONS = (
    (r"(?m)^(\s*)print .*$", r"\1pass"),
    (r"\(object, Case, ?\)", "(Case,)"),  # that order of bases is no order any more
    (r"len\(self\.payload\) / ", "len(self.payload) // "),
    (r"(?m)^from case9_9_1 .*$", ""),  # in no list of cases; needs Twisted
    (r"(request|accept)NoContextTakeover", r"\1_no_context_takeover"),
    (r"(request|accept)MaxWindowBits", r"\1_max_window_bits"),
)


class Cases(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules of one folder by their bare names, translated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        known = (self.folder / f"{name}.py").is_file()
        return importlib.util.spec_from_loader(name, self) if known else None

    def exec_module(self, module: types.ModuleType) -> None:
        file = self.folder / f"{module.__name__}.py"
        source = file.read_text(encoding="latin-1")  # a string literal is bytes
        for pattern, replacement in TRANSLATIONS:
            source = re.sub(pattern, replacement, source)
        exec(compile(source, file, "exec"), module.__dict__)  # the suite's own code, fetched by whoever runs this


def as_bytes(data: str | bytes) -> bytes:
    return data.encode("latin-1") if isinstance(data, str) else data


def load_cases(suite: Path) -> list[Any]:
    """The classes of all cases, in the suite's order."""
    sys.path.insert(0, str(suite / "site"))
    folder = next(suite.glob("autobahntestsuite-*/autobahntestsuite"))
    resources: Any = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda _package, name: str(folder / name)
    sys.modules["pkg_resources"] = resources
    python: Any = builtins
    python.xrange, python.unichr = range, chr
    hexlify = binascii.b2a_hex
    binascii.b2a_hex = lambda data, *rest: hexlify(as_bytes(data), *rest).decode()  # type: ignore[assignment]
    validators = importlib.import_module("autobahn.websocket.utf8validator")
    validate = validators.Utf8Validator.validate
    with contextlib.suppress(TypeError):  # a compiled one cannot be patched, and takes strings by then
        validators.Utf8Validator.validate = lambda self, data: validate(self, as_bytes(data))
    sys.meta_path.insert(0, Cases(folder / "case"))
    importlib.import_module("case").Case.compare = lambda _self, one, other: one == other
    return list(importlib.import_module("__init__").Cases)


def number(case: Any) -> str:
    return str(case.__name__.removeprefix("Case").replace("_", "."))


def chosen(cases: Iterable[Any], patterns: list[str]) -> list[Any]:
    allowed = [re.compile(pattern.replace(".", r"\.").replace("*", ".*") + "$") for pattern in patterns]
    return [case for case in cases if any(pattern.match(number(case)) for pattern in allowed)]


def player() -> Any:
    """A client that does what a case says, and tells the case what it saw."""
    library: Any = importlib.import_module("autobahn.asyncio.websocket")

    class Player(library.WebSocketClientProtocol):
        createWirelog = False
        connectionWasOpen = False

        def prepare(self, kind: Any) -> None:
            self.over = asyncio.get_running_loop().create_future()
            self.rxFrameStats: dict[int, int] = {}
            self.txFrameStats: dict[int, int] = {}
            self.raw = hasattr(kind, "TESTDATA")
            self.run_case = kind(self)

        def enableWirelog(self, _on: bool) -> None: ...

        def logTxFrame(self, header: Any, *_rest: Any) -> None:
            self.txFrameStats[header.opcode] = self.txFrameStats.get(header.opcode, 0) + 1

        def logRxFrame(self, *_rest: Any) -> None: ...
        def logRxOctets(self, _data: bytes) -> None: ...
        def logTxOctets(self, _data: bytes, _sync: bool) -> None: ...

        # --- what a case does
        def later(self, seconds: float, act: Any) -> None:
            def unless_closed() -> None:
                if self.state != library.protocol.WebSocketProtocol.STATE_CLOSED:
                    act()

            asyncio.get_running_loop().call_later(seconds, unless_closed)

        def continueLater(self, seconds: float, act: Any, _tag: Any = None) -> None:
            self.later(seconds, act)

        def killAfter(self, seconds: float) -> None:
            self.later(seconds, self._fail_connection)

        def closeAfter(self, seconds: float) -> None:
            self.later(seconds, self.sendClose)

        def sendFrame(self, opcode: int, payload: Any = b"", **how: Any) -> None:
            super().sendFrame(opcode, as_bytes(payload), **how)

        def sendMessage(self, payload: Any, isBinary: bool = False, fragmentSize: Any = None, **how: Any) -> None:
            super().sendMessage(as_bytes(payload), isBinary, fragmentSize, **how)

        def sendMessageFrameData(self, payload: Any, sync: bool = False) -> Any:
            return super().sendMessageFrameData(as_bytes(payload), sync)

        def sendCloseFrame(self, code: Any = None, reasonUtf8: Any = None, isReply: bool = False) -> None:
            super().sendCloseFrame(code, None if reasonUtf8 is None else as_bytes(reasonUtf8), isReply)

        # --- what it is told
        def told(self, payload: bytes) -> Any:
            return payload if self.raw else payload.decode("latin-1")

        def onOpen(self) -> None:
            self.connectionWasOpen = True
            self.run_case.onOpen()

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            self.run_case.onMessage(self.told(payload), isBinary)

        def onPong(self, payload: bytes) -> None:
            self.run_case.onPong(self.told(payload))

        def onClose(self, wasClean: bool, code: Any, reason: Any) -> None:
            self.run_case.onClose(wasClean, code, reason)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.run_case.onConnectionLost(self.failedByMe)
            if not self.over.done():
                self.over.set_result(None)

    return library.WebSocketClientFactory, Player


async def play(case: Any, url: str, factories: Any) -> list[str]:
    factory_type, player_type = factories
    factory = factory_type(url, loop=asyncio.get_running_loop())
    factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=30, closeHandshakeTimeout=30)
    factory.logOctets = factory.logFrames = True
    protocol = player_type()
    protocol.factory = factory
    protocol.prepare(case)
    await asyncio.get_running_loop().create_connection(lambda: protocol, factory.host, factory.port)
    found = protocol.run_case
    try:
        await asyncio.wait_for(protocol.over, CASE_SECONDS_MAX)
    except TimeoutError:
        return ["FAILED", "FAILED", f"did not end within {CASE_SECONDS_MAX:g} seconds"]
    return [found.behavior, found.behaviorClose, f"{found.result} {found.resultClose}"]


async def play_all(cases: list[Any], url: str) -> dict[str, list[str]]:
    factories = player()
    turn = asyncio.Semaphore(TOGETHER)
    results: dict[str, list[str]] = {}

    async def one(case: Any) -> None:
        async with turn:
            results[number(case)] = await play(case, url, factories)

    await asyncio.gather(*(one(case) for case in cases))
    return {number(case): results[number(case)] for case in cases}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("suite", type=Path)
    parser.add_argument("url")
    parser.add_argument("--cases", nargs="+", default=["*"])
    parser.add_argument("--messages", type=int, help="of each case that sends many; the suite's own number is 1000")
    given = parser.parse_args()
    cases = chosen(load_cases(given.suite), given.cases)
    for case in cases:
        if given.messages and hasattr(case, "COUNT"):
            case.COUNT = given.messages
    print(json.dumps(asyncio.run(play_all(cases, given.url))))


if __name__ == "__main__":
    main()

"""Code that would not run on the platform, in a real host: told once per line, refused, or left alone."""

from __future__ import annotations

from typing import Any

import pytest

from durable.errors import PortabilityError
from durable.wire import messages as wire

IMPORTS = """
import asyncio
import threading
from datetime import UTC, date, datetime
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint
"""
PROGRAM = (
    IMPORTS
    + """
class Thing(DurableObject):
    async def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server, ["tag"])
        server.serialize_attachment({"a": 1})
        server.send(b"hello")
        return Response(None, status=101, web_socket=client)

    async def do(self, name):
        storage = self.ctx.storage
        if name == "put a tuple":
            await storage.put("k", (1, 2))
        elif name == "put several":
            await storage.put({"a": 1, "b": [bytearray(b"x")]})
        elif name == "put in kv":
            storage.kv.put("k", {1: "a"})
        elif name == "put in a transaction":
            await storage.transaction(lambda txn: txn.put("k", b"bytes"))
        elif name == "put a moment":
            await storage.put("k", datetime.now(UTC))
        elif name == "put a large int":
            await storage.put("k", 2**53)
        elif name == "put a date":
            await storage.put("k", date.today())
        elif name == "bind an int":
            storage.sql.exec("SELECT ?", 1)
        elif name == "start a thread":
            threading.Thread(target=int).start()
        elif name == "use a thread":
            await asyncio.to_thread(int)
        elif name == "call with keywords":
            await self.env.THINGS.get_by_name("other").take(1, a=2)
        elif name == "call with a tuple":
            await self.env.THINGS.get_by_name("other").take((1, 2), None)
        elif name == "nothing":
            await storage.put("k", [1, "a", {"b": None}, memoryview(b"m"), datetime(2026, 1, 1)])
            await self.env.THINGS.get_by_name("other").take(1, "a")
            storage.sql.exec("SELECT ?", "a")

    async def take(self, value, a):
        return a

    async def give(self):
        return (1, 2)

    def give_plainly(self):
        return (1, 2)
"""
)
CASES = {
    "put a tuple": ("value-tuple", "the value of 'k' is a tuple"),
    "put several": ("value-bytearray", "the value of 'b' holds a bytearray"),
    "put in kv": ("value-keys", "the value of 'k' holds a dict with a key of type int"),
    "put in a transaction": ("value-bytes", "the value of 'k' is bytes"),
    "put a moment": ("value-timezone", "the value of 'k' is a datetime with a time zone"),
    "put a large int": ("value-large-int", "the value of 'k' is an int beyond 2**53 - 1"),
    "put a date": ("value-type", "the value of 'k' is a date"),
    "bind an int": ("sql-int", "binding 1 is the int 1"),
    "start a thread": ("thread", "is started"),
    "use a thread": ("thread", "a function runs in a thread"),
    "call with keywords": ("rpc-kwargs", "take() is called with a="),
    "call with a tuple": ("value-tuple", "argument 1 of take() is a tuple"),
}


def line_of(text: str, program: str = PROGRAM) -> int:
    """The number of the line behind the one with this text."""
    return program[: program.index(text)].count("\n") + 2


def told(gateway: Any) -> list[tuple[str, str]]:
    """Text and label of every warning."""
    return [(log.text, log.label) for log in gateway.of(wire.Log) if log.level == "warning"]


# --- while it runs ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", CASES)
async def test_a_line_that_is_not_portable_is_told_once_with_its_object(gateway: Any, case: str) -> None:
    kind, words = CASES[case]
    await gateway.start(PROGRAM, portability="warn")
    await gateway.call("do", case)
    await gateway.call("do", case, name="b")

    (text, label), *others = told(gateway)
    assert others == []
    assert text.startswith(f"main.py:{line_of(repr(case)[1:-1])}: ")
    assert words in text
    assert text.endswith(f" docs/portability.md#{kind}")
    assert label == 'Thing "a"'


@pytest.mark.parametrize("case", CASES)
async def test_a_line_that_is_not_portable_is_refused_where_the_settings_say_so(gateway: Any, case: str) -> None:
    await gateway.start(PROGRAM, portability="error")

    with pytest.raises(PortabilityError) as caught:
        await gateway.call("do", case)
    assert caught.value.kind == CASES[case][0]
    assert told(gateway) == []


@pytest.mark.parametrize("setting", ["off", "auto"])
async def test_a_program_of_our_own_is_told_nothing(gateway: Any, setting: str) -> None:
    await gateway.start(PROGRAM, portability=setting)
    for case in CASES:
        await gateway.call("do", case)
    await gateway.call("give")

    assert told(gateway) == []


async def test_what_is_portable_is_not_told(gateway: Any) -> None:
    await gateway.start(PROGRAM, portability="warn")
    await gateway.call("do", "nothing")

    assert told(gateway) == []


@pytest.mark.parametrize("method", ["give", "give_plainly"])
async def test_a_result_is_told_at_the_method_that_returned_it(gateway: Any, method: str) -> None:
    await gateway.start(PROGRAM, portability="warn")
    for name in "ab":
        await gateway.call(method, name=name)

    (text, _), *others = told(gateway)
    assert others == []
    assert text.startswith(f"main.py:{line_of(f'def {method}(self)') - 1}: the result of {method}() is a tuple; ")


@pytest.mark.parametrize("method", ["give", "give_plainly"])
async def test_a_result_can_be_refused(gateway: Any, method: str) -> None:
    await gateway.start(PROGRAM, portability="error")

    with pytest.raises(PortabilityError, match="the result of give"):
        await gateway.call(method)


async def test_sockets_tell_of_bytes_of_tags_and_of_attachments(gateway: Any) -> None:
    await gateway.start(PROGRAM, portability="warn")
    await gateway.fetch(name="a")

    assert [text.rpartition("#")[2] for text, _ in told(gateway)] == [
        "socket-tags",
        "socket-attachment",
        "socket-bytes",
    ]


# --- the import ------------------------------------------------------------------------------------------------------
AT_IMPORT = (
    "import random\n"
    + IMPORTS
    + """
SEED = random.random()
threading.Thread(target=int).start()

class Thing(DurableObject):
    def hello(self):
        return self.env.THINGS.get_by_name("a").name
"""
)


async def test_the_import_is_told_with_its_lines(gateway: Any) -> None:
    await gateway.start(AT_IMPORT, portability="warn")

    assert [text.split(": ", 2)[:2] for text, _ in told(gateway)] == [
        [f"main.py:{line_of('SEED =', AT_IMPORT)}", told(gateway)[0][0].split(": ", 2)[1]],
        [f"main.py:{line_of('SEED =', AT_IMPORT) - 1}", told(gateway)[1][0].split(": ", 2)[1]],
    ]
    assert [text.rpartition("#")[2] for text, _ in told(gateway)] == ["thread", "import-random"]


@pytest.mark.parametrize("setting", ["off", "auto"])
async def test_the_import_of_a_program_of_our_own_is_told_nothing(gateway: Any, setting: str) -> None:
    await gateway.start(AT_IMPORT, portability=setting)

    assert told(gateway) == []


async def test_randomness_at_import_refuses_the_program_at_its_line(gateway: Any) -> None:
    program = AT_IMPORT.replace("threading.Thread(target=int).start()", "")
    await gateway.start(program, portability="error")

    (failed,) = gateway.of(wire.LoadFailed)
    gateway.channel.close()
    assert failed.error.type == "PortabilityError"
    assert failed.error.message.endswith("docs/portability.md#import-random")
    assert [(frame.file, frame.line) for frame in failed.error.frames if frame.user] == [
        (str(gateway.folder / "main.py"), line_of("SEED =", program) - 1)
    ]


# --- programs for the platform ---------------------------------------------------------------------------------------
FOR_PLATFORM = AT_IMPORT.replace("from durable import", "from workers import").replace("WebSocketPair, ", "")


async def test_a_program_for_the_platform_is_told_what_happened_and_what_its_source_shows(gateway: Any) -> None:
    await gateway.start(FOR_PLATFORM, portability="auto")

    assert [text.rpartition("#")[2] for text, _ in told(gateway)] == ["thread", "import-random", "snake-case"]


async def test_a_program_for_the_platform_is_told_nothing_where_it_is_off(gateway: Any) -> None:
    await gateway.start(FOR_PLATFORM, portability="off")

    assert told(gateway) == []

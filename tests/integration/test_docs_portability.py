"""docs/portability.md is true: every line marked `# told` is told with the kind of its section, and no other line is.

A block that holds a class or begins a module is a module of its own; any other is the inside of a method.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from durable.actor.portability import KINDS
from durable.wire.messages import LoadFailed, Log

DOCUMENT = (Path(__file__).parents[2] / "docs" / "portability.md").read_text("utf-8")
SECTIONS = re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)

HEADER = """\
import js
from workers import DurableObject


class Thing(DurableObject):
    def move(self, seat, to):
        return to

    async def example(self):
        ctx = self.ctx
        sql, room = ctx.storage.sql, self.env.THINGS.getByName("other")
        _, ws = js.WebSocketPair.new().object_values()
        ctx.acceptWebSocket(ws)
"""
MODULE = "from workers import DurableObject\n\n\nclass Thing(DurableObject):\n    pass\n\n\n"


class Example(NamedTuple):
    kind: str
    block: str

    @property
    def is_module(self) -> bool:
        return re.search(r"^class ", self.block, re.MULTILINE) is not None

    @property
    def program(self) -> str:
        if self.is_module:
            return MODULE + self.block.replace("class Seats(", "class Thing(")
        return HEADER + "".join(f"        {line}\n" for line in self.block.splitlines())

    def told(self) -> list[tuple[int, str]]:
        """Line and kind of everything that is marked."""
        lines = enumerate(self.program.splitlines(), 1)
        marks = [(number, re.search(r"  # told(?:: (\S+))?$", line)) for number, line in lines]
        return [(number, mark[1] or self.kind) for number, mark in marks if mark]


EXAMPLES = [
    Example(kind, block)
    for kind, text in SECTIONS
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]


def told(gateway: Any) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for log in gateway.of(Log):
        if log.level == "warning":
            place = re.match(r"main\.py:(\d+): ", log.text)
            assert place, log.text
            found.append((int(place[1]), log.text.rpartition(" docs/portability.md#")[2]))
    return found


async def run(gateway: Any, example: Example) -> None:
    if not example.is_module:
        await gateway.call("example")
    elif hasattr(gateway.host, "registry") and "def taken" in example.block:
        await gateway.call("taken")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
async def test_the_lines_that_are_marked_are_told_and_no_others(gateway: Any, example: Example) -> None:
    assert example.told(), "an example that shows nothing"
    await gateway.start(example.program, portability="auto")
    await run(gateway, example)

    assert sorted(told(gateway)) == example.told()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
async def test_the_first_of_them_is_refused_where_the_settings_say_so(gateway: Any, example: Example) -> None:
    await gateway.start(example.program, portability="error")
    refused: tuple[str, str]
    if failed := gateway.of(LoadFailed):
        refused = failed[0].error.type, failed[0].error.message
        gateway.channel.close()
    else:
        with pytest.raises(TypeError) as caught:
            await run(gateway, example)
        refused = type(caught.value).__name__, str(caught.value)

    assert refused[0] == "PortabilityError"
    assert refused[1].endswith(f"docs/portability.md#{example.told()[0][1]}")


def test_every_kind_has_its_section_with_an_example_and_every_section_its_kind() -> None:
    assert [kind for kind, _ in SECTIONS] == list(dict.fromkeys(kind for kind, _ in SECTIONS))
    assert {kind for kind, _ in SECTIONS} == set(KINDS)
    assert {example.kind for example in EXAMPLES} == set(KINDS)


def test_the_message_that_is_printed_is_the_one_that_is_told() -> None:
    printed = re.search(r"^src/entry\.py:12: (.*)$", DOCUMENT, re.MULTILINE)

    assert printed
    assert printed[1] == f"binding 1 is the bool True; {KINDS['sql-bool']}. docs/portability.md#sql-bool"

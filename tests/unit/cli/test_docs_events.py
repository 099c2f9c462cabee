"""The list of JSON lines in `docs/dev-loop.md` against the events that there are."""

from __future__ import annotations

import re
from pathlib import Path

from durable.gateway import events as gateway
from durable.gateway.events import Event
from durable.supervisor import events as supervisor
from durable_cli.text.events import JsonFormatter

SECTION = (
    (Path(__file__).parents[3] / "docs" / "dev-loop.md")
    .read_text(encoding="utf-8")
    .split("\n### JSON lines\n")[1]
    .split("\n## ")[0]
)
ROWS = {
    name: row
    for row in re.findall(r"^\| `.*$", SECTION, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", row.split(" | ")[0])
    if name != "event"  # the heading
}
OF_THE_COMMAND = {"starting", "ready", "left_out"}
SHARED = {"class_name", "object_name", "object_id"}


def kinds() -> dict[str, type[Event]]:
    """By the name in JSON, which is that of the class in snake_case."""
    return {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower(): kind
        for module in (gateway, supervisor)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    }


def test_every_event_stands_there_and_no_other() -> None:
    assert ROWS.keys() - OF_THE_COMMAND == kinds().keys()


def test_every_field_stands_there() -> None:
    missing = {
        f"{name}.{field}"
        for name, kind in kinds().items()
        for field in kind.__struct_fields__
        if field not in SHARED and f"`{field}`" not in ROWS[name]
    }
    assert missing == set()


def test_no_field_is_named_as_the_line_itself_is() -> None:
    for name, kind in kinds().items():
        assert not {"time", "event", "clock_offset_ms", "clock_frozen"} & set(kind.__struct_fields__), name
    assert '"event": "socket_gone"' in JsonFormatter().text(gateway.SocketGone("Room", "a", 1000))

"""What one client of `/__durable/tail` is sent, and that everything it may be sent can be read again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from durable.errors import ConfigError, UserInputError
from durable.gateway import events as gateway
from durable.gateway.event_lines import decode_line, encode_line, event_of
from durable.gateway.events import (
    AlarmFired,
    CronRan,
    Event,
    HostLog,
    ObjectWoke,
    Output,
    RequestServed,
    SocketOpened,
    UserCodeFailed,
)
from durable.gateway.tail import _FAILURES, Tail, Wanted, is_failure
from durable.limits import TAIL_EVENTS_PER_TICK_MAX, TAIL_WAITING_BYTES_MAX
from durable.supervisor import events as supervisor
from durable.wire.messages import ErrorReport, Frame

ROOM, OTHER = "a" * 64, "b" * 64
FRAME = Frame("/app/main.py", 3, "say", "boom()", user=True)
REPORT = ErrorReport("ValueError", "no", args=b"\x00\xff", frames=[FRAME], label='Room "a"', method="say")
SERVED = RequestServed("GET", "/a", 200, 1.5, "Room", "a", ROOM)


def made_line(kind: str, fields: Event | dict[str, object]) -> bytes:
    return encode_line(kind, 1_700_000_000_250, (5, False), fields)


def tail_of(**wanted: Any) -> Tail:
    return Tail(Wanted(**wanted), made_line)


def sent(tail: Tail) -> list[str]:
    return [json.loads(line)["event"] for line in tail.take().splitlines()]


# --- what is wanted ---------------------------------------------------------------------------------------------------
ABOUT_ROOM = [
    SERVED,
    SocketOpened("Room", "a", ROOM),
    AlarmFired("Room", "a", 0, "done", object_id=ROOM),
    Output("stdout", "hi", "Room", "a", ROOM),
    UserCodeFailed(REPORT, "GET", "/a", "Room", "a", ROOM),
    UserCodeFailed(REPORT, "", ""),
    HostLog("warning", "careful", 'Room "a"'),
    ObjectWoke("Room", "a", ROOM),
]
ABOUT_OTHERS = [
    RequestServed("GET", "/b", 200, 1.5, "Room", "b", OTHER),
    Output("stdout", "hi", "Room", "b", OTHER),
    HostLog("warning", "careful", 'Room "ab"'),
]
ABOUT_NOBODY = [RequestServed("GET", "/", 404, 1.5), Output("stdout", "hi"), HostLog("info", "hello", "main")]


@pytest.mark.parametrize("event", [*ABOUT_ROOM, *ABOUT_OTHERS, *ABOUT_NOBODY], ids=repr)
def test_an_object_and_a_class_have_their_own_events_only(event: Event) -> None:
    everything = Wanted(verbose=True)
    room = Wanted("Room", ROOM, 'Room "a"', verbose=True)
    whole_class = Wanted("Room", verbose=True)
    another_class = Wanted("Roo", verbose=True)
    assert everything(event)
    assert room(event) == (event in ABOUT_ROOM)
    assert whole_class(event) == (event in ABOUT_ROOM or event in ABOUT_OTHERS)
    assert not another_class(event)


def test_what_routine_brings_is_shown_to_the_verbose_only() -> None:
    assert not Wanted()(SocketOpened("Room", "a", ROOM))
    assert Wanted(verbose=True)(SocketOpened("Room", "a", ROOM))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (SERVED, False),
        (RequestServed("GET", "/a", 503, 1.5), True),
        (RequestServed("GET", "/a", 404, 1.5), False),
        (AlarmFired("Room", "a", 0, "failed"), True),
        (AlarmFired("Room", "a", 0, "done"), False),
        (CronRan("* * * * *", 0, "failed"), True),
        (HostLog("error", "x"), True),
        (HostLog("warning", "x"), False),
        (UserCodeFailed(REPORT, "", ""), True),
        (supervisor.HostDied(1, 0, "was killed"), True),
        (supervisor.ReloadFailed(REPORT, 1), True),
        (supervisor.Reloaded(2, 10.0), False),
        (Output("stderr", "ERROR: no"), False),
    ],
    ids=repr,
)
def test_failures_are_told_from_what_went_well(event: Event, expected: bool) -> None:
    assert is_failure(event) == expected
    assert Wanted(errors=True)(event) == expected


def test_every_failure_that_is_known_by_name_exists() -> None:
    assert {name for name in _FAILURES if hasattr(supervisor, name) or hasattr(gateway, name)} == _FAILURES


# --- bounds -----------------------------------------------------------------------------------------------------------
def test_a_tick_sends_its_first_events_and_counts_the_rest() -> None:
    tail = tail_of()
    for _ in range(TAIL_EVENTS_PER_TICK_MAX + 30):
        tail.add(SERVED)
    tail.add(Output("stdout", "still here"))
    *served, output, left_out = [json.loads(line) for line in tail.take().splitlines()]
    assert len(served) == TAIL_EVENTS_PER_TICK_MAX
    assert output["fields"]["text"] == "still here"
    assert (left_out["event"], left_out["fields"]) == ("LeftOut", {"RequestServed": 30})
    tail.add(SERVED)
    assert sent(tail) == ["RequestServed"]


def test_what_waits_for_a_client_that_does_not_read_is_bounded() -> None:
    tail = tail_of()
    line = Output("stdout", "x" * 60_000)
    for _ in range(1000):
        tail.add(line)
    data = tail.take()
    assert TAIL_WAITING_BYTES_MAX < len(data) < TAIL_WAITING_BYTES_MAX + 200_000
    left_out = json.loads(data.splitlines()[-1])
    assert left_out["fields"]["Output"] == 1000 - (len(data.splitlines()) - 1)


def test_the_end_is_told_last() -> None:
    tail = tail_of()
    tail.add(SERVED)
    tail.end()
    assert sent(tail) == ["RequestServed", "Stopped"]
    assert tail.has_news.is_set() is False


def test_what_is_not_wanted_wakes_nobody() -> None:
    tail = tail_of(class_name="Other")
    tail.add(SERVED)
    assert not tail.has_news.is_set()
    assert tail.take() == b""


# --- lines ------------------------------------------------------------------------------------------------------------
def every_event() -> list[type[Event]]:
    return [
        kind
        for module in (gateway, supervisor)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    ]


MADE: dict[str, Any] = {
    "ErrorReport": REPORT, "str": "x\x1b\n", "int": 7, "float": 1.5, "bool": True, "str | None": "a",
    "tuple[str, ...]": ("x", "y"), "tuple[UserInputError, ...]": (UserInputError("no", fix="yes"),),
    "tuple[tuple[str, str | None, int], ...]": (("Room", None, 3),), "tuple[Frame, ...]": (FRAME,), "Frame": FRAME,
    "list[Frame]": [FRAME], "int | None": 3, "Frame | None": FRAME, "list[str]": ["x"],
}  # fmt: skip


@pytest.mark.parametrize("kind", every_event())
def test_every_event_is_read_as_it_was_written(kind: type[Event]) -> None:
    event = kind(**{name: MADE[str(type_)] for name, type_ in kind.__annotations__.items() if "ClassVar" not in type_})
    line = decode_line(encode_line(kind.__name__, 12, (3, True), event))
    assert (line.at_ms, line.clock) == (12, (3, True))
    read = event_of(line)
    assert type(read) is kind
    if not hasattr(event, "errors"):  # exceptions have no equality
        assert read == event


def test_errors_of_the_configuration_keep_their_words() -> None:
    event = supervisor.ConfigRejected((UserInputError("no such class", fix="write it"),), 3)
    read = event_of(decode_line(encode_line("ConfigRejected", 0, (0, False), event)))
    assert isinstance(read, supervisor.ConfigRejected)
    assert [(str(error), error.fix) for error in read.errors] == [("no such class", "write it")]
    assert issubclass(ConfigError, UserInputError)


@pytest.mark.parametrize("line", [b'{"event": "Unheard", "at_ms": 1, "clock": [0, false]}'])
def test_an_event_of_another_version_is_none(line: bytes) -> None:
    assert event_of(decode_line(line)) is None

from __future__ import annotations

import json
from collections import Counter

import pytest

from durable.errors import ConfigError
from durable.gateway import events as gateway
from durable.supervisor import events as supervisor
from durable.wire.messages import ErrorReport, Frame
from durable_cli.console import Ink
from durable_cli.text.events import JsonFormatter, PrettyFormatter, duration

PLAIN = PrettyFormatter(Ink(False))
REPORT = ErrorReport("ValueError", "no", frames=[Frame("/p/main.py", 3, "f", "raise", True)], label='Room "a"')


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            gateway.RequestServed("GET", "/room/a", 200, 3.2, "ChatRoom", "a"),
            'GET /room/a 200 3 ms ChatRoom "a"',
        ),
        (gateway.RequestServed("GET", "/", 404, 0.42), "GET / 404 0.4 ms"),
        (gateway.RequestServed("POST", "/x", 500, 1234.0, "Room", None), "POST /x 500 1.2 s Room"),
        (gateway.SocketOpened("Room", "a"), 'socket opened Room "a"'),
        (gateway.SocketGone("Room", "a", 1001), 'socket closed 1001 Room "a"'),
        (gateway.AlarmFired("Room", "a", 0, "done", late_ms=99), 'alarm done Room "a"'),
        (gateway.AlarmFired("Room", "a", 0, "done", late_ms=3200), 'alarm done Room "a", 3.2 s late'),
        (gateway.AlarmFired("Room", "a", 0, "failed", 2, 3200), 'alarm failed Room "a", retry 2'),
        (gateway.ObjectWoke("Room", "a"), 'woke Room "a"'),
        (gateway.ObjectEvicted("Room", "a"), 'evicted Room "a"'),
        (gateway.ObjectEvicted("Room", "a", "ValueError: \x1b"), 'reset Room "a": ValueError: \\x1b'),
        (gateway.Output("stdout", "hi", "Room", "a", "ab"), 'Room "a" │ hi'),
        (gateway.Output("stderr", "hi", "Room", None, "0123456789"), "Room 01234567 │ hi"),
        (gateway.Output("stdout", "hi"), "│ hi"),
        (gateway.Output("stdout", ""), "│ "),
        (gateway.OutputLeftOut(12_000, "Room", "a"), '… 12 000 more lines of Room "a"'),
        (gateway.OutputLeftOut(1), "… 1 more line"),
        (gateway.OutputLeftOut(7, others=2), "… 7 more lines of 2 other objects"),
        (
            gateway.SocketEventsLost(2),
            "2 socket events were running when their host died; they are not delivered again",
        ),
        (
            gateway.AcceptedSocketsClosed((("Room", "a", 2), ("Room", None, 1))),
            'closed with 1012: 3 accepted sockets (2 of Room "a", 1 of Room); dev --keep-accepted keeps them',
        ),
        (
            gateway.AcceptedSocketsClosed(tuple(("Room", str(n), 1) for n in range(5))),
            'closed with 1012: 5 accepted sockets (1 of Room "0", 1 of Room "1", 1 of Room "2" and 2 more objects); '
            "dev --keep-accepted keeps them",
        ),
        (gateway.SocketsRebound(1, 0), "1 accepted socket was rebound to the new code"),
        (
            gateway.SocketsRebound(2, 1),
            "2 accepted sockets were rebound to the new code, 1 was not taken by it and closed with 1012",
        ),
        (gateway.SocketsDropped(1, 0), "--drop-sockets: 1 socket dropped"),
        (gateway.SocketsDropped(3, 2), "--drop-sockets: 3 sockets dropped, and 2 of their messages with them"),
        (
            gateway.RequestRefused("host", "evil", None),
            'refused a request for the host "evil": add it to allowed_hosts in [dev] if it is meant to reach you',
        ),
        (
            gateway.RequestRefused("origin", "127.0.0.1", "https://evil"),
            "refused a request from the page https://evil: add its host to allowed_hosts in [dev] if you trust it",
        ),
        (
            gateway.RequestRefused("token", "localhost", None, 2),
            "refused a request to /__durable: the token of the running emulator is missing or wrong "
            "(and 2 more since the last one that was reported)",
        ),
        (
            gateway.ObjectOverloaded("Room", "a", 8999),
            'Room "a" is overloaded: a request was answered 503 (and 8999 more since the last one that was reported)',
        ),
        (gateway.ObjectOverloaded("", None), "an object is overloaded: a request was answered 503"),
        (
            gateway.MalformedRequest("\x16\x03", 4),
            "not an HTTP request: \\x16\\x03 (and 4 more since the last one that was reported)",
        ),
        (
            gateway.BoundBeyondLoopback("0.0.0.0", 8787),
            "listening on 0.0.0.0:8787: other machines may reach this emulator, "
            "under the names in allowed_hosts in [dev]",
        ),
        (gateway.HostLog("warning", "slow", 'Room "a"'), 'Room "a": slow'),
        (supervisor.Reloaded(2, 41.0, ("main.py",)), "reloaded in 41 ms (main.py)"),
        (supervisor.Reloaded(2, 41.0, ("a", "b", "c", "d", "e")), "reloaded in 41 ms (a, b, c and 2 more)"),
        (supervisor.Reloaded(2, 41.0, (), ("old",)), "reloaded in 41 ms\nwarning: old"),
        (
            supervisor.HostDied(12, 0, "was killed by signal 9 (SIGKILL)"),
            "the host (pid 12) was killed by signal 9 (SIGKILL); starting another",
        ),
        (
            supervisor.ConstructionFailing('Room "a"', "ValueError", "boom", 3, 2.0),
            '3 more events met a constructor that fails, in 2 s: Room "a": ValueError: boom',
        ),
        (supervisor.HostRestarted(13, 0, 80.0), "a new host (pid 13) serves, after 80 ms"),
        (
            supervisor.HostRestarted(13, 0, 80.0, last_good=True),
            "a new host (pid 13) serves the last good code, not what is on the disk, after 80 ms",
        ),
        (supervisor.ConfigApplied(("durable.toml",)), "read again, and nothing to reload for: durable.toml"),
        (supervisor.RestartNeeded(("[dev] port",)), "changed, and takes effect at the next start: [dev] port"),
    ],
)
def test_every_event_has_its_line(event: gateway.Event, line: str) -> None:
    assert PLAIN.text(event) == line


def test_a_failure_shows_the_request_and_the_users_line() -> None:
    text = PLAIN.text(gateway.UserCodeFailed(REPORT, "GET", "/a"))
    assert text.splitlines()[:3] == ['error in Room "a", GET /a', "  ValueError: no", "  /p/main.py:3 in f"]


@pytest.mark.parametrize(
    ("serving", "line"),
    [(3, "  the last good code goes on serving"), (0, "  nothing serves yet; mend it and save")],
)
def test_a_failed_reload_says_what_goes_on_serving(serving: int, line: str) -> None:
    text = PLAIN.text(supervisor.ReloadFailed(REPORT, serving))
    assert text.splitlines()[-1] == line
    rejected = supervisor.ConfigRejected((ConfigError("bad", file="/p/durable.toml", line=1, column=1),), serving)
    assert PLAIN.text(rejected).splitlines() == ["error: /p/durable.toml:1:1: bad", line]


def test_a_bug_of_ours_shows_its_traceback_and_asks_for_a_report() -> None:
    text = PLAIN.text(gateway.GatewayFault("Traceback …\nKeyError: 'x'"))
    assert "KeyError: 'x'\nerror: bug in durable" in text
    assert "please report it" in text


def test_a_request_is_one_line_whatever_it_asked_for() -> None:
    hostile = gateway.RequestServed("GET\n", "/\x1b[2J\nGET /fake 200", 200, 1.0, "Room", "\x07\u202e" + "x" * 500)
    line = PLAIN.text(hostile)
    assert "\n" not in line
    assert line.isprintable()
    assert len(line) < 200


def test_quiet_leaves_out_what_went_well_and_verbose_adds_sockets() -> None:
    quiet, verbose = PrettyFormatter(Ink(False), quiet=True), PrettyFormatter(Ink(False), verbose=True)
    served, opened = gateway.RequestServed("GET", "/", 200, 1.0), gateway.SocketOpened("Room", "a")
    failed = gateway.UserCodeFailed(REPORT, "GET", "/a")
    assert [quiet.wanted(each) for each in (served, opened, failed)] == [False, False, True]
    assert [PLAIN.wanted(each) for each in (served, opened, failed)] == [True, False, True]
    assert [verbose.wanted(each) for each in (served, opened, failed)] == [True, True, True]
    woke, output = gateway.ObjectWoke("Room", "a"), gateway.Output("stdout", "x")
    assert [quiet.wanted(woke), PLAIN.wanted(woke), verbose.wanted(woke)] == [False, False, True]
    assert quiet.wanted(output)


def test_what_was_left_out_is_counted_by_kind() -> None:
    counts = Counter({"RequestServed": 1200, "UserCodeFailed": 2, "HostLog": 1})
    assert PLAIN.left_out(counts) == "… 1200 more requests\n… 2 more errors\n… 1 more lines"


def test_status_codes_have_their_colour() -> None:
    coloured = PrettyFormatter(Ink(True))
    assert "\x1b[32m200" in coloured.text(gateway.RequestServed("GET", "/", 200, 1.0))
    assert "\x1b[31m500" in coloured.text(gateway.RequestServed("GET", "/", 500, 1.0))


def test_json_lines_are_one_object_each() -> None:
    formatter = JsonFormatter(wall_seconds=lambda: 1_700_000_000.25)
    line = formatter.text(gateway.RequestServed("GET", "/\n\u202e", 200, 3.5, "Room", "a"))
    assert "\n" not in line
    assert line.isascii()
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "event": "request_served",
        "method": "GET",
        "path": "/\n\u202e",
        "status": 200,
        "duration_ms": 3.5,
        "class_name": "Room",
        "object_name": "a",
        "object_id": None,
    }


def test_json_lines_carry_reports_and_errors() -> None:
    formatter = JsonFormatter()
    failed = json.loads(formatter.text(gateway.UserCodeFailed(REPORT, "GET", "/a")))
    assert failed["event"] == "user_code_failed"
    assert failed["report"]["frames"] == [{"file": "/p/main.py", "line": 3, "function": "f", "user": True}]
    rejected = supervisor.ConfigRejected((ConfigError("bad", file="f", fix="good"),), 1)
    assert json.loads(formatter.text(rejected))["errors"] == [{"message": "f: bad", "fix": "good"}]
    left_out = json.loads(formatter.left_out(Counter({"RequestServed": 3})))
    assert left_out["counts"] == {"request_served": 3}


def every_event() -> list[type[gateway.Event]]:
    return [
        kind
        for module in (gateway, supervisor)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, gateway.Event) and kind is not gateway.Event
    ]


@pytest.mark.parametrize("kind", every_event())
def test_no_event_falls_through_to_its_repr(kind: type[gateway.Event]) -> None:
    made: dict[str, object] = {"report": REPORT} | dict.fromkeys(
        ("errors", "changed", "settings", "warnings", "objects", "frames"), ()
    )
    texts = dict.fromkeys(kind.__struct_fields__, "x")
    numbers = {name: 1 for name, type_ in kind.__annotations__.items() if str(type_) in ("int", "float")}
    event = kind(**{**texts, **numbers, **{name: made[name] for name in made if name in kind.__struct_fields__}})
    assert kind.__name__ not in PLAIN.text(event)


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0.04, "0.0 ms"), (0.96, "1.0 ms"), (1, "1 ms"), (999.4, "999 ms"), (1000, "1.0 s")]
)
def test_durations_are_short(milliseconds: float, text: str) -> None:
    assert duration(milliseconds) == text

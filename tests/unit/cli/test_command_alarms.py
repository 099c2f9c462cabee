"""`durable alarms` on files, and what it refuses; the running emulator is asked in the acceptance tests."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from durable.clock import ClockSetting
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase

FAR_MS = 4_000_000_000_000
"""2096: later than now."""


class Stored:
    def __init__(self, project: Path) -> None:
        self.layout = StateLayout(project / ".durable" / "state")
        with StateDatabase(self.layout.state_file) as state:
            self.key = state.namespaces(None)[0].key
        self.layout.ensure_namespace(self.key)
        index = NamespaceIndex(self.layout.index_file(self.key))
        index.put_many(
            [
                IndexRow(f"{number:064x}", name, 1, 1, due_ms)
                for number, (name, due_ms) in enumerate(
                    [("later", FAR_MS + 5), ("next\x1b", FAR_MS), ("none", None), (None, FAR_MS + 9), ("past", 1)]
                )
            ]
        )
        index.close()

    @property
    def clock(self) -> ClockSetting:
        with StateDatabase(self.layout.state_file) as state:
            return state.clock


@pytest.fixture
def stored(typed, project: Path) -> Stored:
    assert typed("migrate").code == 0
    return Stored(project)


def test_alarms_are_listed_the_next_one_first_and_nothing_else(typed, stored: Stored) -> None:
    result = typed("alarms", "list")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].split() == ["due", "in", "class", "name", "retries"]
    assert [line.split()[4] for line in lines[1:]] == ["past", r"next\x1b", "later", "--id"]
    assert lines[1].split()[2:] == ["now", "Counter", "past", "0"]
    assert typed("alarms").out == result.out


def test_the_list_as_json_and_cut_off(typed, stored: Stored) -> None:
    answer = json.loads(typed("alarms", "--json", "--limit", "2").out)
    assert [alarm["name"] for alarm in answer["alarms"]] == ["past", "next\x1b"]
    assert answer["alarms"][1] == {
        "class": "Counter", "name": "next\x1b", "id": f"{1:064x}", "due_ms": FAR_MS, "state": "stopped",
        "retry_count": 0,
    }  # fmt: skip
    assert (answer["truncated"], answer["offset_ms"], answer["frozen"]) == (True, 0, False)
    assert abs(answer["now_ms"] - time.time() * 1000) < 60_000
    assert "There are more than 2" in typed("alarms", "list", "--limit", "2").err


def test_the_clock_is_frozen_resumed_and_reset_on_the_files(typed, stored: Stored) -> None:
    frozen = json.loads(typed("alarms", "freeze", "--json").out)
    assert frozen["frozen"] is True
    assert stored.clock == ClockSetting(0, frozen["now_ms"])
    assert json.loads(typed("alarms", "list", "--json").out)["now_ms"] == frozen["now_ms"]
    assert "frozen; durable alarms reset" in typed("alarms", "list").err

    resumed = json.loads(typed("alarms", "resume", "--json").out)
    assert resumed["frozen"] is False
    assert stored.clock == ClockSetting(resumed["offset_ms"])

    result = typed("alarms", "reset")
    assert (result.code, result.out) == (0, "")
    assert result.err.endswith(", the machine's time\n")
    assert stored.clock == ClockSetting()


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("fire", "Counter", "later"), 2, "no emulator runs here, so no alarm can run"),
        (("advance", "1h"), 2, "no emulator runs here, so what falls due"),
        (("advance", "soon"), 2, '"soon" is not a duration'),
        (("advance", "90"), 2, '"90" has no unit'),
        (("advance", "--", "-1h"), 2, "not set back"),
        (("advance",), 2, "Missing argument 'DURATION'"),
        (("fire",), 2, "Missing argument 'CLASS'"),
        (("fire", "Counter"), 2, "which object? Its NAME is missing"),
        (("fire", "Counter", "a", "--id", "0"), 2, "either NAME or --id"),
        (("list", "--limit", "0"), 2, "--limit 0: between 1 and 10000"),
        (("list", "--limit", "many"), 2, "Invalid value for '--limit'"),
        (("--json", "freeze"), 2, "options go after the word: freeze"),
        (("thaw",), 2, "No such command 'thaw'"),
        (("freeze", "now"), 2, "Got unexpected extra argument"),
        (("list", "--config", "nowhere.toml"), 2, "nowhere.toml"),
    ],
)
def test_what_cannot_be_done_is_said(typed, stored: Stored, words: tuple[str, ...], code: int, what: str) -> None:
    result = typed("alarms", *words)
    assert (result.code, result.out) == (code, "")
    assert what in result.err
    assert "Traceback" not in result.err
    assert stored.clock == ClockSetting()


@pytest.mark.parametrize("word", ["list", "freeze", "resume", "reset"])
def test_where_nothing_ever_ran_nothing_is_made(typed, project: Path, word: str) -> None:
    result = typed("alarms", word)
    assert (result.code, result.out) == (3, "")
    assert "nothing is stored yet" in result.err
    assert not (project / ".durable").exists()


def test_without_any_alarm_it_says_so(typed, project: Path) -> None:
    typed("migrate")
    result = typed("alarms", "list")
    assert (result.code, result.out, result.err) == (0, "", "No alarm is set.\n")

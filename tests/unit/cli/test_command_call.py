"""The words of `durable call`, and how results are shown; calls themselves: tests/acceptance."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable.errors import UserInputError
from durable.storage.lock import StateLock
from durable_cli.commands.call import parse_words, result_text
from durable_cli.objects.calling import Arguments, parse_arguments
from durable_cli.objects.finding import Target


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], Arguments()),
        (["1", "-2.5", "true", "null"], Arguments([1, -2.5, True, None])),
        (['"text"', '[1, {"a": 2}]'], Arguments(["text", [1, {"a": 2}]])),
        (["1", "by=2", 'text="a=b"'], Arguments([1], {"by": 2, "text": "a=b"})),
        (['"a=b"', '{"x=": 1}'], Arguments(["a=b", {"x=": 1}])),
        ([f"[{2**63 - 1}, {-(2**63)}]"], Arguments([[2**63 - 1, -(2**63)]])),
        ([f"[{2**63}]", str(-(10**30))], Arguments([[{"$int": hex(2**63)}], {"$int": hex(-(10**30))}])),
    ],
)
def test_arguments_are_json_alone_or_behind_their_names(words: list[str], arguments: Arguments) -> None:
    assert parse_arguments(words) == arguments


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (["hello"], "not JSON: hello", """text stands in double quotes: '"hello"'"""),
        (["by=hello"], "not JSON: hello", """text stands in double quotes: '"hello"'"""),
        (["by="], "not JSON: ", """text stands in double quotes: '""'"""),
        (["NaN"], "not JSON: NaN", """text stands in double quotes: '"NaN"'"""),
        (["[" * 100_000], "not JSON: [", ""),
        (['"\\ud800"'], "not JSON: ", "double quotes"),
        (["by=1", "2"], "2 follows a named argument", "put what has no name first"),
        (["by=1", "by=2"], "by is given twice", "leave one of them out"),
    ],
)
def test_what_is_no_argument_is_refused_with_what_to_type(words: list[str], message: str, fix: str) -> None:
    with pytest.raises(UserInputError) as raised:
        parse_arguments(words)

    assert raised.value.message.startswith(message)
    assert fix in raised.value.fix


def test_the_first_word_is_the_name_unless_there_is_an_id() -> None:
    assert parse_words("Room", ["a", "say", "1"], None) == (Target("Room", name="a"), "say", ["1"])
    assert parse_words("Room", ["say", "1"], "ab") == (Target("Room", id="ab"), "say", ["1"])


@pytest.mark.parametrize(
    ("words", "identity", "message"),
    [
        ([], None, "which object? Its NAME is missing"),
        (["a"], None, "which method? It is missing"),
        ([], "ab", "which method? It is missing"),
    ],
)
def test_a_missing_word_is_named(words: list[str], identity: str | None, message: str) -> None:
    with pytest.raises(UserInputError) as raised:
        parse_words("Room", words, identity)

    assert (raised.value.message, raised.value.fix) == (message, "durable call CLASS NAME METHOD [JSON …]")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("two\nlines", "two\nlines"),
        ("\x1b[2J\u202e", "\\x1b[2J\\u202e"),
        ({"a": ["\x1b"]}, '{\n  "a": [\n    "\\u001b"\n  ]\n}'),
        ({"\x9b": "é\u202e"}, '{\n  "\\x9b": "é\\u202e"\n}'),
        (1.5, "1.5"),
        (False, "false"),
    ],
)
def test_a_result_is_shown_harmlessly(result: Any, text: str) -> None:
    assert result_text(result) == text


def test_without_state_nothing_is_started_and_no_folder_made(typed: Callable[..., Any], project: Path) -> None:
    result = typed("call", "Counter", "home", "increment")

    assert (result.code, result.out) == (3, "")
    assert "nothing is stored yet" in result.err
    assert not (project / ".durable").exists()


def test_a_lock_that_another_process_holds_ends_it_with_4_and_the_pid(
    typed: Callable[..., Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_cli.project.IN_USE_TRIES", 1)
    with StateLock.acquire(project / ".durable" / "state", what="a test"):
        result = typed("call", "Counter", "home", "increment")

    assert result.code == 4
    assert f"pid {os.getpid()} (a test" in result.err

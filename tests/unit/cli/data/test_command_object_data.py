"""`durable objects delete|copy|seed|reset` on files, and what all commands that move objects share."""

from __future__ import annotations

import datetime
import io
import json
import re
from pathlib import Path

import pytest

from durable.storage.lock import StateLock
from tests.unit.cli.data.stored_objects import FAR_MS, Stored


# --- delete -----------------------------------------------------------------------------------------------------------
def test_a_deleted_object_is_gone_and_the_command_that_is_shown_brings_it_back(objects, typed, stored: Stored) -> None:
    stored.make("home", n=1)
    stored.make("other")
    result = objects("delete", "Counter", "home", "--yes")

    assert result.out == ""
    assert result.err.startswith('Counter "home" is deleted\nto undo this: durable objects restore Counter home --at ')
    assert (set(stored.rows()), stored.files()) == ({"other"}, {stored.id_of("other")})
    assert typed("sql", "Counter", "home", "SELECT 1").code == 3

    undo = result.err.splitlines()[1].removeprefix("to undo this: durable ").split()
    assert typed(*undo).code == 0
    assert stored.keys("home") == {"n": 1, "name": "home"}
    assert stored.rows()["home"].alarm_ms == FAR_MS


def test_nothing_is_deleted_where_nobody_can_be_asked(typed, stored: Stored) -> None:
    stored.make("home")
    for words in (("delete", "Counter", "home"), ("delete", "Counter", "--all"), ("reset",), ("reset", "Counter")):
        result = typed("objects", *words)
        assert (result.code, result.out) == (2, "")
        assert "add --yes to do it without asking" in result.err
    assert set(stored.rows()) == {"home"}


@pytest.mark.parametrize(("answer", "left"), [("home\n", set()), ("yes\n", {"home"}), ("\n", {"home"})])
def test_on_a_terminal_the_name_is_asked_for(
    typed, stored: Stored, monkeypatch: pytest.MonkeyPatch, answer: str, left: set[str]
) -> None:
    monkeypatch.setattr("durable_cli.console.interactive", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    stored.make("home")
    result = typed("objects", "delete", "Counter", "home")
    assert 'Counter "home" will be deleted. Type home to do it' in result.err
    assert result.out == ""
    assert set(stored.rows()) == left
    assert result.code == (2 if left else 0)


def test_all_of_a_class_are_deleted(objects, stored: Stored) -> None:
    assert objects("delete", "Counter", "--all", "--yes").err == "0 objects of Counter deleted\n"
    for number in range(3):
        stored.make(f"n{number}")
    stored.make(None)
    assert json.loads(objects("delete", "COUNTERS", "--all", "--yes", "--json").out) == {"deleted": 4}
    assert (stored.rows(), stored.files()) == ({}, set())


# --- copy -------------------------------------------------------------------------------------------------------------
def test_a_copy_has_everything_and_goes_its_own_way(objects, typed, stored: Stored) -> None:
    stored.make("home", n={1, 2})
    assert objects("copy", "Counter", "home", "second").err == 'Counter "second" is a copy of Counter "home" (16 KiB)\n'
    assert stored.keys("second") == stored.keys("home")
    assert stored.rows()["second"].alarm_ms == FAR_MS

    typed("sql", "Counter", "second", "--write", "INSERT INTO t VALUES (2, 'x')")
    result = typed("objects", "copy", "Counter", "home", "second")
    assert (result.code, 'Counter "second" exists' in result.err) == (2, True)
    undo = objects("copy", "Counter", "home", "second", "--replace").err
    assert "to undo this: durable objects restore Counter second --at " in undo
    assert objects("diff", "Counter", "home", "second").err == "no differences\n"


# --- seed and reset ---------------------------------------------------------------------------------------------------
SEED = """\
{"class": "Counter", "name": "home", "kv": {"n": 1, "raw": {"$bytes": "AP8="}}, "sql": "CREATE TABLE t (a)"}

{"class": "COUNTERS", "name": "soon", "sql": ["CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"], "alarm": "in 10m"}
"""


def test_a_seed_makes_objects_and_does_so_again(objects, typed, stored: Stored, project: Path) -> None:
    (project / "seed.jsonl").write_text(SEED)
    assert objects("seed", "seed.jsonl").err == "2 made, 0 replaced\n"
    assert stored.keys("home") == {"n": 1, "raw": b"\x00\xff"}
    assert stored.rows()["soon"].alarm_ms is not None

    typed("sql", "Counter", "home", "--write", "INSERT INTO t VALUES ('x')")
    result = typed("objects", "seed", "seed.jsonl")
    assert (result.code, 'seed.jsonl:1: Counter "home" exists' in result.err) == (2, True)
    assert objects("seed", "seed.jsonl", "--replace").err == "0 made, 2 replaced\n"
    assert typed("sql", "Counter", "home", "SELECT * FROM t", "--json").out == "[]\n"


def test_a_seed_may_be_toml(objects, stored: Stored, project: Path) -> None:
    (project / "seed.toml").write_text(
        '[[objects]]\nclass = "Counter"\nname = "home"\nalarm = 2090-01-31T12:00:00Z\nkv = {day = 2026-01-31}\n'
    )
    objects("seed", "seed.toml")
    assert stored.keys("home") == {"day": datetime.date(2026, 1, 31)}
    assert stored.rows()["home"].alarm_ms == 3_789_547_200_000


WRONG_SEEDS = [
    ("[]", "seed.jsonl:1: not an object of a seed"),
    ('{"class": "Counter"}', "seed.jsonl:1: not an object of a seed"),
    ('{"class": "Counter", "name": "a", "tables": {}}', 'seed.jsonl:1: "tables" means nothing here'),
    ('{"class": "Counter", "name": "a", "kv": {"n": {"$cake": 1}}}', "seed.jsonl:1: "),
    ('{"class": "Counter", "name": "a", "alarm": "soon"}', "seed.jsonl:1: the alarm 'soon' is no moment"),
    ('{"class": "Counter", "name": "a", "sql": ["PRAGMA writable_schema=ON"]}', "seed.jsonl:1: "),
    ('{"class": "Counter", "name": "a"}\n{"class": "Counter", "name": "a"}', 'seed.jsonl:2: Counter "a" stands there'),
]


@pytest.mark.parametrize(("content", "sentence"), WRONG_SEEDS)
def test_a_wrong_seed_changes_nothing(typed, stored: Stored, project: Path, content: str, sentence: str) -> None:
    (project / "seed.jsonl").write_text(content)
    result = typed("objects", "seed", "seed.jsonl")
    assert (result.code, result.out) == (2, "")
    assert sentence in result.err
    assert stored.rows() == {}


def test_a_reset_deletes_everything_and_can_be_undone(objects, stored: Stored) -> None:
    assert objects("reset", "--yes").err == "Counter had no objects\n"
    for number in range(3):
        stored.make(f"n{number}", n=number)
    told = objects("reset", "--yes").err.splitlines()
    assert told[0] == "3 objects of Counter deleted"
    assert stored.rows() == {}

    objects(*told[1].removeprefix("to undo this: durable objects ").split())
    assert set(stored.rows()) == {"n0", "n1", "n2"}
    assert stored.keys("n0") == {"n": 0, "name": "n0"}


# --- wrong input ------------------------------------------------------------------------------------------------------
WRONG = [
    (("delete", "Counter", "nobody", "--yes"), 3, 'no such object: Counter "nobody"'),
    (("delete", "Nothing", "a", "--yes"), 3, 'there is no class or binding "Nothing"'),
    (("delete", "Counter"), 2, "which object? Its NAME is missing"),
    (("delete", "Counter", "a", "--all"), 2, "either one object is deleted, or all of them are"),
    (("delete", "Counter", "--id", "xyz", "--yes"), 2, "64 hex digits"),
    (("copy", "Counter", "nobody", "new"), 3, 'no such object: Counter "nobody"'),
    (("copy", "Counter", "home", "home"), 2, "cannot be copied to its own name"),
    (("export", "Counter", "nobody", "-o", "x.jsonl"), 3, 'no such object: Counter "nobody"'),
    (("export", "Counter", "home", "--format", "xml"), 2, "there are sqlite, sql, jsonl"),
    (("export", "Counter", "home", "-o", "no/such/folder.sql"), 2, "there is no folder"),
    (("export", "Counter", "--format", "sql"), 2, "which need a folder"),
    (("import", "Counter", "a", "b", "c"), 2, "3 words after the class"),
    (("snapshot",), 2, "Its CLASS is missing"),
    (("snapshot", "Counter", "nobody"), 3, 'no such object: Counter "nobody"'),
    (("snapshot", "Counter", "home", "--label", "../x"), 2, "cannot be the name of a folder"),
    (("snapshot", "Counter", "home", "--list"), 2, "--list takes no object"),
    (("restore", "Counter", "home", "--snapshot", "none"), 3, 'Counter has no snapshot "none"'),
    (("restore", "Counter", "home", "--snapshot", "../../x"), 3, "Counter has no snapshot"),
    (("diff", "Counter", "home"), 2, "compare it with what?"),
    (("diff", "Counter", "home", "nobody"), 3, 'no such object: Counter "nobody"'),
    (("diff", "Counter", "home", "--snapshot", "none"), 3, "has no snapshot"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_wrong_input_is_refused_and_makes_nothing(
    typed, stored: Stored, project: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    stored.make("home")
    result = typed("objects", *words)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err
    assert "Traceback" not in result.err
    assert (set(stored.rows()), stored.files()) == ({"home"}, {stored.id_of("home")})
    assert {path.name for path in project.iterdir()} == {"durable.toml", "main.py", ".durable"}


def test_another_process_that_holds_the_state_is_named(typed, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_cli.project.IN_USE_PAUSE_SECONDS", 0.0)
    stored.make("home")
    lock = StateLock.acquire(stored.layout.state, what="a test")
    try:
        for words in (("delete", "Counter", "home", "--yes"), ("export", "Counter", "home"), ("reset", "--yes"),
                      ("snapshot", "Counter"), ("copy", "Counter", "home", "b")):  # fmt: skip
            result = typed("objects", *words)
            assert result.code == 4
            assert "pid " in result.err
    finally:
        lock.release()


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "-dash", "é 漢", "../../etc", "'; DROP TABLE t; --"])
def test_hostile_names_are_shown_harmlessly_and_work(objects, stored: Stored, name: str) -> None:
    stored.make(name, n=1)
    said = [
        objects("snapshot", "--label", "a", "--", "Counter", name),
        objects("copy", "--", "Counter", name, f"{name}2"),
        objects("diff", "--", "Counter", name, f"{name}2"),
        objects("export", "-o", "file.jsonl", "--", "Counter", name),
        objects("import", "--replace", "--", "Counter", f"{name}2", "file.jsonl"),
        objects("restore", "--snapshot", "a", "--", "Counter", name),
        objects("snapshot", "--list"),
        objects("delete", "--yes", "--", "Counter", name),
    ]
    for each in said:
        assert all(character.isprintable() or character == "\n" for character in each.out + each.err)
    assert set(stored.rows()) == {f"{name}2"}


EXAMPLES = ["delete", "copy", "seed", "reset", "export", "import", "snapshot", "diff"]


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_example_of_the_help_works(objects, stored: Stored, project: Path, command: str) -> None:
    stored.make("home", n=1)
    (project / "seed.jsonl").write_text(SEED)
    if command == "import":
        objects("export", "Counter", "home", "-o", "home.jsonl")
    if command == "diff":
        objects("snapshot", "Counter", "home", "--label", "before")
    help_text = " ".join(objects(command, "--help").out.split())

    example = re.search(r"Example: durable objects (.*?) (?:Arguments|Options|Usage)", help_text)

    assert example is not None, help_text
    objects(*example[1].split())

"""`durable objects export|import|snapshot|diff` on files."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from tests.unit.cli.data.stored_objects import FAR_MS, Stored


# --- export and import ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("file", ["home.sqlite", "home.sql", "home.jsonl", "home"])
def test_what_is_exported_is_imported_under_any_name(objects, typed, stored: Stored, project: Path, file: str) -> None:
    stored.make("home", n=(1, b"\xff"))
    result = objects("export", "Counter", "home", "-o", file)
    assert result.err.startswith(f'Counter "home" written to {file} (')
    assert (project / file).stat().st_mode & 0o777 == 0o600

    assert objects("import", "Counter", "again", file).err.startswith(f'Counter "again" is made from {file} (')
    assert stored.keys("again") == {"n": (1, b"\xff"), "name": "home"}
    assert objects("diff", "Counter", "home", "again").err == "no differences\n"

    refused = typed("objects", "import", "Counter", "again", file)
    assert (refused.code, 'Counter "again" exists, and nothing was changed' in refused.err) == (2, True)
    typed("sql", "Counter", "again", "--write", "DROP TABLE t")
    assert "to undo this: " in objects("import", "Counter", "again", file, "--replace").err
    assert objects("diff", "Counter", "home", "again").err == "no differences\n"
    assert list((project / ".durable" / "run").iterdir()) == []


@pytest.mark.parametrize("words", [("-o", "all.jsonl"), ("-o", "all"), ("-o", "all", "--format", "sql")])
def test_a_whole_class_goes_out_and_comes_back(objects, stored: Stored, project: Path, words: tuple[str, ...]) -> None:
    unnamed = stored.make(None, n=0)
    for number in range(3):
        stored.make(f"n {number}", n=number)
    result = objects("export", "Counter", *words)
    assert result.err.startswith(f"4 objects of Counter written to {words[1]} (")
    before = stored.rows()

    objects("delete", "Counter", "--all", "--yes")
    assert objects("import", "Counter", words[1]).err == "4 made, 0 replaced\n"

    assert set(stored.rows()) == set(before) == {"n 0", "n 1", "n 2", unnamed}
    assert {row.alarm_ms for row in stored.rows().values()} == {FAR_MS}
    assert stored.keys("n 2") == {"n": 2, "name": "n 2"}


def test_an_export_goes_to_standard_output(objects, typed, stored: Stored) -> None:
    stored.make("home", n=1)
    assert objects("export", "Counter", "home", "--format", "sql").out.endswith("COMMIT;\n")
    assert objects("export", "Counter").out.startswith('{"durable": "objects", "version": 1}\n{"object": ')
    assert typed("objects", "export", "Counter", "home", "--format", "sqlite").code == 2


def test_nothing_that_exists_is_written_over(typed, stored: Stored, project: Path) -> None:
    stored.make("home")
    (project / "there").write_text("mine")
    for words in (("home", "-o", "there"), ("-o", "there"), ("-o", "there", "--format", "jsonl")):
        result = typed("objects", "export", "Counter", *words)
        assert (result.code, "exists already, and nothing was changed" in result.err) == (2, True)
    assert (project / "there").read_text() == "mine"
    assert [path.name for path in project.iterdir() if path.name.endswith(".new")] == []


def test_a_class_without_objects_is_exported_and_imported(objects, stored: Stored, project: Path) -> None:
    assert objects("export", "Counter", "-o", "none.jsonl").err.startswith("0 objects of Counter written")
    assert objects("import", "Counter", "none.jsonl").err == "0 made, 0 replaced\n"
    objects("export", "Counter", "-o", "none")
    assert objects("import", "Counter", "none").err == "0 made, 0 replaced\n"


def test_a_file_that_fails_leaves_the_object_as_it_was(typed, objects, stored: Stored, project: Path) -> None:
    stored.make("home", n=1)
    objects("export", "Counter", "home", "-o", "home.jsonl")
    whole = (project / "home.jsonl").read_text()
    other = sqlite3.connect(project / "other.sqlite")
    other.execute("CREATE TABLE t (a)")
    other.commit()
    other.close()
    wrong = {
        "cut.jsonl": (whole[: whole.index('{"end"')], "was cut off"),
        "hostile.sql": ("CREATE TABLE a (b);\nATTACH 'x' AS y;\n", "hostile.sql:2: "),
        "nothing": ("", "is empty"),
        "text": ("hello, world\n", "text:1: "),
        "other.sqlite": (None, "was not written by durable"),
        "missing": (None, "cannot be read: No such file"),
    }
    for file, (content, sentence) in wrong.items():
        if content is not None:
            (project / file).write_text(content)
        for name in ("home", "new"):
            result = typed("objects", "import", "Counter", name, file, "--replace")
            assert (result.code, result.out) == (2, ""), file
            assert sentence in result.err, file
            assert "Traceback" not in result.err
    assert stored.keys("home") == {"n": 1, "name": "home"}
    assert set(stored.rows()) == {"home"}
    assert list((project / ".durable" / "run").iterdir()) == []


def test_a_file_of_several_objects_is_not_the_state_of_one(typed, objects, stored: Stored, project: Path) -> None:
    stored.make("a")
    stored.make("b", n=1)
    objects("export", "Counter", "-o", "all.jsonl")
    result = typed("objects", "import", "Counter", "a", "all.jsonl", "--replace")
    assert (result.code, "holds more than one object" in result.err) == (2, True)
    lines = (project / "all.jsonl").read_text().splitlines()[1:]
    (project / "twice.jsonl").write_text("\n".join([*lines, *lines]))
    result = typed("objects", "import", "Counter", "twice.jsonl", "--replace")
    assert (result.code, 'holds Counter "a" twice\n' in result.err) == (2, True)
    assert "2 objects had been imported before" in result.err
    assert stored.keys("a") == {"name": "a"}
    result = typed("objects", "import", "Counter", "all.jsonl")
    assert (result.code, 'Counter "a" exists, and nothing was changed' in result.err) == (2, True)


def test_a_folder_that_leads_out_of_itself_is_refused(typed, objects, stored: Stored, project: Path) -> None:
    stored.make("home")
    objects("export", "Counter", "-o", "all")
    manifest = project / "all" / "objects.jsonl"
    manifest.write_text(re.sub(r'"file": "[^"]*"', '"file": "../durable.toml"', manifest.read_text()))
    result = typed("objects", "import", "Counter", "all", "--replace")
    assert (result.code, "is not a file of such a folder" in result.err) == (2, True)


# --- snapshots --------------------------------------------------------------------------------------------------------
def test_a_snapshot_of_an_object_is_compared_and_brought_back(objects, typed, stored: Stored) -> None:
    stored.make("home", n=1)
    assert objects("snapshot", "Counter", "home", "--label", "before").err.startswith(
        "snapshot before: 1 object of Counter, "
    )
    typed("sql", "Counter", "home", "--write", "UPDATE t SET body = 'changed'")

    changes = objects("diff", "Counter", "home", "--snapshot", "before").out.splitlines()
    assert changes == ["table t: 1 changed", '  ~ id 1: body "home" → "changed"']

    told = objects("restore", "Counter", "home", "--snapshot", "before").err
    assert told.startswith('Counter "home" is as it was in the snapshot before (')
    assert "to undo this: durable objects restore Counter home --at " in told
    assert objects("diff", "Counter", "home", "--snapshot", "before").err == "no differences\n"


def test_snapshots_of_a_class_are_listed_and_bring_back_what_was_deleted(
    objects, typed, stored: Stored, project: Path
) -> None:
    for number in range(3):
        stored.make(f"n{number}", n=number)
    objects("snapshot", "Counter", "--label", "all")
    objects("snapshot", "Counter", "n1")
    listed = json.loads(objects("snapshot", "--list", "--json").out)
    assert [(each["class"], each["objects"], each["name"]) for each in listed] == [
        ("Counter", 1, "n1"),
        ("Counter", 3, None),
    ]
    assert listed[1]["label"] == "all"
    assert len(objects("snapshot", "COUNTERS", "--list").out.splitlines()) == 2
    for other in ("20261121T201530Z/Counter-9f3a0c21b7de/1.tar", f"{stored.key}/a-file", f"{stored.key}/empty/x"):
        (project / ".durable" / "snapshots" / other).parent.mkdir(parents=True, exist_ok=True)
        (project / ".durable" / "snapshots" / other).touch()
    assert json.loads(objects("snapshot", "--list", "--json").out) == listed
    again = typed("objects", "snapshot", "Counter", "--label", "all")
    assert (again.code, "there is a snapshot all already" in again.err) == (2, True)

    objects("delete", "Counter", "--all", "--yes")
    assert objects("restore", "Counter", "n1", "--snapshot", "all").code == 0
    assert set(stored.rows()) == {"n1"}
    told = objects("restore", "Counter", "--snapshot", "all").err
    assert told == "3 objects of Counter as in the snapshot all; 2 of them were not there\n"
    assert stored.keys("n2") == {"n": 2, "name": "n2"}

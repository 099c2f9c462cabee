"""Deleted classes at the command line, errors that quote the entry, and a state that a newer version wrote."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase

BOUND = '[[durable_objects.bindings]]\nname = "COUNTERS"\nclass_name = "Counter"\n'
DELETED = '[[migrations]]\ntag = "v2"\ndeleted_classes = ["Counter"]\n'
ANEW = '[[migrations]]\ntag = "v3"\nnew_sqlite_classes = ["Counter"]\n'


@pytest.fixture
def layout(typed, project: Path) -> StateLayout:
    """A class Counter with one object, "home"."""
    assert typed("migrate").code == 0
    layout = StateLayout(project / ".durable" / "state")
    with StateDatabase(layout.state_file) as state:
        key = state.namespaces(None)[0].key
    layout.ensure_namespace(key)
    identity = id_from_name(key, "home")
    layout.ensure_object_folder(key, identity)
    store = ActorStore(layout.object_file(key, identity), clock=ManualClock(), on_first_write=lambda: None)
    store.sql.exec("CREATE TABLE hits(n INTEGER)")
    store.sql.exec("INSERT INTO hits VALUES(3)")
    store.commit()
    store.close()
    index = NamespaceIndex(layout.index_file(key))
    index.put_many([IndexRow(identity, "home", 0, 0, None)])
    index.close()
    return layout


@pytest.fixture
def deleted(typed, project: Path, layout: StateLayout) -> str:
    """The name of the snapshot that its deletion left."""
    config = project / "durable.toml"
    config.write_text(config.read_text().replace(BOUND, "") + DELETED)
    done = typed("migrate")
    assert done.err == "Applied v2. What Counter left is kept: durable migrate deleted lists it.\n"
    (folder,) = layout.deleted_folder.iterdir()
    return folder.name


def test_a_deleted_class_is_listed_and_comes_back_in_the_place_of_an_empty_one(
    typed, project: Path, deleted: str
) -> None:
    listed = typed("migrate", "deleted")
    assert re.fullmatch(
        rf"{deleted}  class Counter, 1 object, \d+ KiB, deleted \d{{4}}-\d\d-\d\d [\d:.]+\n", listed.out
    )
    assert listed.err == "durable migrate restore-class SNAPSHOT brings one back.\n"
    (row,) = json.loads(typed("migrate", "deleted", "--json").out)
    assert (row["snapshot"], row["class"], row["objects"]) == (deleted, "Counter", 1)

    homeless = typed("migrate", "restore-class", deleted)
    assert homeless.code == 2
    assert homeless.err == (
        f"error: there is no class Counter for the objects of {deleted} to live in\n"
        '  fix: [[migrations]]\n       tag = "a new one"\n       new_sqlite_classes = ["Counter"]\n'
        "       then durable migrate, and this again\n"
    )

    config = project / "durable.toml"
    config.write_text(config.read_text() + ANEW)
    early = typed("migrate", "restore-class", "Counter")
    assert (early.code, early.err) == (
        2,
        "error: first apply what the configuration asks for\n  fix: durable migrate\n",
    )
    assert typed("migrate").err == "Applied v3.\n"
    back = typed("migrate", "restore-class", "Counter")
    assert (back.code, back.err) == (0, f"Counter has the 1 object of {deleted}.\n")
    assert json.loads(typed("sql", "Counter", "home", "SELECT n FROM hits", "--json").out) == [{"n": 3}]
    nothing = typed("migrate", "deleted")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "No deleted class is kept.\n")


def test_restoring_tells_programs_what_it_did(typed, project: Path, deleted: str) -> None:
    config = project / "durable.toml"
    config.write_text(config.read_text() + ANEW.replace("Counter", "Tally"))
    typed("migrate")
    document = json.loads(typed("migrate", "restore-class", deleted, "--into", "Tally", "--json").out)
    assert (document["snapshot"], document["into"], document["objects"]) == (deleted, "Tally", 1)


def test_what_is_not_kept_is_not_found(typed, deleted: str) -> None:
    result = typed("migrate", "restore-class", "Countr")
    assert (result.code, result.err.split("\n")[0]) == (3, "error: no deleted class is kept as Countr")
    assert 'Did you mean "Counter"?' in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("migrate", "restore-class"), "restore-class needs to know what: SNAPSHOT or CLASS"),
        (("migrate", "status", "more"), "unexpected argument: more"),
        (("migrate", "deleted", "more"), "unexpected argument: more"),
        (("migrate", "restore-class", "a", "b"), "unexpected argument: b"),
    ],
)
def test_words_that_are_missing_or_too_many_are_told(typed, project: Path, words, message: str) -> None:
    result = typed(*words)
    assert (result.code, result.err.split("\n")[0]) == (2, f"error: {message}")


def test_nothing_was_deleted_where_nothing_ever_ran(typed, project: Path) -> None:
    assert typed("migrate", "deleted").err == "No deleted class is kept.\n"
    assert json.loads(typed("migrate", "deleted", "--json").out) == []
    assert not (project / ".durable").exists()


def test_an_entry_that_was_edited_is_quoted_with_what_to_write_instead(typed, project: Path) -> None:
    typed("migrate")
    config = project / "durable.toml"
    config.write_text(config.read_text().replace('["Counter"]', '["Counter", "More"]'))
    result = typed("migrate")
    line = config.read_text().split("\n").index('tag = "v1"') + 1
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f'error: durable.toml:{line}:7: the migration "v1" was edited after it was applied: '
        'new_sqlite_classes had ["Counter"] and has ["Counter", "More"] now. '
        "An applied entry is never applied again\n"
        '    tag = "v1"\n          ^\n'
        "  fix: put it back as it was, and add:\n"
        '       [[migrations]]\n       tag = "v2"\n       new_sqlite_classes = ["More"]\n'
    )


def test_objects_of_a_newer_version_can_be_read_and_nothing_is_written(
    typed, project: Path, layout: StateLayout
) -> None:
    with closing(sqlite3.connect(layout.state_file)) as writer, writer:
        writer.execute("UPDATE settings SET value = 9 WHERE name = 'format_version'")
    before = {file: file.read_bytes() for file in (project / ".durable").rglob("*.sqlite*")}

    assert json.loads(typed("sql", "Counter", "home", "SELECT n FROM hits", "--json").out) == [{"n": 3}]
    assert typed("sql", "Counter", "hoem", "SELECT 1").code == 3
    for words in (("sql", "Counter", "home", "DELETE FROM hits", "--write"), ("migrate",), ("alarms", "list")):
        refused = typed(*words)
        assert refused.code == 2
        assert "was written by a newer durable (format 9, this one knows 2); nothing was changed" in refused.err
    assert {file: file.read_bytes() for file in (project / ".durable").rglob("*.sqlite*")} == before

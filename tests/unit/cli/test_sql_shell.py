from __future__ import annotations

import io
import stat
import sys
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import NotFoundError, SqlError
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.state_db import StateDatabase
from durable_cli.data.listing_types import ListPage
from durable_cli.objects.finding import Target
from durable_cli.project import load_project
from durable_cli.sql.rows import Rows, Value
from durable_cli.sql.shell import editing as shell_editing
from durable_cli.sql.shell.completion import corpora
from durable_cli.sql.shell.data import SetAlarm, glob_of
from durable_cli.sql.shell.shell import ObjectShell, run_shell
from tests.unit.cli.sql_shell_session import PROMPT, ROOM, Keyboard, MadeUpData, Screen, Session, listed

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e\x7f"


def with_tables() -> MadeUpData:
    data = MadeUpData()
    data.database.execute(
        """
        CREATE TABLE hits(page TEXT PRIMARY KEY, n INTEGER);
        CREATE INDEX by_n ON hits(n);
        CREATE VIEW many AS SELECT * FROM hits WHERE n > 9;
        CREATE TABLE _cf_KV(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
        INSERT INTO hits VALUES ('home', 3), ('it''s', NULL);
        INSERT INTO _cf_KV VALUES ('a', x'00');
        """
    )
    return data


# --- statements -------------------------------------------------------------------------------------------------------
def test_a_statement_runs_when_its_semicolon_comes() -> None:
    session = Session("SELECT", "1;", "SELECT 2;")
    assert session.asked == ["SELECT\n1;", "SELECT 2;"]
    assert session.out.getvalue().startswith(f"{PROMPT}       …> ")


def test_a_semicolon_inside_a_string_ends_nothing() -> None:
    assert Session("SELECT ';", "';").asked == ["SELECT ';\n';"]


def test_ctrl_c_forgets_what_was_typed_and_goes_on() -> None:
    session = Session("DROP TABLE", KeyboardInterrupt, "SELECT 1;")
    assert session.asked == ["SELECT 1;"]
    assert "^C" in session.said


def test_ctrl_c_while_a_statement_runs_says_what_may_have_come_of_it() -> None:
    session = Session("DELETE FROM hits;", ".tables", data=MadeUpData(KeyboardInterrupt(), writes=True))
    assert "interrupted; what was sent may be done all the same\n^C\n" in session.said


@pytest.mark.parametrize("word", [".quit", ".exit"])
def test_quit_and_the_end_of_the_input_leave(word: str) -> None:
    assert Session(word, "SELECT 1;").asked == []
    assert Session().asked == []


def test_every_statement_of_a_line_shows_its_rows() -> None:
    data = MadeUpData([Rows(("a",), ((1,),)), Rows(("b",), ()), Rows((), (), rows_written=2), Rows((), ())])
    session = Session(".mode list", "SELECT 1; SELECT 2; DELETE FROM x; CREATE TABLE y(z);", data=data)
    assert session.shown == "a\n1\nb\n"
    assert session.said.endswith("no rows\n2 rows written\ndone\n\n")


def test_rows_that_are_missing_are_told() -> None:
    few = Session("SELECT 1;", data=MadeUpData([Rows(("a",), ((1,),), truncated=True)]))
    assert "… there are more than this row: narrow the query with WHERE or LIMIT" in few.said
    large = Session("SELECT 1;", data=MadeUpData([Rows(("a",), ((1,),), truncated=True, oversized=True)]))
    assert "more than this row, and they are too many bytes for one look: narrow" in large.said


def test_a_mistake_is_shown_and_the_shell_goes_on() -> None:
    session = Session("SELECT * FROM x;", "SELECT 2;", data=MadeUpData(SqlError("no such table: x")))
    assert session.asked == ["SELECT * FROM x;", "SELECT 2;"]
    assert session.said.count("error: no such table: x") == 2


def test_empty_lines_do_nothing() -> None:
    assert Session(" ", "   ", "SELECT 1;").asked == ["SELECT 1;"]


def test_parameters_go_to_the_statements_that_name_them() -> None:
    session = Session(
        ".parameter set $page 'it''s'", ".parameter set n 7", "SELECT :page;", "SELECT 1;", ".parameter list"
    )
    assert [parameters for _, _, parameters in session.data.ran] == [{"page": "it's"}, {}]
    assert session.shown.endswith("n  7\npage  'it''s'\n")
    assert Session(".parameter set n 7", ".parameter unset n", "SELECT :n;").data.ran[0][2] == {}


# --- words ------------------------------------------------------------------------------------------------------------
def test_tables_indexes_and_schema_come_from_the_object_without_the_platforms() -> None:
    session = Session(".tables", ".tables h%", ".indices", ".schema hits", data=with_tables())
    assert session.shown == (
        "hits\nmany\nhits\nby_n\nCREATE TABLE hits(page TEXT PRIMARY KEY, n INTEGER);\nCREATE INDEX by_n ON hits(n);\n"
    )
    assert session.asked == []


def test_tables_that_are_not_listed_are_told() -> None:
    class Many(MadeUpData):
        def look(self, target: Target, sql: str, *parameters: Value) -> Rows:
            return Rows(("name",), (("t1",), ("t2",)), truncated=True)

    assert "… there are more than these 2: put a pattern behind the word" in Session(".tables", data=Many()).said


def test_the_prompt_says_which_object_it_is_and_use_changes_it() -> None:
    session = Session("SELECT 1;", ".use b", "SELECT 2;", ".use Lobby main", "SELECT 3;", ".use Lobby --id 00", "S;")
    assert [target for target, _, _ in session.data.ran] == [
        ROOM, Target("Room", name="b"), Target("Lobby", name="main"), Target("Lobby", id="00"),
    ]  # fmt: skip
    assert 'Room "b"> ' in session.out.getvalue()
    assert 'Lobby "main"> ' in session.out.getvalue()
    assert "Lobby 00> " in session.out.getvalue()


def test_an_object_that_is_not_there_is_not_used() -> None:
    data = MadeUpData()
    data.missing = {"b"}
    session = Session(".use b", "SELECT 1;", data=data)
    assert 'error: no such object: Room "b"' in session.said
    assert session.data.ran[0][0] == ROOM


def test_a_hostile_name_is_harmless_in_the_prompt() -> None:
    session = Session(f".use '{HOSTILE}{'x' * 100}'")
    assert "\x1b" not in session.out.getvalue()
    assert "…" in session.out.getvalue()


def test_keys_and_values_are_asked_for_by_prefix() -> None:
    data = MadeUpData()
    data.database.execute("CREATE TABLE shown(key, type, value, bytes); INSERT INTO shown VALUES('a1', 'int', '7', 3)")
    data.database.execute("CREATE TEMP VIEW kv AS SELECT * FROM shown UNION ALL SELECT 'b', 'int', '8', 3")
    assert "a1" in Session(".mode list", ".kv a", data=data).shown
    assert "b" not in Session(".mode list", ".kv a", data=data).shown.partition("\n")[2]


def test_a_table_kv_of_the_objects_own_is_told() -> None:
    data = MadeUpData()
    data.database.execute("CREATE TABLE KV(x)")
    assert "error: a table kv of the object's own is in front" in Session(".kv", data=data).said


def test_the_alarm_is_told_by_the_emulators_clock() -> None:
    data = MadeUpData()
    assert "no alarm is set" in Session(".alarm", data=data).said
    data.set_alarm = SetAlarm(1_700_000_000_000 + 7_200_000, 1_700_000_000_000)
    assert "(in 2h)\n" in Session(".alarm", data=data).shown
    data.set_alarm = SetAlarm(1_700_000_000_000, 1_700_000_000_000)
    assert "(now due)\n" in Session(".alarm", data=data).shown


def test_objects_of_the_class_are_listed() -> None:
    data = MadeUpData()
    data.page = ListPage((listed("a"), listed(None, "ab" * 32)), after="next", count=9)
    session = Session(".mode list", ".objects a*", data=data)
    assert data.globs == ["a*"]
    assert "\na|8192|2023-11-1" in f"\n{session.shown}"
    assert f"--id {'ab' * 32}|" in session.shown
    assert "… there are more than these 2" in session.said
    assert "no objects" in Session(".objects").said


def test_the_dump_makes_the_same_tables_and_leaves_out_what_is_the_platforms() -> None:
    data = with_tables()
    session = Session(".dump", data=data)
    copy = MadeUpData().database
    copy.execute(session.shown)
    assert list(copy.execute("SELECT * FROM hits")) == [("home", 3), ("it's", None)]
    assert [row[0] for row in copy.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1")] == [
        "by_n", "hits", "many",
    ]  # fmt: skip
    assert not any(word in session.shown for word in ("_cf_", "User:", "Database:", "application_id"))
    assert "without 1 key of ctx.storage.kv: durable objects export has them" in session.said
    assert session.asked == []
    assert list(data.database.execute("SELECT count(*) FROM _cf_KV")) == [(1,)]


@pytest.mark.parametrize("name", ['a"b]c', "a\n;DROP TABLE hits;--", "[x", HOSTILE])
def test_the_dump_quotes_hostile_names(name: str) -> None:
    data = with_tables()
    quoted = '"' + name.replace('"', '""') + '"'
    data.database.execute(f"CREATE TABLE {quoted}(x); INSERT INTO {quoted} VALUES (1)")
    copy = MadeUpData().database
    copy.execute(Session(".dump", data=data, is_terminal=False).shown)
    assert list(copy.execute(f"SELECT * FROM {quoted}")) == [(1,)]
    assert list(copy.execute("SELECT count(*) FROM hits")) == [(2,)]


def test_hostile_schemas_are_harmless_on_the_terminal() -> None:
    data = MadeUpData()
    data.database.execute(f"""CREATE TABLE "{HOSTILE}"("{HOSTILE}" TEXT DEFAULT '{HOSTILE}'); -- {HOSTILE}""")
    data.database.execute(f"""INSERT INTO "{HOSTILE}" VALUES ('{HOSTILE}')""")
    session = Session(".tables", ".schema", ".dump", ".indices", data=data)
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\x7f"} & set(session.out.getvalue() + session.err.getvalue())
    assert session.shown.startswith("\\x1b]0;owned\\x07\\x9b31m\\u202e\\x7f\nCREATE TABLE ")


def test_a_copy_that_is_damaged_is_told() -> None:
    class Damaged(MadeUpData):
        def copy(self, target: Target, path: Path) -> None:
            path.write_bytes(b"no database" * 100)

    session = Session(".dump", "SELECT 1;", data=Damaged())
    assert 'error: Room "a" cannot be dumped: ' in session.said
    assert "Traceback" not in session.said
    assert session.asked == ["SELECT 1;"]


def test_help_fits_into_80_columns_and_names_what_there_is() -> None:
    said = Session(".help").said
    assert all(len(line) <= 80 for line in said.splitlines())
    assert ".kv ?PREFIX?" in said
    assert not any(word in said for word in (".open", ".shell", ".read", ".import", ".py", ".output"))


# --- completion -------------------------------------------------------------------------------------------------------
def test_completion_offers_the_objects_names_and_what_sql_may_use() -> None:
    data = with_tables()
    data.database.execute(f'CREATE TABLE "hi{HOSTILE}"(x)')
    shell = Session(data=data).shell
    assert shell.complete_sql("SELECT hi", "hi", 7, 9) == ["hits", "highlight("]
    assert shell.complete_sql("SELECT pag", "pag", 7, 10) == ["page"]
    assert shell.complete_sql("SELECT _cf", "_cf", 7, 10) == []
    assert shell.complete_sql("SELECT load", "load", 7, 11) == []
    assert "json_extract(" in shell.complete_sql("SELECT json_e", "json_e", 7, 13)
    assert shell.complete_sql("PRAGMA jour", "jour", 7, 11) == []
    assert shell.complete_command(".op", ".op", 0, 3) == []
    assert ".objects " in shell.complete_command(".ob", ".ob", 0, 3)
    assert shell.complete_command(".use Lo", "Lo", 5, 7) == ["Lobby"]
    assert "json" in shell.complete_command(".mode js", "js", 6, 8)


def test_completion_goes_on_without_an_object_that_cannot_be_asked() -> None:
    data = MadeUpData()
    shell = Session(data=data).shell
    data.missing = {"a"}
    assert "SELECT " in shell.complete_sql("SEL", "SEL", 0, 3)


def test_completion_offers_no_function_that_is_refused() -> None:
    words = [word for words in corpora([]) for word in words]
    assert not any(word.startswith(("load_extension", "readfile", "fts3_tokenizer", "->")) for word in words)


# --- history ----------------------------------------------------------------------------------------------------------
def test_the_history_is_its_owners_only(tmp_path: Path) -> None:
    history = tmp_path / "run" / "sql_history"
    Session("SELECT 1;", history=history)
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700
    history.chmod(0o644)
    Session("SELECT 1;", history=history)
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_a_history_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "history").symlink_to(tmp_path / "other")
    Session("SELECT 1;", history=tmp_path / "history")
    assert (tmp_path / "other").read_text() == "mine"


def test_a_place_that_takes_no_history_ends_nothing() -> None:
    assert Session("SELECT 1;", history=Path("/proc/none/history")).asked == ["SELECT 1;"]


def test_without_readline_lines_are_typed_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shell_editing, "readline", None)
    assert Session("SELECT", "1;", history=tmp_path / "history").asked == ["SELECT\n1;"]
    assert not (tmp_path / "history").exists()


# --- on a project -----------------------------------------------------------------------------------------------------
@pytest.fixture
def stored(typed, project: Path) -> Path:
    """An object `Counter "home"` with a row, a key and an alarm."""
    assert typed("migrate").code == 0
    layout = StateLayout(project / ".durable" / "state")
    with StateDatabase(layout.state_file) as state:
        key = state.namespaces(None)[0].key
    identity = id_from_name(key, "home")
    layout.ensure_namespace(key)
    layout.ensure_object_folder(key, identity)
    file = layout.object_file(key, identity)
    store = ActorStore(file, clock=ManualClock(), on_first_write=lambda: None)
    store.sql.exec("CREATE TABLE hits(page TEXT PRIMARY KEY, n INTEGER)")
    store.sql.exec("INSERT INTO hits VALUES('home', 3)")
    store.kv.put("cart", {"apples": 3})
    store.commit()
    store.close()
    index = NamespaceIndex(layout.index_file(key))
    index.put_many([IndexRow(identity, "home", 0, 0, 4_000_000_000_000)])
    index.close()
    return file


def shell_on(project: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, write: bool = False) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    run_shell(load_project(None, None, None), Target("Counter", name="home"), write=write)


def test_everything_works_on_the_files_of_a_stopped_emulator(stored, project, monkeypatch, capsys) -> None:
    shell_on(
        project, monkeypatch,
        ".mode list", ".headers off", "SELECT n FROM hits;", ".tables", ".kv c", ".alarm", ".objects", ".dump",
    )  # fmt: skip
    shown = capsys.readouterr()
    assert shown.out.startswith('3\nhits\ncart|dict|{"apples": 3}|')
    assert "\n2096-10-0" in shown.out
    assert "\nhome|" in shown.out
    assert "INSERT INTO \"hits\" VALUES('home',3);" in shown.out
    assert "without 1 key of ctx.storage.kv" in shown.err
    assert 'Counter "home"> ' in shown.err
    assert "error" not in shown.err


def test_an_object_without_a_name_is_used_by_its_digits(stored, project, monkeypatch, capsys) -> None:
    shell_on(project, monkeypatch, f".use Counter --id {stored.stem}", ".alarm", ".mode csv", "SELECT n FROM hits;")
    shown = capsys.readouterr()
    assert shown.out.startswith("2096-10-0")
    assert shown.out.endswith("n\n3\n")
    assert f"Counter {stored.stem[:14]}" in shown.err


def test_nothing_changes_without_write_and_with_it_it_stays(stored, project, monkeypatch, capsys) -> None:
    shell_on(project, monkeypatch, "UPDATE hits SET n = 9;")
    assert "fix: add --write to change data" in capsys.readouterr().err
    shell_on(project, monkeypatch, ".mode list", "UPDATE hits SET n = 9;", "SELECT n FROM hits;", write=True)
    shown = capsys.readouterr()
    assert "1 row written" in shown.err
    assert shown.out.endswith("n\n9\n")


def test_an_object_that_does_not_exist_is_told_before_the_first_prompt(stored, project, monkeypatch, capsys) -> None:
    files = sorted(project.rglob("*.sqlite"))
    with pytest.raises(NotFoundError, match='no such object: Counter "hoem"'):
        run_shell(load_project(None, None, None), Target("Counter", name="hoem"), write=True)
    assert capsys.readouterr().err == ""
    assert sorted(project.rglob("*.sqlite")) == files


def test_a_name_becomes_a_pattern_that_means_only_itself() -> None:
    assert glob_of("room-1") == "room-1"
    assert glob_of("a*b?c[d]") == "a[*]b[?]c[[]d]"


def test_no_statement_ever_runs_on_the_shells_own_connection() -> None:
    shell = ObjectShell(MadeUpData(), ROOM, Keyboard(), Screen(), Screen())
    with pytest.raises(Exception, match="not authorized"):
        shell.db.execute("SELECT 1")

"""What SQL of the user's may not do, as one table of statements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from durable.errors import SqlError
from durable.storage.actor_store import ActorStore
from durable.storage.sql.authorizer import READS_ONLY

RESERVED = "names that begin with _cf_ belong to the platform"
TEMPORARY = "temporary tables are not available to an object"

REFUSED: list[tuple[str, str]] = [
    # names of the platform
    ("CREATE TABLE _cf_x (a)", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("CREATE TABLE _CF_X (a)", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ('CREATE TABLE "_Cf_x" (a)', f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("CREATE VIEW _cf_v AS SELECT 1", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("CREATE INDEX _cf_i ON t (a)", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("CREATE TRIGGER _cf_r AFTER INSERT ON t BEGIN SELECT 1; END", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("CREATE VIRTUAL TABLE _cf_f USING fts5(x)", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("SELECT * FROM _cf_KV", f"access to _cf_KV.key is prohibited ({RESERVED}): SQLITE_AUTH"),
    ("SELECT count(*) FROM _cf_kv", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("SELECT value FROM _cf_KV WHERE key = 'k'", f"access to _cf_KV.value is prohibited ({RESERVED}): SQLITE_AUTH"),
    ("SELECT * FROM t JOIN _cf_METADATA", "is prohibited"),
    ("SELECT (SELECT value FROM _cf_KV)", "is prohibited"),
    ("SELECT * FROM through", f"access to _cf_KV.key is prohibited ({RESERVED}): SQLITE_AUTH"),
    ("INSERT INTO _cf_KV VALUES ('a', x'00')", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("INSERT INTO _cf_KV VALUES ('a', x'00') ON CONFLICT DO NOTHING", "not authorized"),
    ("UPDATE _cf_METADATA SET value = 0", "not authorized"),
    ("DELETE FROM _cf_KV", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("DROP TABLE _cf_KV", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("ALTER TABLE _cf_KV RENAME TO mine", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("ALTER TABLE _cf_KV ADD COLUMN c", "not authorized"),
    ("ALTER TABLE t RENAME TO _cf_x", f"not authorized ({RESERVED}, got '_cf_x'): SQLITE_AUTH"),
    ("ALTER TABLE t RENAME TO _CF_KV2", f"not authorized ({RESERVED}, got '_CF_KV2'): SQLITE_AUTH"),
    ("CREATE INDEX i ON _cf_KV (value)", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("CREATE TRIGGER r AFTER INSERT ON _cf_KV BEGIN SELECT 1; END", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("INSERT INTO points_at VALUES ('k')", "access to _cf_KV.key is prohibited"),
    ("PRAGMA table_info(_cf_KV)", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("PRAGMA quick_check('_cf_KV')", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    ("SELECT * FROM pragma_table_info('_cf_KV')", f"not authorized ({RESERVED}): SQLITE_AUTH"),
    # one file, no others
    ("ATTACH '{tmp}/other' AS o", "not authorized (ATTACH is not available: an object has exactly one database)"),
    ("DETACH main", "not authorized (DETACH is not available: an object has exactly one database): SQLITE_AUTH"),
    ("VACUUM INTO '{tmp}/copy'", "cannot VACUUM from within a transaction: SQLITE_ERROR"),
    ("SELECT load_extension('x')", "not authorized to use function: load_extension at offset 7: SQLITE_ERROR"),
    ("CREATE TEMP TABLE x (a)", f"not authorized ({TEMPORARY}): SQLITE_AUTH"),
    ("CREATE TABLE temp.x (a)", f"not authorized ({TEMPORARY}): SQLITE_AUTH"),
    ("CREATE TEMP VIEW x AS SELECT 1", f"not authorized ({TEMPORARY}): SQLITE_AUTH"),
    ("CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END", f"not authorized ({TEMPORARY}): SQLITE_AUTH"),
    ("CREATE VIRTUAL TABLE x USING fts3(a)", "not authorized (virtual tables can be made with fts5, fts5vocab, rtree,"),
    ("CREATE VIRTUAL TABLE x USING dbstat", "not with dbstat): SQLITE_AUTH"),
    ("CREATE VIRTUAL TABLE x USING geopoly()", "not with geopoly): SQLITE_AUTH"),
    ("SELECT * FROM dbstat", "access to dbstat.name is prohibited (dbstat is not available to an object): SQLITE_AUTH"),
    # settings of the file
    (
        "PRAGMA journal_mode = delete",
        "not authorized (PRAGMA journal_mode with 'delete' is not available to an object)",
    ),
    ("PRAGMA synchronous = off", "not authorized"),
    ("PRAGMA user_version", "not authorized (PRAGMA user_version is not available to an object): SQLITE_AUTH"),
    ("PRAGMA application_id = 1", "not authorized"),
    ("PRAGMA writable_schema = on", "not authorized"),
    ("PRAGMA page_size = 512", "not authorized (PRAGMA page_size with '512' is not available to an object)"),
    ("PRAGMA locking_mode = normal", "not authorized"),
    ("PRAGMA wal_checkpoint", "not authorized"),
    ("PRAGMA foreign_keys = 2", "not authorized (PRAGMA foreign_keys with '2' is not available to an object)"),
    ("PRAGMA optimize = x", "not authorized"),
    ("SELECT * FROM pragma_journal_mode", "not authorized"),
    ("UPDATE sqlite_schema SET sql = ''", "table sqlite_master may not be modified: SQLITE_ERROR"),
    ("INSERT INTO search_data VALUES (1, x'00')", "may not be modified: SQLITE_ERROR"),
    # functions
    ("SELECT sqlite_version()", "not authorized to use function: sqlite_version at offset 7: SQLITE_ERROR"),
    ("SELECT sqlite_source_id()", "not authorized to use function: sqlite_source_id at offset 7: SQLITE_ERROR"),
    ("SELECT fts3_tokenizer('x')", "not authorized to use function: fts3_tokenizer"),
    ("SELECT geopoly_area(1)", "not authorized to use function: geopoly_area"),
    # what the sqlite3 shell brings along
    ("SELECT writefile('{tmp}/copy', 'x')", "no such function: writefile"),
    ("SELECT readfile('/etc/hostname')", "no such function: readfile"),
    ("SELECT edit('x')", "no such function: edit"),
    ("SELECT * FROM fsdir('/')", "no such table: fsdir"),
    ("CREATE VIRTUAL TABLE x USING csv(filename='/etc/hostname')", "not with csv): SQLITE_AUTH"),
    ("PRAGMA temp_store_directory = '{tmp}'", "not authorized"),
    ("PRAGMA trusted_schema = on", "not authorized"),
    ("PRAGMA hard_heap_limit = 1", "not authorized"),
]


@pytest.fixture
def furnished(store: ActorStore) -> ActorStore:
    """A table, a search index, a key, and what a user could build to get at the platform's tables."""
    store.kv.put("k", "secret")
    store.alarm.set(2_000_000_000_000)
    store.sql.exec("CREATE TABLE t (a)")
    store.sql.exec("CREATE VIRTUAL TABLE search USING fts5(x)")
    store.sql.exec("CREATE VIEW through AS SELECT * FROM _cf_KV")
    store.sql.exec("CREATE TABLE points_at (k REFERENCES _cf_KV (key) ON DELETE CASCADE)")
    store.commit()
    return store


def as_user(store: ActorStore, query: str) -> None:
    store.sql.exec(query).to_array()


def as_console(store: ActorStore, query: str) -> None:
    store.inspect(query, write=False, rows_max=100, seconds_max=10.0)


def as_writing_console(store: ActorStore, query: str) -> None:
    store.inspect(query, write=True, rows_max=100, seconds_max=10.0)


def check_refused(store: ActorStore, folder: Path, run: Callable[[ActorStore, str], None], query: str) -> str:
    """The message with which `query` is refused, twice, while nothing changes."""
    files = sorted(path.name for path in folder.iterdir())
    schema = store.sql.exec("SELECT name, sql FROM sqlite_schema").to_array()
    messages: set[str] = set()

    for _ in range(2):
        with pytest.raises(SqlError) as caught:
            run(store, query.replace("{tmp}", str(folder)))
        messages.add(str(caught.value))

    assert store.sql.exec("SELECT name, sql FROM sqlite_schema").to_array() == schema
    assert store.kv.get("k") == "secret"
    assert sorted(path.name for path in folder.iterdir()) == files
    assert store.sql.exec("PRAGMA foreign_keys").one() == {"foreign_keys": 1}
    return messages.pop()


@pytest.mark.parametrize("run", [as_user, as_writing_console, as_console])
@pytest.mark.parametrize(("query", "message"), REFUSED, ids=[query[:50] for query, _ in REFUSED])
def test_a_statement_is_refused_and_changes_nothing(
    furnished: ActorStore, tmp_path: Path, query: str, message: str, run: Callable[[ActorStore, str], None]
) -> None:
    found = check_refused(furnished, tmp_path, run, query)

    # A console that only reads refuses some of them for that reason, before it comes to the other one.
    assert message in found or (run is as_console and READS_ONLY in found)


WRITES = [
    "INSERT INTO t VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t", "CREATE TABLE x (a)", "DROP TABLE t",
    "CREATE INDEX i ON t (a)", "ALTER TABLE t ADD COLUMN c", "REINDEX", "ANALYZE", "PRAGMA optimize",
    "PRAGMA foreign_keys = off", "INSERT INTO search (search) VALUES ('optimize')", "SELECT 1; DELETE FROM t",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "REPLACE INTO t VALUES (1)", "VACUUM",
]  # fmt: skip


@pytest.mark.parametrize("query", WRITES)
def test_a_console_that_only_reads_refuses_every_write(furnished: ActorStore, tmp_path: Path, query: str) -> None:
    assert READS_ONLY in check_refused(furnished, tmp_path, as_console, query)


@pytest.mark.parametrize("run", [as_user, as_writing_console])
def test_only_the_look_afterwards_keeps_a_rename_out_of_the_prefix(
    furnished: ActorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[ActorStore, str], None]
) -> None:
    """The twin: without that look the same check has to fail, or it checks nothing."""
    monkeypatch.setattr("durable.storage.sql.statement.RESERVED_NAMES", "SELECT name FROM sqlite_schema WHERE false")

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_refused(furnished, tmp_path, run, "ALTER TABLE t RENAME TO _cf_x")


@pytest.mark.parametrize(
    ("query", "looks"),
    [("ALTER TABLE t RENAME TO u", True), ("ALTER TABLE search RENAME TO found", True),
     ("ALTER TABLE t RENAME COLUMN a TO z", True), ("ALTER TABLE t ADD COLUMN y NOT NULL DEFAULT 0", False)],
)  # fmt: skip
def test_every_alter_that_may_rename_a_table_is_known(furnished: ActorStore, query: str, looks: bool) -> None:
    furnished.sql.exec(query)

    assert furnished.database.authorizer.renames is looks


@pytest.mark.parametrize(
    "query",
    ["BEGIN", "BEGIN IMMEDIATE", "COMMIT", "END", "ROLLBACK", "SAVEPOINT x", "RELEASE x", "ROLLBACK TO x",
     "SELECT 1; BEGIN; SELECT 2"],
)  # fmt: skip
def test_a_transaction_statement_is_answered_with_the_calls_to_use(furnished: ActorStore, query: str) -> None:
    with pytest.raises(SqlError) as caught:
        furnished.sql.exec(query)

    assert "await ctx.storage.transaction(callback)" in str(caught.value)
    assert "ctx.storage.transaction_sync(callback)" in str(caught.value)


def test_typing_one_of_our_own_statements_does_not_reach_its_compiled_copy(furnished: ActorStore) -> None:
    for _ in range(3):
        assert furnished.kv.get("k") == "secret"
        with pytest.raises(SqlError, match=r"access to _cf_KV\.value is prohibited"):
            furnished.sql.exec("SELECT value FROM _cf_KV WHERE key = ?", "k")


def test_a_rename_into_the_prefix_is_undone_even_when_like_is_case_sensitive(furnished: ActorStore) -> None:
    furnished.sql.exec("PRAGMA case_sensitive_like = on")

    with pytest.raises(SqlError, match="not authorized"):
        furnished.sql.exec("ALTER TABLE t RENAME TO _CF_x")

    furnished.sql.exec("ALTER TABLE t RENAME TO renamed")
    assert furnished.sql.exec("SELECT count(*) AS n FROM renamed").one() == {"n": 0}


ALLOWED = [
    "CREATE TABLE x (a PRIMARY KEY, b) WITHOUT ROWID",
    "CREATE TABLE x AS SELECT 1 AS a",
    "CREATE INDEX i ON t (a)",
    "CREATE UNIQUE INDEX i ON t (a) WHERE a > 1",
    "CREATE VIEW v AS SELECT a FROM t",
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t WHERE a < 0; END",
    "ALTER TABLE t RENAME TO u",
    "ALTER TABLE t RENAME COLUMN a TO b",
    "ALTER TABLE t ADD COLUMN c",
    "DROP TABLE t",
    "DROP VIEW through",
    "DROP TABLE search",
    "INSERT INTO search VALUES ('hello world')",
    "INSERT INTO search (search) VALUES ('optimize')",
    "SELECT highlight(search, 0, '<', '>') FROM search WHERE search MATCH 'hello'",
    "CREATE VIRTUAL TABLE words USING fts5vocab(search, row)",
    "CREATE VIRTUAL TABLE box USING rtree(id, x0, x1)",
    "SELECT * FROM json_each('[1, 2]')",
    "SELECT json_extract('{\"a\": 1}', '$.a'), '{\"a\": 1}' -> 'a', '{\"a\": 1}' ->> 'a'",
    "SELECT ceil(1.5), ceiling(1.5), log10(100), pow(2, 3), iif(1, 2, 3)",
    "SELECT count(*), group_concat(a), row_number() OVER (ORDER BY a) FROM t",
    "WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 3) SELECT * FROM r",
    'SELECT "a string in double quotes"',
    "SELECT name FROM sqlite_schema",
    "EXPLAIN QUERY PLAN SELECT * FROM t",
    "ANALYZE",
    "REINDEX",
    "PRAGMA table_info(t)",
    "PRAGMA table_list",
    "PRAGMA index_list('t')",
    "PRAGMA foreign_key_list(t)",
    "PRAGMA quick_check",
    "PRAGMA quick_check(1)",
    "PRAGMA optimize",
    "PRAGMA data_version",
    "PRAGMA page_size",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA defer_foreign_keys = 'true'",
    "PRAGMA recursive_triggers(yes)",
    "SELECT * FROM pragma_table_info('t')",
]


@pytest.mark.parametrize("query", ALLOWED)
def test_a_statement_of_the_platform_runs(furnished: ActorStore, query: str) -> None:
    furnished.sql.exec(query).to_array()
    furnished.commit()


def test_foreign_keys_are_on_from_the_start(store: ActorStore) -> None:
    store.sql.exec("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id))")

    with pytest.raises(SqlError, match="FOREIGN KEY constraint failed"):
        store.sql.exec("INSERT INTO c VALUES (1)")

"""`sql.exec`: what it refuses, and its limits."""

from __future__ import annotations

from typing import Any

import pytest

from durable import SqlError
from durable.limits import SQL_DATABASE_BYTES_MAX
from durable.storage.sql.authorizer import FUNCTIONS
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


async def _furnished(thing: Thing) -> Any:
    storage = thing.ctx.storage
    await storage.put("k", "secret")
    storage.sql.exec("CREATE TABLE t (a)")
    return storage


for keyword in (
    "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "END", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "ROLLBACK TO s",
):  # fmt: skip

    @FACTS.inside(f"4.5 {keyword} is refused with the calls to use")
    def transaction(thing: Thing, keyword: str = keyword) -> None:
        with pytest.raises(SqlError, match="transaction\\(callback\\).*transaction_sync\\(callback\\)"):
            thing.ctx.storage.sql.exec(keyword)


FORBIDDEN: dict[str, str] = {
    # names of the platform, in any case of letters
    "CREATE TABLE _cf_x (a)": "not authorized",
    "CREATE TABLE _CF_X (a)": "not authorized",
    "CREATE INDEX _cf_i ON t (a)": "not authorized",
    "CREATE VIEW _cf_v AS SELECT 1": "not authorized",
    "DROP TABLE _cf_KV": "not authorized",
    "ALTER TABLE t RENAME TO _cf_x": "not authorized",
    "ALTER TABLE t RENAME TO _CF_x": "not authorized",
    "SELECT * FROM _cf_KV": "access to _cf_KV.key is prohibited",
    "INSERT INTO _cf_KV VALUES ('a', x'00')": "not authorized",
    "PRAGMA table_info(_cf_KV)": "not authorized",
    "PRAGMA quick_check(_cf_KV)": "not authorized",
    "CREATE VIRTUAL TABLE _cf_f USING fts5(x)": "not authorized",
    # one database
    "ATTACH '/tmp/x' AS x": "not authorized",
    "DETACH main": "not authorized",
    "CREATE TEMP TABLE x (a)": "not authorized",
    "CREATE TEMP VIEW x AS SELECT 1": "not authorized",
    "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END": "not authorized",
    "VACUUM": "cannot VACUUM from within a transaction: SQLITE_ERROR",
    "VACUUM INTO '/tmp/x'": "cannot VACUUM from within a transaction: SQLITE_ERROR",
    "CREATE VIRTUAL TABLE x USING fts4(a)": "not authorized",
    "CREATE VIRTUAL TABLE x USING dbstat": "not authorized",
    # functions
    "SELECT sqlite_version()": "not authorized to use function: sqlite_version at offset 7: SQLITE_ERROR",
    "SELECT sqlite_source_id()": "not authorized to use function: sqlite_source_id",
    "SELECT sqlite_compileoption_get(1)": "not authorized to use function: sqlite_compileoption_get",
    "SELECT sqlite_offset(a) FROM t": "sqlite_offset",
    "SELECT load_extension('x')": "not authorized to use function: load_extension",
    # settings
    "PRAGMA user_version": "not authorized",
    "PRAGMA journal_mode": "not authorized",
    "PRAGMA journal_mode = delete": "not authorized",
    "PRAGMA max_page_count": "not authorized",
    "PRAGMA page_size = 512": "not authorized",
    "PRAGMA data_version = 1": "not authorized",
    "PRAGMA synchronous = off": "not authorized",
    "PRAGMA writable_schema = on": "not authorized",
    "PRAGMA foreign_keys = 2": "not authorized",
    "PRAGMA foreign_keys = maybe": "not authorized",
    "PRAGMA table_info": "not authorized",
    "PRAGMA optimize = x": "not authorized",
    "PRAGMA nonsense": "not authorized",
}
for query, message in FORBIDDEN.items():

    @FACTS.inside(f"4.5 {query} is refused")
    async def forbidden(thing: Thing, query: str = query, message: str = message) -> None:
        storage = await _furnished(thing)
        schema = storage.sql.exec("SELECT * FROM sqlite_schema").to_array()
        with pytest.raises(SqlError) as caught:
            storage.sql.exec(query).to_array()
        assert str(caught.value).startswith(message) or message in str(caught.value)
        assert str(caught.value).split(": ")[-1] in ("SQLITE_AUTH", "SQLITE_ERROR")
        assert storage.sql.exec("SELECT * FROM sqlite_schema").to_array() == schema
        assert await storage.get("k") == "secret"


ALLOWED = [
    "ANALYZE",
    "PRAGMA data_version",
    "PRAGMA page_size",
    *[f"PRAGMA {name}" for name in (
        "case_sensitive_like = on", "foreign_keys", "defer_foreign_keys = 'TRUE'", "ignore_check_constraints = yes",
        "legacy_alter_table = 0", "recursive_triggers = no", 'reverse_unordered_selects = "off"',
    )],
    *[f"PRAGMA {name}(t)" for name in (
        "foreign_key_list", "index_info", "index_list", "index_xinfo", "table_info", "table_xinfo", "foreign_key_check",
    )],
    "PRAGMA foreign_key_check", "PRAGMA quick_check", "PRAGMA quick_check(3)", "PRAGMA quick_check(t)",
    "PRAGMA optimize", "PRAGMA optimize(0xfffe)", "PRAGMA table_list",
    "CREATE VIRTUAL TABLE f USING fts5(x); CREATE VIRTUAL TABLE v USING fts5vocab(f, row)",
    "CREATE VIRTUAL TABLE r USING rtree_i32(id, x0, x1)",
    "SELECT row_number() OVER (ORDER BY a), string_agg(a, ','), unhex('00'), timediff('now', 'now') FROM t",
]  # fmt: skip
for query in ALLOWED:

    @FACTS.inside(f"4.5 {query} is allowed")
    async def allowed(thing: Thing, query: str = query) -> None:
        (await _furnished(thing)).sql.exec(query).to_array()


@FACTS.inside("4.5 every function of the platform's list is there")
def functions(thing: Thing) -> None:
    sql = thing.ctx.storage.sql
    missing: list[str] = []
    for name in sorted(name for name in FUNCTIONS if name.isidentifier() and not name.startswith("sqlite_")):
        for use in (f"SELECT {name}()", f"SELECT * FROM {name}"):
            try:
                sql.exec(use)
            except SqlError as error:
                if "no such" in str(error):
                    continue
            break
        else:
            missing.append(name)
    # current_date and its like are words, not calls; these are SQLite's inside an FTS5 table or by another spelling.
    assert [name for name in missing if sql.exec(f"SELECT {name} AS v").column_names != ["v"]] == []
    assert sql.exec("SELECT soundex('Robert') AS a, soundex('Rupert') AS b, soundex('') AS c").one() == {
        "a": "R163", "b": "R163", "c": "?000",
    }  # fmt: skip


# --- limits -----------------------------------------------------------------------------------------------------------
def _trigger_chain(depth: int) -> str:
    """Tables c0 … whose triggers insert into the next one."""
    return ";".join(
        f"CREATE TABLE c{number} (a); CREATE TRIGGER g{number} AFTER INSERT ON c{number}"
        f" BEGIN INSERT INTO {'t' if number == depth else f'c{number + 1}'} VALUES (1); END"
        for number in range(depth, 0, -1)
    )


LIMITS: dict[str, tuple[str, str]] = {
    "a value has at most 2 MiB": ("SELECT zeroblob(2097153)", "string or blob too big: SQLITE_TOOBIG"),
    "a row has at most 2 MiB": (
        "INSERT INTO t VALUES (zeroblob(2097152))", "string or blob too big: SQLITE_TOOBIG",
    ),
    "a statement has at most 100 000 bytes": (
        "SELECT '" + "é" * 50_000 + "'", "statement too long (100009 bytes, at most 100000): SQLITE_TOOBIG",
    ),
    "a table has at most 100 columns": (
        f"CREATE TABLE c ({', '.join(f'c{n}' for n in range(101))})", "too many columns on c: SQLITE_ERROR",
    ),
    "a result has at most 100 columns": (
        f"SELECT {', '.join(map(str, range(101)))}", "too many columns in result set: SQLITE_ERROR",
    ),
    "a statement has at most 100 parameters": (
        f"SELECT {' + '.join(['?'] * 50)}, {' + '.join(['?'] * 51)}", "too many SQL variables at offset",
    ),
    "a function has at most 127 arguments": (
        f"SELECT max({', '.join(map(str, range(128)))})", "too many arguments on function max",
    ),
    "a LIKE pattern has at most 50 bytes": (
        f"SELECT 'x' LIKE '{'a' * 51}'", "LIKE or GLOB pattern too complex: SQLITE_ERROR",
    ),
    "a GLOB pattern has at most 50 bytes": (
        f"SELECT 'x' GLOB '{'a' * 51}'", "LIKE or GLOB pattern too complex: SQLITE_ERROR",
    ),
    "an expression is at most 100 deep": (
        "SELECT " + "+".join("1" * 102), "Expression tree is too large (maximum depth 100): SQLITE_ERROR",
    ),
    "a compound SELECT has at most 5 terms": (
        " UNION ".join(["SELECT 1"] * 6), "too many terms in compound SELECT: SQLITE_ERROR",
    ),
    "a program has at most 25 000 instructions": (
        f"INSERT INTO t VALUES {', '.join(['(1)'] * 9000)}", "out of memory (if the machine has memory left,",
    ),
    "triggers set each other off at most 10 deep": (
        _trigger_chain(12) + "; INSERT INTO c1 VALUES (1)", "triggers nested too deep: SQLITE_ERROR",
    ),
}  # fmt: skip
for limit, (query, message) in LIMITS.items():

    @FACTS.inside(f"4.5 limit: {limit}")
    async def limited(thing: Thing, query: str = query, message: str = message) -> None:
        storage = await _furnished(thing)
        with pytest.raises(SqlError) as caught:
            storage.sql.exec(query, *([1] * query.count("?"))).to_array()
        assert str(caught.value).startswith(message)
        # Nothing else is lost, and the object goes on.
        assert storage.sql.exec("SELECT count(*) AS n FROM t").one() == {"n": 0}
        assert await storage.get("k") == "secret"


@FACTS.inside("4.5 limit: what is just inside of every limit runs")
async def inside_limits(thing: Thing) -> None:
    sql = (await _furnished(thing)).sql
    for query in (
        "SELECT length(zeroblob(2097152))",
        "INSERT INTO t VALUES (zeroblob(2097100))",
        "SELECT '" + "a" * 99_991 + "'",
        f"CREATE TABLE c ({', '.join(f'c{n}' for n in range(100))})",
        f"SELECT {', '.join(map(str, range(100)))}",
        f"SELECT {', '.join(['?'] * 100)}",
        f"SELECT max({', '.join(map(str, range(127)))})",
        f"SELECT 'x' LIKE '{'a' * 50}'",
        "SELECT " + "+".join("1" * 100),
        " UNION ".join(["SELECT 1"] * 5),
        _trigger_chain(9) + "; INSERT INTO c1 VALUES (1)",
    ):
        sql.exec(query, *([1] * query.count("?"))).to_array()


@FACTS.driven("4.5 limit: an object has at most 10 GiB")
async def full(stage: Stage) -> None:
    assert SQL_DATABASE_BYTES_MAX == 10 * 2**30
    stage.monkeypatch.setattr("durable.limits.SQL_DATABASE_BYTES_MAX", 16 * 4096)

    def part(thing: Thing) -> None:
        thing.ctx.storage.sql.exec("CREATE TABLE t (b)")
        thing.ctx.storage.sql.exec("INSERT INTO t VALUES (zeroblob(100000))")

    with pytest.raises(Exception, match="^.*database or disk is full.*: SQLITE_FULL"):
        await stage.run(part)


@FACTS.inside("4.5 a query that keeps everything else waiting is stopped")
def runaway(thing: Thing) -> None:
    endless = "WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT max(x) FROM r"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("durable.storage.sql.turn_watch.SQL_TURN_SECONDS_MAX", 0.0)
        with pytest.raises(SqlError) as caught:
            thing.ctx.storage.sql.exec(endless)
        assert str(caught.value) == (
            "interrupted (the SQL of one turn may take 30 seconds; do less at a time, or wait in between):"
            " SQLITE_INTERRUPT"
        )
    assert thing.ctx.storage.sql.exec("SELECT 1 AS one").one() == {"one": 1}

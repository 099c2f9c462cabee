"""What SQL of the user's may do, as tables: statements, pragmas, functions, modules. SQLite asks while it compiles.

The lists are the platform's (workerd `util/sqlite.c++`, ALLOWED_SQLITE_FUNCTIONS and ALLOWED_PRAGMAS), plus `ceiling`
and `log10`. SQLite does not ask about the new name of `ALTER TABLE … RENAME TO`: whoever runs that looks afterwards.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable

import apsw

from durable.storage.schema import is_reserved


class Trust(enum.Enum):
    """On whose behalf SQLite compiles."""

    ENGINE = 1
    USER = 2
    READER = 3
    """A tool that may look and not touch."""


FUNCTIONS = frozenset(
    """
    abs changes char coalesce concat concat_ws format glob hex ifnull iif instr last_insert_rowid length like
    likelihood likely lower ltrim max min nullif octet_length printf quote random randomblob replace round rtrim sign
    soundex substr substring total_changes trim typeof unhex unicode unlikely upper zeroblob
    date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp
    avg count group_concat max min string_agg sum total
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow
    radians sin sinh sqrt tan tanh trunc
    json jsonb json_array jsonb_array json_array_length json_extract jsonb_extract -> ->> json_insert jsonb_insert
    json_object jsonb_object json_patch jsonb_patch json_remove jsonb_remove json_replace jsonb_replace json_set
    jsonb_set json_type json_valid json_quote json_group_array jsonb_group_array
    json_group_object jsonb_group_object json_each json_tree
    match highlight bm25 snippet rtreecheck
    sqlite_rename_column sqlite_rename_table sqlite_rename_test sqlite_rename_quotefix sqlite_rename_parent
    sqlite_drop_column
    """.split()
)
MODULES = frozenset({"fts5", "fts5vocab", "rtree", "rtree_i32"})
HIDDEN_TABLES = frozenset({"dbstat", "sqlite_dbpage", "sqlite_stmt"})
"""Tables that exist without being created and show the pages or statements behind every name."""

PRAGMAS_PLAIN = frozenset({"data_version", "page_size"})
PRAGMAS_SWITCH = frozenset(
    """case_sensitive_like foreign_keys defer_foreign_keys ignore_check_constraints legacy_alter_table
    recursive_triggers reverse_unordered_selects""".split()
)
PRAGMAS_NAMED = frozenset(
    "foreign_key_list index_info index_list index_xinfo table_info table_xinfo foreign_key_check".split()
)
PRAGMAS_NUMBERED = frozenset({"quick_check", "optimize"})
_SWITCH_VALUES = frozenset("on off true false yes no 1 0".split())
_NUMBER = re.compile(r"-?(\d+|0[xX][0-9a-fA-F]+)")

_OK = apsw.SQLITE_OK
_ENGINE = Trust.ENGINE
_READER = Trust.READER
"""Names of our own: a member of an enumeration takes longer to look up than most answers here to find."""
_REWRITES = "sqlite_"
"""What SQLite's own functions begin with that rewrite the schema (alter.c): every ALTER but ADD COLUMN calls some."""
_TRANSACTIONS = frozenset({apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT})
_SCHEMA_CHANGES = frozenset(
    getattr(apsw, "SQLITE_" + name)
    for name in """CREATE_INDEX CREATE_TABLE CREATE_TRIGGER CREATE_VIEW CREATE_VTABLE DROP_INDEX DROP_TABLE DROP_TRIGGER
    DROP_VIEW DROP_VTABLE ALTER_TABLE ANALYZE REINDEX""".split()
)
_TELLING = _SCHEMA_CHANGES | {apsw.SQLITE_PRAGMA}
"""What a question about these says of the statement is noted each time."""
_NAMED_FIRST = frozenset(
    getattr(apsw, "SQLITE_" + name)
    for name in """CREATE_TABLE CREATE_VIEW CREATE_VTABLE DROP_TABLE DROP_VIEW DROP_VTABLE READ INSERT UPDATE
    DELETE""".split()
)
_NAMED_TWICE = frozenset(
    getattr(apsw, "SQLITE_" + name) for name in "CREATE_INDEX CREATE_TRIGGER DROP_INDEX DROP_TRIGGER".split()
)
_TEMPORARY = frozenset(value for name, value in vars(apsw).items() if re.match("SQLITE_(CREATE|DROP)_TEMP_", name))
_FREE = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE, apsw.SQLITE_ANALYZE, apsw.SQLITE_REINDEX})
_LOOKING = frozenset(
    {apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE, apsw.SQLITE_PRAGMA}
)

TRANSACTION_REASON = "transaction"
READS_ONLY = "this tool only reads; use --write to change data"
_PLAIN_MAX = 1024
_plain: set[tuple[int, str | None, str | None, str | None]] = set()
"""Questions that were answered with yes, and that say nothing of the statement: SQLite asks about each column that a
statement reads, and again for the same statement of each object."""
_RESERVED_REASON = "names that begin with _cf_ belong to the platform"


class Authorizer:
    """SQLite's authorizer callback for one connection, and what it noticed about the statement being compiled."""

    __slots__ = ("changes_schema", "reason", "renames", "switched", "trust", "writes")

    def __init__(self) -> None:
        self.trust = Trust.ENGINE
        self.switched = False
        """Whether a statement ever set a switch of the connection, which outlives it."""
        self.forget()

    def forget(self) -> None:
        """Call before a statement of the user's is compiled."""
        self.reason = ""
        self.changes_schema = False
        self.renames = False
        """Whether it may give a table another name, which SQLite does not ask about."""
        self.writes = False

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, source: str | None
    ) -> int:
        trust = self.trust
        if trust is _ENGINE:
            return _OK
        question = (action, first, second, database)
        if question in _plain and (trust is not _READER or action in _LOOKING):
            return _OK
        reason = self._objection(action, first, second, database)
        if reason is None:
            if action not in _TELLING and not self.renames:
                if len(_plain) >= _PLAIN_MAX:
                    _plain.clear()
                _plain.add(question)
            return _OK
        self.reason = reason
        return apsw.SQLITE_DENY

    def _objection(self, action: int, first: str | None, second: str | None, database: str | None) -> str | None:
        """Why not; the empty string where SQLite's own message says it."""
        if self.trust is _READER and action not in _LOOKING:
            return READS_ONLY
        if action in _SCHEMA_CHANGES:
            self.changes_schema = True
        if action == apsw.SQLITE_PRAGMA:
            return self._pragma(first or "", second)
        rule = _RULES.get(action)
        if rule is None:
            return "this statement is not available to an object"
        if action == apsw.SQLITE_FUNCTION and (second or "").startswith(_REWRITES):
            self.renames = True
        if action == apsw.SQLITE_INSERT and database == "temp":
            return "temporary tables are not available to an object"
        return rule(first, second)

    def _pragma(self, name: str, argument: str | None) -> str | None:
        name = name.lower()
        word = (argument or "").strip("'\"").lower()
        if name == "table_list":
            return None
        if is_reserved(word):
            return _RESERVED_REASON
        if name in PRAGMAS_PLAIN and argument is None:
            return None
        if name in PRAGMAS_SWITCH and argument is None:
            return None
        if self.trust is _READER and (name in PRAGMAS_SWITCH or name == "optimize"):
            return READS_ONLY
        if name in PRAGMAS_SWITCH and word in _SWITCH_VALUES:
            self.switched = True
            return None
        if name in PRAGMAS_NAMED and (argument is not None or name == "foreign_key_check"):
            return None
        if name in PRAGMAS_NUMBERED and (argument is None or name == "quick_check" or _NUMBER.fullmatch(word)):
            # Its ANALYZE runs inside the pragma, which SQLite calls read-only.
            self.writes = self.changes_schema = name == "optimize"
            return None
        return f"PRAGMA {name}{'' if argument is None else ' with ' + repr(argument)} is not available to an object"


def _allow(first: str | None, second: str | None) -> str | None:
    return None


def _check_first(first: str | None, second: str | None) -> str | None:
    if first in HIDDEN_TABLES:
        return f"{first} is not available to an object"
    return _RESERVED_REASON if is_reserved(first) else None


def _check_both(first: str | None, second: str | None) -> str | None:
    return _RESERVED_REASON if is_reserved(first) or is_reserved(second) else None


def _check_second(first: str | None, second: str | None) -> str | None:
    return _RESERVED_REASON if is_reserved(second) else None


def _check_module(first: str | None, second: str | None) -> str | None:
    if (second or "").lower() not in MODULES:
        return f"virtual tables can be made with {', '.join(sorted(MODULES))}, not with {second}"
    return _check_first(first, None)


def _check_function(first: str | None, second: str | None) -> str | None:
    return None if (second or "").lower() in FUNCTIONS else ""


def _refuse_transaction(first: str | None, second: str | None) -> str | None:
    return TRANSACTION_REASON


def _refuse_temporary(first: str | None, second: str | None) -> str | None:
    return "temporary tables are not available to an object"


_RULES: dict[int, Callable[[str | None, str | None], str | None]] = {
    **dict.fromkeys(_FREE, _allow),
    **dict.fromkeys(_NAMED_FIRST, _check_first),
    **dict.fromkeys(_NAMED_TWICE, _check_both),
    **dict.fromkeys(_TRANSACTIONS, _refuse_transaction),
    **dict.fromkeys(_TEMPORARY, _refuse_temporary),
    apsw.SQLITE_ALTER_TABLE: _check_second,
    apsw.SQLITE_CREATE_VTABLE: _check_module,
    apsw.SQLITE_FUNCTION: _check_function,
    apsw.SQLITE_ATTACH: lambda first, second: "ATTACH is not available: an object has exactly one database",
    apsw.SQLITE_DETACH: lambda first, second: "DETACH is not available: an object has exactly one database",
}

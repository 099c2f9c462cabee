"""Files of migrations: which are read, in what order, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.errors import MigrationError
from durable.schema import ClassSchema, read_class, read_schemas

TABLE = "CREATE TABLE m(id INTEGER PRIMARY KEY);"


def room(root: Path, **files: str) -> Path:
    """`room(root, s0001_init="CREATE …", p0002_more="def up(ctx): …")`: s for .sql, p for .py."""
    folder = root / "migrations" / "Room"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name[1:]}.{'sql' if name[0] == 's' else 'py'}").write_text(text)
    return folder


def refusal(folder: Path) -> MigrationError:
    with pytest.raises(MigrationError) as refused:
        read_class(folder)
    return refused.value


def test_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = room(tmp_path, s0002_more="SELECT 1", s0001_init=TABLE, p0003_fill="def up(ctx):\n    pass\n")
    schema = read_class(folder)
    assert [file.path.name for file in schema.files] == ["0001_init.sql", "0002_more.sql", "0003_fill.py"]
    assert schema.version == 3


def test_what_is_no_migration_is_let_be(tmp_path: Path) -> None:
    folder = room(tmp_path, s0001_init=TABLE)
    (folder / "README.md").write_text("why")
    (folder / "__init__.py").write_text("")
    (folder / ".0002_x.sql").write_text("")
    (tmp_path / "migrations" / "meta").mkdir()
    (tmp_path / "migrations" / "0001_d1.sql").write_text("VACUUM")
    assert list(read_schemas(tmp_path, ["Room", "Other"])) == ["Room"]


def test_line_ends_do_not_change_a_checksum(tmp_path: Path) -> None:
    unix = read_class(room(tmp_path / "a", s0001_init="CREATE TABLE m(\nid);\n"))
    (tmp_path / "b/migrations/Room").mkdir(parents=True)
    (tmp_path / "b/migrations/Room/0001_init.sql").write_bytes(b"CREATE TABLE m(\r\nid);\r\n")
    assert read_class(tmp_path / "b/migrations/Room").digest == unix.digest


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"s0002_more": TABLE}, "migrations/Room/0002_more.sql follows nothing: number 0001 is missing"),
        ({"s0001_a": TABLE, "s0003_b": TABLE}, "migrations/Room/0003_b.sql follows 0001_a.sql: number 0002 is missing"),
        ({"s0001_a": TABLE, "s0001_b": TABLE}, "migrations/Room/0001_b.sql and 0001_a.sql have the same number"),
        ({"s1_a": TABLE}, "migrations/Room/1_a.sql is not named like a migration"),
        ({"s0001_a": "-- nothing\n ; ;"}, "migrations/Room/0001_a.sql holds no statement"),
        ({"s0001_a": "SELECT 'x"}, "migrations/Room/0001_a.sql:1: this statement does not end"),
        (
            {"s0001_a": f"{TABLE}\nCREATE TRIGGER t AFTER INSERT ON m BEGIN SELECT 1;\n"},
            "0001_a.sql:2: this statement does not",
        ),
        ({"s0001_a": "EXPLAIN SELECT 1"}, "migrations/Room/0001_a.sql:1: EXPLAIN changes nothing"),
        ({"p0001_a": "def down(ctx): pass"}, "migrations/Room/0001_a.py has no function up"),
        ({"p0001_a": "x = 1\ndef up(ctx:\n"}, "migrations/Room/0001_a.py:2: "),
    ],
)
def test_refused_before_anything_runs(tmp_path: Path, files: dict[str, str], said: str) -> None:
    assert said in str(refusal(room(tmp_path, **files)))


@pytest.mark.parametrize(
    "statement",
    ["BEGIN", "commit", "END", "Rollback", "SAVEPOINT a", "RELEASE a", "ATTACH 'x' AS y", "DETACH y", "VACUUM",
     "PRAGMA foreign_keys = off", "/* so */ PRAGMA user_version"],
)  # fmt: skip
def test_statements_that_break_the_transaction_are_refused_with_their_line(tmp_path: Path, statement: str) -> None:
    error = refusal(
        room(tmp_path, s0001_init=f"{TABLE}\n-- BEGIN;\nINSERT INTO m VALUES (';COMMIT;');\n{statement};\n")
    )
    word = statement.replace("/* so */ ", "").split()[0].upper()
    assert str(error).startswith(f"migrations/Room/0001_init.sql:4: {word} cannot stand in a migration: ")


def test_a_refusal_has_the_users_line_in_its_traceback(tmp_path: Path) -> None:
    error = refusal(room(tmp_path, s0001_init=f"{TABLE}\nVACUUM;\n"))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    assert trace is not None
    assert (Path(trace.tb_frame.f_code.co_filename).name, trace.tb_lineno) == ("0001_init.sql", 2)


def test_a_trigger_is_one_statement(tmp_path: Path) -> None:
    trigger = (
        "CREATE TEMP TRIGGER t AFTER INSERT ON m BEGIN\n"
        "  UPDATE m SET id = CASE WHEN id > 1 THEN 2 ELSE 3 END; -- not yet; END;\n  DELETE FROM m;\nEND;"
    )
    statements = read_class(room(tmp_path, s0001_init=f"{TABLE}\n{trigger}\nSELECT ';';")).files[0].statements
    assert [statement.line for statement in statements] == [1, 2, 6]
    assert statements[1].text == trigger


def test_a_folder_of_no_class_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    room(tmp_path, s0001_init=TABLE)
    with pytest.raises(MigrationError, match=r'no class Room in the configuration. Did you mean "Rooms"\?'):
        read_schemas(tmp_path, ["Rooms", "Counter"])


def test_what_is_pending_follows_from_the_checksums(tmp_path: Path) -> None:
    schema = read_class(room(tmp_path, s0001_a=TABLE, s0002_b="SELECT 2", s0003_c="SELECT 3"))
    assert [file.version for file in schema.pending(schema.checksums[:1])] == [2, 3]
    assert schema.pending(schema.checksums) == ()


def test_an_applied_file_that_was_edited_is_named(tmp_path: Path) -> None:
    schema = read_class(room(tmp_path, s0001_a=TABLE, s0002_b="SELECT 2"))
    with pytest.raises(MigrationError, match=r"migrations/Room/0001_a.sql was edited after it was applied") as refused:
        schema.pending(("f" * 64,))
    assert refused.value.fix.startswith("put its text back")


def test_code_that_is_older_than_the_data_says_both_versions(tmp_path: Path) -> None:
    schema = read_class(room(tmp_path, s0001_a=TABLE))
    with pytest.raises(MigrationError) as refused:
        schema.pending((*schema.checksums, "x", "y"))
    assert "schema is of version 3, and the newest file is 0001_a.sql" in str(refused.value)
    assert "this code is older than the data. Nothing was written" in str(refused.value)
    with pytest.raises(MigrationError, match="version 1, and there is no file in migrations/Room"):
        ClassSchema("Room", ()).pending(("x",))

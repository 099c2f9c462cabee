"""`migrate(ctx, folder)`: what the platform runs in a constructor, on a storage that has the platform's names alone."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import durable
from durable.errors import MigrationError
from durable.schema import migrate


class Cursor:
    """As the platform's: `raw()` is an iterator of arrays."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def raw(self) -> Iterator[Any]:
        return iter(self._rows)


class Platform:
    """`ctx` with `storage.sql.exec` and `storage.transactionSync`, over a database of the standard library."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.storage = SimpleNamespace(
            sql=SimpleNamespace(exec=self._exec), transactionSync=self._transaction_sync, kv=None
        )

    def _exec(self, query: str, *bindings: Any) -> Cursor:
        if "_cf_" in query:
            raise RuntimeError("not authorized: SQLITE_AUTH")
        return Cursor(self.database.execute(query, bindings).fetchall())

    def _transaction_sync(self, callback: Callable[[], None]) -> None:
        self.database.execute("SAVEPOINT a")
        try:
            callback()
        except BaseException:
            self.database.execute("ROLLBACK TO a")
            raise
        finally:
            self.database.execute("RELEASE a")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations" / "Room"
    made.mkdir(parents=True)
    (made / "0001_init.sql").write_text("CREATE TABLE m(body TEXT);\nINSERT INTO m VALUES ('a');")
    (made / "0002_fill.py").write_text("def up(ctx):\n    ctx.storage.sql.exec('INSERT INTO m VALUES (?)', 'b')\n")
    return made


def rows(ctx: Platform, table: str = "m") -> list[Any]:
    return [row[0] for row in ctx.database.execute(f"SELECT * FROM {table}")]


def test_every_file_is_applied_once(folder: Path) -> None:
    ctx = Platform()
    assert migrate(ctx, folder) == 2
    assert migrate(ctx, folder) == 2
    assert rows(ctx) == ["a", "b"]
    assert rows(ctx, "durable_migrations") == [1, 2]


def test_a_failing_file_leaves_nothing(folder: Path) -> None:
    ctx = Platform()
    (folder / "0002_fill.py").write_text("def up(ctx):\n    raise ValueError('no')\n")
    with pytest.raises(ValueError, match="no"):
        migrate(ctx, folder)
    assert ctx.database.execute("SELECT count(*) FROM sqlite_schema").fetchall() == [(0,)]


def test_older_code_writes_nothing(folder: Path, tmp_path: Path) -> None:
    ctx = Platform()
    migrate(ctx, folder)
    older = tmp_path / "older" / "Room"
    older.mkdir(parents=True)
    (older / "0001_init.sql").write_text((folder / "0001_init.sql").read_text())
    with pytest.raises(MigrationError, match="older than the data"):
        migrate(ctx, older)
    assert rows(ctx) == ["a", "b"]


def test_where_the_engine_has_done_it_nothing_is_done(folder: Path) -> None:
    ctx: Any = SimpleNamespace(schema_version=2)
    assert migrate(ctx, folder) == 2


def test_an_up_that_waits_is_refused(folder: Path) -> None:
    (folder / "0002_fill.py").write_text(
        "async def up(ctx):\n    pass\n\ndef up(ctx): pass\nup = lambda ctx: (yield)\n"
    )
    with pytest.raises(MigrationError, match=r"0002_fill.py has an up that is no plain function"):
        migrate(Platform(), folder)


def test_it_needs_the_standard_library_and_four_files_of_ours(folder: Path, tmp_path: Path) -> None:
    ours = Path(durable.__file__).parent
    bundle = tmp_path / "bundle" / "durable"
    shutil.copytree(ours / "schema", bundle / "schema")
    for name in ("errors.py", "limits.py"):
        shutil.copy(ours / name, bundle / name)
    (bundle / "__init__.py").write_text("")
    program = (
        f"import sys; sys.path.insert(0, {str(bundle.parent)!r})\n"
        "import durable.schema\n"
        f"assert durable.schema.read_class(__import__('pathlib').Path({str(folder)!r})).version == 2\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} & {'apsw', 'aiohttp', 'msgspec', 'rich', 'typer'}\n"
        "assert not foreign, foreign\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, timeout=30)

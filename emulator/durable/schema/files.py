"""`migrations/<Class>/0001_init.sql` and `.py`: found, read and checked, before anything is run. Knows no object.

    0001_init.sql            one or more SQL statements
    0002_add_reactions.py    def up(ctx): …        with ctx.storage.sql, ctx.storage.kv and ctx.id

Numbers count from 1 without a gap, so that a version says what an object has. Standard library only: the same files are
read on the platform.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

from durable.errors import MigrationError
from durable.limits import SCHEMA_FILE_BYTES_MAX, SCHEMA_FILES_MAX
from durable.schema.place import raise_at
from durable.schema.statements import FORBIDDEN, SqlStatement, split_statements

FOLDER: Final = "migrations"
_WAITS: Final = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR
_NAME: Final = re.compile(r"(\d{4,})_(\w+)\.(sql|py)")
_SUFFIXES: Final = (".sql", ".py")


@dataclass(frozen=True)
class MigrationFile:
    """One step of a class's schema. Equal checksums mean equal text, whatever the line ends."""

    version: int
    path: Path
    source: str
    checksum: str

    @property
    def label(self) -> str:
        """`migrations/ChatRoom/0002_add_reactions.sql`"""
        return f"{FOLDER}/{self.path.parent.name}/{self.path.name}"

    @property
    def is_python(self) -> bool:
        return self.path.suffix == ".py"

    @cached_property
    def statements(self) -> tuple[SqlStatement, ...]:
        return () if self.is_python else split_statements(self.source)

    def load_up(self) -> Callable[[Any], object]:
        """The file's `up`. Runs the file, so what it raises is the user's; MigrationError when there is no such one."""
        module = types.ModuleType(f"{FOLDER}.{self.path.parent.name}.{self.path.stem}")
        module.__file__ = str(self.path)
        exec(compile(self.source, str(self.path), "exec", dont_inherit=True), module.__dict__)
        up: Any = getattr(module, "up", None)
        code = getattr(up, "__code__", None)
        if not callable(up) or (code is not None and code.co_flags & _WAITS):
            found = "has no function up" if up is None else "has an up that is no plain function"
            raise MigrationError(
                f"{self.label} {found}. A migration is one transaction, so it cannot wait for anything: "
                "`def up(ctx):`, not `async def up(ctx):`"
            )
        return up  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ClassSchema:
    """The migrations of one class, in order; the version of an object is how many of them it has."""

    class_name: str
    files: tuple[MigrationFile, ...]

    @property
    def version(self) -> int:
        return len(self.files)

    @cached_property
    def checksums(self) -> tuple[str, ...]:
        return tuple(file.checksum for file in self.files)

    @cached_property
    def digest(self) -> str:
        """Of all files together: whether two processes mean the same."""
        return hashlib.sha256("\n".join(self.checksums).encode()).hexdigest()

    def pending(self, applied: tuple[str, ...]) -> tuple[MigrationFile, ...]:
        """What an object lacks that has these checksums. Raises MigrationError where they do not go together."""
        if applied == self.checksums:
            return ()
        if len(applied) > self.version:
            newest = f"the newest file is {self.files[-1].path.name}" if self.files else "there is no file"
            raise MigrationError(
                f"the object's schema is of version {len(applied)}, and {newest} in {FOLDER}/{self.class_name}:"
                " this code is older than the data. Nothing was written; durable sql can read it",
                fix="run the code that made it, or put its migrations back",
            )
        for file, checksum in zip(self.files, applied, strict=False):
            if file.checksum != checksum:
                raise MigrationError(
                    f"{file.label} was edited after it was applied: its checksum is {file.checksum[:12]}, and was"
                    f" {checksum[:12]} then. Nothing was written",
                    fix=f"put its text back, and write what is to change into a new file: "
                    f'durable migrate new {self.class_name} "…"',
                )
        return self.files[len(applied) :]


def without_sql(class_name: str) -> MigrationError:
    """To raise for migrations of a class whose objects have no SQL."""
    return MigrationError(
        f"{FOLDER}/{class_name} is for a class that was declared without SQL: it stands under new_classes in"
        " [[migrations]], and not under new_sqlite_classes"
    )


# --- reading ----------------------------------------------------------------------------------------------------------
def read_schemas(root: Path, class_names: Iterable[str]) -> dict[str, ClassSchema]:
    """The checked migrations of every class that has any. Raises MigrationError, which names file and line."""
    folder = root / FOLDER
    names = tuple(class_names)
    schemas: dict[str, ClassSchema] = {}
    if not folder.is_dir():
        return schemas
    for each in sorted(folder.iterdir()):
        if not each.is_dir() or not any(map(_NAME.fullmatch, _names_in(each))):
            continue
        if each.name not in names:
            near = get_close_matches(each.name, names, n=1)
            raise MigrationError(
                f"{FOLDER}/{each.name} holds migrations, but there is no class {each.name} in the configuration."
                + (f' Did you mean "{near[0]}"?' if near else ""),
                fix=f"rename the folder after one of {', '.join(sorted(names)) or 'the classes'}, or remove it",
            )
        schemas[each.name] = read_class(each)
    return schemas


def read_class(folder: Path) -> ClassSchema:
    """The checked migrations of one class, whose name is the folder's."""
    files: list[MigrationFile] = []
    for name in sorted(_names_in(folder), key=lambda name: (len(name.partition("_")[0]), name)):
        match = _NAME.fullmatch(name)
        if match is None:
            raise MigrationError(
                f"{FOLDER}/{folder.name}/{name} is not named like a migration: a number of four digits, an underscore"
                " and what it does, such as 0002_add_reactions.sql",
                fix=f'durable migrate new {folder.name} "what it does" makes the next one',
            )
        file = _read_file(folder / name, int(match.group(1)))
        _check_order(files, file)
        _check_content(file)
        files.append(file)
    if len(files) > SCHEMA_FILES_MAX:
        raise MigrationError(f"{FOLDER}/{folder.name} has {len(files)} migrations; the limit is {SCHEMA_FILES_MAX}")
    return ClassSchema(folder.name, tuple(files))


def _names_in(folder: Path) -> list[str]:
    return [
        each.name
        for each in folder.iterdir()
        if each.suffix in _SUFFIXES and not each.name.startswith((".", "__")) and each.is_file()
    ]


def _read_file(path: Path, version: int) -> MigrationFile:
    place = f"{FOLDER}/{path.parent.name}/{path.name}"
    size = path.stat().st_size
    if size > SCHEMA_FILE_BYTES_MAX:
        raise MigrationError(f"{place} is {size} bytes long; the limit is {SCHEMA_FILE_BYTES_MAX}")
    try:
        source = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise MigrationError(f"{place} is not UTF-8: {error.reason} at byte {error.start}") from None
    return MigrationFile(version, path, source, hashlib.sha256(source.encode()).hexdigest())


def _check_order(before: list[MigrationFile], file: MigrationFile) -> None:
    expected = len(before) + 1
    if before and file.version == before[-1].version:
        _refuse(
            file,
            0,
            f" and {before[-1].path.name} have the same number",
            f"rename the one that is newer: {expected:04d}_…",
        )
    if file.version != expected:
        last = before[-1].path.name if before else "nothing"
        _refuse(
            file,
            0,
            f" follows {last}: number {expected:04d} is missing",
            f"put the missing file back, or number this one {expected:04d}",
        )


def _check_content(file: MigrationFile) -> None:
    if "\0" in file.source:
        _refuse(file, 0, " has a zero byte in it")
    if file.is_python:
        _check_python(file)
        return
    if not file.statements:
        _refuse(file, 0, " holds no statement", "write one into it, or remove the file")
    for statement in file.statements:
        first = statement.words[0]
        if first == "EXPLAIN":
            _refuse(file, statement.line, "EXPLAIN changes nothing", "take it out")
        if first in FORBIDDEN:
            _refuse(file, statement.line, f"{first} cannot stand in a migration: {FORBIDDEN[first]}")
        if not statement.ended:
            _refuse(file, statement.line, "this statement does not end: a quote, or END;, is missing")


def _check_python(file: MigrationFile) -> None:
    """Look without running: it is user code, and the command line runs none."""
    try:
        compile(file.source, str(file.path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        _refuse(file, getattr(error, "lineno", None) or 1, str(getattr(error, "msg", error)))
    if not re.search(r"^def up\(", file.source, re.MULTILINE):
        _refuse(file, 0, " has no function up", "def up(ctx): …, at the beginning of a line")


def _refuse(file: MigrationFile, line: int, what: str, fix: str = "") -> NoReturn:
    """`line` 0 means the whole file."""
    place = f"{file.label}:{line}: " if line else file.label
    raise_at(file.path, line or 1, MigrationError(place + what, fix=fix))

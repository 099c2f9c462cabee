"""Writes objects to files: one or all of a class, as SQLite files, SQL scripts or JSON Lines.

Objects are copied through the door, a few at a time, each as it was between two turns, and woken by nothing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from durable.errors import UserInputError
from durable.storage.file_copy import sync_path
from durable.storage.layout import sync_folder
from durable_cli.console import silence_broken_pipe
from durable_cli.data.door import DataDoor
from durable_cli.data.image_contents import parts_of
from durable_cli.data.json_lines import ObjectBegins, head, lines_of
from durable_cli.data.listing_types import ListedObject
from durable_cli.data.object_folder import FolderHead, FolderWriter, own_file
from durable_cli.data.progress import Progress
from durable_cli.data.sql_dump import script_of
from durable_cli.data.whole_class import each_object, raise_failures
from durable_cli.objects.finding import Target

SQLITE: Final = "sqlite"
SQL: Final = "sql"
JSON_LINES: Final = "jsonl"
FORMATS: Final = (SQLITE, SQL, JSON_LINES)
_ENDINGS: Final = {".sqlite": SQLITE, ".sqlite3": SQLITE, ".db": SQLITE, ".sql": SQL, ".jsonl": JSON_LINES}


@dataclass(frozen=True, slots=True)
class Exported:
    """`path` None: standard output."""

    path: Path | None
    objects: int
    bytes: int


def chosen_format(word: str | None, output: Path | None, *, of_class: bool) -> str:
    """What `--format` or the file's ending says. Raises UserInputError for a word that is no format."""
    if word is not None:
        if word not in FORMATS:
            raise UserInputError(f'--format "{word}": there are {", ".join(FORMATS)}', fix="--format jsonl")
        return word
    if output is None:
        return JSON_LINES
    return _ENDINGS.get(output.suffix.lower(), JSON_LINES if of_class and output.suffix else SQLITE)


def export_object(door: DataDoor, target: Target, output: Path | None, form: str, work: Path) -> Exported:
    """One object to one file, or to standard output. Raises NotFoundError, UserInputError for a file that is there."""
    found = door.find(target)
    _check_output(output, form)
    if form == SQLITE and output is not None:
        return Exported(output, 1, door.copy(target, output))
    image = work / "image.sqlite"
    door.copy(target, image, sync=False)
    begins = ObjectBegins(found.class_name, found.name, found.id)
    with _written(output) as stream:
        _write_pieces(stream, _pieces(form, image, begins))
    return Exported(output, 1, output.stat().st_size if output is not None else 0)


def export_class(
    door: DataDoor, class_word: str, environment: str | None, output: Path | None, form: str, work: Path, told: Progress
) -> Exported:
    """Every object: JSON Lines in one file or on standard output, else a folder.

    Raises StorageError at the end, with the others written, when objects could not be read.
    """
    class_name = door.find(Target(class_word, name="")).class_name
    failures: list[str] = []
    if form == JSON_LINES:
        _check_output(output, form)
        with _written(output) as stream:
            stream.write(head().encode())
            count = 0
            for each, image in _copied(door, class_word, lambda each: work / f"{each.id}.sqlite", told, failures):
                _write_pieces(stream, lines_of(ObjectBegins(class_name, each.name, each.id), parts_of(image)))
                image.unlink()
                count += 1
        exported = Exported(output, count, output.stat().st_size if output is not None else 0)
    else:
        if output is None:
            raise UserInputError(f"{form} makes a file per object, which need a folder", fix="-o DIR")
        with FolderWriter(output, FolderHead(class_name, environment, time.time_ns() // 1_000_000)) as folder:
            copy_into(folder, door, class_word, form, work, told, failures)
        exported = Exported(output, folder.count, folder.bytes)
    raise_failures(failures, "exported")
    return exported


def copy_into(
    folder: FolderWriter,
    door: DataDoor,
    class_word: str,
    form: str,
    work: Path,
    told: Progress,
    failures: list[str],
) -> None:
    """Every object of the class as a file of its own."""

    def place(each: ListedObject) -> Path:
        return folder.path_of(each.id, SQLITE) if form == SQLITE else work / f"{each.id}.sqlite"

    for each, image in _copied(door, class_word, place, told, failures):
        path = folder.path_of(each.id, form)
        if form != SQLITE:
            with _written(path, sync=False) as stream:
                _write_pieces(stream, _pieces(form, image, ObjectBegins(each.class_name, each.name, each.id)))
            image.unlink()
        folder.add(path, each.name, each.id)


def _copied(
    door: DataDoor, class_word: str, place: Callable[[ListedObject], Path], told: Progress, failures: list[str]
) -> Iterator[tuple[ListedObject, Path]]:
    def copy(each: ListedObject, target: Target) -> Path:
        path = place(each)
        door.copy(target, path, sync=False)
        return path

    return each_object(door, class_word, copy, told, failures)


def _pieces(form: str, image: Path, begins: ObjectBegins) -> Iterator[str]:
    if form == SQL:
        yield from script_of(parts_of(image))
    else:
        yield head()
        yield from lines_of(begins, parts_of(image))


def _check_output(output: Path | None, form: str) -> None:
    if output is None:
        if form == SQLITE:
            raise UserInputError("a SQLite file cannot be printed", fix="-o FILE, or --format sql or jsonl")
        if sys.stdout.isatty():
            # What objects hold may move the cursor, or worse.
            raise UserInputError("an export is not for the terminal", fix="-o FILE, or | less")
    elif os.path.lexists(output):
        raise UserInputError(f"{output} exists already, and nothing was changed", fix="name a file that does not")
    elif not output.parent.is_dir():
        raise UserInputError(f"there is no folder {output.parent}", fix="make it, or name another file")


@contextlib.contextmanager
def _written(output: Path | None, *, sync: bool = True) -> Generator[IO[bytes]]:
    """A file that has its name when it is complete, and is readable by its owner only; standard output for None."""
    if output is None:
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # Whoever read our output has seen enough.
            silence_broken_pipe()
            raise SystemExit(0) from None
        return
    draft = output.with_name(f".{output.name}.{secrets.token_hex(4)}.new")
    try:
        with open(draft, "wb", opener=own_file) as stream:
            yield stream
        if sync:
            sync_path(draft)
        os.rename(draft, output)
        if sync:
            sync_folder(output.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _write_pieces(stream: IO[bytes], pieces: Iterable[str]) -> None:
    for piece in pieces:
        stream.write(piece.encode())

"""Gives objects the state that files hold: SQLite files, SQL scripts, JSON Lines and folders of them.

What a file is, its content says. Every object is built as an image of its own first, so a file that fails leaves the
object that it was for as it was.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from durable.errors import DurableError, SqlError, StorageError, UserInputError
from durable.limits import IMPORT_LINE_BYTES_MAX
from durable_cli.data.door import Answer, DataDoor, each_in_parallel
from durable_cli.data.image_draft import ImageDraft
from durable_cli.data.json_lines import ObjectBegins, ObjectEnds, events_of
from durable_cli.data.object_folder import read_entries, read_head
from durable_cli.data.progress import Progress
from durable_cli.data.sql_dump import parts_of_script
from durable_cli.objects.finding import Target
from durable_cli.report import shown_path

_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_OBJECT_LINE: Final = b'{"object":'


@dataclass(frozen=True, slots=True)
class Incoming:
    """One object of a file as an image, and what the file says of it; whoever uses a draft removes it."""

    image: Path
    name: str | None = None
    id: str | None = None


@dataclass
class Imported:
    """`answers` of the door, by object; of many only the last is kept."""

    created: int = 0
    replaced: int = 0
    last: Answer = field(default_factory=dict[str, object])

    @property
    def count(self) -> int:
        return self.created + self.replaced

    def to_json(self) -> dict[str, object]:
        """`{"created": 2, "replaced": 1}`"""
        return {"created": self.created, "replaced": self.replaced}

    def counted(self) -> str:
        """`2 made, 1 replaced`"""
        return f"{self.created} made, {self.replaced} replaced"

    def add(self, answer: Answer) -> None:
        self.last = answer
        self.created += answer["created"] is True
        self.replaced += answer["created"] is not True


def import_objects(
    door: DataDoor, class_word: str, target: Target | None, source: Path, work: Path, *, replace: bool, told: Progress
) -> Imported:
    """`target` None: as the objects are called in the file.

    Raises UserInputError for a file that is none of these or does not say whose state it holds, for an object that
    exists unless `replace`, and for one that is refused; what was imported before it stays.
    """
    if target is not None:
        _check_free(door, target, replace=replace)
    elif not replace:
        for name, identity in _announced(source):
            _check_free(door, _target(class_word, name, identity, source), replace=False)

    def places() -> Iterator[tuple[Target, Incoming]]:
        seen: set[str] = set()
        for incoming in incoming_of(source, work) if target is None else _only(source, work):
            place = target or _target(class_word, incoming.name, incoming.id, source)
            identity = _check_free(door, place, replace=replace)
            if identity in seen:
                raise UserInputError(f"{shown_path(source)} holds {place} twice", fix="leave one of them out")
            seen.add(identity)
            yield place, incoming

    # Only a folder says how much is to come before it is read.
    total = sum(1 for _ in read_entries(source)) if target is None and source.is_dir() else 0
    return give_each(door, places(), work, lambda done: told(done, total))


def give_each(
    door: DataDoor, places: Iterable[tuple[Target, Incoming]], work: Path, told: Callable[[int], None]
) -> Imported:
    """Make each image its object's state, several at a time, until one fails; images in the folder `work` go.

    Raises what the first failure was; of a DurableError the message says how many had been done before.
    """
    failure: Exception | None = None

    def until_failure() -> Iterator[tuple[Target, Incoming]]:
        nonlocal failure
        try:
            for place in places:
                if failure is not None:
                    return
                yield place
        except DurableError as error:
            # Those before it are still under way, and have to be counted.
            failure = failure or error

    imported = Imported()
    for (_, incoming), answer in each_in_parallel(
        lambda item: door.replace(item[0], item[1].image, create=True), until_failure()
    ):
        if incoming.image.parent == work:
            incoming.image.unlink()
        if isinstance(answer, Exception):
            failure = failure or answer
        else:
            imported.add(answer)
            told(imported.count)
    if failure is not None:
        raise _incomplete(failure, imported)
    return imported


def _incomplete(failure: Exception, imported: Imported) -> Exception:
    if not imported.count or not isinstance(failure, DurableError):
        return failure
    return UserInputError(
        f"{failure}\n{imported.count} object{'s' * (imported.count != 1)} had been imported before",
        fix=str(getattr(failure, "fix", "")),
    )


def incoming_of(source: Path, work: Path) -> Iterator[Incoming]:
    """The objects of a file or folder. Raises UserInputError."""
    if source.is_dir():
        read_head(source)
        for entry in read_entries(source):
            for incoming in _objects_of_file(entry.path, work):
                yield Incoming(incoming.image, entry.name, entry.id)
    else:
        yield from _objects_of_file(source, work)


def _only(source: Path, work: Path) -> Iterator[Incoming]:
    """The object of a file that holds one. Raises UserInputError, before it is imported, when more follow."""
    incoming = list(itertools.islice(incoming_of(source, work), 2))
    if len(incoming) != 1:
        many = "more than one object" if incoming else "no object"
        raise UserInputError(
            f"{shown_path(source)} holds {many}, and one NAME was given", fix="leave NAME out to import all of them"
        )
    yield incoming[0]


def _objects_of_file(source: Path, work: Path) -> Iterator[Incoming]:
    try:
        with open(source, "rb") as stream:
            start = stream.read(4096)
            stream.seek(0)
            if start.startswith(_SQLITE_MAGIC):
                yield Incoming(source)
            elif start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                yield from _from_json_lines(stream, source, work)
            elif not start.strip():
                raise UserInputError(f"{shown_path(source)} is empty")
            else:
                yield _from_script(stream, source, work)
    except OSError as error:
        if error.filename is None:
            raise
        raise UserInputError(f"{shown_path(source)} cannot be read: {error.strerror}") from error


def _from_json_lines(stream: IO[bytes], source: Path, work: Path) -> Iterator[Incoming]:
    number = _Line()
    begins = ObjectBegins("", None, "")
    draft: ImageDraft | None = None
    try:
        for event in events_of(number.counted(_lines(stream)), shown_path(source)):
            match event:
                case ObjectBegins():
                    begins, draft = event, ImageDraft(_draft_path(work))
                case ObjectEnds():
                    assert draft is not None  # as `events_of` has it
                    yield Incoming(draft.finish(), begins.name, begins.id)
                    draft = None
                case part:
                    assert draft is not None
                    try:
                        draft.add(part)
                    except (StorageError, UserInputError, TypeError) as error:
                        raise _refused(source, number.now, error) from error
    finally:
        if draft is not None:
            draft.discard()


def _from_script(stream: IO[bytes], source: Path, work: Path) -> Incoming:
    with ImageDraft(_draft_path(work)) as draft:
        for line, part in parts_of_script(_lines(stream), shown_path(source)):
            try:
                draft.add(part)
            except (StorageError, UserInputError, TypeError) as error:
                raise _refused(source, line, error) from error
        try:
            return Incoming(draft.finish())
        except SqlError as error:
            raise UserInputError(f"{shown_path(source)}: {error}") from error


def _draft_path(work: Path) -> Path:
    """Several are there at a time."""
    return work / f"{secrets.token_hex(8)}.sqlite"


class _Line:
    """The number of the line that was read last."""

    now = 0

    def counted(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        for self.now, line in enumerate(lines, start=1):
            yield line


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines; a longer one than any can be comes in pieces, and is refused by who reads it."""
    while line := stream.readline(IMPORT_LINE_BYTES_MAX + 1):
        yield line


def _refused(source: Path, line: int, error: Exception) -> UserInputError:
    return UserInputError(
        f"{shown_path(source)}:{line}: {error}", fix="nothing of this object was imported; mend the file and try again"
    )


def _announced(source: Path) -> Iterator[tuple[str | None, str]]:
    """Name and id of every object that the file has, so that one that exists is told before anything is done."""
    if source.is_dir():
        for entry in read_entries(source):
            yield entry.name, entry.id
    elif source.is_file():
        with open(source, "rb") as stream:
            begins = (line for line in _lines(stream) if line.startswith(_OBJECT_LINE))
            for line in begins:
                for event in events_of([line, b'{"end": {"rows": 0, "keys": 0}}'], shown_path(source)):
                    if isinstance(event, ObjectBegins):
                        yield event.name, event.id


def _target(class_word: str, name: str | None, identity: str | None, source: Path) -> Target:
    if name is not None:
        return Target(class_word, name=name)
    if identity:
        return Target(class_word, id=identity)
    raise UserInputError(
        f"{shown_path(source)} does not say which object it holds", fix=f"durable objects import {class_word} NAME FILE"
    )


def _check_free(door: DataDoor, target: Target, *, replace: bool) -> str:
    """The object's id. Raises UserInputError when it exists, unless `replace`."""
    found = door.find(target)
    if found.is_known and not replace:
        raise UserInputError(f"{target} exists, and nothing was changed", fix="--replace puts the file in its place")
    return found.id

"""The files of all objects of a class, asked under the lock by this process and, when they are many, by one more.

Each has one file open at a time. Answers come in the order of the objects' ids. Wakes nobody and writes nothing.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from durable.limits import QUERY_BATCH_OBJECTS
from durable.storage.asking_files import Query as FileQuery
from durable.storage.asking_files import ask_files, read_frame, write_frame
from durable.storage.index import NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.name_glob import NameGlob
from durable.storage.sql.answers import Answers
from durable_cli.objects.finding import namespace_key
from durable_cli.project import Project
from durable_cli.sql.all_objects import OBJECT_COLUMN, Batch, Query
from durable_cli.sql.rows import Rows

_FIRST_PAGE_OBJECTS: Final = 16
"""So that the first rows are there at once."""
_HELPED_FROM: Final = 2_000
"""Objects of a class from which on starting another process pays."""
_ANSWER: Final = msgspec.msgpack.Decoder(tuple[int, Answers])


@dataclass(frozen=True)
class _Page:
    """Objects that come one after the other; `names` are those to ask, by id."""

    total: int
    seen: int
    names: dict[str, str]


def of_files(project: Project, layout: StateLayout, query: Query, lock_fd: int) -> Generator[Batch]:
    """Raises NotFoundError for a class that is not there."""
    key = namespace_key(project, layout, query.class_word)
    parameters: list[Any] | dict[str, Any]
    parameters = query.parameters if isinstance(query.parameters, dict) else list(query.parameters)
    question = FileQuery(key, query.sql, parameters, query.rows_max)
    with closing(NamespaceIndex(layout.index_file(key), create=False)) as index:
        pages = _pages(index, query.where_name)
        if index.count() < _HELPED_FROM or _processors() < 2:
            for page in pages:
                yield from _asked(layout, question, page)
            return
        with closing(Helper(layout, question, lock_fd)) as helper:
            yield from _together(layout, question, pages, helper)


def _together(layout: StateLayout, question: FileQuery, pages: Iterator[_Page], helper: Helper) -> Generator[Batch]:
    """Every other page is asked by the helper, which always has one that waits, so that nobody waits for long."""
    theirs: _Page | None = None
    for page in pages:
        if theirs is None and not helper.is_ready:
            yield from _asked(layout, question, page)
        elif theirs is None:
            helper.ask(theirs := page)
        else:
            following = next(pages, None)
            if following is not None:
                helper.ask(following)
            mine = ask_files(layout, question, list(page.names))
            yield from _asked(layout, question, theirs, helper.answer(theirs))
            yield from _asked(layout, question, page, mine)
            theirs = following
    if theirs is not None:
        yield from _asked(layout, question, theirs, helper.answer(theirs))


class Helper:
    """One more process that asks; `close` ends it. When it dies, what it was asked is left to us."""

    def __init__(self, layout: StateLayout, question: FileQuery, lock_fd: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "durable.storage.asking_files", str(layout.state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[lock_fd],
            # Ctrl+C in the terminal is the command's to answer.
            process_group=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self._has_started = False
        self._send(msgspec.msgpack.encode(question))

    @property
    def is_ready(self) -> bool:
        """Whether it has started, or ended."""
        if not self._has_started and select.select([self._answers], [], [], 0)[0]:
            self._has_started = True
            read_frame(self._answers)
        return self._has_started

    def ask(self, page: _Page) -> None:
        # Ids alone, which are small: neither of us may stand writing what the other does not read.
        self._send(msgspec.msgpack.encode(list(page.names)))

    def answer(self, page: _Page) -> tuple[int, Answers]:
        """To the question that was asked first."""
        frame = read_frame(self._answers)
        return (0, Answers()) if frame is None else _ANSWER.decode(frame)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._questions, self._answers):
            with suppress(OSError):
                stream.close()

    def _send(self, frame: bytes) -> None:
        # One that has ended is found out by its answer.
        with suppress(OSError):
            write_frame(self._questions, frame)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pages(index: NamespaceIndex, where_name: str | None) -> Iterator[_Page]:
    glob = None if where_name is None else NameGlob(where_name)
    total, seen, after, size = index.count(), 0, None, _FIRST_PAGE_OBJECTS
    while rows := index.list(after, size):
        after, size = rows[-1].id, QUERY_BATCH_OBJECTS
        seen += len(rows)
        wanted = rows if glob is None else glob.of(rows)
        yield _Page(max(total, seen), seen, {row.id: row.id if row.name is None else row.name for row in wanted})


def _asked(
    layout: StateLayout, question: FileQuery, page: _Page, found: tuple[int, Answers] | None = None
) -> Generator[Batch]:
    """All of a page, of which `found` has the beginning."""
    ids = list(page.names)
    done, answers = found or ask_files(layout, question, ids)
    while done < len(ids):
        yield _batch(page, page.seen - len(ids) + done, answers)
        more, answers = ask_files(layout, question, ids[done:])
        done += more
    yield _batch(page, page.seen, answers)


def _batch(page: _Page, seen: int, answers: Answers) -> Batch:
    """With names in the place of ids."""
    names = page.names
    tables = [
        Rows((OBJECT_COLUMN, *table.columns), tuple((names[row[0]], *row[1:]) for row in table.rows))
        for table in answers.tables
    ]
    failed = [(names[identity], message) for identity, message in answers.failed]
    return Batch(page.total, seen, answers.objects, tables, failed, [names[identity] for identity in answers.cut])

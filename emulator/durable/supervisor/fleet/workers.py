"""The processes that migrate objects: batches out, one answer per object back; one that dies is replaced.

Processes and not threads, because half of the work is Python's. They inherit the state lock, so the state is free only
when none of them can write any more.

The answers come through a file in memory, and only the end of a batch through a pipe. A line of a pipe per object would
wake this process for each, and push one of those that work off its core to do so; and what a process had answered
stands in the file whenever and however it ends.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Final

import msgspec

from durable.errors import UserInputError
from durable.supervisor.fleet.journal import JournalRow

FAILED: Final = "failed"
_ASKED_AHEAD: Final = 2
"""Batches per process that wait or run, so that none of them waits for us."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Objects of one namespace and what to do with them; `snapshot` is a folder, or empty."""

    todo: str
    namespace: str
    class_name: str
    digest: str
    """Of the files that are meant."""
    snapshot: str
    rows: list[JournalRow]

    def to_json(self) -> dict[str, object]:
        return {
            "todo": self.todo,
            "namespace": self.namespace,
            "class": self.class_name,
            "digest": self.digest,
            "snapshot": self.snapshot,
            "objects": [[row.id, row.name] for row in self.rows],
        }


class Answer(msgspec.Struct):
    """What a process says of one object; rows by table are there only for a try."""

    state: str
    before: int
    after: int
    ms: float
    error: str
    rows_before: dict[str, int]
    rows_after: dict[str, int]


_DECODER: Final = msgspec.json.Decoder(Answer)


class WorkerProcess:
    """One process and the file that it answers into."""

    def __init__(self, command: list[str], root: Path, lock_fd: int) -> None:
        self._answers = _memory_file()
        self._process = subprocess.Popen(
            [*command, str(self._answers.fileno())],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._answers.fileno(), *([lock_fd] if lock_fd >= 0 else [])],
            # Ctrl+C in the terminal is the command's to answer.
            process_group=0,
        )

    def ask(self, batch: Batch) -> tuple[list[Answer], str | None]:
        """The answers, and how the process ended, if it did: then there may be fewer than objects."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Here and not there: what was answered before must be gone even if it ends before it reads the next batch.
        self._answers.seek(0)
        self._answers.truncate()
        try:
            self._process.stdin.write(msgspec.json.encode(batch.to_json()) + b"\n")
            self._process.stdin.flush()
        except OSError:
            return [], self.end()
        is_done = bool(self._process.stdout.readline())
        ended = None if is_done else self.end()
        return self._read(), ended

    def _read(self) -> list[Answer]:
        self._answers.seek(0)
        written = self._answers.read()
        # A line that is cut off is none.
        return _DECODER.decode_lines(written[: written.rfind(b"\n") + 1])

    def end(self) -> str:
        """End it now; how it ended, if it had."""
        self._process.kill()
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        """End it, and let go of its files."""
        self.end()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self._answers.close()


class WorkerPool:
    """`count` processes of `python`; use it as a context manager, or they stay."""

    def __init__(self, python: str, root: Path, state: Path, *, lock_fd: int, count: int) -> None:
        self._command = [python, "-P", "-m", "durable.host.schema_worker", str(root), str(state)]
        self._root = root
        self._lock_fd = lock_fd
        self._count = count
        self._processes: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> WorkerPool:
        # They take as long to start as it takes to find out what to ask them.
        self._idle += [self._started() for _ in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End them now. What they had committed stays."""
        with self._lock:
            self._is_closed = True
            processes = list(self._processes)
        for process in processes:
            process.close()
        self._idle.clear()

    def run(self, batches: Iterable[Batch], *, stop_at_failure: bool) -> Iterator[list[JournalRow]]:
        """Do the batches, several at a time; what became of each comes as it is done.

        After a failure no further batch is begun, if that is asked for; those that run come to their end. For one
        thread, in which `batches` is read, too.
        """
        source = iter(batches)
        asked: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        done: queue.SimpleQueue[list[JournalRow] | BaseException] = queue.SimpleQueue()

        def work() -> None:
            while (batch := asked.get()) is not None:
                try:
                    done.put(self._do(batch))
                except BaseException as error:
                    done.put(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        # Asked for in this thread alone, for the source may read what is written between two results.
        under_way = 0
        for batch in islice(source, self._count * _ASKED_AHEAD):
            asked.put(batch)
            under_way += 1
        is_stopped = False
        try:
            while under_way:
                result = done.get()
                under_way -= 1
                if isinstance(result, BaseException):
                    raise result
                if stop_at_failure and not is_stopped and any(row.state == FAILED for row in result):
                    is_stopped = True
                    under_way -= _withdrawn(asked)
                if not is_stopped and (following := next(source, None)) is not None:
                    asked.put(following)
                    under_way += 1
                yield result
        finally:
            _withdrawn(asked)
            for _ in threads:
                asked.put(None)

    def _do(self, batch: Batch) -> list[JournalRow]:
        settled: list[JournalRow] = []
        left = batch
        while left.rows:
            answers, ended = self._ask(left)
            settled += [_settled(row, answer) for row, answer in zip(left.rows, answers, strict=False)]
            left = replace(left, rows=left.rows[len(answers) :])
            if ended is not None and batch.todo == "look" and not answers:
                # No code of the user's runs there: it cannot start, and would not for any other object.
                raise UserInputError(
                    f"{self._command[0]} cannot run {self._command[3]} ({ended}); its own message is above",
                    fix="install durable, in the version of this command, into that environment",
                )
            if ended is not None and left.rows:
                # It was at this object when it ended: the others are none the worse for it.
                error = f"the process that migrated it ended ({ended}); its transaction was rolled back"
                settled.append(left.rows[0]._replace(state=FAILED, error=error))
                left = replace(left, rows=left.rows[1:])
        return settled

    def _ask(self, batch: Batch) -> tuple[list[Answer], str | None]:
        process = self._take()
        answers, ended = process.ask(batch)
        if ended is None:
            with self._lock:
                self._idle.append(process)
        return answers, ended

    def _take(self) -> WorkerProcess:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the processes were ended")
            if self._idle:
                return self._idle.pop()
            return self._started()

    def _started(self) -> WorkerProcess:
        process = WorkerProcess(self._command, self._root, self._lock_fd)
        self._processes.add(process)
        return process


def _withdrawn(asked: queue.SimpleQueue[Batch | None]) -> int:
    """Take back what nobody has begun; returns how many batches that were."""
    count = 0
    with suppress(queue.Empty):
        while True:
            asked.get_nowait()
            count += 1
    return count


def _settled(row: JournalRow, answer: Answer) -> JournalRow:
    rows = {"before": answer.rows_before, "after": answer.rows_after} if answer.rows_before else None
    return row._replace(
        state=answer.state,
        before=answer.before,
        after=answer.after,
        ms=answer.ms,
        error=answer.error,
        rows=json.dumps(rows) if rows else "",
    )


def _memory_file() -> IO[bytes]:
    """A file without a name; one process's descriptor of it and another's have one position."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("durable-answers"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)

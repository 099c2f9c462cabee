"""What was decided about an object's file: that a draft becomes its state. Whoever opens it finishes that for certain.

    <id>.sqlite-draft       the state to come, complete and on disk before anything is decided
    <id>.sqlite-restoring   the decision: from then on every opener finishes what is written there, however often it
                            dies

Until the decision nothing has changed; after it the new state is the only one. What the object was is not lost while
history is kept: its log is archived like any other, and the new file is the base of the next segment, so it can be
brought back. The object's file is closed all the while.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict

from durable.errors import StorageCorruptError, StorageError
from durable.failpoints import failpoint
from durable.limits import HISTORY_UNDO_MAX
from durable.storage.file_copy import copy_file, replace_file, sync_path
from durable.storage.history.archive import mark_break
from durable.storage.history.bookmark import Position, chain_of
from durable.storage.history.folder import HistoryFolder
from durable.storage.history.head import FORMAT, Head, write_head
from durable.storage.history.resolution import read_undo
from durable.storage.layout import FOLDER_MODE, sync_folder

_DECISION: Final = "-restoring"


class Decision(Struct, frozen=True):
    """`{"format": 1, "segment": 7, "frame": 42, "nonce": 3735928559, "ms": 1700000000000}`

    `segment` and `frame` are the state that ends; `nonce` is that of the bookmark which brings it back. Not `kept`: no
    history is, and the state that ends is lost; a version that does not know that refuses the decision.
    """

    segment: int
    frame: int
    nonce: int
    ms: int
    format: int = FORMAT
    kept: bool = True

    def to_json(self) -> dict[str, Any]:
        facts = asdict(self)
        if self.kept:
            del facts["kept"]
        return facts


def draft_of(file: Path) -> Path:
    return Path(f"{file}-draft")


def decision_of(file: Path) -> Path:
    return Path(f"{file}{_DECISION}")


def is_decided(file: Path) -> bool:
    """Whether one about `file` was made and not finished; asked at every opening, so no Path is made."""
    return os.path.lexists(f"{file}{_DECISION}")


def discard_draft(file: Path) -> None:
    """Remove the draft of what was not decided, also what is left of an earlier one. Raises OSError."""
    for path in (draft_of(file), Path(f"{draft_of(file)}-wal")):
        path.unlink(missing_ok=True)


def decide(file: Path, decision: Decision) -> None:
    """Make the draft the object's state.

    Raises StorageError: then nothing has changed, or the next opener finishes it.
    """
    try:
        replace_file(decision_of(file), json.dumps(decision.to_json()).encode())
    except OSError as error:
        raise StorageError(f"the new state of {file} cannot be decided: {error.strerror}") from error
    failpoint("restore.decided")
    finish_restore(file)


def finish_restore(file: Path) -> None:
    """Carry out what was decided for `file`; to be called before it is opened when there is a decision.

    Every step can be done twice, because any of them may be the last that this process does. Raises StorageError.
    """
    decision_file = decision_of(file)
    try:
        content: Any = json.loads(decision_file.read_bytes())
        decision = Decision(**content)
    except (ValueError, TypeError) as error:
        raise StorageCorruptError(str(decision_file), f"is damaged: {error}") from error
    except OSError as error:
        raise StorageError(f"{decision_file} cannot be read: {error.strerror}") from error
    try:
        # Without a draft all but the last step is done.
        if draft_of(file).exists():
            if decision.kept:
                _archive_old_state(file, decision)
                _begin_new_segment(file, decision)
            else:
                _drop_old_state(file)
            os.rename(draft_of(file), file)
            failpoint("restore.draft_renamed")
            sync_folder(file.parent)
        decision_file.unlink()
        sync_folder(file.parent)
    except OSError as error:
        raise StorageError(f"the restore of {file} cannot be finished: {error.strerror}") from error
    failpoint("restore.finished")


def _archive_old_state(file: Path, decision: Decision) -> None:
    archive = HistoryFolder(file.with_suffix(".history"))
    archive.path.mkdir(FOLDER_MODE, exist_ok=True)
    for live, archived in (
        (Path(f"{file}-wal"), archive.log(decision.segment)),
        (Path(f"{file}-times"), archive.times(decision.segment)),
    ):
        with contextlib.suppress(FileNotFoundError):
            # A process that was killed may have left commits that nobody ever synced.
            sync_path(live)
            os.rename(live, archived)
        failpoint(f"restore.moved{archived.suffix}")
    undo = read_undo(archive.undo)
    undo[decision.nonce] = Position(decision.segment, decision.frame)
    kept = list(undo.items())[-HISTORY_UNDO_MAX:]
    content = json.dumps({f"{nonce:08x}": place for nonce, place in kept}).encode()
    replace_file(archive.undo, content, sync_name=False)
    failpoint("restore.undo_noted")


def _drop_old_state(file: Path) -> None:
    mark_break(file)
    # Before the file gets its new contents: SQLite would take an old log for a part of them.
    for left_over in ("wal", "times", "next"):
        Path(f"{file}-{left_over}").unlink(missing_ok=True)
    sync_folder(file.parent)
    failpoint("restore.log_dropped")


def _begin_new_segment(file: Path, decision: Decision) -> None:
    archive = HistoryFolder(file.with_suffix(".history"))
    # The names in the folder go to the disk together, with the head: all of this is done again until the draft is gone.
    copy_file(draft_of(file), archive.base(decision.segment + 1), sync_name=False)
    failpoint("restore.base_made")
    facts = os.stat(draft_of(file))
    head = Head(chain_of(file.stem), decision.segment + 1, decision.ms, facts.st_size, facts.st_mtime_ns)
    write_head(archive, head)
    sync_folder(file.parent)
    failpoint("restore.head_written")

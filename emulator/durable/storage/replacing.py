"""Giving an object another state as a whole, an image's or none at all: built beside its file, and then decided.

The same two steps as a restore's, so a crash leaves the state before or the one after. With history the old state
stays reachable, by an undo bookmark; without, it is gone.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import apsw

from durable.errors import StorageCorruptError, StorageError, UserInputError
from durable.failpoints import failpoint
from durable.storage.actor_store import ActorStore
from durable.storage.failure import translate
from durable.storage.file_check import HEADER_BYTES
from durable.storage.file_copy import copy_bytes, sync_path
from durable.storage.history.bookmark import Bookmark, Position
from durable.storage.history.decision import Decision, decide, discard_draft, draft_of
from durable.storage.history.restore import empty_log, opened_draft, settle_metadata, write_new
from durable.storage.layout import StateLayout, make_folder, sync_folder
from durable.storage.object_image import check_content, check_file, with_log
from durable.storage.schema import empty_file

_NOT_KEPT: Final = Position(0, 0)


class Replacement:
    """One replacement of an object whose file is closed: `build`, then `decide`."""

    def __init__(self, file: Path, image: Path | None, kept: tuple[Position, Bookmark] | None, saved: str = "") -> None:
        """`image` None: the object is to store nothing. `kept` is the state that ends and the bookmark that undoes."""
        self.saved = saved
        """Where a copy of the object's file is, if that was damaged."""
        self.undo = kept[1] if kept is not None else None
        """Of the state that the replacement ends."""
        self._file = file
        self._image = image
        self._place = kept[0] if kept is not None else _NOT_KEPT
        self._draft = draft_of(file)

    def build(self) -> int | None:
        """Make the draft; returns the alarm in it, in milliseconds.

        Raises UserInputError for a file that is no image, StorageError; nothing is changed then.
        """
        try:
            return self._build()
        except BaseException as error:
            with contextlib.suppress(OSError):
                discard_draft(self._file)
            if isinstance(error, apsw.Error):
                raise translate(error, self._draft) from error
            if isinstance(error, OSError):
                raise StorageError(f"{self._draft} cannot be made: {error.strerror}") from error
            raise

    def _build(self) -> int | None:
        make_folder(self._file.parent)
        discard_draft(self._file)
        if self._image is None:
            write_new(self._draft, empty_file())
            alarm = None
        else:
            alarm = self._build_from(self._image)
        # Its name goes to the disk with the decision's: one without a draft changes nothing.
        sync_path(self._draft)
        failpoint("replace.built")
        return alarm

    def _build_from(self, image: Path) -> int | None:
        check_file(image)
        try:
            copy_bytes(image, self._draft, None, sync=False)
        except OSError as error:
            raise StorageError(f"{image} cannot be copied to {self._draft}: {error.strerror}") from error
        failpoint("replace.copied")
        # The image may have changed since it was looked at: what counts is the draft.
        check_file(self._draft)
        with open(self._draft, "r+b") as stream:
            header = with_log(stream.read(HEADER_BYTES))
            stream.seek(0)
            stream.write(header)
        log = Path(f"{self._draft}-wal")
        try:
            with opened_draft(self._draft) as connection:
                check_content(connection, image)
                alarm = settle_metadata(connection)
                empty_log(connection, self._draft)
        except apsw.Error as error:
            raise UserInputError(f"{image} is damaged: {error}", fix="use another file") from error
        finally:
            log.unlink(missing_ok=True)
        return alarm

    def decide(self, now_ms: int) -> None:
        """Make the draft the object's state.

        Raises StorageError: then nothing has changed, or the next opener finishes it.
        """
        nonce = self.undo.nonce if self.undo is not None else 0
        decide(self._file, Decision(self._place.segment, self._place.frame, nonce, now_ms, kept=self.undo is not None))

    def answer(self, *, created: bool = False) -> dict[str, str | None]:
        """`{"undo": "<bookmark>" | None}`, with `"damaged": "<folder>"` where the damaged file is kept."""
        # Nothing was there that could be brought back.
        undo = None if self.undo is None or created else str(self.undo)
        return {"undo": undo, "damaged": self.saved} if self.saved else {"undo": undo}

    @property
    def bytes(self) -> int:
        """Size of the draft, until it is decided."""
        return os.stat(self._draft).st_size


def prepare_replacement(store: ActorStore, image: Path | None) -> Replacement:
    """Close the file to give the object the state of an image, or none at all, whether it has a file or not.

    A damaged file is copied to `lost+found` beside the state: it is no state that could be brought back. Between turns,
    from any thread, when everything is durable. Raises StorageError, with the file as it was.
    """
    store.sql.cancel_cursors("the object was replaced")
    kept, saved = None, ""
    try:
        if store.history is not None:
            # What the replacement ends must be reachable, or it could not be undone.
            if store.recovery.look() and not store.checkpoint(settle=False):
                raise StorageError(f"{store.path} is in use; try again")
            kept = store.recovery.end_of(str(image))
        elif store.has_file:
            store.recovery.wished()  # whatever opens it
    except StorageCorruptError:
        saved = _keep_damaged(store.path)
    store.close()
    return Replacement(store.path, image, kept, saved)


def _keep_damaged(path: Path) -> str:
    # Imported here: it comes with what looks over a whole state, which a host has no use for.
    from durable.storage.checkup.lost_and_found import LostAndFound

    try:
        return LostAndFound(StateLayout(path.parents[2])).keep_copy(path)
    except OSError as error:
        raise StorageError(f"{path} is damaged, and cannot be copied to lost+found: {error.strerror}") from error


def stores_nothing_yet(store: ActorStore) -> bool:
    """Whether the object has never committed anything, or nothing is left; not so for one whose file is damaged."""
    try:
        return not store.has_file or store.is_new
    except StorageCorruptError:
        return False


def alarm_of(store: ActorStore) -> int | None:
    """The object's alarm in milliseconds, so far as that can be told."""
    try:
        return store.alarm.now
    except StorageCorruptError:
        return None


def make_empty(store: ActorStore) -> None:
    """Give an object that has none a file, before the index is told of it: one that says that nothing is stored.

    A crash then leaves no row without a file, and no file without a row but an empty one.
    """
    store.keep_file()
    store.close()
    sync_folder(store.path.parent)


def remove_empty(store: ActorStore) -> None:
    """Take the file of an object off the disk that was replaced by nothing and is no longer in the index."""
    # What the history says of the new file has to be known, to go on behind it.
    store.recovery.look()
    store.close()
    store.remove_files()

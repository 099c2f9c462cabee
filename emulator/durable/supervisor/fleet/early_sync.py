"""Has the disk begin with what is written while more of it is made, so that the sync at the end finds little left."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from durable.storage.file_copy import sync_file_system

PAUSE_SECONDS: Final = 1.0


class EarlySync(threading.Thread):
    """Syncs a folder's file system now and then, for as long as its context lasts.

    Nothing is promised by that: a failure is raised at the end of the context, because the kernel tells of an error
    once, and the sync that is relied on might not hear of it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(name="early sync", daemon=True)
        self._folder = folder
        self._is_over = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._is_over.wait(PAUSE_SECONDS):
                sync_file_system(self._folder)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, kind: object, *_: object) -> None:
        self._is_over.set()
        self.join()
        if self._error is not None and kind is None:
            raise self._error

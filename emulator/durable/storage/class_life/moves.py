"""Moving a namespace's folder to where the record says it is: out to `deleted`, back from there, in from another state.

The record comes first: a crash before a move leaves a folder in its old place, which nothing reads, and the next one
who opens the state moves it. The other way round a crash would leave a namespace whose data is gone.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from durable.failpoints import failpoint
from durable.storage.layout import StateLayout, make_folder, sync_folder
from durable.storage.state_db import StateDatabase, UnfinishedMove

__all__ = ["finish_moves"]


def finish_moves(state_db: StateDatabase, layout: StateLayout) -> list[Path]:
    """Do what the record says and the disk lacks; returns where folders went. No host may have a file of them open."""
    moved: list[Path] = []
    for move in state_db.unfinished_moves():
        source, target = _ends(move, layout)
        # Neither is there when the class never had an object, and only the target when a crash came after the move.
        if source.exists():
            _move_folder(source, target)
            moved.append(target)
        failpoint("class_life.moved")
        state_db.finish_move(move)
        failpoint("class_life.finished")
    return moved


def _ends(move: UnfinishedMove, layout: StateLayout) -> tuple[Path, Path]:
    live = layout.namespace_folder(move.key)
    match move.kind:
        case "deleted":
            return live, layout.deleted_folder / move.place
        case "restored":
            return layout.deleted_folder / move.place, live
        case "arrived":
            return StateLayout(Path(move.place)).namespace_folder(move.key), live
        case _:
            raise ValueError(f"not a kind of move: {move.kind!r}")


def _move_folder(source: Path, target: Path) -> None:
    make_folder(target.parent)
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_across(source, target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def _copy_across(source: Path, target: Path) -> None:
    """One end is a link or a mount on another file system: copy, and only then remove."""
    if not target.exists():
        unfinished = target.with_name(target.name + ".unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        shutil.copytree(source, unfinished, symlinks=True)
        os.sync()
        failpoint("class_life.copied")
        os.rename(unfinished, target)
        sync_folder(target.parent)
    shutil.rmtree(source)

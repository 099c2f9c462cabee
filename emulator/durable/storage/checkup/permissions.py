"""Finds folders and files that others on this machine may read or write, and closes them to others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from durable.storage.checkup.finding import DOCTOR, Finding, Subject

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def permission_findings(folder: Path, subject: Subject, *, is_deep: bool) -> Iterator[Finding]:
    """One finding for all of a folder: itself and its files, and with `is_deep` those of the folders below."""
    open_to_others = foreign = 0
    for path in _inside(folder, is_deep=is_deep):
        facts = os.lstat(path)
        open_to_others += bool(facts.st_mode & _OTHERS)
        foreign += facts.st_uid != os.geteuid()
    if foreign:
        yield Finding(
            "foreign", subject, str(folder), f"has {_counted(foreign)} of another user",
            "the emulator may fail to write to it", f"give it back to yourself: chown -R {os.geteuid()} {folder}",
        )  # fmt: skip
    if open_to_others:
        yield Finding(
            "permissions", subject, str(folder), f"has {_counted(open_to_others)} that other users may look into",
            "objects hold other people's data", f"{DOCTOR} closes it to others, as chmod -R go= does",
            mend=partial(_close, folder, is_deep=is_deep),
        )  # fmt: skip


def _close(folder: Path, *, is_deep: bool) -> None:
    for path in _inside(folder, is_deep=is_deep):
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        if mode & _OTHERS:
            os.chmod(path, mode & ~_OTHERS)


def _inside(folder: Path, *, is_deep: bool) -> Iterator[str]:
    """The folder and what is in it; links are left out, as the mode of a link says nothing."""
    yield str(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            if not entry.is_dir():
                yield entry.path
            elif is_deep:
                yield from _inside(Path(entry.path), is_deep=True)


def _counted(number: int) -> str:
    return f"{number} {'entry' if number == 1 else 'entries'}"

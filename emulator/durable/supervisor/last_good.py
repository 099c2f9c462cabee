"""The code that served last, byte for byte: what a replacement runs while the disk holds something else.

Source files only. What a program reads by itself when it is imported, a template or a table, it reads from the disk as
that is then; and a program that is larger than the bound is not kept, so its replacements run what is on the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from durable.config import check_classes
from durable.limits import SOURCES_KEPT_BYTES_MAX
from durable.supervisor.program import Program, config_files
from durable.supervisor.watcher import differing


class LastGood(Struct, frozen=True):
    """A generation that was attached: its configuration, its files (path → hash), and what they held."""

    program: Program
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    sources: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    classes: Sequence[str] = ()

    def under(self, program: Program, changed: Iterable[str]) -> LastGood | None:
        """This code under another configuration; None when files of the program `changed` too, or it does not fit."""
        configuration = frozenset(map(str, config_files(program.config)))
        return replace(self, program=program) if configuration.issuperset(changed) and self.fits(program) else None

    def fits(self, program: Program) -> bool:
        """Whether this code can go on under another configuration, without a word to its hosts."""
        return program.loads_like(self.program) and not check_classes(program.config, self.classes)

    def missing_on_disk(self) -> Mapping[str, bytes]:
        """All sources when the disk does not hold this program any more; nothing when it does, or nothing is kept."""
        return self.sources if self.sources and differing(self.files) else {}


def sources_of(loads: Iterable[Mapping[str, str]]) -> Mapping[str, bytes] | None:
    """What hosts have loaded (path → hash), read from the disk, to be kept.

    None when the disk does not hold it, or when two of them loaded different things; nothing when it is too much.
    """
    sources: dict[str, bytes] = {}
    seen: dict[str, str] = {}
    size = 0
    for files in loads:
        for path, digest in files.items():
            if path not in seen:
                try:
                    source = Path(path).read_bytes()
                except OSError:
                    return None
                seen[path] = hashlib.sha256(source).hexdigest()
                size += len(source)
                sources[path] = source if size <= SOURCES_KEPT_BYTES_MAX else b""
            if seen[path] != digest:
                return None
    return sources if size <= SOURCES_KEPT_BYTES_MAX else {}

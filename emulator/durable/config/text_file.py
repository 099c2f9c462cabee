"""Reading a small text file that a person wrote: bounded, UTF-8, each failure with its own sentence.

Must not know what stands in the file. Never shows the text: it may hold secrets.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from durable.errors import ConfigError

__all__ = ["read_text", "shown"]


def read_text(path: Path, *, bytes_max: int) -> str:
    """The file's text without a byte order mark and with `\\n` line ends; raises `ConfigError`."""
    file = shown(path)
    try:
        # Asked before it is opened, because opening a pipe waits for somebody to write into it.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError("this is not a regular file", file=file)
        with open(path, "rb") as stream:
            raw = stream.read(bytes_max + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=file) from error
    if len(raw) > bytes_max:
        raise ConfigError(
            f"is larger than {bytes_max // 1024} KiB, which no configuration needs; is this the right file?", file=file
        )
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError("is encoded as UTF-16; save it as UTF-8", file=file)
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line_start = before.rfind(b"\n") + 1
        raise ConfigError(
            f"is not UTF-8: byte 0x{raw[error.start]:02x} stands here; save the file as UTF-8",
            file=file,
            line=before.count(b"\n") + 1,
            column=len(before[line_start:].decode("utf-8-sig", "replace")) + 1,
        ) from None


def shown(path: Path) -> str:
    """The path as people know it: relative when it lies under the current folder, absolute otherwise."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the current folder was deleted
        return str(path)
    return str(path) if relative.startswith(os.pardir) else relative

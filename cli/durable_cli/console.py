"""The two streams: data on standard output, talk on standard error; colour only where somebody looks at it.

Knows nothing about commands, and imports nothing that is slow: `durable dev` writes through it before it serves.
"""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from collections.abc import Mapping
from typing import Final, Protocol, TextIO

_CODES: Final[Mapping[str, str]] = {
    "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36",
}  # fmt: skip

_REORDERING: Final = frozenset("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Line separators and direction marks: printed raw, they let one line pose as two or hide what it says."""


class Screen(Protocol):
    """As much of a text stream as matters here."""

    def isatty(self) -> bool: ...


def colour_wanted(stream: Screen, environ: Mapping[str, str] = os.environ) -> bool:
    """Colour goes to terminals only; NO_COLOR (no-color.org) and TERM=dumb switch it off."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class Ink:
    """Paints text, or leaves it as it is."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def paint(self, text: str, *styles: str) -> str:
        """`paint("200", "green")`; styles are names of colours, "bold" and "dim"."""
        if not self.colour or not styles or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"


def _escaped(character: str) -> str:
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def printable(text: str, *, keep: str = "", length_max: int = 0) -> str:
    """`text` as one harmless line: control characters, direction marks and lone surrogates become escapes.

    `keep` names control characters that stay. Longer than `length_max` (0: no bound) is cut in the middle with `…`.
    """
    if length_max and len(text) > length_max:
        half = (length_max - 1) // 2
        text = f"{text[: length_max - 1 - half]}…{text[len(text) - half :]}"
    if text.isprintable():
        return text
    return "".join(
        character
        if character in keep or not (unicodedata.category(character) in {"Cc", "Cs"} or character in _REORDERING)
        else _escaped(character)
        for character in text
    )


def settle_streams() -> None:
    """Make both streams take any text, whatever the locale says: what they cannot encode is written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def put_data(text: str) -> None:
    """One piece of data for whoever reads standard output; a newline ends it."""
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough (`durable sql … | head`).
        silence_broken_pipe()
        raise SystemExit(0) from None


def put_json(document: object, *, indent: int | None = None, ascii_only: bool = True) -> None:
    """One JSON document as data."""
    import json  # here: a start that prints none does not wait for it

    put_data(json.dumps(document, indent=indent, ensure_ascii=ascii_only))


def say(text: str = "") -> None:
    """One line, or several, for the human, if one is still there."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def stdout_ink() -> Ink:
    return Ink(colour_wanted(sys.stdout))


def stderr_ink() -> Ink:
    return Ink(colour_wanted(sys.stderr))


def terminal_width(stream: TextIO | None = None) -> int:
    """Columns of the terminal that the talk goes to; 0 when it goes to none."""
    try:
        return os.get_terminal_size((stream or sys.stderr).fileno()).columns
    except (OSError, ValueError):
        return 0


def interactive(stdin: TextIO | None = None, stderr: TextIO | None = None) -> bool:
    """Whether a human can be asked: both the keyboard and the talk stream are terminals."""
    return (stdin or sys.stdin).isatty() and (stderr or sys.stderr).isatty()


def silence_broken_pipe() -> None:
    """Point standard output at nothing, so that Python's flush at exit cannot fail again (docs: signal, SIGPIPE)."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nothing, stream.fileno())
    os.close(nothing)

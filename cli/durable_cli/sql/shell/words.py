"""Which words and modes of apsw's shell the SQL shell has, and why each of the others is refused.

An allowlist: a word that a later apsw brings is refused until somebody has judged it, and a test says that it is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from durable.config.nearest import did_you_mean
from durable.errors import UserInputError
from durable_cli.console import printable

OWN_WORDS: Final = frozenset({"alarm", "kv", "objects", "use"})
WORDS: Final = OWN_WORDS | frozenset(
    """color colour dump exit header headers help indices mode nullvalue parameter quit schema separator tables
    width""".split()
)
MODES: Final = frozenset("box column columns csv html insert json jsonl line lines list python qbox table tcl".split())
"""What may stand after `.mode`, besides `tabs`: each was read and shows control characters as escapes."""

_FILES: Final = "it reads or writes files"
_OTHERS: Final = "it opens another database, and a shell sees one object at a time"
_INSIDE: Final = "it works on a connection of its own, and an object's statements run inside the object"
_SETTING: Final = "it has nothing to set here"
_CODE: Final = "it runs programs or loads code"
_IMPORT: Final = "durable objects import"
_EXPORT: Final = "durable objects export"

REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "autoimport": (_FILES, _IMPORT),
    "backup": (_FILES, _EXPORT),
    "bail": (_SETTING, ""),
    "cd": (_FILES, ""),
    "changes": (_SETTING, ""),
    "close": (_OTHERS, ".quit leaves"),
    "connection": (_OTHERS, ".use CLASS NAME"),
    "databases": (_OTHERS, ".use CLASS NAME"),
    "dbconfig": (_INSIDE, ""),
    "dbinfo": (_INSIDE, "durable objects show CLASS NAME"),
    "echo": (_SETTING, ""),
    "encoding": (_FILES, ""),
    "exceptions": (_SETTING, ""),
    "find": (_INSIDE, "SELECT … WHERE … LIKE"),
    "ftsq": (_INSIDE, "SELECT … WHERE … MATCH"),
    "import": (_FILES, _IMPORT),
    "limit": (_INSIDE, ""),
    "load": (_CODE, ""),
    "log": (_INSIDE, ""),
    "open": (_OTHERS, ".use CLASS NAME"),
    "output": (_FILES, "durable sql … > FILE"),
    "pages": (_INSIDE, "durable objects show CLASS NAME"),
    "pages_svg": (_FILES, ""),
    "print": (_SETTING, ""),
    "prompt": (_SETTING, ""),
    "py": (_CODE, "durable shell CLASS NAME"),
    "read": (_FILES, "durable sql … --file FILE"),
    "restore": (_FILES, "durable objects restore"),
    "shell": (_CODE, ""),
    "show": (_SETTING, ""),
    "timeout": (_SETTING, ""),
    "timer": (_SETTING, ""),
    "version": (_INSIDE, "durable --version"),
    "vfsinfo": (_INSIDE, ""),
    "vfslist": (_INSIDE, ""),
    "vfsname": (_INSIDE, ""),
}
"""Words of apsw's shell that are not for objects: why, and what to type instead."""


def check_word(word: str) -> None:
    """Raises UserInputError for a word after the dot that the shell does not have."""
    if word in WORDS:
        return
    why, instead = REFUSED.get(word.replace("-", "_"), ("", ""))
    if why:
        raise UserInputError(f".{word} is not available here: {why}", fix=instead)
    hint = did_you_mean(word, sorted(WORDS)).replace('"', '".', 1)
    raise UserInputError(f"there is no word .{printable(word, length_max=80)}", fix=f"{hint} .help lists them".strip())


def check_mode(mode: str) -> None:
    """Raises UserInputError for a way of showing rows that the shell does not have."""
    if mode not in MODES and mode != "tabs":
        known = ", ".join(sorted(MODES | {"tabs"}))
        raise UserInputError(f"there is no mode {printable(mode, length_max=80)}", fix=f".mode with one of {known}")

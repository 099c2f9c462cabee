"""A failure as a value: an exception of the user's with its frames, as far as a reader needs it."""

from __future__ import annotations

import msgspec


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """One frame of a traceback; `user` tells the user's own files from packages and the engine.

    A user's frame comes with the lines around it: `context` begins with line `context_line` and holds `line` too.
    What ran in it stands from `column` to before `end_column`, counted from 1; both are 0 when that is not known.
    """

    file: str
    line: int
    function: str
    source: str
    user: bool
    context: str = ""
    context_line: int = 0
    column: int = 0
    end_column: int = 0
    package: str = ""
    """Whose code it is when it is not the user's: "durable", "aiohttp", "Python"."""
    place: str = ""
    """What ran: `ChatRoom "general".say(text='hello')`; frames of a caller and of the actor it asked differ in it."""
    repeats: int = 0
    """How many more of the same were in a row: a function that calls itself."""


class FailedSql(msgspec.Struct, array_like=True, frozen=True):
    """The statement that SQLite refused, shortened; `offset` is the character it stumbled over, -1 when unknown."""

    text: str
    bindings: int = 0
    offset: int = -1


class RelatedError(msgspec.Struct, array_like=True, frozen=True):
    """Another exception of the same failure: what led to the one before it, or a member of its group.

    `relation` is "cause" (`raise … from`), "context" (raised while that one was handled) or "member"; `depth` counts
    the groups around it.
    """

    relation: str
    type: str
    message: str
    frames: list[Frame] = []
    notes: list[str] = []
    depth: int = 0


class ErrorReport(msgspec.Struct, array_like=True, frozen=True):
    """A failure of user code as a value.

    `module`, `qualname` and `args` (encoded, empty when they cannot be) let the caller's side raise the same type.
    `flags` holds the platform's properties that are true: "remote", "durable_object_reset", "overloaded", "retryable".
    `label` names the object (`ChatRoom "general"`), `method` what ran in it, `arguments` what it was given, shortened:
    `text='hello wor…', n=3`. `id` is the same wherever the same failure turns up again, empty when nobody minds.
    """

    type: str
    message: str
    module: str = "builtins"
    qualname: str = "Exception"
    args: bytes = b""
    frames: list[Frame] = []
    label: str = ""
    method: str = ""
    flags: list[str] = []
    arguments: str = ""
    notes: list[str] = []
    sql: FailedSql | None = None
    related: list[RelatedError] = []
    id: str = ""

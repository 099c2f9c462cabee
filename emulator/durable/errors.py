"""Every exception of the product, one tree; facts are attributes, the sentence is `str()`.

What the platform raises to user code is a JsException, too, which is what its Python SDK calls all of it: the classes
marked with *, and

JsException                what user code may catch on the platform as well; has `name` and `message`
├── JsTypeError (also TypeError)      a value of the wrong kind, refused as the platform does; called "TypeError"
├── JsRangeError (also ValueError)    a value out of bounds; called "RangeError"
├── AbortError (also OSError)         `fetch` had no answer
├── DisconnectedError (also ConnectionError)   a WebSocket's connection broke off
└── PythonError                       what code raised in another actor; also of its own type, where it has one here

DurableError
├── UserInputError             what the user typed or configured: exit code 2
│   ├── ConfigError            a place in durable.toml or wrangler.*; carries file, line, column
│   ├── MigrationError         a migration entry that cannot be applied
│   └── NotFoundError          no such object, class or template: exit code 3
├── StateInUseError            another process holds the state directory: exit code 4
├── UserCodeError              the user's program failed: exit code 5
│   └── LoadFailedError        it could not be imported, or a bound class is missing
├── ActorError*                what callers of an actor see when the platform, not the code, failed them
│   ├── ActorResetError        the actor was reset: abort, broken gate, failed critical section, storage failure
│   ├── OverloadedError        too many events queued; do not retry at once
│   ├── HostGoneError          the process that ran the actor is gone; safe to retry if idempotent
│   ├── ReloadingError         the program was replaced before it answered; safe to retry if idempotent
│   └── ProgramBrokenError     no program runs: the one on disk cannot be loaded and none was loaded before it
├── RefusedError*              the platform's own refusal of a call, other than for the kind of its arguments
├── StorageError*              storage refused or failed
│   ├── SqlError               SQLite's message in the platform's wording
│   ├── CorruptValueError (also ValueError)   bytes that are not an encoded value
│   ├── NewerStateError        a state directory that a newer version wrote; it is left alone
│   └── StorageCorruptError    a file that is not what its object wrote; names the file
├── DataCloneError* (also TypeError)  a value that cannot be stored or sent
├── PortabilityError (also TypeError)   what only the platform would refuse, where the settings ask for its rules
├── DebuggerUnavailableError   user code stops in a debugger, and no terminal is there for it
├── WireError                  the other process broke the protocol: a bug of ours
├── SocketRefusedError         a test's WebSocket was answered with a status instead of a handshake
└── SocketClosedError          a test's WebSocket was closed by the server
DurableObjectAbort (BaseException)    `ctx.abort()`; user code cannot swallow it with `except Exception`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

_E = TypeVar("_E", bound="JsException")


class _Sentence:
    """`error.message`, unless the exception brings an attribute of this name itself."""

    def __get__(self, error: BaseException | None, owner: type) -> Any:
        return self if error is None else str(error)


class JsException(Exception):
    """Root of what the platform raises to user code; `pyodide.ffi` and `js.Error` have it under its names there."""

    # No data descriptors: exceptions of user code are of this class too, and may have attributes of these names.
    name: str = "Error"
    """What JavaScript calls it: "TypeError"."""

    if TYPE_CHECKING:
        message: str
        remote: bool
        durable_object_reset: bool
        overloaded: bool
        retryable: bool
        durable_object_id: str | None
    else:
        message = _Sentence()

        def __getattr__(self, name: str) -> Any:
            if name in _FLAGS:
                snake = _FLAGS[name]
                return None if snake == name else getattr(self, snake)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @classmethod
    def new(cls: type[_E], message: str = "", options: Mapping[str, Any] | None = None) -> _E:
        """`js.Error.new("why")`, to be raised; the option `cause` is another exception."""
        error = cls(message)
        error.__cause__ = (options or {}).get("cause")
        return error


_FLAGS = {
    "remote": "remote",
    "overloaded": "overloaded",
    "retryable": "retryable",
    "durable_object_reset": "durable_object_reset",
    "durableObjectReset": "durable_object_reset",
    "durable_object_id": "durable_object_id",
    "durableObjectId": "durable_object_id",
}
"""What a call that failed says of itself, in both spellings; None where nothing is said."""


class JsTypeError(JsException, TypeError):
    """A value of the wrong kind."""

    name = "TypeError"


class JsRangeError(JsException, ValueError):
    """A value out of bounds."""

    name = "RangeError"


class AbortError(JsException, OSError):
    """A request had no answer: nobody there, or whoever was asked failed."""

    name = "AbortError"


class DisconnectedError(JsException, ConnectionError):
    """What a handler or listener is told of a WebSocket whose connection broke off."""


# As people and reports are told: who writes Python looks for a TypeError, who wrote JavaScript for a RangeError.
JsTypeError.__name__ = "TypeError"
JsRangeError.__name__ = "ValueError"
DisconnectedError.__name__ = "ConnectionError"


class PythonError(JsException):
    """What code of another actor raised; mixed into its own type in programs that are written for the platform."""

    name = "PythonError"


class DurableError(Exception):
    """Root of the tree."""


class UserInputError(DurableError):
    """Something the user typed or configured; `fix` is the next thing to type, when there is one."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def quoted(source_line: str, column: int) -> str:
    """The line below a message, with a caret under what is meant; nothing for a line that is not known."""
    return f"\n    {source_line}\n    {' ' * (column - 1)}^" if source_line else ""


class ConfigError(UserInputError):
    """A place in a configuration file; line and column count from 1, 0 when the whole file is meant."""

    def __init__(
        self, message: str, *, file: str, line: int = 0, column: int = 0, source_line: str = "", fix: str = ""
    ) -> None:
        super().__init__(message, fix=fix)
        self.file = file
        self.line = line
        self.column = column
        self.source_line = source_line

    def __str__(self) -> str:
        place = self.file + (f":{self.line}:{self.column}" if self.line else "")
        text = f"{place}: {self.message}"
        return text + quoted(self.source_line, self.column)


class MigrationError(UserInputError):
    """A migration entry that cannot be applied to the recorded state; quotes the entry's line when it has one."""

    def __init__(self, message: str, *, fix: str = "", source_line: str = "", column: int = 0) -> None:
        super().__init__(message, fix=fix)
        self.source_line = source_line
        self.column = column

    def __str__(self) -> str:
        return self.message + quoted(self.source_line, self.column)


class NotFoundError(UserInputError):
    """No such object, class or template."""


class StateInUseError(DurableError):
    """Another emulator or tool holds the state directory."""

    def __init__(self, directory: str, holder: str, *, has_ended: bool = False) -> None:
        """`has_ended`: the holder itself is gone, and what it started was waited for in vain."""
        super().__init__(f"{directory} is in use by {holder}")
        self.directory = directory
        self.holder = holder
        self.has_ended = has_ended


class UserCodeError(DurableError):
    """The user's program failed."""


class LoadFailedError(UserCodeError):
    """The user's program could not be imported, or a bound class is missing from it."""


class ActorError(DurableError, JsException):
    """What a caller sees when the platform, not the code it called, failed it."""

    remote: bool = False
    durable_object_reset: bool = False
    overloaded: bool = False
    retryable: bool = False
    durable_object_id: str | None = None
    """The object that was asked, when a stub raised this."""


class ActorResetError(ActorError):
    """The actor was reset; take a fresh stub."""

    durable_object_reset = True


class OverloadedError(ActorError):
    """Too many events are queued for the actor."""

    overloaded = True


class HostGoneError(ActorError):
    """The process that ran the actor ended before it answered; whether the event was applied is not known."""

    retryable = True
    begun: bool = True
    """False where it is known that the event had not begun."""


class ReloadingError(ActorError):
    """The program was being replaced: no host took the event in time, or the old one ended before it answered."""

    retryable = True


class ProgramBrokenError(ActorError):
    """No program runs: the one on disk cannot be loaded, and none was loaded before it."""


class RefusedError(DurableError, JsException):
    """What user code asked of the platform is not to be had."""


class StorageError(DurableError, JsException):
    """Storage refused or failed an operation.

    `critical` says that writes of the running turn are already lost: the actor must be reset to its last commit.
    """

    critical: bool = False


class SqlError(StorageError):
    """SQLite's own message, ending in its result code: `near "SELEC": syntax error at offset 0: SQLITE_ERROR`.

    `code` is SQLite's extended result code by name, "" when we refused before SQLite saw the statement.
    """

    def __init__(self, message: str, *, code: str = "", critical: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.critical = critical


class SqlBindingError(SqlError, TypeError):
    """A Python value that SQLite has no type for; names its position, its type and what to bind instead."""


class CorruptValueError(StorageError, ValueError):
    """Bytes that are not an encoded value."""


class NewerStateError(StorageError):
    """A state directory of a format that this version does not know; nothing was changed in it."""

    def __init__(self, directory: str, version: int, known: int) -> None:
        super().__init__(
            f"{directory} was written by a newer durable (format {version}, this one knows {known}); "
            "nothing was changed"
        )
        self.version = version
        self.known = known


class StorageCorruptError(StorageError):
    """A file that is not what its object wrote."""

    def __init__(self, file: str, what: str) -> None:
        super().__init__(f"{file} {what}")
        self.file = file


class DataCloneError(DurableError, JsException, TypeError):
    """A value that can be neither stored nor sent."""

    name = "DataCloneError"


class PortabilityError(DurableError, TypeError):
    """Something that runs here and would not, or not alike, on the platform; `kind` names the difference."""

    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class DebuggerUnavailableError(DurableError):
    """User code stops in a debugger, and nobody could type anything."""

    def __init__(self, file: str, line: int) -> None:
        super().__init__(
            f"{file}:{line} stops in the debugger, and there is no terminal to hand to it. Run durable dev in a "
            "terminal (not with --log-format json), or with --debug and attach an editor; PYTHONBREAKPOINT=0 passes "
            "over breakpoint()"
        )
        self.file = file
        self.line = line


class WireError(DurableError):
    """The other process broke the protocol."""


class SocketRefusedError(DurableError):
    """A test's WebSocket was answered with `status` instead of 101."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{url} refused the WebSocket with status {status}")
        self.url = url
        self.status = status


class SocketClosedError(DurableError):
    """The server closed a test's WebSocket with this `code` and `reason`; 1006 when the connection just broke off."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the server closed the WebSocket with code {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason


class DurableObjectAbort(BaseException):
    """Raised by `ctx.abort()`; ends the event that called it and resets the actor."""

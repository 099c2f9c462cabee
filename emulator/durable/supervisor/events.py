"""What the supervisor reports to whoever shows it to the developer. Knows no terminal and no log format."""

from __future__ import annotations

from durable.errors import UserInputError
from durable.gateway.events import Event
from durable.wire.messages import ErrorReport, Frame


class Reloaded(Event, frozen=True):
    """Generation `generation` serves. `changed` are paths relative to the project, empty for a reload by hand."""

    generation: int
    duration_ms: float
    changed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class ReloadFailed(Event, frozen=True):
    """The user's program could not be loaded; `serving` is the generation that goes on, 0 when there is none."""

    report: ErrorReport
    serving: int
    changed: tuple[str, ...] = ()


class ConfigRejected(Event, frozen=True):
    """The configuration, or its fit to the code or the state, is wrong; `serving` as in `ReloadFailed`."""

    errors: tuple[UserInputError, ...]
    serving: int


class ConfigApplied(Event, frozen=True):
    """The configuration was saved with nothing in it that the running program would have to be loaded anew for."""

    changed: tuple[str, ...]


class RestartNeeded(Event, frozen=True):
    """These settings changed and take effect at the next start: `("[dev] port",)`."""

    settings: tuple[str, ...]


class ConstructionFailing(Event, frozen=True):
    """The constructor of `label` fails as it did before, or that of others like it: `count` times in `seconds`."""

    label: str
    type: str
    message: str
    count: int
    seconds: float


class HostDied(Event, frozen=True):
    """A host ended without being asked; said once until the cause changes or a host has lived for a while.

    `cause` completes a sentence: "was killed by signal 9 (SIGKILL)".
    """

    pid: int
    shard: int
    cause: str
    frames: tuple[Frame, ...] = ()
    """Where it was, innermost first, as far as it could say; the user's files by their paths from the project."""


class HostBlocked(Event, frozen=True):
    """A host has not answered for `seconds`; after `limit_seconds` it is replaced, 0 for never.

    `frames` as in `HostDied`; `running` is the object whose code keeps the others waiting, or, where that is not known,
    what was asked and is not answered. `no_frames_because` says why there is no stack.
    """

    pid: int
    shard: int
    seconds: float
    limit_seconds: float
    frames: tuple[Frame, ...]
    running: tuple[str, ...]
    no_frames_because: str = ""


class BlockedLoop(Event, frozen=True):
    """One step of user code kept every object of its process waiting; told once for each line.

    `label` is the object (`ChatRoom "general"`), `fix` what to write instead of `source`.
    """

    label: str
    file: str
    line: int
    function: str
    source: str
    duration_ms: float
    fix: str


class DebuggerStopped(Event, frozen=True):
    """User code stands at a prompt of pdb, or waits for the terminal with one.

    `label` is the object's, empty for the worker and for imports; `terminal` False: it talks elsewhere.
    """

    pid: int
    label: str
    function: str
    file: str
    line: int
    terminal: bool = True


class DebuggerContinued(Event, frozen=True):
    """Nothing of the host stands at a prompt any more; `died`: because the host is gone."""

    pid: int
    died: bool = False


class HostRestarted(Event, frozen=True):
    """A replacement serves the shard.

    `last_good` says that it runs the code that served before: what is on the disk now was not loaded, or cannot be.
    """

    pid: int
    shard: int
    duration_ms: float
    last_good: bool = False

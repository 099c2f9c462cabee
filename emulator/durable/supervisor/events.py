"""What the supervisor reports to whoever shows it to the developer. Knows no terminal and no log format."""

from __future__ import annotations

from durable.errors import UserInputError
from durable.gateway.events import Event
from durable.wire.messages import ErrorReport


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


class HostRestarted(Event, frozen=True):
    """A replacement serves the shard."""

    pid: int
    shard: int
    duration_ms: float

"""The life of a host, from its first word to its last: loading, attaching, draining, its pulse, its debugger."""

from __future__ import annotations

from typing import Any

import msgspec

from durable.wire.messages.message import ActorKey, Message
from durable.wire.messages.report import ErrorReport, Frame


class Hello(Message, frozen=True, tag=1):
    """Host → gateway, first: who runs, so that a foreign interpreter or version is refused with its name."""

    version: str
    python: str
    pid: int


class NamespaceInfo(msgspec.Struct, array_like=True, frozen=True):
    """One class of actors: its binding names point here by `class_name`."""

    key: str
    class_name: str
    sqlite: bool = True


class ServiceInfo(msgspec.Struct, array_like=True, frozen=True):
    """A class of a worker's main module that bindings lead to: `env.<name>`. `entrypoint` is empty for `Default`."""

    name: str
    script: str
    """The worker; empty for the one that asks."""
    entrypoint: str = ""
    props: bytes = b""
    """What the class finds in `ctx.props`, encoded; empty for nothing."""


class NeighbourClass(msgspec.Struct, array_like=True, frozen=True):
    """A class of actors of another worker: `env.<name>`. `key` is that worker's own, so that both make the same ids."""

    name: str
    script: str
    class_name: str
    key: str


class AssetsInfo(msgspec.Struct, array_like=True, frozen=True):
    """The folder behind `env.<binding>`, which may be empty, and before the worker for those who call it as a service.

    Of `private` files and folders nothing is served though they lie in it.
    """

    binding: str
    directory: str
    html_handling: str
    not_found_handling: str
    private: list[str]
    run_worker_first: bool | list[str]


class Load(Message, frozen=True, tag=2):
    """Gateway → host: everything a host needs to import the user's program. Paths are absolute."""

    root: str
    main: str
    state: str
    namespaces: list[NamespaceInfo]
    bindings: dict[str, str]
    """Binding name → class name."""
    vars: dict[str, Any]
    """Variable name → JSON value, secrets included."""
    compatibility_date: str
    durability: str
    idle_seconds: float
    host_number: int
    """Unique for every host process of this emulator's life; socket and stream ids grow from it."""
    shard: int
    shards: int
    preimport: list[str] = []
    portability: str = "off"
    """What to do about code that would not run on the platform: "warn", "error", "off", or "auto" for the host to
    find out whether the program is written for the platform's SDK."""
    pitr_days: int = 0
    """Days for which the history of objects is kept; 0: none is."""
    memory_mb: int = 0
    """What a host may hold; 0: as much as there is."""
    sources: dict[str, bytes] = {}
    """Project file → what to compile in its place: the code that served before what is on the disk now."""
    secrets: list[str] = []
    """Which of `vars` are secrets: no report shows their values."""
    script: str = ""
    """What other workers call this one."""
    services: list[ServiceInfo] = []
    neighbours: list[NeighbourClass] = []
    assets: AssetsInfo | None = None
    unserved: dict[str, str] = {}
    """Binding name → what its use raises: products of the platform that are not here."""
    compatibility_flags: list[str] = []


class Preimport(Message, frozen=True, tag=3):
    """Gateway → standby host: import these site-packages and standard library modules now, while nobody waits."""

    modules: list[str]


class Ready(Message, frozen=True, tag=4):
    """Host → gateway: the program is imported. `files` maps each project file that was read to its SHA-256."""

    classes: list[str]
    files: dict[str, str]
    modules: list[str]
    warnings: list[str] = []
    actors: list[str] = []
    """Those of `classes` that objects can be made of."""


class LoadFailed(Message, frozen=True, tag=5):
    """Host → gateway: the program cannot run; `files` as in `Ready`, so that mending any of them reloads."""

    error: ErrorReport
    files: dict[str, str]


class SocketState(msgspec.Struct, array_like=True, frozen=True):
    """A client socket as a host must know it to go on with it."""

    socket: int
    actor: ActorKey
    tags: list[str]
    attachment: bytes | None
    protocol: str = ""
    auto_response_ms: int = 0
    closing: bool = False
    """Whether the actor has said close."""


class AutoResponseState(msgspec.Struct, array_like=True, frozen=True):
    """What one actor has set for all its sockets: see `SetAutoResponse`."""

    actor: ActorKey
    request: str | None
    response: str | None
    event_timeout_ms: int = 0


class Attach(Message, frozen=True, tag=6):
    """Gateway → host: you own your shard from now on; these sockets are open."""

    sockets: list[SocketState]
    auto_responses: list[AutoResponseState]


class Drain(Message, frozen=True, tag=7):
    """Gateway → host: start nothing new from outside, finish what runs, commit, close the files, say `Closed`, exit.

    `lingers`: between the last two, bodies that workers stream may end, until the same deadline.
    """

    deadline_seconds: float
    lingers: bool = False


class Closed(Message, frozen=True, tag=8):
    """Host → gateway: the last frame; files are closed, `epoch` is durable, `not_begun` socket events were not run."""

    epoch: int
    not_begun: list[int]


class Log(Message, frozen=True, tag=9):
    """Host → gateway: one line for the developer. `level` is "info", "warning" or "error".

    A failure that no caller waits for (an alarm, a socket handler, `wait_until`) comes with its report.
    """

    level: str
    text: str
    label: str = ""
    error: ErrorReport | None = None
    once: str = ""
    """What it is about, when one line about that is enough, whichever host and generation finds it again."""


class ClockSet(Message, frozen=True, tag=10):
    """Gateway → host: wall time is the machine's plus `offset_ms`, or stands still at `frozen_ms`.

    Said before `Load` and at every change, unless it is the machine's from the start. What follows on the channel
    happens at the new time: an `AlarmDue` is never ahead of the clock that made it due.
    """

    offset_ms: int
    frozen_ms: int | None = None


class Ping(Message, frozen=True, tag=11):
    """Gateway → host: does your loop run?"""

    number: int


class Pong(Message, frozen=True, tag=12):
    """Host → gateway: the answer to `Ping`. `shows_stack`: SIGUSR1 still makes the host report its stack."""

    number: int
    shows_stack: bool = True


class LoopBlocked(Message, frozen=True, tag=13):
    """Host → gateway, when it is over: one step of user code kept everything else waiting. Said once for each place.

    `label` is the object whose code it was; `fix` says what to write instead.
    """

    label: str
    frame: Frame
    milliseconds: float
    fix: str


class DebuggerEntered(Message, frozen=True, tag=16):
    """Host → gateway: user code stops in pdb; `stop` counts from 1 in each host.

    `terminal`: it waits until the terminal is its own. `label` is the object's, empty for the worker and for imports.
    """

    stop: int
    label: str
    function: str
    file: str
    line: int
    terminal: bool = True


class DebuggerLeft(Message, frozen=True, tag=17):
    """Host → gateway: that stop is over; it has given the terminal back."""

    stop: int


class DebuggerListening(Message, frozen=True, tag=18):
    """Host → gateway: debugpy takes clients at this port of 127.0.0.1."""

    port: int


class TellLife(Message, frozen=True, tag=14):
    """Gateway → host: say which objects come into memory and leave it, or stop saying so."""

    wanted: bool


class Woke(Message, frozen=True, tag=15):
    """Host → gateway, after `TellLife`: an actor is being constructed."""

    actor: ActorKey


class Left(Message, frozen=True, tag=19):
    """Host → gateway, after `TellLife`: an actor has left memory; `cause` is what reset it, "" for an eviction."""

    actor: ActorKey
    cause: str = ""

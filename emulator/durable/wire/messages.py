"""Every message between the gateway and a host, in one place; the two processes share nothing else.

Messages are msgspec structs encoded as MessagePack arrays `[tag, field, …]`. Ids are chosen by the side that asks and
come back in the answer. `epoch` on a message from a host says: *this reveals writes up to that epoch*; the gateway
lets nothing of it out before `EpochDurable(epoch)` has come. Epoch 0 reveals nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

Headers = list[tuple[str, str]]


class Message(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Root of every frame."""


class ActorKey(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One actor: `ActorKey("ChatRoom-9f3a…", "<64 hex>", "general")`; the name is None when it is not known."""

    namespace: str
    id: str
    name: str | None = None


WORKER = ActorKey("Default", "0" * 64)
"""Whoever holds a socket that a worker accepted: nobody is found under this id, and nothing is stored."""


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


# --- life of a host -------------------------------------------------------------------------------------------
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
    """What to do about code that would not run on the platform: "warn", "error" or "off"."""
    pitr_days: int = 0
    """Days for which the history of objects is kept; 0: none is."""
    memory_mb: int = 0
    """What a host may hold; 0: as much as there is."""
    sources: dict[str, bytes] = {}
    """Project file → what to compile in its place: the code that served before what is on the disk now."""
    secrets: list[str] = []
    """Which of `vars` are secrets: no report shows their values."""


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


# --- requests, in both directions -----------------------------------------------------------------------------
class HttpRequest(Message, frozen=True, tag=20):
    """An HTTP request to the worker (`actor` None) or to an actor.

    A body of known small size is in `body`; otherwise `stream` is the id of a body stream that follows. `upgrade` says
    the client asked for a WebSocket. From a host (an actor of another shard was called) `epoch` is the caller's.
    """

    id: int
    actor: ActorKey | None
    method: str
    url: str
    headers: Headers
    body: bytes = b""
    stream: int = 0
    upgrade: bool = False
    epoch: int = 0


class HttpReply(Message, frozen=True, tag=21):
    """The answer to `HttpRequest`. `socket` is what a 101 hands over; `served_by` the last actor asked."""

    id: int
    epoch: int
    status: int
    reason: str
    headers: Headers
    body: bytes = b""
    stream: int = 0
    socket: int = 0
    served_by: ActorKey | None = None


class Call(Message, frozen=True, tag=22):
    """An RPC call; `payload` is the encoded `(args, kwargs)`."""

    id: int
    actor: ActorKey
    method: str
    payload: bytes
    epoch: int = 0


class CallReply(Message, frozen=True, tag=23):
    """The encoded result of `Call`."""

    id: int
    epoch: int
    payload: bytes


class Failed(Message, frozen=True, tag=24):
    """The answer to any request that ended in an exception. `status` is the HTTP status it deserves.

    `broken` says that the actor was reset: the stub that asked stays broken from then on.
    """

    id: int
    epoch: int
    error: ErrorReport
    status: int = 500
    served_by: ActorKey | None = None
    broken: bool = False


class Cancel(Message, frozen=True, tag=25):
    """The asker no longer wants the answer: its client went away."""

    id: int


class BodyChunk(Message, frozen=True, tag=26):
    """Bytes of a body stream."""

    stream: int
    data: bytes
    epoch: int = 0


class BodyEnd(Message, frozen=True, tag=27):
    """A body stream is over; `error` is empty when it is complete."""

    stream: int
    error: str = ""
    epoch: int = 0


class BodyCredit(Message, frozen=True, tag=28):
    """The reader of a stream took `size` bytes; 0 says that it wants no more at all."""

    stream: int
    size: int


# --- web sockets ----------------------------------------------------------------------------------------------
class SocketAccepted(Message, frozen=True, tag=40):
    """Host → gateway: `actor` took the server end of `socket`. Comes before the reply that hands over the client's.

    `joins` is another accepted socket: the two are the ends of one pair, both in the hands of user code, and no client
    of the gateway's will come. `actor` is `WORKER` when a worker took it.
    """

    socket: int
    actor: ActorKey
    tags: list[str]
    hibernatable: bool
    epoch: int = 0
    joins: int = 0


class SocketSend(Message, frozen=True, tag=41):
    """Host → gateway: one payload to many sockets. Exactly one of `text` and `binary` is set."""

    sockets: list[int]
    text: str | None
    binary: bytes | None
    epoch: int = 0


class SocketClose(Message, frozen=True, tag=42):
    """Host → gateway: close with this code; 0 means an empty close frame, 1006 means drop without one."""

    socket: int
    code: int
    reason: str
    epoch: int = 0


class SocketAttachment(Message, frozen=True, tag=43):
    """Host → gateway: the attachment that the next activation finds."""

    socket: int
    attachment: bytes
    epoch: int = 0


class SetAutoResponse(Message, frozen=True, tag=44):
    """Host → gateway: answer `request` with `response` for every socket of `actor`; both None unsets.

    `event_timeout_ms` is for the next host alone; 0 is for none.
    """

    actor: ActorKey
    request: str | None
    response: str | None
    epoch: int = 0
    event_timeout_ms: int = 0


class SocketMessage(Message, frozen=True, tag=45):
    """Gateway → host: a client sent this. `event` is unique in the emulator's life."""

    event: int
    socket: int
    text: str | None
    binary: bytes | None


class SocketClosed(Message, frozen=True, tag=46):
    """Gateway → host: a client closed (1005 without a code) or vanished (1006, `was_clean` False)."""

    event: int
    socket: int
    code: int
    reason: str
    was_clean: bool


class SocketFailed(Message, frozen=True, tag=47):
    """Gateway → host: the client broke the protocol; `web_socket_error` gets this message."""

    event: int
    socket: int
    message: str


class Begun(Message, frozen=True, tag=48):
    """Host → gateway, before their handlers run: these socket events will never be delivered twice."""

    events: list[int]


class Done(Message, frozen=True, tag=49):
    """Host → gateway: these socket events are finished and can be forgotten."""

    events: list[int]
    epoch: int = 0


class AutoResponded(Message, frozen=True, tag=50):
    """Gateway → host: a socket's auto-response was sent at this wall time."""

    socket: int
    wall_ms: int


# --- storage --------------------------------------------------------------------------------------------------
class EpochDurable(Message, frozen=True, tag=60):
    """Host → gateway: every write up to this epoch is on disk."""

    epoch: int


class EpochFailed(Message, frozen=True, tag=61):
    """Host → gateway: these frames will never be released: drop what `actors` said in epochs after `durable`.

    `questions` are the ids of what they asked actors of other hosts and have no answer to.
    """

    epoch: int
    actors: list[ActorKey]
    questions: list[int] = []


class IndexPut(Message, frozen=True, tag=62):
    """Host → gateway: `actor` exists and its alarm is due at `alarm_ms` (None: none).

    With an `id` the host waits for `IndexDurable` before it commits (a new object, or an alarm moved earlier);
    with id 0 it does not (an alarm moved later or cleared, after its epoch was durable).
    """

    id: int
    actor: ActorKey
    alarm_ms: int | None
    created_ms: int = 0
    new_file: bool = False
    """The object has never committed anything: the row promises a file, so the file's name goes to disk first."""


class IndexDurable(Message, frozen=True, tag=63):
    """Gateway → host: the index rows asked for under these ids are on disk; `error` is set when they cannot be."""

    ids: list[int]
    error: str = ""


class IndexRemove(Message, frozen=True, tag=64):
    """Host → gateway: the object has no data left; drop its row. Answered by `IndexDurable` when `id` is not 0."""

    id: int
    actor: ActorKey


class IndexFind(Message, frozen=True, tag=65):
    """Host → gateway: does the index know this object? Asked before an object without a file is activated."""

    id: int
    actor: ActorKey


class IndexFound(Message, frozen=True, tag=66):
    """Gateway → host: the answer to `IndexFind`; `error` is set when the index cannot be read."""

    id: int
    known: bool
    error: str = ""


# --- alarms ---------------------------------------------------------------------------------------------------
class AlarmDue(Message, frozen=True, tag=70):
    """Gateway → host: run the alarm that the index says is due at `scheduled_ms`; the actor's own row decides."""

    id: int
    actor: ActorKey
    scheduled_ms: int
    retry_count: int
    forced: bool = False
    """Run what the row says even when it is not due yet: a developer asked for it."""


class AlarmReply(Message, frozen=True, tag=71):
    """Host → gateway: what became of `AlarmDue`.

    `outcome`: "done", "failed" (user code raised: counts as a try), "stale" (the row says another time or none),
    "missing" (the class has no handler: the alarm is dropped). `alarm_ms` is what the actor's row says now.
    `replaced` is True when the handler itself set or deleted the alarm, which replaces a retry. Of a failure,
    `counted` is False when user code had no part in it, and `retried` is False when user code wants no retry.
    """

    id: int
    epoch: int
    outcome: str
    alarm_ms: int | None
    replaced: bool = False
    counted: bool = True
    retried: bool = True


class AlarmGiveUp(Message, frozen=True, tag=72):
    """Gateway → host: no more retries; clear the row if it still says `scheduled_ms`."""

    id: int
    actor: ActorKey
    scheduled_ms: int


class RunScheduled(Message, frozen=True, tag=73):
    """Gateway → host: run the worker's `scheduled`. Answered with `CallReply`: False when it called `no_retry()`."""

    id: int
    cron: str
    scheduled_ms: int
    actor: ActorKey | None = None


# --- looking --------------------------------------------------------------------------------------------------
class Inspect(Message, frozen=True, tag=80):
    """Gateway → host: run SQL on one object's file between its turns, without waking it."""

    id: int
    actor: ActorKey
    sql: str
    write: bool
    rows_max: int
    seconds_max: float


class InspectReply(Message, frozen=True, tag=81):
    """Columns and encoded rows (each a value-codec list); `error` is SQLite's message, empty when all went well."""

    id: int
    epoch: int
    columns: list[str]
    rows: list[bytes]
    truncated: bool = False
    rows_written: int = 0
    error: str = ""


class Evict(Message, frozen=True, tag=82):
    """Gateway → host: drop the live instance (tools only); answered as `Look` is, with `"evicted": true` if it was."""

    id: int
    actor: ActorKey


class EvictAll(Message, frozen=True, tag=86):
    """Gateway → host: drop every live instance of this namespace, or of all, that nothing keeps in memory.

    Answered with `CallReply`:
    `{"evicted": 12, "pinned": [{"namespace": …, "name": …, "id": …, "pins": [… as in `Look`]}], "pinned_count": 1}`.
    """

    id: int
    actor: ActorKey | None
    namespace: str


class Look(Message, frozen=True, tag=84):
    """Gateway → host: is the object in memory, and what keeps it there? Wakes nobody.

    Answered with `CallReply`, whose payload is `{"state": "idle", "pins": [{"kind": "timer", "text": "timer due in 14 s
    at main.py:12", "count": 1, …}], "sockets": 2, …}`; see `durable.host.presence`.
    """

    id: int
    actor: ActorKey


class Recall(Message, frozen=True, tag=85):
    """Gateway → host: what do you remember of this object, of those of this namespace, or of all? Wakes nobody.

    The last `entries_max` things that ended after `since_us` and by `until_us`, microseconds of the monotonic clock.
    Answered with `CallReply`, whose payload is MessagePack of `list[durable.wire.timeline.Remembered]`.
    """

    id: int
    actor: ActorKey | None
    since_us: int
    until_us: int
    entries_max: int
    namespace: str = ""


class TimelineLeft(Message, frozen=True, tag=87):
    """Host → gateway, before `Closed`: what it remembers last, as in the answer to `Recall`; that ends with it."""

    payload: bytes


class Restore(Message, frozen=True, tag=83):
    """Gateway → host: bring one object back to a bookmark or a moment; with neither, say from when to when that goes.

    `moment_ms` is wall time; negative: that long ago by the host's clock. Answered with `CallReply`, whose payload is
    `{"restored": "<bookmark>", "moment_ms": 0, "undo": "<bookmark>", "bytes": 0}`, or
    `{"oldest_ms": 0, "newest_ms": 0, "segments": 1, "bytes": 0, "bookmark": "<bookmark>"}`; or with `Failed`.
    """

    id: int
    actor: ActorKey
    bookmark: str = ""
    moment_ms: int | None = None


FromGateway = (
    Load | Preimport | Attach | Drain | ClockSet | Ping | TellLife
    | HttpRequest | HttpReply | Call | CallReply | Failed | Cancel | BodyChunk | BodyEnd | BodyCredit
    | SocketMessage | SocketClosed | SocketFailed | AutoResponded
    | IndexDurable | IndexFound | AlarmDue | AlarmGiveUp | RunScheduled | Inspect | Evict
    | EvictAll | Look | Recall | Restore
)  # fmt: skip
FromHost = (
    Hello | Ready | LoadFailed | Closed | Log | Woke | Left | Pong | LoopBlocked
    | DebuggerEntered | DebuggerLeft | DebuggerListening
    | HttpRequest | HttpReply | Call | CallReply | Failed | Cancel | BodyChunk | BodyEnd | BodyCredit
    | SocketAccepted | SocketSend | SocketClose | SocketAttachment | SetAutoResponse | Begun | Done
    | EpochDurable | EpochFailed | IndexPut | IndexRemove | IndexFind | AlarmReply | InspectReply
    | TimelineLeft
)  # fmt: skip

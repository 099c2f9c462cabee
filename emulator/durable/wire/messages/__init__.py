"""Every message between the gateway and a host, in one place; the two processes share nothing else.

Messages are msgspec structs encoded as MessagePack arrays `[tag, field, …]`. Ids are chosen by the side that asks and
come back in the answer. `epoch` on a message from a host says: *this reveals writes up to that epoch*; the gateway
lets nothing of it out before `EpochDurable(epoch)` has come. Epoch 0 reveals nothing.
"""

from __future__ import annotations

from durable.wire.messages.alarms import AlarmDue, AlarmGiveUp, AlarmReply, RunScheduled
from durable.wire.messages.data import CopyObject, DeleteObject, ReplaceObject
from durable.wire.messages.life import (
    AssetsInfo,
    Attach,
    AutoResponseState,
    ClockSet,
    Closed,
    DebuggerEntered,
    DebuggerLeft,
    DebuggerListening,
    Drain,
    Hello,
    Left,
    Load,
    LoadFailed,
    Log,
    LoopBlocked,
    NamespaceInfo,
    NeighbourClass,
    Ping,
    Pong,
    Preimport,
    Ready,
    ServiceInfo,
    SocketState,
    TellLife,
    Woke,
)
from durable.wire.messages.looking import (
    Evict,
    EvictAll,
    Inspect,
    InspectedRows,
    InspectReply,
    Look,
    LookMany,
    MigrateObject,
    Recall,
    Restore,
    TimelineLeft,
)
from durable.wire.messages.message import WORKER, ActorKey, Headers, Message
from durable.wire.messages.querying import InspectMany
from durable.wire.messages.report import ErrorReport, FailedSql, Frame, RelatedError
from durable.wire.messages.requests import (
    BodyChunk,
    BodyCredit,
    BodyEnd,
    Call,
    CallReply,
    Cancel,
    Failed,
    HttpReply,
    HttpRequest,
    Luggage,
    StubCount,
    StubKey,
)
from durable.wire.messages.sockets import (
    AutoResponded,
    Begun,
    Done,
    SetAutoResponse,
    SocketAccepted,
    SocketAttachment,
    SocketClose,
    SocketClosed,
    SocketFailed,
    SocketMessage,
    SocketSend,
)
from durable.wire.messages.storage import (
    EpochDurable,
    EpochFailed,
    IndexDurable,
    IndexFind,
    IndexFound,
    IndexPut,
    IndexRemove,
)

__all__ = [
    "WORKER",
    "ActorKey",
    "AlarmDue",
    "AlarmGiveUp",
    "AlarmReply",
    "AssetsInfo",
    "Attach",
    "AutoResponded",
    "AutoResponseState",
    "Begun",
    "BodyChunk",
    "BodyCredit",
    "BodyEnd",
    "Call",
    "CallReply",
    "Cancel",
    "ClockSet",
    "Closed",
    "CopyObject",
    "DebuggerEntered",
    "DebuggerLeft",
    "DebuggerListening",
    "DeleteObject",
    "Done",
    "Drain",
    "EpochDurable",
    "EpochFailed",
    "ErrorReport",
    "Evict",
    "EvictAll",
    "Failed",
    "FailedSql",
    "Frame",
    "FromGateway",
    "FromHost",
    "Headers",
    "Hello",
    "HttpReply",
    "HttpRequest",
    "IndexDurable",
    "IndexFind",
    "IndexFound",
    "IndexPut",
    "IndexRemove",
    "Inspect",
    "InspectMany",
    "InspectReply",
    "InspectedRows",
    "Left",
    "Load",
    "LoadFailed",
    "Log",
    "Look",
    "LookMany",
    "LoopBlocked",
    "Luggage",
    "Message",
    "MigrateObject",
    "NamespaceInfo",
    "NeighbourClass",
    "Ping",
    "Pong",
    "Preimport",
    "Ready",
    "Recall",
    "RelatedError",
    "ReplaceObject",
    "Restore",
    "RunScheduled",
    "ServiceInfo",
    "SetAutoResponse",
    "SocketAccepted",
    "SocketAttachment",
    "SocketClose",
    "SocketClosed",
    "SocketFailed",
    "SocketMessage",
    "SocketSend",
    "SocketState",
    "StubCount",
    "StubKey",
    "TellLife",
    "TimelineLeft",
    "Woke",
]

FromGateway = (
    Load | Preimport | Attach | Drain | ClockSet | Ping | TellLife
    | HttpRequest | HttpReply | Call | CallReply | Failed | Cancel | BodyChunk | BodyEnd | BodyCredit | StubCount
    | SocketMessage | SocketClosed | SocketFailed | AutoResponded
    | IndexDurable | IndexFound | AlarmDue | AlarmGiveUp | RunScheduled | Inspect | Evict
    | EvictAll | Look | LookMany | Recall | Restore | MigrateObject
    | InspectMany | CopyObject | ReplaceObject | DeleteObject
)  # fmt: skip
FromHost = (
    Hello | Ready | LoadFailed | Closed | Log | Woke | Left | Pong | LoopBlocked
    | DebuggerEntered | DebuggerLeft | DebuggerListening
    | HttpRequest | HttpReply | Call | CallReply | Failed | Cancel | BodyChunk | BodyEnd | BodyCredit | StubCount
    | SocketAccepted | SocketSend | SocketClose | SocketAttachment | SetAutoResponse | Begun | Done
    | EpochDurable | EpochFailed | IndexPut | IndexRemove | IndexFind | AlarmReply | InspectReply
    | TimelineLeft
)  # fmt: skip

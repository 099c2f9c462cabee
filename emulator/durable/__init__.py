"""Durable Objects for Python: the API that actors are written against. Loads neither apsw nor aiohttp."""

from typing import TYPE_CHECKING, Any

from durable.errors import (
    ActorError,
    ActorResetError,
    DataCloneError,
    DurableError,
    DurableObjectAbort,
    HostGoneError,
    OverloadedError,
    SqlError,
    StorageError,
)
from durable.sdk.alarm import AlarmInfo
from durable.sdk.http import Headers, Request, Response
from durable.sdk.ids import DurableObjectId
from durable.sdk.now import now
from durable.sdk.object import DurableObject, WorkerEntrypoint
from durable.sdk.rpc import RpcStub, RpcTarget
from durable.sdk.runtime import fetch
from durable.sdk.scheduled import ScheduledEvent
from durable.sdk.state import DurableObjectState, ExecutionContext
from durable.sdk.storage import DurableObjectStorage, SqlCursor, SqlStorage
from durable.sdk.stub import DurableObjectNamespace, DurableObjectStub
from durable.sdk.websocket import WebSocket, WebSocketPair, WebSocketRequestResponsePair

if TYPE_CHECKING:
    from durable.sdk.blobs import Blob, File
    from durable.sdk.forms import FormData

__version__ = "0.1.0"

__all__ = [
    "ActorError",
    "ActorResetError",
    "AlarmInfo",
    "Blob",
    "DataCloneError",
    "DurableError",
    "DurableObject",
    "DurableObjectAbort",
    "DurableObjectId",
    "DurableObjectNamespace",
    "DurableObjectState",
    "DurableObjectStorage",
    "DurableObjectStub",
    "ExecutionContext",
    "File",
    "FormData",
    "Headers",
    "HostGoneError",
    "OverloadedError",
    "Request",
    "Response",
    "RpcStub",
    "RpcTarget",
    "ScheduledEvent",
    "SqlCursor",
    "SqlError",
    "SqlStorage",
    "StorageError",
    "WebSocket",
    "WebSocketPair",
    "WebSocketRequestResponsePair",
    "WorkerEntrypoint",
    "fetch",
    "now",
]


def __getattr__(name: str) -> Any:
    # Loaded at their first use: few programs need them, and no tool does.
    if name == "FormData":
        from durable.sdk.forms import FormData

        return FormData
    if name in ("Blob", "File"):
        from durable.sdk import blobs

        return getattr(blobs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

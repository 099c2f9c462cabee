"""Durable Objects for Python: the API that actors are written against. Loads neither apsw nor aiohttp."""

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
from durable.sdk.runtime import fetch
from durable.sdk.scheduled import ScheduledEvent
from durable.sdk.state import DurableObjectState, ExecutionContext
from durable.sdk.storage import DurableObjectStorage, SqlCursor, SqlStorage
from durable.sdk.stub import DurableObjectNamespace, DurableObjectStub
from durable.sdk.websocket import WebSocket, WebSocketPair, WebSocketRequestResponsePair

__version__ = "0.1.0"

__all__ = [
    "ActorError",
    "ActorResetError",
    "AlarmInfo",
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
    "Headers",
    "HostGoneError",
    "OverloadedError",
    "Request",
    "Response",
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

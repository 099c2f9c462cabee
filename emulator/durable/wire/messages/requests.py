"""Requests and their answers in both directions, and the bodies that stream."""

from __future__ import annotations

import msgspec

from durable.wire.messages.message import ActorKey, Headers, Message
from durable.wire.messages.report import ErrorReport


class StubKey(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a stub calls: the number that one host has given to a function or an RpcTarget of its program."""

    host: int
    number: int


class Luggage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What travels beside encoded values, which refer to it by index: stubs, and bodies that stream."""

    stubs: list[StubKey] = []
    streams: list[int] = []


class HttpRequest(Message, frozen=True, tag=20):
    """An HTTP request to the worker (`actor` None) or to an actor.

    `script` names another worker of the same `durable dev`, empty for this one; `entrypoint` a class of its main module
    that is not the default one, `props` what its `ctx.props` holds, encoded.

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
    script: str = ""
    entrypoint: str = ""
    props: bytes = b""


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
    """An RPC call; `payload` is the encoded `(args, kwargs)`.

    It goes to an actor, to what a stub refers to (`target`), or to an entrypoint when both are None.
    """

    id: int
    actor: ActorKey | None
    method: str
    payload: bytes
    epoch: int = 0
    script: str = ""
    entrypoint: str = ""
    props: bytes = b""
    target: StubKey | None = None
    luggage: Luggage | None = None


class CallReply(Message, frozen=True, tag=23):
    """The encoded result of `Call`."""

    id: int
    epoch: int
    payload: bytes
    luggage: Luggage | None = None


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


class StubCount(Message, frozen=True, tag=29):
    """To the host that owns what the stub calls: so many more hold it. From a host: so many fewer, by itself."""

    stub: StubKey
    change: int

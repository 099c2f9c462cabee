"""The gateway's half of the output gate: messages of one host that may not leave yet. Knows no sockets and no requests.

A message tagged with epoch k waits until the host says that k is durable (cf. workerd io-gate.h: an output gate holds
back what could reveal a write that may still be lost). Messages of different actors do not wait for each other, but
messages about the same client socket or the same body stream never overtake one another, whatever epochs they carry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from durable.errors import WireError
from durable.limits import WITHHELD_MESSAGES_MAX
from durable.wire.messages import (
    ActorKey,
    AlarmReply,
    BodyChunk,
    BodyEnd,
    Call,
    CallReply,
    Done,
    EpochFailed,
    Failed,
    HttpReply,
    HttpRequest,
    InspectReply,
    SetAutoResponse,
    SocketAccepted,
    SocketAttachment,
    SocketClose,
    SocketSend,
)

Gated = (
    HttpRequest | HttpReply | Call | CallReply | Failed | BodyChunk | BodyEnd | AlarmReply | InspectReply
    | SocketAccepted | SocketSend | SocketClose | SocketAttachment | SetAutoResponse | Done
)  # fmt: skip
Answer = HttpReply | CallReply | Failed | AlarmReply | InspectReply

Key = int | str
SocketOwner = Callable[[int], ActorKey | None]


def _reply_keys(message: HttpReply) -> Iterable[Key]:
    if message.stream:
        return (-message.stream,)
    return (message.socket,) if message.socket else ()


def _luggage_keys(message: Call | CallReply) -> Iterable[Key]:
    return () if message.luggage is None else [-stream for stream in message.luggage.streams]


# What a message is about: a socket by its id, a stream by its negated id (the two grow from the same numbers), an
# actor by its 64 hex digits. A message that stands alone has no key.
_KEYS: dict[type, Callable[[Any], Iterable[Key]]] = {
    HttpReply: _reply_keys,
    Call: _luggage_keys,
    CallReply: _luggage_keys,
    HttpRequest: lambda message: (-message.stream,) if message.stream else (),
    BodyChunk: lambda message: (-message.stream,),
    BodyEnd: lambda message: (-message.stream,),
    SocketAccepted: lambda message: (message.socket,),
    SocketSend: lambda message: message.sockets,
    SocketClose: lambda message: (message.socket,),
    SocketAttachment: lambda message: (message.socket,),
    SetAutoResponse: lambda message: (message.actor.id,),
}


def _no_keys(_message: Any) -> Iterable[Key]:
    return ()


_KEYS_MIN = 1024
"""Remembered keys that are not worth a look for old ones."""

GATED: frozenset[type] = frozenset({*_KEYS, Call, CallReply, Failed, AlarmReply, InspectReply, Done})
"""Every message that carries an epoch, except the two that announce one and `Closed`."""


class Withheld:
    """Messages in waiting, by the epoch they wait for. Empty nearly always when durability is relaxed."""

    __slots__ = ("_by_epoch", "_count", "_key_epochs", "durable")

    def __init__(self) -> None:
        self.durable = 0
        self._by_epoch: dict[int, list[Gated]] = {}
        self._key_epochs: dict[Key, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def hold(self, message: Gated) -> bool:
        """Keep the message if it has to wait; False when it may go at once. Raises `WireError` at the bound."""
        epoch = message.epoch
        keys_of = _KEYS.get(type(message))
        if keys_of is None:
            if epoch <= self.durable:
                return False
        else:
            keys = keys_of(message)
            if self._key_epochs:
                for key in keys:
                    earlier = self._key_epochs.get(key, 0)
                    if earlier > epoch:
                        epoch = earlier
            if epoch <= self.durable:
                return False
            for key in keys:
                self._key_epochs[key] = epoch
        if self._count >= WITHHELD_MESSAGES_MAX:
            raise WireError(
                f"{self._count} messages wait for epoch {self.durable + 1}; the limit is {WITHHELD_MESSAGES_MAX}"
            )
        self._count += 1
        waiting = self._by_epoch.get(epoch)
        if waiting is None:
            self._by_epoch[epoch] = [message]
        else:
            waiting.append(message)
        return True

    def release(self, durable: int) -> list[Gated]:
        """Everything that waited for epochs up to `durable`, in order."""
        if durable <= self.durable:
            return []
        self.durable = durable
        if not self._by_epoch:
            return []
        if len(self._by_epoch) == 1:
            epoch = next(iter(self._by_epoch))
            freed = self._by_epoch.pop(epoch) if epoch <= durable else []
        else:
            epochs = sorted(epoch for epoch in self._by_epoch if epoch <= durable)
            freed = [message for epoch in epochs for message in self._by_epoch.pop(epoch)]
        self._count -= len(freed)
        if not self._by_epoch:
            self._key_epochs.clear()
        elif len(self._key_epochs) > _KEYS_MIN + 4 * self._count:
            # Under steady load some epoch is always underway, so the keys of past ones have to go by themselves.
            self._key_epochs = {key: epoch for key, epoch in self._key_epochs.items() if epoch > durable}
        return freed

    def drop(self, unwanted: Callable[[int, Gated], bool]) -> list[Gated]:
        """Take out what will never be released: every message for which `unwanted(epoch, message)` holds."""
        dropped: list[Gated] = []
        for epoch in sorted(self._by_epoch):
            kept: list[Gated] = []
            for message in self._by_epoch[epoch]:
                (dropped if unwanted(epoch, message) else kept).append(message)
            if kept:
                self._by_epoch[epoch] = kept
            else:
                del self._by_epoch[epoch]
        self._count -= len(dropped)
        # What is said next of their sockets, such as that they are closed, need not wait for what will never come.
        self._key_epochs = {
            key: epoch
            for epoch in sorted(self._by_epoch)
            for message in self._by_epoch[epoch]
            for key in _KEYS.get(type(message), _no_keys)(message)
        }
        return dropped

    def clear(self) -> None:
        """The host is gone: nothing of this was durable for certain, so nothing of it leaves."""
        self._by_epoch.clear()
        self._key_epochs.clear()
        self._count = 0


def unknown_owner(_socket: int) -> ActorKey | None:
    return None


def failed_epoch_filter(
    failure: EpochFailed,
    asked_actor: Callable[[int], str | None],
    stream_speaker: Callable[[int], str | None],
    socket_owner: SocketOwner,
) -> Callable[[int, Gated], bool]:
    """For `Withheld.drop`: True for what the failed actors said.

    A message whose speaker is not known goes when it waited for the failed epoch: better lost than a lie. `asked_actor`
    gives the id of the actor that a request was sent to, `stream_speaker` of the one whose body a stream is.
    """
    actors = {actor.id for actor in failure.actors}
    questions = frozenset(failure.questions)
    streams: dict[int, bool] = {}

    def speaker(message: Gated) -> str | None:
        actor: ActorKey | None = None
        if isinstance(message, (HttpReply, Failed)):
            actor = message.served_by
        elif isinstance(message, (SocketAccepted, SetAutoResponse)):
            actor = message.actor
        elif isinstance(message, (SocketClose, SocketAttachment)):
            actor = socket_owner(message.socket)
        elif isinstance(message, SocketSend) and message.sockets:
            actor = socket_owner(message.sockets[0])
        elif isinstance(message, (BodyChunk, BodyEnd)):
            return stream_speaker(message.stream)
        if actor is not None:
            return actor.id
        return asked_actor(message.id) if isinstance(message, Answer) else None

    def unwanted(epoch: int, message: Gated) -> bool:
        if isinstance(message, Done):
            return False  # It reveals nothing, and its events were begun: they are never delivered again.
        if isinstance(message, (BodyChunk, BodyEnd)) and message.stream in streams:
            return streams[message.stream]
        if isinstance(message, (HttpRequest, Call)):
            drop = message.id in questions
        else:
            who = speaker(message)
            drop = who in actors if who is not None else epoch == failure.epoch
        if isinstance(message, (HttpReply, HttpRequest)) and message.stream:
            streams[message.stream] = drop
        elif isinstance(message, (Call, CallReply)) and message.luggage is not None:
            streams.update(dict.fromkeys(message.luggage.streams, drop))
        return drop

    return unwanted

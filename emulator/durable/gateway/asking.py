"""Small parts of a link: who waits for an answer without a task, and what travels beside a message that is dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from durable.errors import ActorError
from durable.gateway.streams import Bodies
from durable.wire.messages import BodyCredit, Luggage, Message, StubCount

R = TypeVar("R")


class Waiting(Generic[R]):
    """Like a future, as far as a link needs one, which calls back at once."""

    __slots__ = ("_on_answer", "_on_gone")

    def __init__(self, on_answer: Callable[[R], None], on_gone: Callable[[ActorError], None]) -> None:
        self._on_answer = on_answer
        self._on_gone = on_gone

    def done(self) -> bool:
        return False

    def set_result(self, reply: R) -> None:
        self._on_answer(reply)

    def set_exception(self, error: ActorError) -> None:
        self._on_gone(error)


def unload(luggage: Luggage, host: int, bodies: Bodies, send: Callable[[Message], None]) -> None:
    """The stubs that this host has sent away are held by nobody, its bodies are read by nobody."""
    for stub in luggage.stubs:
        if stub.host == host:
            send(StubCount(stub, -1))
    for stream in luggage.streams:
        reader = bodies.reader(stream)
        if reader is not None:
            reader.cancel()
        else:
            send(BodyCredit(stream, 0))

"""What a stub's method returns: already under way, awaitable once, and a coroutine to everything that asks."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol, cast

from durable import values
from durable.errors import JsTypeError
from durable.sdk import portability
from durable.sdk.rpc import RpcStub
from durable.sdk.stub import Stub

_NOT_PIPELINED = ("_", "cr_", "ag_", "gi_")
"""Beginnings of names that asyncio and `inspect` ask of a coroutine."""
_NOTHING: Any = object()


class Cancellable(Protocol):
    def cancel(self) -> object: ...


class PendingCall(Coroutine[Any, Any, Any]):
    """A call that was delivered when it was made. Cancelling whoever awaits it cancels the call.

    A real coroutine would start only when awaited and would warn when it is not; a future cannot be given to
    `asyncio.create_task`. This is both.
    """

    __slots__ = ("_iterator", "_work", "future")

    def __init__(self, future: asyncio.Future[Any], work: Cancellable | None = None) -> None:
        """`work` is what is done for the answer."""
        self.future = future
        self._work = work
        self._iterator: Generator[Any, Any, Any] | None = None

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            return (yield from self.future)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancel_call()
            raise

    def send(self, value: Any) -> Any:
        if self._iterator is None:
            self._iterator = self.__await__()
        return self._iterator.send(value)

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        if self._iterator is None:
            self._iterator = self.__await__()
            self._iterator.send(None)
        return self._iterator.throw(error)

    def close(self) -> None:
        if self._iterator is not None:
            self._iterator.close()

    def cancel_call(self) -> None:
        if self._work is not None:
            self._work.cancel()


class PendingRpc(PendingCall):
    """A call of a method. What it returns can be called before it is there: `await stub.room("a").post("hello")`."""

    __slots__ = ()

    def send(self, value: Any = _NOTHING, *args: Any, **kwargs: Any) -> Any:
        if self._iterator is None and (args or kwargs or value is not None):
            # Nobody sends anything but None to a coroutine that has not begun: this is a method of what is to come.
            given = args if value is _NOTHING else (value, *args)
            return Pipelined(self, ("send",))(*given, **kwargs)
        return super().send(value)

    @property
    def wrapped(self) -> PendingRpc:
        """For whoever asks what a task waits for."""
        return self

    def __getattr__(self, name: str) -> Pipelined:
        if name.startswith(_NOT_PIPELINED):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return Pipelined(self, (name,))


class Pipelined:
    """A member of what a call will return; called, it is called there. Awaited, it is the member itself."""

    __slots__ = ("_call", "_path")

    def __init__(self, call: PendingRpc, path: tuple[str, ...]) -> None:
        self._call = call
        self._path = path

    def __getattr__(self, name: str) -> Pipelined:
        if name.startswith(_NOT_PIPELINED):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return Pipelined(self._call, (*self._path, name))

    def __call__(self, *args: Any, **kwargs: Any) -> PendingRpc:
        *path, name = self._path
        if portability.watch is not None:
            portability.look_at_call(name, args, kwargs)
        # Now, as any call's: what is changed after the call was made is not sent.
        args, kwargs = _sent(args), _sent(kwargs)

        def call(result: Any) -> Any:
            found = _member(result, path)
            if isinstance(found, (Stub, RpcStub)):
                return getattr(found, name)(*args, **kwargs)
            function = _member(found, [name])
            if not isinstance(function, RpcStub):
                raise JsTypeError(f'"{name}" is not a function.')
            return function(*args, **kwargs)

        return PendingRpc(*_follow(self._call, call))

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from _follow(self._call, lambda result: _member(result, self._path))[0])

    def __repr__(self) -> str:
        return f"<{'.'.join(self._path)} of a pending call>"


def _sent(given: Any) -> Any:
    try:
        return values.plain_copy(given)
    except (values.Refused, RecursionError):
        # Stubs, or what the call will refuse: the call itself sees to that.
        return given


def _member(value: Any, path: Any) -> Any:
    for name in path:
        if not isinstance(value, dict):
            raise JsTypeError("Can't pipeline on RPC that did not return an object.")
        value = cast("dict[str, Any]", value).get(name)
    return value


class _Following:
    """Two calls, the second of what the first returns; cancelled as one."""

    __slots__ = ("_now",)

    def __init__(self, now: PendingCall) -> None:
        self._now = now

    def turn_to(self, then: PendingCall) -> None:
        self._now = then

    def cancel(self) -> None:
        self._now.cancel_call()


def _follow(call: PendingRpc, then: Callable[[Any], Any]) -> tuple[asyncio.Future[Any], _Following]:
    """A future of what `then` makes of the call's result: a value, or another call, whose result it is in the end."""
    answer: asyncio.Future[Any] = call.future.get_loop().create_future()
    work = _Following(call)

    def came(future: asyncio.Future[Any]) -> None:
        if answer.done():
            return
        if future.cancelled():
            answer.cancel()
            return
        error = future.exception()
        if error is not None:
            answer.set_exception(error)
            return
        try:
            found = then(future.result())
        except Exception as refused:
            answer.set_exception(refused)
            return
        if isinstance(found, PendingCall):
            work.turn_to(found)
            found.future.add_done_callback(passed_on)
        else:
            answer.set_result(found)

    def passed_on(future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            answer.cancel()
        elif (error := future.exception()) is not None:
            if not answer.done():
                answer.set_exception(error)
        elif not answer.done():
            answer.set_result(future.result())

    call.future.add_done_callback(came, context=contextvars.copy_context())
    return answer, work

"""What crosses an RPC call by reference: `RpcTarget` for the objects that are called, `RpcStub` for who calls them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from durable.sdk import portability

_PROTOCOL = "__"


class RpcTarget:
    """Inherit from this to have an object arrive as a stub: its methods run where the object is.

    A method `dispose()`, if there is one, is called when nobody holds a stub any more.
    """


class RpcFunction:
    """Inherit from this to have a callable object travel as the function that it stands for."""


class Held(Protocol):
    """One hold of a stub on what it calls; knows where that is."""

    @property
    def is_released(self) -> bool: ...
    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
        """Raises what the transport does; `method` is empty for a function."""
        ...

    def again(self) -> Held:
        """A second hold."""
        ...

    def release(self) -> None:
        """Give this hold back; more than once is no harm."""
        ...

    def drop(self) -> None:
        """The same from any thread, in the middle of anything."""
        ...


class RpcStub:
    """Calls a function or an `RpcTarget` elsewhere: `await stub(…)`, `await stub.method(…)`.

    A stub that arrives as an argument ends with the call: keep `stub.dup()`. One that arrives as a result lives until
    it is disposed of, by `dispose()`, by leaving its `with` block or by the last reference to it going away.
    """

    __slots__ = ("__weakref__", "_held")

    def __init__(self, held: Held) -> None:
        self._held = held

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        if portability.watch is not None:
            portability.look_at_call("", args, kwargs)
        return self._held.call("", args, kwargs)

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith(_PROTOCOL) and method.endswith(_PROTOCOL):
            raise AttributeError(method)
        held = self._held

        def call(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            if portability.watch is not None:
                portability.look_at_call(method, args, kwargs)
            return held.call(method, args, kwargs)

        return call

    def dup(self) -> RpcStub:
        """A stub of its own for the same target. Raises RuntimeError after `dispose()`."""
        return RpcStub(self._held.again())

    def dispose(self) -> None:
        """Let the target go; this stub cannot be used any more."""
        self._held.release()

    def __enter__(self) -> RpcStub:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._held.release()

    def __del__(self) -> None:
        self._held.drop()

    def __repr__(self) -> str:
        return "<RpcStub, disposed>" if self._held.is_released else "<RpcStub>"


def held_by(stub: RpcStub) -> Held:
    """For the runtime: what the stub holds."""
    return stub._held  # pyright: ignore[reportPrivateUsage]

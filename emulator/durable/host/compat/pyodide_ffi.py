"""`pyodide.ffi`: from Python to JavaScript and back, where there is no JavaScript.

`to_js` makes a deep copy in the types of `durable.sdk.js_values`; a proxy is what it stands for.
"""

from __future__ import annotations

from abc import ABC
from asyncio import Future
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from durable.errors import JsException
from durable.host.compat.missing import missing
from durable.host.compat.stack_switching import can_run_sync, run_sync
from durable.sdk.alarm import AlarmInfo
from durable.sdk.buffers import JsBuffer
from durable.sdk.event_target import SocketEvent
from durable.sdk.ids import DurableObjectId
from durable.sdk.js_values import JsArray, JsDate, JsMap, JsObject, JsSet, TypedArray, to_py
from durable.sdk.rpc import RpcFunction, RpcStub
from durable.sdk.websocket import WebSocket, WebSocketPair, WebSocketRequestResponsePair

__all__ = [
    "ConversionError",
    "JsArray",
    "JsBuffer",
    "JsCallableDoubleProxy",
    "JsDoubleProxy",
    "JsException",
    "JsMap",
    "JsMutableMap",
    "JsPromise",
    "JsProxy",
    "JsTypedArray",
    "can_run_sync",
    "create_once_callable",
    "create_proxy",
    "destroy_proxies",
    "jsnull",
    "jsundefined",
    "run_sync",
    "to_js",
    "to_py",
]

jsnull: Final = None
"""JavaScript's null. There is one nothing here."""
jsundefined: Final = None
JsTypedArray = TypedArray
JsMutableMap = JsMap
JsPromise = Future

_PRIMITIVE: Final = frozenset({type(None), bool, int, float, str})

Convert = Callable[[Any], Any]
DictConverter = Callable[[Iterable[Any]], Any]
DefaultConverter = Callable[[Any, Convert, Callable[[Any, Any], None]], Any]


class ConversionError(Exception):
    """A value that has no counterpart; nothing raises it here."""


class JsProxy(ABC):  # noqa: B024  # nothing has to be implemented, and nothing else can be asked about by isinstance
    """For `isinstance`: what would be an object of JavaScript on the platform."""

    def to_py(self, **options: Any) -> Any:
        return self


for _kind in (
    *(JsArray, JsObject, JsMap, JsSet, JsDate, TypedArray, JsBuffer, JsException),
    *(WebSocket, WebSocketPair, WebSocketRequestResponsePair, SocketEvent, DurableObjectId, AlarmInfo, RpcStub),
):  # fmt: skip
    JsProxy.register(_kind)


class JsDoubleProxy(JsProxy):
    """An object of Python's, made to outlive the call that it is given to; here every one does."""

    def __init__(self, wrapped: Any, *, once: bool = False) -> None:
        self._wrapped = wrapped
        self._once = once
        self._destroyed = False

    def unwrap(self) -> Any:
        return self._wrapped

    def destroy(self) -> None:
        """From now on it cannot be used, as on the platform."""
        self._destroyed = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


class JsCallableDoubleProxy(JsDoubleProxy, RpcFunction):
    """A function, for listeners and timers."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._destroyed:
            raise JsException("Object has already been destroyed")
        self._destroyed = self._once
        return self._wrapped(*args, **kwargs)


def create_proxy(obj: Any, /, *, capture_this: bool = False, roundtrip: bool = True) -> JsDoubleProxy:
    """`ws.addEventListener("message", create_proxy(self.on_message))`; the function itself would do."""
    return JsCallableDoubleProxy(obj) if callable(obj) else JsDoubleProxy(obj)


def create_once_callable(obj: Callable[..., Any], /) -> JsDoubleProxy:
    """Can be called once."""
    return JsCallableDoubleProxy(obj, once=True)


def destroy_proxies(proxies: Iterable[Any], /) -> None:
    for proxy in proxies:
        if isinstance(proxy, JsDoubleProxy):
            proxy.destroy()


def __getattr__(name: str) -> Any:
    raise missing("pyodide.ffi", name, f"Of its names there are {', '.join(__all__)}.")


def to_js(
    obj: Any,
    /,
    *,
    depth: int = -1,
    pyproxies: Any = None,
    create_pyproxies: bool = True,
    dict_converter: DictConverter | None = None,
    default_converter: DefaultConverter | None = None,
    eager_converter: DefaultConverter | None = None,
) -> Any:
    """A deep copy in JavaScript's types: list and tuple as an array, dict as a Map, bytes as a buffer.

    `dict_converter=Object.fromEntries` makes objects of dicts. What has no counterpart is given to
    `default_converter(value, convert, cache)`, and stays as it is without one.
    """
    return _Conversion(dict_converter, default_converter, eager_converter).converted(obj, depth)


class _Conversion:
    """One call of `to_js`; what occurs twice is converted once."""

    def __init__(
        self, dicts: DictConverter | None, default: DefaultConverter | None, eager: DefaultConverter | None
    ) -> None:
        self._dicts = dicts
        self._default = default
        self._eager = eager
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []  # so that no id is given to a second object meanwhile

    def converted(self, value: Any, depth: int) -> Any:
        if type(value) in _PRIMITIVE or depth == 0:
            return value
        if id(value) in self._made:
            return self._made[id(value)]
        if self._eager is not None:
            return self._eager(value, lambda inner: self._by_kind(inner, depth), self._remember)
        return self._by_kind(value, depth)

    def _by_kind(self, value: Any, depth: int) -> Any:
        if type(value) in _PRIMITIVE or isinstance(value, JsProxy):
            return value
        if isinstance(value, (list, tuple)):
            array = self._remember(value, JsArray())  # first: it may contain itself
            array += [self.converted(item, depth - 1) for item in cast("list[object]", value)]
            return array
        if isinstance(value, dict):
            return self._dict(cast("dict[object, object]", value), depth)
        if isinstance(value, (set, frozenset)):
            return self._remember(value, JsSet(self.converted(item, depth - 1) for item in cast("set[object]", value)))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._remember(value, JsBuffer(cast("bytes", value)))
        if self._default is not None:
            return self._default(value, lambda inner: self.converted(inner, depth - 1), self._remember)
        return value

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        if self._dicts is None:
            made = self._remember(value, JsMap())
            made.update((key, self.converted(item, depth - 1)) for key, item in value.items())
            return made
        pairs = JsArray(JsArray([key, self.converted(item, depth - 1)]) for key, item in value.items())
        return self._remember(value, self._dicts(pairs))

    def _remember(self, value: Any, made: Any) -> Any:
        self._made[id(value)] = made
        self._kept.append(value)
        return made

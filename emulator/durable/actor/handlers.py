"""Finding and calling the methods of a user's class: relaxed for handlers, strict for RPC."""

from __future__ import annotations

import inspect
from functools import lru_cache
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

from durable import values
from durable.errors import JsTypeError
from durable.sdk import portability
from durable.sdk.aliases import CAMEL_TO_SNAKE
from durable.sdk.object import DurableObject, WorkerEntrypoint
from durable.sdk.rpc import RpcTarget

if TYPE_CHECKING:
    from durable.actor.actor import Actor

_BASES: tuple[type[Any], ...] = (DurableObject, WorkerEntrypoint, RpcTarget)
_SUSPENDABLE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def find_method(target: Any, name: str) -> Any:
    """The method `name` of the class of an actor's instance, an entrypoint or an RpcTarget; TypeError without one."""
    method = getattr(target, _spelling(target.__class__, name))
    if callable(method):
        return method
    raise JsTypeError(f'"{name}" of {target.__class__.__name__} is not a function.')


@lru_cache(maxsize=4096)
def _spelling(cls: type[Any], name: str) -> str:
    """What the class calls its method; an exception is not remembered."""
    base: type[Any] = next((base for base in _BASES if issubclass(cls, base)), object)
    for spelling in (name, CAMEL_TO_SNAKE.get(name, name)):
        # Only what the class defines is callable, as on the platform: never what an instance happens to hold.
        if hasattr(cls, spelling) and not hasattr(base, spelling) and not spelling.startswith("__"):
            return spelling
    raise JsTypeError(f'The RPC receiver does not implement the method "{name}": {cls.__name__} has no such method.')


def find_function(target: Any, name: str) -> Any:
    """What a stub calls: a function itself, with an empty name, or a method of an RpcTarget."""
    if isinstance(target, RpcTarget):
        if name:
            return find_method(target, name)
        raise JsTypeError(
            f"this stub is of a {type(target).__name__}, which is not a function: call one of its methods"
        )
    if name:
        raise JsTypeError(f'The RPC receiver does not implement the method "{name}": it is a function.')
    return target


def sent_back(actor: Actor, name: str, method: Any, result: Any) -> Any:
    """What the caller of `method` gets: a copy of `result`."""
    if portability.watch is not None:
        code = getattr(getattr(method, "__func__", method), "__code__", None)
        portability.look(result, f"the result of {name}()", code)
    try:
        copied = values.plain_copy(result)
    except (values.Refused, RecursionError):
        return actor.engine.carry(actor, result)
    if values.may_be_heavy():
        values.check_size(len(values.encode(copied)))
    return copied


def is_awaitable(value: Any) -> bool:
    """As `inspect.isawaitable`, which takes a microsecond to say no."""
    return hasattr(value, "__await__") or (inspect.isgenerator(value) and inspect.isawaitable(cast("Any", value)))


def is_plain(method: Any) -> bool:
    """Whether calling `method` runs it, rather than making a coroutine or a generator of it."""
    function = getattr(method, "__func__", method)
    return isinstance(function, FunctionType) and _runs_at_once(function)


# Remembered, because reading `__code__` raises an audit event, and a host listens to those.
@lru_cache(maxsize=4096)
def _runs_at_once(function: FunctionType) -> bool:
    return not function.__code__.co_flags & _SUSPENDABLE


async def maybe_await(result: Any) -> Any:
    """The value of a handler that may be sync or async."""
    return await result if is_awaitable(result) else result


def call_relaxed(handler: Any, *args: Any) -> Any:
    """Call with as many of `args` as the handler takes: surplus parameters may be left out."""
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    if code is None:
        return handler(*args[: _positional(handler)])
    if code.co_flags & inspect.CO_VARARGS:
        return handler(*args)
    takes = code.co_argcount - (1 if hasattr(handler, "__self__") else 0)
    return handler(*args[:takes])


def _positional(handler: Any) -> int | None:
    """How many arguments a callable that is no plain function takes by position; None for any number."""
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )

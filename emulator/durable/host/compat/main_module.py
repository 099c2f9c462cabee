"""What a program for the platform has in its main module besides classes that are served: older handlers, workflows."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType
from typing import Any, Final

from durable.actor.handlers import call_relaxed, maybe_await
from durable.sdk.aliases import SNAKE_TO_CAMEL
from durable.sdk.object import DurableObject, WorkerEntrypoint, WorkflowEntrypoint
from durable.sdk.runtime import NEWEST

_FLAG: Final = "python_no_global_handlers"
_NO_GLOBAL_HANDLERS: Final = "2025-08-14"
"""Compatibility date from which the flag is set, and functions are no handlers any more."""
_OF_WORKERS: Final = ("fetch", "scheduled")
_OF_OBJECTS: Final = ("fetch", "alarm", "web_socket_message", "web_socket_close", "web_socket_error")


def has_global_handlers(compatibility_date: str, flags: Collection[str]) -> bool:
    """Whether functions are handlers in a program of this date; a flag, or its opposite, decides before the date."""
    if f"disable_{_FLAG}" in flags:
        return True
    return _FLAG not in flags and (compatibility_date or NEWEST) < _NO_GLOBAL_HANDLERS


def with_global_handlers(module: ModuleType, classes: dict[str, type]) -> dict[str, type]:
    """The classes of a program, with a `Default` that stands for functions such as `on_fetch(request, env, ctx)`.

    For programs that have global handlers, and `on_alarm` instead of `alarm` in classes of objects. Raises
    TypeError for a program that has such functions and a class `Default`.
    """
    for cls in classes.values():
        if issubclass(cls, DurableObject):
            _rename_handlers(cls)
    functions = {name: getattr(module, f"on_{name}") for name in _OF_WORKERS if callable(_global(module, name))}
    if not functions:
        return classes
    if "Default" in classes:
        names = " and ".join(f"on_{name}()" for name in functions)
        raise TypeError(
            f"Cannot define multiple default entrypoints: the main module has {names} and a class Default; make the"
            " functions its methods"
        )
    handlers = {name: _method(function) for name, function in functions.items()}
    return classes | {"Default": type("Default", (WorkerEntrypoint,), handlers)}


def notices(module: ModuleType, classes: dict[str, type]) -> list[str]:
    """What a developer should hear of once: what the program has and nobody will call."""
    found: list[str] = []
    names = [f"on_{name}()" for name in _OF_WORKERS if callable(_global(module, name))]
    if names and "Default" not in classes:
        found.append(
            f"{' and '.join(names)} of the main module will not be called: since compatibility date"
            f" {_NO_GLOBAL_HANDLERS} that takes a method of class Default(WorkerEntrypoint). Write one, or the"
            f' compatibility flag "disable_{_FLAG}"'
        )
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, WorkflowEntrypoint) and value is not WorkflowEntrypoint:
            found.append(
                f"class {value.__name__} is a workflow, and workflows do not run here; everything else of the program"
                " does. An alarm of a durable object, with what is done so far in its storage, is the nearest thing"
            )
    return found


def _global(module: ModuleType, name: str) -> Any:
    return getattr(module, f"on_{name}", None)


def _method(function: Any) -> Any:
    async def handle(self: WorkerEntrypoint, event: Any) -> Any:
        return await maybe_await(call_relaxed(function, event, self.env, self.ctx))

    return handle


def _rename_handlers(cls: Any) -> None:
    for name in _OF_OBJECTS:
        for spelling in (name, SNAKE_TO_CAMEL.get(name, name)):
            older = getattr(cls, f"on_{spelling}", None)
            if older is not None and not hasattr(cls, spelling):
                setattr(cls, spelling, older)

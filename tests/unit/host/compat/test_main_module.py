"""Functions as handlers, in programs from before classes; and what nobody will call."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from durable.host.compat.main_module import has_global_handlers, notices, with_global_handlers
from durable.sdk.object import DurableObject, WorkerEntrypoint, WorkflowEntrypoint


def module(**names: Any) -> ModuleType:
    made = ModuleType("main")
    vars(made).update(names)
    return made


@pytest.mark.parametrize(
    ("date", "flags", "has"),
    [
        ("2025-08-13", [], True),
        ("2025-08-14", [], False),
        ("", [], False),
        ("2025-08-13", ["python_no_global_handlers"], False),
        ("2026-01-01", ["disable_python_no_global_handlers"], True),
    ],
)
def test_the_date_decides_unless_a_flag_does(date: str, flags: list[str], has: bool) -> None:
    assert has_global_handlers(date, flags) is has


async def test_functions_become_the_methods_of_a_default_class() -> None:
    def on_fetch(request: str, env: str) -> tuple[str, str]:
        return request, env

    async def on_scheduled(event: str, env: str, ctx: str) -> tuple[str, str, str]:
        return event, env, ctx

    classes = with_global_handlers(module(on_fetch=on_fetch, on_scheduled=on_scheduled), {})
    made: Any = classes["Default"]("the ctx", "the env")
    assert await made.fetch("a request") == ("a request", "the env")
    assert await made.scheduled("an event") == ("an event", "the env", "the ctx")


def test_a_program_without_such_functions_keeps_its_classes() -> None:
    classes: dict[str, type] = {"Default": type("Default", (WorkerEntrypoint,), {})}
    assert with_global_handlers(module(on_fetch="no function"), classes) is classes


def test_a_function_beside_a_default_class_is_an_error() -> None:
    with pytest.raises(
        TypeError, match=r"Cannot define multiple default entrypoints: the main module has on_fetch\(\)"
    ):
        with_global_handlers(module(on_fetch=print), {"Default": type("Default", (WorkerEntrypoint,), {})})


def test_an_objects_older_handlers_are_called_by_their_new_names() -> None:
    class Room(DurableObject):
        def on_alarm(self) -> str:
            return "rang"

        def on_webSocketMessage(self) -> str:
            return "heard"

        def on_fetch(self) -> str:
            return "older"

        def fetch(self) -> str:
            return "newer"

    with_global_handlers(module(), {"Room": Room})
    room: Any = Room.__new__(Room)
    assert (room.alarm(), room.webSocketMessage(), room.fetch()) == ("rang", "heard", "newer")


def test_what_is_not_called_and_what_is_not_served_is_told() -> None:
    class Order(WorkflowEntrypoint):
        pass

    told = notices(module(on_fetch=print, Order=Order, WorkflowEntrypoint=WorkflowEntrypoint), {})
    assert [text.split(":")[0] for text in told] == [
        "on_fetch() of the main module will not be called",
        "class Order is a workflow, and workflows do not run here; everything else of the program does. An alarm of a "
        "durable object, with what is done so far in its storage, is the nearest thing",
    ]
    assert notices(module(on_fetch=print), {"Default": WorkerEntrypoint}) == []

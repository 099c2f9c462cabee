"""Calling the methods of a user's class: surplus parameters may be left out."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from durable.actor.handlers import call_relaxed


class Handlers:
    def none(self) -> Any:
        return ()

    def one(self, first: Any) -> Any:
        return (first,)

    def with_default(self, first: Any, second: Any = "default") -> Any:
        return (first, second)

    def all(self, *args: Any) -> Any:
        return args

    def keyword_only(self, first: Any, *, second: Any = "default") -> Any:
        return (first, second)

    @staticmethod
    def static(first: Any) -> Any:
        return (first,)

    @classmethod
    def of_class(cls, first: Any) -> Any:
        return (first,)


class Callable:
    def __call__(self, first: Any) -> Any:
        return (first,)


def two(first: Any, second: Any) -> Any:
    return (first, second)


@pytest.mark.parametrize(
    ("handler", "seen"),
    [
        (Handlers().none, ()),
        (Handlers().one, (1,)),
        (Handlers().with_default, (1, 2)),
        (Handlers().all, (1, 2, 3)),
        (Handlers().keyword_only, (1, "default")),
        (Handlers().static, (1,)),
        (Handlers().of_class, (1,)),
        (Callable(), (1,)),
        (functools.partial(two, "bound"), ("bound", 1)),
        (functools.partial(Handlers().all, 0), (0, 1, 2, 3)),
    ],
)
def test_a_handler_gets_as_many_arguments_as_it_takes(handler: Any, seen: tuple[Any, ...]) -> None:
    assert call_relaxed(handler, 1, 2, 3) == seen


def test_a_handler_that_wants_more_says_so_itself() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'second'"):
        call_relaxed(two, 1)

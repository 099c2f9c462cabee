"""Whether a history of one register could have happened one operation at a time (Wing and Gong, with Lowe's memo).

Operations on other registers do not matter (the property is local), so each object has a history of its own. An
operation whose answer was an error happened between its call and that answer, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Value = int | None

FAILED = "failed"
"""The outcome that nobody knows."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`Operation("cas", (1, 2), called=3, answered=7, outcome=True)`; the times are any that grow."""

    kind: str
    arguments: tuple[int, ...]
    called: int
    answered: int
    outcome: int | bool | str | None


def linearizable(history: Iterable[Operation], initial: Value = None) -> bool:
    """Depth first over (operations that have happened, value), no pair twice."""
    operations = sorted(history, key=lambda operation: operation.called)
    everything = (1 << len(operations)) - 1
    seen: set[tuple[int, Value]] = set()
    waiting: list[tuple[int, Value]] = [(0, initial)]
    while waiting:
        done, value = waiting.pop()
        if done == everything:
            return True
        for index in _next_ones(operations, done):
            for after in _values_after(value, operations[index]):
                step = (done | 1 << index, after)
                if step not in seen:
                    seen.add(step)
                    waiting.append(step)
    return False


def _next_ones(operations: Sequence[Operation], done: int) -> Iterator[int]:
    """Those that may happen next: called before the first answer among the ones that have not happened."""
    first_answer: int | None = None
    # The lowest bit that is not set: everything before it has happened.
    for index in range((~done & (done + 1)).bit_length() - 1, len(operations)):
        operation = operations[index]
        if first_answer is not None and operation.called > first_answer:
            return
        if not done >> index & 1:
            first_answer = operation.answered if first_answer is None else min(first_answer, operation.answered)
            yield index


def _values_after(value: Value, operation: Operation) -> tuple[Value, ...]:
    """What the register may hold after it; nothing when the outcome says that it did not happen now."""
    if operation.kind == "read":
        return (value,) if operation.outcome in (FAILED, value) else ()
    if operation.kind == "write":
        return (operation.arguments[0],) if operation.outcome != FAILED else (value, operation.arguments[0])
    expected, new = operation.arguments
    swapped = value == expected
    if operation.outcome == FAILED:
        return (value, new) if swapped else (value,)
    return ((new if swapped else value),) if operation.outcome is swapped else ()

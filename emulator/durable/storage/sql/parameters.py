"""The values a tool was given for its SQL, handed to the statements that use them. Knows no connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from durable.errors import SqlBindingError
from durable.storage.sql.binding import bindable

SqlValue = None | int | float | str | bytes
Parameters = Sequence[SqlValue] | Mapping[str, SqlValue]
"""`(1, "a")` for `?`, taken one after the other by all statements; `{"n": 1}` for `:n`, wherever that occurs."""


class Supply:
    """Raises SqlBindingError for values that are missing, and at the end for those that nothing took."""

    def __init__(self, parameters: Parameters) -> None:
        self._named = _Named(parameters) if isinstance(parameters, Mapping) and parameters else None
        self._values = bindable(tuple(parameters.values() if isinstance(parameters, Mapping) else parameters))
        self._taken = 0

    @property
    def values(self) -> tuple[Any, ...]:
        return self._values

    @property
    def first_try(self) -> tuple[Any, ...] | Mapping[str, Any]:
        """What a statement is run with before it is known how many values it takes."""
        return () if self._named is None else self._named

    def take(self, count: int) -> tuple[Any, ...]:
        """The next `count` values."""
        if self._named is not None:
            raise SqlBindingError("the values were given by name, but the SQL has a ? without one; write :name")
        begin, self._taken = self._taken, self._taken + count
        if self._taken > len(self._values):
            at_least = "at least " if begin else ""
            raise SqlBindingError(f"the SQL has {at_least}{self._counts()}")
        return self._values[begin : self._taken]

    def check_all_taken(self) -> None:
        if self._named is not None:
            unused = [name for name in self._named if name not in self._named.used]
            if unused:
                raise SqlBindingError(f"a value was given for {unused[0]!r}, but the SQL has no :{unused[0]}")
        elif self._taken < len(self._values):
            raise SqlBindingError(f"the SQL has {self._counts()}")

    def _counts(self) -> str:
        wanted, given = self._taken, len(self._values)
        return f"{wanted} parameter{'s' * (wanted != 1)}, but got {given} value{'s' * (given != 1)}"


class _Named(Mapping[str, Any]):
    """apsw asks for every name that a statement has."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            known = ", ".join(f":{each}" for each in self._values)
            raise SqlBindingError(f"the SQL has :{name}, and no value was given for it; there are {known}")
        self.used.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

"""One row of an SQL result. It is a value like the dict it is; it knows nothing of databases."""

from __future__ import annotations

from typing import Any


class Row(dict[str, Any]):
    """A dict of column name to value whose columns also answer as attributes: `row["n"]`, `row.n`.

    A column that is called like a method of dict (`items`, `keys`, `values`, `get` ...) is reached by `row["items"]`
    only. Stored or sent, a row arrives as a plain dict.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name.startswith("__"):
            # Asked of everything, by `hasattr` and by copy: nobody reads the sentence.
            raise AttributeError(name)
        columns = ", ".join(map(str, self)) or "none"
        raise AttributeError(f"the row has no column {name!r}; its columns are {columns}")

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

"""Header fields as user code holds them: in order, compared without case, read like `http.client.HTTPMessage`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast

from durable.errors import JsTypeError
from durable.sdk import habits
from durable.sdk.aliases import CamelCase

HeadersInit: TypeAlias = "Headers | Mapping[str, str] | Iterable[tuple[str, str]] | None"

_DEFAULT_TYPE = "text/plain"


class Headers(CamelCase):
    """Header fields in order; names compare without case, and a name may occur more than once.

    An absent field is a KeyError to `headers["name"]`; in a program that imports `workers` it is None, as there.
    """

    __slots__ = ("_fields",)

    def __init__(self, init: HeadersInit = None) -> None:
        self._fields: list[tuple[str, str]]
        if init is None:
            self._fields = []
        elif isinstance(init, Headers):
            self._fields = list(init._fields)
        else:
            pairs: Any = cast("Mapping[str, str]", init).items() if isinstance(init, Mapping) else init
            try:
                self._fields = [(str(name), str(value)) for name, value in pairs]
            except (TypeError, ValueError) as error:
                got = _type_name(cast("object", init))
                raise JsTypeError(f"headers are a dict or a list of (name, value), got {got}: {error}") from None

    @classmethod
    def new(cls, init: HeadersInit = None) -> Headers:
        return cls(init)

    def get(self, name: str, default: str | None = None) -> str | None:
        """All values of the field joined by ", "; `default` when it is absent."""
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def get_all(self, name: str, default: Any = None) -> Any:
        """Each value of the field, in order; `default` or an empty list when it is absent."""
        lowered = name.lower()
        found = [value for field, value in self._fields if field.lower() == lowered]
        return found if found or default is None else default

    def get_set_cookie(self) -> list[str]:
        """Each Set-Cookie field, which is the one that cannot be joined."""
        return list(self.get_all("set-cookie"))

    def set(self, name: str, value: str) -> None:
        self.delete(name)
        self._fields.append((name, str(value)))

    def append(self, name: str, value: str) -> None:
        self._fields.append((name, str(value)))

    def add_header(self, name: str, value: str, **parameters: str | None) -> None:
        """`add_header("Content-Disposition", "attachment", filename="a.txt")` of `http.client.HTTPMessage`."""
        parts = [value]
        for key, text in parameters.items():
            key = key.replace("_", "-")
            parts.append(key if text is None else f'{key}="{text}"')
        self.append(name, "; ".join(parts))

    def delete(self, name: str) -> None:
        lowered = name.lower()
        self._fields = [pair for pair in self._fields if pair[0].lower() != lowered]

    def has(self, name: str) -> bool:
        lowered = name.lower()
        return any(field.lower() == lowered for field, _ in self._fields)

    def items(self) -> list[tuple[str, str]]:
        """Every field as it was set, repeated names included."""
        return list(self._fields)

    entries = items

    def keys(self) -> list[str]:
        return list(dict.fromkeys(field.lower() for field, _ in self._fields))

    def values(self) -> list[str]:
        return [value for _, value in self._fields]

    def for_each(self, callback: Callable[..., Any]) -> None:
        """`headers.forEach(callback)` with each value and name."""
        for name, value in self.items():
            callback(value, name)

    forEach = for_each

    # --- what the content is, as `http.client.HTTPMessage` tells it ---------------------------------------------------
    def get_content_type(self) -> str:
        """ "text/html" of `Content-Type: text/html; charset=utf-8`; "text/plain" when nothing is said."""
        kind = (self.get("content-type") or "").partition(";")[0].strip().lower()
        return kind if kind.count("/") == 1 else _DEFAULT_TYPE

    def get_content_maintype(self) -> str:
        return self.get_content_type().partition("/")[0]

    def get_content_subtype(self) -> str:
        return self.get_content_type().partition("/")[2]

    def get_param(self, parameter: str, default: str | None = None, header: str = "content-type") -> str | None:
        """One parameter of a field: `get_param("charset")`."""
        return parameters_of(self.get(header) or "").get(parameter.lower(), default)

    def get_content_charset(self, default: str | None = None) -> str | None:
        charset = self.get_param("charset")
        return default if charset is None else charset.lower()

    # --- a mapping ----------------------------------------------------------------------------------------------------
    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None and not habits.platform:
            raise KeyError(name)
        return cast("str", value)

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._lowered() == other._lowered()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _lowered(self) -> list[tuple[str, str]]:
        return sorted((name.lower(), value) for name, value in self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


def _type_name(value: object) -> str:
    return value.__class__.__name__


def parameters_of(value: str) -> dict[str, str]:
    """The parameters of a field such as `form-data; name="a;b"; filename=c`, names in lower case."""
    found: dict[str, str] = {}
    at = value.find(";")
    while at != -1:
        name, equals, _ = value[at + 1 :].partition("=")
        if not equals:
            break
        start = at + 1 + len(name) + 1
        text, at = _parameter(value, start)
        if ";" in name:
            # Words without a value stand before the name that has one.
            name = name.rpartition(";")[2]
        found.setdefault(name.strip().lower(), text)
    return found


def _parameter(value: str, start: int) -> tuple[str, int]:
    """The text of a parameter that begins at `start`, and where the semicolon after it stands; -1 for none."""
    while start < len(value) and value[start] in " \t":
        start += 1
    if value[start : start + 1] != '"':
        end = value.find(";", start)
        return value[start : None if end == -1 else end].strip(), end
    text: list[str] = []
    at = start + 1
    while at < len(value) and value[at] != '"':
        # A browser writes a backslash as itself, so only what must be escaped is taken as such.
        if value[at] == "\\" and value[at + 1 : at + 2] in ('"', "\\"):
            at += 1
        text.append(value[at])
        at += 1
    return "".join(text), value.find(";", at)

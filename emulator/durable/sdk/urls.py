"""Addresses as code for the platform takes them apart: `URL.new(request.url).pathname`, `url.searchParams.get("q")`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import quote, quote_plus, unquote_plus, urljoin, urlsplit

from durable.sdk.aliases import CamelCase
from durable.sdk.contents import BodySource, Content

SearchInit: TypeAlias = "str | URLSearchParams | Mapping[str, Any] | Iterable[tuple[str, Any]] | None"

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_SPECIAL = frozenset(_PORTS)
_PATH_KEPT = "/:@!$&'()*+,;=-._~%[]|^"
_QUERY_KEPT = "/:@!$&()*+,;=-._~%[]|^?`{}\\"


def parse_pairs(query: str) -> list[tuple[str, str]]:
    """The pairs of `a=1&b=two+words`, in order."""
    return [
        (unquote_plus(name, errors="replace"), unquote_plus(value, errors="replace"))
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    ]


class URLSearchParams(BodySource, CamelCase):
    """The pairs of a query: a name may occur more than once. `str(params)` is the query without its question mark."""

    def __init__(self, init: SearchInit = None) -> None:
        self._on_change: Callable[[str], None] | None = None
        self._pairs: list[tuple[str, str]]
        if init is None:
            self._pairs = []
        elif isinstance(init, str):
            self._pairs = parse_pairs(init.removeprefix("?"))
        else:
            given: Any = cast("Any", init).items() if isinstance(init, (URLSearchParams, Mapping)) else init
            self._pairs = [(str(name), str(value)) for name, value in given]

    @classmethod
    def new(cls, init: SearchInit = None) -> URLSearchParams:
        return cls(init)

    @classmethod
    def of(cls, query: str, on_change: Callable[[str], None]) -> URLSearchParams:
        """For `URL`: the pairs of its query, which follows what is done to them."""
        params = cls(query)
        params._on_change = on_change
        return params

    def as_body(self) -> tuple[Content, str | None]:
        return str(self).encode(), "application/x-www-form-urlencoded;charset=UTF-8"

    def get(self, name: str, default: str | None = None) -> str | None:
        return next((value for key, value in self._pairs if key == name), default)

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def has(self, name: str, value: str | None = None) -> bool:
        return any(key == name and value in (None, text) for key, text in self._pairs)

    def append(self, name: str, value: Any) -> None:
        self._pairs.append((str(name), str(value)))
        self._changed()

    def set(self, name: str, value: Any) -> None:
        """The name's only value, in the place of its first one."""
        found = [at for at, (key, _) in enumerate(self._pairs) if key == name]
        if found:
            self._pairs[found[0]] = (str(name), str(value))
            self._pairs = [pair for at, pair in enumerate(self._pairs) if at not in found[1:]]
        else:
            self._pairs.append((str(name), str(value)))
        self._changed()

    def delete(self, name: str, value: str | None = None) -> None:
        self._pairs = [(key, text) for key, text in self._pairs if key != name or (value is not None and text != value)]
        self._changed()

    def sort(self) -> None:
        self._pairs.sort(key=lambda pair: pair[0])
        self._changed()

    def items(self) -> list[tuple[str, str]]:
        return list(self._pairs)

    entries = items

    def keys(self) -> list[str]:
        return [name for name, _ in self._pairs]

    def values(self) -> list[str]:
        return [value for _, value in self._pairs]

    def for_each(self, callback: Callable[..., Any]) -> None:
        for name, value in self.items():
            callback(value, name)

    forEach = for_each

    @property
    def size(self) -> int:
        return len(self._pairs)

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(str(self))

    def to_string(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "&".join(f"{quote_plus(name, safe='*')}={quote_plus(value, safe='*')}" for name, value in self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.has(name)

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"URLSearchParams({str(self)!r})"


class URL(CamelCase):
    """An absolute address in pieces. `URL.new("/path", "http://host")` joins; raises TypeError for what is none."""

    def __init__(self, url: Any, base: Any = None) -> None:
        text = str(url).strip()
        joined = text if base is None else urljoin(str(base), text)
        try:
            pieces = urlsplit(joined)
            port = pieces.port
        except ValueError:
            raise TypeError(f"Invalid URL: {text}") from None
        scheme = pieces.scheme.lower()
        if not scheme or (scheme in _SPECIAL and not pieces.hostname):
            raise TypeError(f"Invalid URL: {text}")
        self.protocol = scheme + ":"
        self.username, self.password = pieces.username or "", pieces.password or ""
        self.hostname = f"[{pieces.hostname}]" if ":" in (pieces.hostname or "") else pieces.hostname or ""
        self.port = "" if port is None or port == _PORTS.get(scheme) else str(port)
        special = scheme in _SPECIAL
        path = _without_dots(pieces.path) if special else pieces.path
        self.pathname = quote(path or "/" if special else path, safe=_PATH_KEPT)
        self._query = quote(pieces.query, safe=_QUERY_KEPT)
        self._fragment = quote(pieces.fragment, safe=_QUERY_KEPT)
        self._params: URLSearchParams | None = None

    @classmethod
    def new(cls, url: Any, base: Any = None) -> URL:
        return cls(url, base)

    @classmethod
    def can_parse(cls, url: Any, base: Any = None) -> bool:
        try:
            cls(url, base)
        except TypeError:
            return False
        return True

    canParse = can_parse

    @property
    def host(self) -> str:
        return f"{self.hostname}:{self.port}" if self.port else self.hostname

    @property
    def origin(self) -> str:
        return f"{self.protocol}//{self.host}" if self.protocol[:-1] in _SPECIAL else "null"

    @property
    def search(self) -> str:
        return f"?{self._query}" if self._query else ""

    @search.setter
    def search(self, query: str) -> None:
        self._query = quote(str(query).removeprefix("?"), safe=_QUERY_KEPT)
        self._params = None

    @property
    def hash(self) -> str:
        return f"#{self._fragment}" if self._fragment else ""

    @hash.setter
    def hash(self, fragment: str) -> None:
        self._fragment = quote(str(fragment).removeprefix("#"), safe=_QUERY_KEPT)

    @property
    def search_params(self) -> URLSearchParams:
        """The pairs of the query; the address follows what is done to them."""
        if self._params is None:
            self._params = URLSearchParams.of(self._query, self._set_query)
        return self._params

    def _set_query(self, query: str) -> None:
        self._query = query

    @property
    def href(self) -> str:
        user = f"{self.username}:{self.password}".rstrip(":")
        place = f"//{user + '@' if user else ''}{self.host}" if self.host else ""
        return f"{self.protocol}{place}{self.pathname}{self.search}{self.hash}"

    def to_string(self) -> str:
        return self.href

    toJSON = to_string

    def __str__(self) -> str:
        return self.href

    def __eq__(self, other: object) -> bool:
        return isinstance(other, URL) and other.href == self.href

    def __hash__(self) -> int:
        return hash(self.href)

    def __repr__(self) -> str:
        return f"URL({self.href!r})"


def _without_dots(path: str) -> str:
    """The path with its `.` and `..` followed."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")
    for at, segment in enumerate(segments):
        last = at == len(segments) - 1
        if segment in (".", ".."):
            if segment == ".." and len(kept) > 1:
                kept.pop()
            if last:
                kept.append("")
        else:
            kept.append(segment)
    return "/".join(kept)

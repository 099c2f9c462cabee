"""Form data: names and values in order, a name as often as it occurs; a value is text or a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TypeAlias, cast

from durable.sdk.aliases import CamelCase
from durable.sdk.blobs import Blob, File
from durable.sdk.contents import BodySource, Content
from durable.sdk.multipart import build_multipart, is_multipart, parse_multipart
from durable.sdk.urls import parse_pairs

FormDataValue: TypeAlias = "str | Blob | File"

URLENCODED = "application/x-www-form-urlencoded"


class FormData(BodySource, CamelCase, MutableMapping[str, FormDataValue]):
    """`form["name"]` is the name's first value, None when there is none; `form.get_all("name")` are all of them."""

    def __init__(self, form_data: FormData | Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        self._fields: list[tuple[str, FormDataValue]] = []
        if form_data is None:
            return
        if isinstance(form_data, (str, bytes)) or not isinstance(form_data, Iterable):
            raise TypeError(f"form data is made of a dict or another FormData, got {_type_name(form_data)}")
        pairs = cast("Any", form_data).items() if isinstance(form_data, Mapping) else cast("Any", form_data)
        for name, value in pairs:
            self.append(name, value)

    @classmethod
    def new(cls, form_data: Any = None) -> FormData:
        return cls(form_data)

    @property
    def js_object(self) -> FormData:
        return self

    def as_body(self) -> tuple[Content, str | None]:
        return encode_form(self)

    def append(self, key: str, value: Any, filename: str | None = None) -> None:
        """Add one value behind those that the name has; a blob becomes a file, called "blob" unless told otherwise."""
        self._fields.append((str(key), _value(value, filename)))

    def set(self, key: str, value: Any, filename: str | None = None) -> None:
        """The name's only value, in the place of its first one."""
        if isinstance(value, list):
            raise TypeError("one name takes one value here; for several call append(name, value) for each")
        key, fitting = str(key), _value(value, filename)
        found = [at for at, (name, _) in enumerate(self._fields) if name == key]
        if not found:
            self._fields.append((key, fitting))
            return
        self._fields[found[0]] = (key, fitting)
        for at in reversed(found[1:]):
            del self._fields[at]

    def get_all(self, key: str) -> list[FormDataValue]:
        """Every value of the name, in order."""
        return [value for name, value in self._fields if name == key]

    def has(self, key: str) -> bool:
        return key in self

    def delete(self, key: str) -> None:
        """Remove every value of the name; nothing happens when it has none."""
        self._fields = [(name, value) for name, value in self._fields if name != key]

    def entries(self) -> list[tuple[str, FormDataValue]]:
        return list(self._fields)

    # A name occurs as often as it has values, as on the platform, so these are lists and no views of a mapping.
    def items(self) -> Any:
        return iter(list(self._fields))

    def keys(self) -> Any:
        return iter([name for name, _ in self._fields])

    def values(self) -> Any:
        return iter([value for _, value in self._fields])

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._fields])

    def __getitem__(self, key: str) -> FormDataValue:
        # None for a name that is not there, as on the platform.
        return next((value for name, value in self._fields if name == key), cast("str", None))

    def get(self, key: str, default: Any = None) -> Any:
        return next((value for name, value in self._fields if name == key), default)

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"FormData({self._fields!r})"


def _value(value: Any, filename: str | None) -> FormDataValue:
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = Blob(bytes(cast("Any", value)))
    if not isinstance(value, Blob):
        if filename is not None:
            raise TypeError(f"a filename needs a Blob or a File for a value, got {type(value).__name__}")
        return str(value)
    if isinstance(value, File) and filename is None:
        return value
    modified = value.last_modified if isinstance(value, File) else None
    return File(value, "blob" if filename is None else filename, value.content_type, last_modified=modified)


def _type_name(value: object) -> str:
    return value.__class__.__name__


def encode_form(form: FormData) -> tuple[bytes, str]:
    """The form as a body, and its content type with the boundary."""
    return build_multipart(
        [
            (name, value.name, value.content_type, value.content) if isinstance(value, File) else (name, value)
            for name, value in cast("list[tuple[str, str | File]]", form.entries())
        ]
    )


def decode_form(data: bytes, content_type: str | None) -> FormData:
    """The form of a body. Raises TypeError saying what is wrong when it is none."""
    if not content_type:
        raise TypeError("a body is read as a form by its Content-Type header, and this one has none")
    form = FormData()
    if is_multipart(content_type):
        for part in parse_multipart(data, content_type):
            if part.filename is None:
                form.append(part.name, part.data.decode("utf-8", "replace"))
            else:
                form.append(part.name, File(part.data, part.filename, part.content_type or "text/plain"))
    elif content_type.partition(";")[0].strip().lower() == URLENCODED:
        for name, value in parse_pairs(data.decode("utf-8", "replace")):
            form.append(name, value)
    else:
        raise TypeError(
            f"form_data() reads multipart/form-data and {URLENCODED}; this body's Content-Type is {content_type!r}"
        )
    return form

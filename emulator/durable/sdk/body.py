"""What requests and responses share: a body that is read once, whole, as a form or as a stream."""

from __future__ import annotations

import builtins
import json as json_module
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from durable.errors import JsTypeError
from durable.sdk import habits
from durable.sdk.aliases import CamelCase
from durable.sdk.contents import BodySource, Content, joined

if TYPE_CHECKING:
    from durable.sdk.blobs import Blob
    from durable.sdk.forms import FormData
    from durable.sdk.streams import ReadableStream

BodyInit: TypeAlias = "str | bytes | bytearray | memoryview | BodySource | AsyncIterable[bytes | str] | None"

_TEXT = "text/plain;charset=UTF-8"


class BodyUsedError(OSError):
    """A body is read once."""

    def __init__(self) -> None:
        super().__init__("Body already used")


# As reports tell it: who writes Python looks for an OSError.
BodyUsedError.__name__ = "OSError"


def content_of(body: Any) -> tuple[Content, str | None]:
    """The content of what user code gives for a body, and the content type that goes with it."""
    if isinstance(body, str):
        return body.encode(), _TEXT
    if body is None or type(body) is bytes:
        return body, None
    if isinstance(body, BodySource):
        return body.as_body()
    if isinstance(body, AsyncIterable):
        return cast("AsyncIterable[bytes | str]", body), None
    try:
        return bytes(memoryview(body)), None
    except TypeError:
        raise JsTypeError(
            "a body is str, bytes, a blob, form data, a stream or an async iterable of bytes, "
            f"not {type(body).__name__}; for JSON use Response.json(value)"
        ) from None


class Body(CamelCase):
    """The readable half. Reading twice raises OSError, as on the platform."""

    __slots__ = ("_content", "body_used")

    def __init__(self, content: Content) -> None:
        self.body_used = False
        self._content: Content = content

    @property
    def body(self) -> ReadableStream | None:
        """The body as a stream of byte chunks; None when there is none. Reading from it uses the body up."""
        if self._content is None:
            return None
        from durable.sdk.streams import ReadableStream  # loaded here like the others below: few programs need them

        return ReadableStream(self.take_content)

    def take_content(self) -> Content:
        """Hand the body over to whoever sends it on; from then on it counts as used."""
        content = self._content
        if content is not None:
            if self.body_used:
                raise BodyUsedError
            self.body_used = True
        return content

    def replace_content(self, content: Content) -> None:
        """For the runtime: the same head with another body, unread."""
        self._content = content
        self.body_used = False

    def second_content(self) -> Content:
        """The same body once more; what is streamed is split in two."""
        content = self._content
        if content is None or isinstance(content, builtins.bytes):
            return content
        from durable.sdk.tee import tee

        self._content, second = tee(content)
        return second

    def _content_type(self) -> str | None:
        raise NotImplementedError

    async def bytes(self) -> builtins.bytes:
        content = self.take_content()
        if isinstance(content, builtins.bytes):
            return content
        return await joined(content)

    async def buffer(self) -> builtins.bytes:
        """The bytes; in a program that imports `workers` they answer to `to_bytes()` and the like as well."""
        return habits.arrived(await self.bytes())

    async def memoryview(self) -> builtins.memoryview:
        return memoryview(await self.bytes())

    async def text(self) -> str:
        return (await self.bytes()).decode("utf-8", "replace")

    async def string(self) -> str:
        return await self.text()

    async def json(self, **options: Any) -> Any:
        """Options go to `json.loads`. Raises `json.JSONDecodeError` (a ValueError) when the body is not JSON."""
        return json_module.loads(await self.bytes(), **options)

    async def blob(self) -> Blob:
        """The bytes with their content type."""
        from durable.sdk.blobs import Blob

        return Blob(await self.bytes(), self._content_type() or "")

    async def form_data(self) -> FormData:
        """The fields of a form that was sent, multipart or urlencoded. Raises TypeError when it is none."""
        if self.body_used:
            raise BodyUsedError
        from durable.sdk.forms import decode_form

        kind = self._content_type()
        try:
            return decode_form(await self.bytes(), kind)
        except TypeError as error:
            raise JsTypeError(str(error)) from None

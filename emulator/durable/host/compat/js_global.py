"""JavaScript's global functions: `console`, `crypto`, text as bytes, and how text is written in addresses."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import sys
import time
import uuid
from collections.abc import Mapping
from typing import IO, Any, Final, TypeVar
from urllib.parse import quote, unquote

from durable.errors import JsException, JsRangeError, JsTypeError
from durable.sdk.buffers import JsBuffer
from durable.sdk.js_values import TypedArray

T = TypeVar("T", bound=bytearray)

_RANDOM_BYTES_MAX: Final = 65_536
"""The Web Cryptography standard's limit for one call of getRandomValues."""
_DIGESTS: Final = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512", "MD5": "md5"}
_OBJECTS: Final[tuple[type, ...]] = (list, dict)
_UNRESERVED: Final = "!'()*"
"""Besides letters, digits and -._~, what encodeURIComponent leaves alone."""


class _Console:
    """`console`: warnings and errors go to standard error."""

    def log(self, *items: Any) -> None:
        _say(sys.stdout, items)

    info = debug = trace = log

    def warn(self, *items: Any) -> None:
        _say(sys.stderr, items)

    error = warn


def _say(stream: IO[str], items: tuple[Any, ...]) -> None:
    print(*(_shown(item) for item in items), file=stream)


def _shown(item: object) -> str:
    if issubclass(item.__class__, _OBJECTS):
        with contextlib.suppress(TypeError, ValueError):
            return json.dumps(item, ensure_ascii=False)
    return str(item)


console: Final = _Console()


class _Subtle:
    """`crypto.subtle`: digests. For keys there are packages, such as `cryptography`."""

    async def digest(self, algorithm: str | Mapping[str, str], data: bytes | bytearray | memoryview) -> JsBuffer:
        name = algorithm["name"] if isinstance(algorithm, Mapping) else algorithm
        if name.upper() not in _DIGESTS:
            error = JsException(f"crypto.subtle has no digest {name!r}; it has {', '.join(_DIGESTS)}")
            error.name = "NotSupportedError"
            raise error
        return JsBuffer(hashlib.new(_DIGESTS[name.upper()], bytes(data), usedforsecurity=False).digest())

    def timingSafeEqual(self, one: bytes, other: bytes) -> bool:
        return hmac.compare_digest(bytes(one), bytes(other))


class _Crypto:
    """`crypto`."""

    subtle: Final = _Subtle()

    def randomUUID(self) -> str:
        return str(uuid.uuid4())

    def getRandomValues(self, array: T) -> T:
        """Fills the array, and gives it back."""
        if not isinstance(array, bytearray):
            raise JsTypeError(f"getRandomValues() fills a Uint8Array, got {type(array).__name__}")
        if len(array) > _RANDOM_BYTES_MAX:
            raise JsRangeError(f"getRandomValues() fills at most {_RANDOM_BYTES_MAX} bytes, got {len(array)}")
        array[:] = os.urandom(len(array))
        return array


crypto: Final = _Crypto()


class _Performance:
    """`performance`: milliseconds with a fraction, since the process began to serve."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.timeOrigin = time.time() * 1000

    def now(self) -> float:
        return (time.perf_counter() - self._began) * 1000


performance: Final = _Performance()


class TextEncoder:
    """`TextEncoder.new().encode(text)`."""

    encoding = "utf-8"

    @classmethod
    def new(cls) -> TextEncoder:
        return cls()

    def encode(self, text: str = "") -> TypedArray:
        return TypedArray(text.encode("utf-8", "replace"))


class TextDecoder:
    """`TextDecoder.new("utf-8").decode(data)`."""

    def __init__(self, label: str = "utf-8", options: Mapping[str, Any] | None = None) -> None:
        """With the option `fatal`, bytes that are no text raise an Error called TypeError."""
        self.encoding = label
        self.fatal = bool((options or {}).get("fatal"))

    @classmethod
    def new(cls, label: str = "utf-8", options: Mapping[str, Any] | None = None) -> TextDecoder:
        return cls(label, options)

    def decode(self, data: bytes | bytearray | memoryview = b"") -> str:
        try:
            # A mark of the byte order at the beginning is no part of the text.
            return bytes(data).decode(self.encoding, "strict" if self.fatal else "replace").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise JsTypeError(f"the bytes are not {self.encoding}: {error}") from error


def btoa(text: str) -> str:
    """Base64 of characters up to U+00FF, each a byte."""
    try:
        return base64.b64encode(text.encode("latin-1")).decode()
    except UnicodeEncodeError as error:
        failure = JsException(f"btoa() takes characters up to U+00FF, got {text[error.start]!r}; encode the text first")
        failure.name = "InvalidCharacterError"
        raise failure from None


def atob(text: str) -> str:
    """The way back; spaces and missing padding do not matter."""
    compact = "".join(text.split())
    try:
        return base64.b64decode(compact.rstrip("=") + "=" * (-len(compact.rstrip("=")) % 4), validate=True).decode(
            "latin-1"
        )
    except binascii.Error as error:
        failure = JsException(f"atob() takes base64: {error}")
        failure.name = "InvalidCharacterError"
        raise failure from None


def encodeURIComponent(text: Any) -> str:
    return quote(str(text), safe=_UNRESERVED)


def decodeURIComponent(text: Any) -> str:
    return unquote(str(text), errors="strict")

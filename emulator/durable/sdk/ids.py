"""Ids of actors: 16 bytes chosen by name or at random, then 16 bytes that prove which namespace they belong to.

Derivation as workerd's `server/actor-id-impl.c++`: `base = HMAC(key, name)[:16]`, `id = base + HMAC(key, base)[:16]`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from functools import lru_cache

from durable.errors import JsTypeError
from durable.limits import OBJECT_NAME_BYTES_MAX
from durable.sdk.aliases import CamelCase

_BASE_BYTES = 16
_HEX_DIGITS = frozenset("0123456789abcdef")


@lru_cache(maxsize=1024)
def _secret(namespace_key: str) -> bytes:
    return hashlib.sha256(namespace_key.encode()).digest()


def _sealed(namespace_key: str, base: bytes) -> str:
    return (base + hmac.digest(_secret(namespace_key), base, "sha256")[:_BASE_BYTES]).hex()


@lru_cache(maxsize=16_384)
def id_from_name(namespace_key: str, name: str) -> str:
    """64 hex digits, always the same for this namespace and name. Raises TypeError for text that UTF-8 cannot hold."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise JsTypeError(f"an object name must be valid Unicode, got {name!r}") from error
    return _sealed(namespace_key, hmac.digest(_secret(namespace_key), encoded, "sha256")[:_BASE_BYTES])


def unique_id(namespace_key: str) -> str:
    """64 hex digits that no name leads to."""
    return _sealed(namespace_key, os.urandom(_BASE_BYTES))


def checked_id(namespace_key: str, text: str) -> str:
    """`text` in lower case. Raises TypeError for anything but 64 hex digits made for this namespace."""
    lowered = text.lower()
    if len(lowered) != 4 * _BASE_BYTES or not _HEX_DIGITS.issuperset(lowered):
        raise JsTypeError("Invalid Durable Object ID: must be 64 hex digits")
    if _sealed(namespace_key, bytes.fromhex(lowered)[:_BASE_BYTES]) != lowered:
        raise JsTypeError("Durable Object ID is not valid for this namespace.")
    return lowered


class DurableObjectId(CamelCase):
    """Names one actor; `str()` gives its 64 hex digits. Equal ids of one namespace are equal."""

    __slots__ = ("_hex", "jurisdiction", "name", "namespace_key")

    def __init__(
        self, namespace_key: str, hex_digits: str, name: str | None = None, jurisdiction: str | None = None
    ) -> None:
        self.namespace_key = namespace_key
        self._hex = hex_digits
        if name is not None and len(name) > OBJECT_NAME_BYTES_MAX // 4 and len(name.encode()) > OBJECT_NAME_BYTES_MAX:
            name = None
        self.name = name
        self.jurisdiction = jurisdiction

    def to_string(self) -> str:
        return self._hex

    def equals(self, other: object) -> bool:
        return self == other

    def __str__(self) -> str:
        return self._hex

    def __repr__(self) -> str:
        return f"DurableObjectId({self._hex!r}, name={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DurableObjectId) and other._hex == self._hex

    def __hash__(self) -> int:
        return hash(self._hex)

"""`js`: what code for the platform takes from JavaScript's global names. Each is Python underneath."""

from __future__ import annotations

import sys
from typing import Any

from durable.errors import JsException, JsRangeError, JsTypeError
from durable.host.compat.js_data import (
    JSON,
    Array,
    ArrayBuffer,
    Date,
    JsonSyntaxError,
    Object,
    Uint8Array,
    structuredClone,
)
from durable.host.compat.js_global import (
    TextDecoder,
    TextEncoder,
    atob,
    btoa,
    console,
    crypto,
    decodeURIComponent,
    encodeURIComponent,
    performance,
)
from durable.host.compat.js_numbers import Math, Number
from durable.host.compat.js_timing import (
    Promise,
    clearInterval,
    clearTimeout,
    queueMicrotask,
    scheduler,
    setInterval,
    setTimeout,
)
from durable.host.compat.missing import missing
from durable.sdk.blobs import Blob, File
from durable.sdk.forms import FormData
from durable.sdk.headers import Headers
from durable.sdk.http import Request, Response
from durable.sdk.js_values import JsMap, JsSet
from durable.sdk.runtime import fetch
from durable.sdk.streams import ReadableStream, TransformStream, WritableStream
from durable.sdk.urls import URL, URLSearchParams
from durable.sdk.websocket import WebSocket, WebSocketPair, WebSocketRequestResponsePair

__all__ = [
    "JSON",
    "URL",
    "Array",
    "ArrayBuffer",
    "Blob",
    "Date",
    "Error",
    "File",
    "FormData",
    "Headers",
    "Map",
    "Math",
    "Number",
    "Object",
    "Promise",
    "RangeError",
    "ReadableStream",
    "Request",
    "Response",
    "Set",
    "SyntaxError",
    "TextDecoder",
    "TextEncoder",
    "TransformStream",
    "TypeError",
    "URLSearchParams",
    "Uint8Array",
    "WebSocket",
    "WebSocketPair",
    "WebSocketRequestResponsePair",
    "WritableStream",
    "atob",
    "btoa",
    "clearInterval",
    "clearTimeout",
    "console",
    "crypto",
    "decodeURIComponent",
    "encodeURIComponent",
    "fetch",
    "globalThis",
    "performance",
    "queueMicrotask",
    "scheduler",
    "self",
    "setInterval",
    "setTimeout",
    "structuredClone",
    "undefined",
]

Error = JsException
TypeError = JsTypeError
RangeError = JsRangeError
SyntaxError = JsonSyntaxError
Map = JsMap
Set = JsSet
undefined = None
globalThis = self = sys.modules[__name__]

_INSTEAD = {
    "eval": "Write it in Python.",
    "document": "Nor has the platform one: there is no page.",
    "window": "Nor has the platform one: there is no page.",
    "caches": "Keep what is to be cached in an object's storage.",
    "HTMLRewriter": "Use html.parser of the standard library, or a package such as beautifulsoup4.",
    "AbortController": "Use asyncio.timeout() around what is to end.",
    "AbortSignal": "Use asyncio.timeout() around what is to end.",
    "CompressionStream": "Use gzip or zlib of the standard library.",
    "DecompressionStream": "Use gzip or zlib of the standard library.",
    "RegExp": "Use re of the standard library.",
    "BigInt": "Write an int: it is as large as you like.",
    "DOMException": "Raise an exception of Python's.",
    "EventSource": "Read `(await fetch(url)).body` line by line.",
    "WebAssembly": "Use a Python package.",
}


def __getattr__(name: str) -> Any:
    raise missing("js", name, _INSTEAD.get(name, f"There is no JavaScript; of its names there are {_names()}."))


def _names() -> str:
    return ", ".join(__all__)

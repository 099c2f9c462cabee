"""`workers`: the platform's Python SDK, every name of its `__all__`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeAlias, TypeVar, cast

from durable.host.compat.environment import env, patch_env
from durable.host.compat.finder import submodule
from durable.host.compat.js import Object
from durable.host.compat.missing import missing
from durable.host.compat.pyodide_ffi import to_js, to_py
from durable.sdk import portability
from durable.sdk.blobs import Blob, BlobEnding, BlobValue, File
from durable.sdk.forms import FormData, FormDataValue
from durable.sdk.headers import Headers
from durable.sdk.http import BodyInit, FetchKwargs, FetchResponse, JSBody, Request, RequestInitCfProperties, Response
from durable.sdk.object import DurableObject, WorkerEntrypoint, WorkflowEntrypoint
from durable.sdk.runtime import fetch, wait_until
from durable.sdk.state import DurableObjectState, ExecutionContext
from durable.values import Row

__all__ = [
    "Blob",
    "BlobEnding",
    "BlobValue",
    "Body",
    "Context",
    "DurableObject",
    "FetchKwargs",
    "FetchResponse",
    "File",
    "FormData",
    "FormDataValue",
    "Headers",
    "JSBody",
    "Request",
    "RequestInitCfProperties",
    "Response",
    "WorkerEntrypoint",
    "WorkflowEntrypoint",
    "env",
    "fetch",
    "handler",
    "import_from_javascript",
    "patch_env",
    "python_from_rpc",
    "python_to_rpc",
    "waitUntil",
    "wait_until",
]

__path__: list[str] = []
"""Says that it is a package: its modules are found by name (`finder.NAMES`)."""

F = TypeVar("F", bound=Callable[..., Any])

Body: TypeAlias = BodyInit
Context: TypeAlias = DurableObjectState | ExecutionContext
waitUntil = wait_until

_ELSEWHERE = {
    "WebSocket": "js",
    "WebSocketPair": "js",
    "WebSocketRequestResponsePair": "js",
    "to_js": "pyodide.ffi",
    "JsException": "pyodide.ffi",
}
"""What the platform has in another module."""


def __getattr__(name: str) -> Any:
    module = submodule("workers", name)
    if module is not None:
        return module
    if name in _ELSEWHERE:
        raise missing("workers", name, f"Write `from {_ELSEWHERE[name]} import {name}`, as on the platform.")
    raise missing("workers", name, f"It has {', '.join(__all__)}.")


def handler(function: F) -> F:
    """For `on_fetch` and its like: what they are given are Python's objects anyway."""
    return function


def python_to_rpc(value: Any) -> Any:
    """A copy in JavaScript's types, as the platform makes one of what is stored or sent."""
    if portability.watch is not None:
        portability.look(value, "the argument of python_to_rpc()")
    return to_js(value, dict_converter=Object.fromEntries)


def python_from_rpc(value: Any) -> Any:
    """The way back: dicts have their items as attributes, too."""
    return _with_attributes(to_py(value))


def _with_attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return Row((str(key), _with_attributes(item)) for key, item in cast("dict[object, object]", value).items())
    return [_with_attributes(item) for item in cast("list[object]", value)] if isinstance(value, list) else value


def import_from_javascript(module_name: str) -> Any:
    """What of the platform's own modules there is: `env` and `waitUntil` of "cloudflare:workers"."""
    if module_name == "cloudflare:workers":
        return SimpleNamespace(
            env=env, waitUntil=wait_until, DurableObject=DurableObject, WorkerEntrypoint=WorkerEntrypoint
        )
    raise ImportError(
        f"import_from_javascript({module_name!r}): no JavaScript runs here, and of the platform's own modules there is "
        'only "cloudflare:workers". Use a Python package instead, for example httpx, or asyncio.open_connection() for '
        "sockets"
    )

"""What `env` and `ctx.exports` lead to: objects and entrypoints of this worker and of those beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from durable import values
from durable.host.worker import DEFAULT
from durable.sdk.js_values import JsObject
from durable.sdk.stub import Destination, DurableObjectNamespace, ServiceStub, service_with
from durable.wire.messages import Load

if TYPE_CHECKING:
    from durable.host.transport import Transport


def bindings_of(load: Load, transport: Transport) -> dict[str, Any]:
    """The entries of `env`. Needs no program: what a service is, the worker that has it says when it is called."""
    entries: dict[str, Any] = {name: _as_object(value) for name, value in load.vars.items()}
    if load.assets is not None or load.unserved:
        # Imported here: most programs have neither, and start sooner without.
        from durable.host.platform_bindings import platform_bindings

        entries |= platform_bindings(load)
    keys = {space.class_name: space.key for space in load.namespaces}
    for name, class_name in load.bindings.items():
        if class_name in keys:
            entries[name] = DurableObjectNamespace(class_name, keys[class_name], transport)
    for found in load.neighbours:
        entries[found.name] = DurableObjectNamespace(found.class_name, found.key, transport, script=found.script)
    for service in load.services:
        destination = Destination(service.script, service.entrypoint, service.props)
        entries[service.name] = ServiceStub(transport, destination)
    return entries


def _as_object(value: Any) -> Any:
    """Tables of [vars] with their keys as attributes: `env.LIMITS.rooms`, as it is on the platform."""
    if isinstance(value, dict):
        return JsObject({key: _as_object(item) for key, item in cast("dict[str, Any]", value).items()})
    return [_as_object(item) for item in cast("Any", value)] if isinstance(value, list) else value


class ExportedEntrypoint(ServiceStub):
    """`ctx.exports.Admin` is a stub; called, it gives one with `props`: `ctx.exports.Admin(props={"tenant": 7})`."""

    __slots__ = ()

    def __call__(
        self, options: Mapping[str, Any] | None = None, /, *, props: dict[str, Any] | None = None
    ) -> ServiceStub:
        given: Any = props if props is not None else (options or {}).get("props")
        if given is not None and not isinstance(given, dict):
            raise TypeError(f"props are a dict, got {type(given).__name__}")
        return service_with(self, values.encode(given) if given else b"")


class Exports:
    """`ctx.exports`: the classes of the main module by their names, as if each had a binding to it."""

    def __init__(self, load: Load, transport: Transport, *, entrypoints: Sequence[str], actors: Sequence[str]) -> None:
        keys = {space.class_name: space.key for space in load.namespaces}
        self._transport = transport
        self._keys = {name: keys[name] for name in actors if name in keys}
        self._entrypoints = {name: "" if name == DEFAULT else name for name in entrypoints}
        if DEFAULT in self._entrypoints:
            self._entrypoints["default"] = ""

    def __getattr__(self, name: str) -> Any:
        # Made when it is asked for: most programs never do.
        if name in self._entrypoints:
            found: Any = ExportedEntrypoint(self._transport, Destination("", self._entrypoints[name]))
        elif name in self._keys:
            found = DurableObjectNamespace(name, self._keys[name], self._transport)
        else:
            known = ", ".join(self) or "nothing"
            raise AttributeError(f"ctx.exports has no {name!r}; the main module exports {known}")
        self.__dict__[name] = found
        return found

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._entrypoints, *self._keys} - {"default"}))

    def __repr__(self) -> str:
        return f"Exports({', '.join(self)})"

"""`[[services]]` → `ServiceBinding` values. Whether the other worker runs is somebody else's question."""

from __future__ import annotations

import keyword

from durable import limits
from durable.config import keys, snippets
from durable.config.fields import Table
from durable.config.schema import ConfigWarning, ServiceBinding
from durable.config.variables import refuse_foreign

__all__ = ["read_services"]

SHAPE = '{ binding = "AUTH", service = "auth" }'


def read_services(owner: Table, warnings: list[ConfigWarning]) -> tuple[ServiceBinding, ...]:
    """The services of the top level or of one environment; appends to `warnings`."""
    tables = owner.tables("services", shape=SHAPE)
    if len(tables) > limits.BINDINGS_MAX:
        raise owner.error("services", f"{len(tables)} services; at most {limits.BINDINGS_MAX} are read")
    services: list[ServiceBinding] = []
    for table in tables:
        warnings += table.unknown_keys(keys.SERVICE, keys.SERVICE_SILENT)
        service = _read_service(table)
        if any(other.name == service.name for other in services):
            raise table.error("binding", f'two services are called "{service.name}"; each needs a name of its own')
        services.append(service)
    return tuple(services)


def _read_service(table: Table) -> ServiceBinding:
    name = _required(table, "binding", "env.<binding> in the code", "AUTH")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise table.wrong("binding", "an identifier, so that the code can say env.<binding>")
    service = _required(table, "service", "the name of the worker that is called", "auth")
    if not service:
        raise table.wrong("service", "the name of a worker")
    environment = table.text("environment")
    if environment:
        # Environment `e` of a worker is published, and called here, as `<worker>-e`.
        service = f"{service}-{environment}"
    entrypoint = table.text("entrypoint") or ""
    if entrypoint and not entrypoint.isidentifier():
        raise table.wrong("entrypoint", "the name of a class of that worker")
    props = table.table("props")
    for key, value in props.values.items():
        refuse_foreign(props.document, (*props.path, key), value)
    # On the platform a worker's main class goes by the name "default" as well as by none.
    entrypoint = "" if entrypoint in ("default", "Default") else entrypoint
    return ServiceBinding(name, service, entrypoint, table.location("service"), dict(props.values))


def _required(table: Table, key: str, meaning: str, example: str) -> str:
    value = table.text(key)
    if value is None:
        fix = snippets.setting(table.document.language, key, example)
        raise table.error(key, f'a service needs "{key}", {meaning}', fix=fix)
    return value

"""`[[durable_objects.bindings]]` → `Binding` values. Whether the classes exist is somebody else's question."""

from __future__ import annotations

import keyword

from durable import limits
from durable.config import keys, snippets
from durable.config.fields import Table, describe_value
from durable.config.schema import Binding, ConfigWarning

__all__ = ["class_name_problem", "read_bindings"]

SHAPE = '{ name = "ROOM", class_name = "Room" }'


def read_bindings(owner: Table, worker_name: str, warnings: list[ConfigWarning]) -> tuple[Binding, ...]:
    """The bindings of the top level or of one environment; appends to `warnings`."""
    durable_objects = owner.table("durable_objects")
    warnings += durable_objects.unknown_keys(keys.DURABLE_OBJECTS)
    tables = durable_objects.tables("bindings", shape=SHAPE)
    if len(tables) > limits.BINDINGS_MAX:
        raise durable_objects.error("bindings", f"{len(tables)} bindings; at most {limits.BINDINGS_MAX} are read")
    bindings: list[Binding] = []
    for table in tables:
        warnings += table.unknown_keys(keys.BINDING, keys.BINDING_SILENT)
        binding = _read_binding(table, worker_name)
        if any(other.name == binding.name for other in bindings):
            raise table.error("name", f'two bindings are called "{binding.name}"; each needs a name of its own')
        bindings.append(binding)
    return tuple(bindings)


def class_name_problem(name: str) -> str:
    """Why a class cannot be called that, or the empty string."""
    if not name.isidentifier() or keyword.iskeyword(name):
        return "the name of a Python class"
    if len(name.encode()) > limits.CLASS_NAME_BYTES_MAX:
        return f"at most {limits.CLASS_NAME_BYTES_MAX} bytes long"
    return ""


def _read_binding(table: Table, worker_name: str) -> Binding:
    name = _required(table, "name", "env.<name> in the code")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise table.wrong("name", "an identifier, so that the code can say env.<name>")
    class_name = _required(table, "class_name", "a class in the code")
    problem = class_name_problem(class_name)
    if problem:
        raise table.wrong("class_name", problem)
    return Binding(name, class_name, _other_script(table, worker_name), table.location("class_name"))


def _required(table: Table, key: str, meaning: str) -> str:
    value = table.text(key)
    if value is None:
        got = describe_value(dict(table.values)).removesuffix(" (a table)")
        language = table.document.language
        raise table.error(
            key,
            f'a binding needs "{key}", {meaning}; this one is {got}',
            fix=snippets.setting(language, key, "ROOM" if key == "name" else "Room"),
        )
    return value


def _other_script(table: Table, worker_name: str) -> str | None:
    """The worker that owns the class, or None when it is this one.

    Wrangler publishes environment `e` of a script as `<script>-e`, which is also how an environment here is called.
    """
    script, environment = table.text("script_name"), table.text("environment")
    if script is None:
        if environment is not None:
            raise table.error("environment", '"environment" says of which "script_name"; that key is missing here')
        return None
    if not script:
        raise table.wrong("script_name", "the name of a worker")
    target = script if environment is None else f"{script}-{environment}"
    return None if target == worker_name else target

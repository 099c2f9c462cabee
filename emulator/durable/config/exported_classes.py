"""`[exports]` → `ExportedClass` values: the declarative way to say what became of each class, in place of migrations.

Names, rules and sentences follow the platform (developers.cloudflare.com/durable-objects/reference, migrations).
"""

from __future__ import annotations

from typing import Final, cast

from durable import limits
from durable.config import keys
from durable.config.bindings import class_name_problem
from durable.config.fields import Table, describe_value
from durable.config.schema import ConfigWarning, ExportedClass, ExportState, ExportStorage

__all__ = ["read_exports"]

_TYPES: Final = ("durable-object", "worker", "workflow")
_STORAGES: Final = ("sqlite", "legacy-kv")
_PROPERTIES: Final[dict[str, tuple[str, ...]]] = {
    "created": ("storage",),
    "deleted": (),
    "renamed": ("renamed_to",),
    "transferred": ("transferred_to",),
    "expecting-transfer": ("storage", "transfer_from"),
}
"""What a class in this state says besides its type and its state."""


def read_exports(top: Table, chosen: Table | None, warnings: list[ConfigWarning]) -> tuple[ExportedClass, ...] | None:
    """The classes of the environment, or None when no `exports` tell of them; appends to `warnings`."""
    owner = _owner(top, chosen)
    if owner is None:
        return None
    table = owner.table("exports")
    if len(table.values) > limits.MIGRATIONS_MAX:
        raise owner.error("exports", f"{len(table.values)} exports; at most {limits.MIGRATIONS_MAX} are read")
    found: list[ExportedClass] = []
    for name in table.values:
        if not name:
            raise table.error(name, '"exports" keys cannot be the empty string', at_key=True)
        each = table.table(name)
        if each.choice("type", _TYPES) is None:
            raise each.error("type", f'"{each.label("type")}" is missing: {" or ".join(_TYPES)}')
        if each.values["type"] == "durable-object":
            found.append(_read_class(table, name, each, warnings))
    return tuple(found) or None


def _owner(top: Table, chosen: Table | None) -> Table | None:
    """The table whose `exports` count. Raises ConfigError where migrations stand beside them."""
    for table in (top,) if chosen is None else (chosen, top):
        if "exports" in table and "migrations" in table:
            raise table.error(
                "exports",
                "`migrations` and `exports` are mutually exclusive. Choose one or the other to declare your Durable "
                "Object lifecycle, but not both.",
                at_key=True,
                fix="with exports, take the migrations out: the classes that exist are known without them",
            )
        if "exports" in table:
            return table
        if "migrations" in table:
            return None
    return None


def _read_class(table: Table, name: str, each: Table, warnings: list[ConfigWarning]) -> ExportedClass:
    problem = class_name_problem(name)
    if problem:
        raise table.error(name, f'expected "{name}" in "exports" to be {problem}', at_key=True)
    state = each.text("state") if "state" in each else "created"
    if state not in _PROPERTIES:
        expected = 'one of "created", "deleted", "renamed", "transferred", or "expecting-transfer"'
        raise each.error("state", f'"{each.label("state")}" must be {expected} but got {_got(each, "state")}')
    _refuse_forbidden(each, state, warnings)
    location = table.document.location((*table.path, name), key=True)
    storage, other = _storage(each, state), _other(each, name, state)
    return ExportedClass(name, cast("ExportState", state), storage, other, location)


def _refuse_forbidden(each: Table, state: str, warnings: list[ConfigWarning]) -> None:
    allowed = ("type", "state", *_PROPERTIES[state])
    for key in each.values:
        if key in keys.EXPORTED_CLASS and key not in allowed:
            raise each.error(
                key,
                f'"{each.label(key)}" is forbidden on state "{state}". Allowed properties are: {", ".join(allowed)}.',
                at_key=True,
            )
    warnings += each.unknown_keys(keys.EXPORTED_CLASS, {"container"})


def _storage(each: Table, state: str) -> ExportStorage | None:
    if "storage" not in _PROPERTIES[state]:
        return None
    storage = each.values.get("storage")
    if storage not in _STORAGES:
        raise each.error(
            "storage",
            f'"{each.label("storage")}" is required for state "{state}" and must be one of "sqlite" or "legacy-kv", '
            f"but got {_got(each, 'storage')}",
        )
    return "sqlite" if storage == "sqlite" else "legacy-kv"


def _other(each: Table, name: str, state: str) -> str:
    key = {"renamed": "renamed_to", "transferred": "transferred_to", "expecting-transfer": "transfer_from"}.get(state)
    if key is None:
        return ""
    value = each.values.get(key)
    if not isinstance(value, str) or not value:
        raise each.error(key, f'"{each.label(key)}" is required for state "{state}" and must be a non-empty string.')
    if state == "renamed" and class_name_problem(value):
        raise each.error(key, f'"{each.label(key)}" must be {class_name_problem(value)} (got "{value}").')
    if state == "renamed" and value == name:
        raise each.error(key, f'"{each.label(key)}" cannot equal the source class name "{name}".')
    return value


def _got(each: Table, key: str) -> str:
    return describe_value(each.values[key]) if key in each else "nothing"

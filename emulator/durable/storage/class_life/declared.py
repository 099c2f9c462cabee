"""What one entry of `[[migrations]]` says, in a form that can be kept and compared: by digest, in sentences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from durable.config.schema import Migration

__all__ = ["Declared", "declared_by", "declared_by_steps", "difference", "digest_of"]

Declared = Mapping[str, Any]
"""`{"new_sqlite_classes": ["Room"], "renamed_classes": [["A", "B"]]}`: sorted, and without what is empty."""


def declared_by(migration: Migration) -> Declared:
    return _tidied(
        {
            "new_sqlite_classes": [*migration.new_sqlite_classes],
            "new_classes": [*migration.new_classes],
            "renamed_classes": [[each.source, each.target] for each in migration.renamed_classes],
            "deleted_classes": [*migration.deleted_classes],
            "transferred_classes": [
                [each.source, each.source_script, each.target] for each in migration.transferred_classes
            ],
        }
    )


def declared_by_steps(steps: Sequence[Mapping[str, Any]]) -> Declared:
    """The same from the steps of a plan, which are all that the first format of the state kept."""
    found: dict[str, list[Any]] = {}
    for step in steps:
        match step:
            case {"step": "create_class", "class": name, "sqlite": sqlite}:
                found.setdefault("new_sqlite_classes" if sqlite else "new_classes", []).append(name)
            case {"step": "rename_class", "from": source, "to": target}:
                found.setdefault("renamed_classes", []).append([source, target])
            case {"step": "delete_class", "class": name}:
                found.setdefault("deleted_classes", []).append(name)
            case _:
                raise ValueError(f"not a step of a migration: {step!r}")
    return _tidied(found)


def _tidied(found: Mapping[str, list[Any]]) -> Declared:
    # The order of classes within one key means nothing, so that changing it is no change.
    return {key: sorted(names) for key, names in sorted(found.items()) if names}


def digest_of(declared: Declared) -> str:
    """64 hex digits, the same whatever the order in the file was."""
    return hashlib.sha256(json.dumps(declared, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def difference(before: Declared, now: Declared) -> str:
    """`new_sqlite_classes had ["Room"] and has ["Hall", "Room"] now`"""
    sentences: list[str] = []
    for key in sorted({*before, *now}):
        had, has = before.get(key, []), now.get(key, [])
        if had != has:
            sentences.append(f"{key} had {_shown(had)} and has {_shown(has)} now")
    return "; ".join(sentences)


def added(before: Declared, now: Declared) -> Declared:
    """What stands in `now` and not in `before`: perhaps an entry of its own."""
    more = {key: [each for each in names if each not in before.get(key, [])] for key, names in now.items()}
    return {key: names for key, names in more.items() if names}


def _shown(names: Sequence[Any]) -> str:
    return json.dumps(names, ensure_ascii=False) if names else "nothing"

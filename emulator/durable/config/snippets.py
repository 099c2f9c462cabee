"""What to paste into a configuration file, in the language that the file is written in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from durable.config.document import Language

__all__ = [
    "environment_entry",
    "export_entry",
    "language_of",
    "migration_entry",
    "next_tag",
    "setting",
]


def language_of(file_name: str) -> Language:
    return "toml" if file_name.endswith(".toml") else "json"


def setting(language: Language, key: str, value: object) -> str:
    """`main = "main.py"`"""
    text = json.dumps(value, ensure_ascii=False)
    return f"{key} = {text}" if language == "toml" else f'"{key}": {text}'


Steps = Mapping[str, Sequence[str] | Sequence[Mapping[str, str]]]
"""`{"renamed_classes": [{"from": "Room", "to": "Hall"}]}`"""


def migration_entry(language: Language, tags: Sequence[str], steps: Steps) -> str:
    """The entry that follows those with `tags`.

    In JSON the first entry brings the key along; a later one belongs to the end of the array that is there.
    """
    tag = next_tag(tags)
    if language == "toml":
        return "\n".join(
            ["[[migrations]]", f'tag = "{tag}"', *(f"{key} = {_toml(value)}" for key, value in steps.items())]
        )
    entry = "".join(f', "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in steps.items())
    entry = f'{{ "tag": "{tag}"{entry} }}'
    return entry if tags else f'"migrations": [\n  {entry}\n]'


def _toml(entries: Sequence[str] | Sequence[Mapping[str, str]]) -> str:
    """An array of strings, or of inline tables; a string of TOML is written as in JSON."""
    shown: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            shown.append(json.dumps(entry, ensure_ascii=False))
        else:
            pairs = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items())
            shown.append("{" + ", ".join(pairs) + "}")
    return f"[{', '.join(shown)}]"


def export_entry(language: Language, name: str) -> str:
    if language == "toml":
        return f'[exports]\n{name} = {{ type = "durable-object", storage = "sqlite" }}'
    return f'"exports": {{ "{name}": {{ "type": "durable-object", "storage": "sqlite" }} }}'


def environment_entry(language: Language, name: str) -> str:
    return f"[env.{name}]" if language == "toml" else f'"env": {{ "{name}": {{}} }}'


def next_tag(tags: Sequence[str]) -> str:
    """The tag that follows: `v1`, `v2` → `v3`."""
    match = re.fullmatch(r"(.*?)(\d+)", tags[-1]) if tags else None
    tag = f"{match[1]}{int(match[2]) + 1:0{len(match[2])}}" if match is not None else f"v{len(tags) + 1}"
    while tag in tags:
        tag += "-next"
    return tag

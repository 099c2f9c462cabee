"""What to paste into a configuration file, in the language that the file is written in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from durable.config.document import Language

__all__ = ["environment_entry", "language_of", "migration_entry", "next_tag", "setting"]


def language_of(file_name: str) -> Language:
    return "toml" if file_name.endswith(".toml") else "json"


def setting(language: Language, key: str, value: object) -> str:
    """`main = "main.py"`"""
    text = json.dumps(value, ensure_ascii=False)
    return f"{key} = {text}" if language == "toml" else f'"{key}": {text}'


def migration_entry(language: Language, tag: str, new_sqlite_classes: Sequence[str]) -> str:
    names = json.dumps(list(new_sqlite_classes), ensure_ascii=False)
    if language == "toml":
        return f'[[migrations]]\ntag = "{tag}"\nnew_sqlite_classes = {names}'
    return f'"migrations": [\n  {{ "tag": "{tag}", "new_sqlite_classes": {names} }}\n]'


def environment_entry(language: Language, name: str) -> str:
    return f"[env.{name}]" if language == "toml" else f'"env": {{ "{name}": {{}} }}'


def next_tag(tags: Sequence[str]) -> str:
    """The tag that follows: `v1`, `v2` → `v3`."""
    match = re.fullmatch(r"(.*?)(\d+)", tags[-1]) if tags else None
    tag = f"{match[1]}{int(match[2]) + 1:0{len(match[2])}}" if match is not None else f"v{len(tags) + 1}"
    while tag in tags:
        tag += "-next"
    return tag

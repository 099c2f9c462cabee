"""The `durable.toml` of a project that a test makes."""

from __future__ import annotations


def settings(class_name: str, binding: str, *, name: str = "app") -> str:
    """One class of objects that stores in SQLite, behind one binding; more tables may follow."""
    return f"""\
name = "{name}"
main = "main.py"
compatibility_date = "2026-11-01"

[[durable_objects.bindings]]
name = "{binding}"
class_name = "{class_name}"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["{class_name}"]
"""

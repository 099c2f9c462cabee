"""`[[migrations]]` → `Migration` values: shape and names only. What they do to recorded state is storage's business."""

from __future__ import annotations

import re

from durable import limits
from durable.config import keys, snippets
from durable.config.bindings import class_name_problem
from durable.config.fields import Table
from durable.config.schema import ConfigWarning, Location, Migration, RenamedClass, TransferredClass

__all__ = ["read_migrations"]

SHAPE = '{ tag = "v1", new_sqlite_classes = ["Room"] }'
RENAMED_SHAPE = '{ from = "Room", to = "ChatRoom" }'
TRANSFERRED_SHAPE = '{ from = "Room", from_script = "other-worker", to = "ChatRoom" }'
_TAG = re.compile(r"[A-Za-z0-9._+:/@-]+")


def read_migrations(owner: Table, warnings: list[ConfigWarning]) -> tuple[Migration, ...]:
    """The entries in the order of the file; appends to `warnings`."""
    tables = owner.tables("migrations", shape=SHAPE)
    if len(tables) > limits.MIGRATIONS_MAX:
        raise owner.error("migrations", f"{len(tables)} entries; at most {limits.MIGRATIONS_MAX} are read")
    found: list[Migration] = []
    for table in tables:
        warnings += table.unknown_keys(keys.MIGRATION)
        tag = _read_tag(table, [migration.tag for migration in found])
        migration = Migration(
            tag=tag,
            new_sqlite_classes=_class_names(table, "new_sqlite_classes"),
            new_classes=_class_names(table, "new_classes"),
            renamed_classes=_renamed(table, warnings),
            deleted_classes=_class_names(table, "deleted_classes"),
            transferred_classes=_transferred(table, warnings),
            location=table.location("tag"),
            places=_places(table),
        )
        _refuse_double_creation(table, migration)
        found.append(migration)
    return tuple(found)


def _read_tag(table: Table, earlier: list[str]) -> str:
    tag = table.text("tag")
    if tag is None:
        fix = snippets.setting(table.document.language, "tag", snippets.next_tag(earlier))
        raise table.error("tag", f'"{table.label("tag")}" is missing; every entry needs a tag of its own', fix=fix)
    if not tag:
        raise table.error("tag", f'"{table.label("tag")}" is empty; every entry needs a tag of its own')
    if len(tag) > limits.MIGRATION_TAG_CHARACTERS_MAX:
        most = limits.MIGRATION_TAG_CHARACTERS_MAX
        raise table.error("tag", f'"{table.label("tag")}" has {len(tag)} characters; at most {most} are allowed')
    if not _TAG.fullmatch(tag):
        raise table.wrong("tag", "letters, digits and . _ - + : / @ without spaces")
    if tag in earlier:
        fix = snippets.setting(table.document.language, "tag", snippets.next_tag(earlier))
        raise table.error("tag", f'the tag "{tag}" is used twice; an applied tag is never applied again', fix=fix)
    return tag


def _class_names(table: Table, key: str) -> tuple[str, ...]:
    names = table.texts(key)
    seen: set[str] = set()
    for index, name in enumerate(names):
        where = (*table.path, key, index)
        problem = class_name_problem(name)
        if problem:
            raise table.document.error(where, f'expected "{name}" in "{table.label(key)}" to be {problem}')
        if name in seen:
            raise table.document.error(where, f'"{table.label(key)}" names "{name}" twice')
        seen.add(name)
    return names


def _renamed(table: Table, warnings: list[ConfigWarning]) -> tuple[RenamedClass, ...]:
    found: list[RenamedClass] = []
    for each in table.tables("renamed_classes", shape=RENAMED_SHAPE):
        warnings += each.unknown_keys(keys.RENAMED_CLASS)
        renamed = RenamedClass(_class_name(each, "from", RENAMED_SHAPE), _class_name(each, "to", RENAMED_SHAPE))
        if renamed.source == renamed.target:
            raise each.error("to", f'"{each.label("to")}" is the class that it renames, "{renamed.source}"')
        found.append(renamed)
    return tuple(found)


def _transferred(table: Table, warnings: list[ConfigWarning]) -> tuple[TransferredClass, ...]:
    found: list[TransferredClass] = []
    for each in table.tables("transferred_classes", shape=TRANSFERRED_SHAPE):
        warnings += each.unknown_keys(keys.TRANSFERRED_CLASS)
        script = each.text("from_script")
        if not script:
            raise each.error("from_script", f'"{each.label("from_script")}" is missing: {TRANSFERRED_SHAPE}')
        source = _class_name(each, "from", TRANSFERRED_SHAPE)
        found.append(TransferredClass(source, script, _class_name(each, "to", TRANSFERRED_SHAPE)))
    return tuple(found)


def _class_name(table: Table, key: str, shape: str) -> str:
    name = table.text(key)
    if name is None:
        raise table.error(key, f'"{table.label(key)}" is missing: {shape}')
    problem = class_name_problem(name)
    if problem:
        raise table.wrong(key, problem)
    return name


def _places(table: Table) -> dict[tuple[str, str], Location]:
    """After everything was read and found good."""
    found: dict[tuple[str, str], Location] = {}
    for key in ("new_sqlite_classes", "new_classes", "deleted_classes"):
        for index, name in enumerate(table.texts(key)):
            found[key, name] = table.document.location((*table.path, key, index))
    for key, shape in (("renamed_classes", RENAMED_SHAPE), ("transferred_classes", TRANSFERRED_SHAPE)):
        for each in table.tables(key, shape=shape):
            found[key, each.text("from") or ""] = each.location("from")
            # A class may be the source of one and the target of another; the target is looked up under its own key.
            found[f"{key}.to", each.text("to") or ""] = each.location("to")
    return found


def _refuse_double_creation(table: Table, migration: Migration) -> None:
    for name in migration.new_classes:
        if name in migration.new_sqlite_classes:
            raise table.error(
                "new_classes",
                f'"{name}" stands in new_classes and in new_sqlite_classes; keep it in new_sqlite_classes',
            )
    created = (*migration.new_classes, *migration.new_sqlite_classes)
    for renamed in migration.renamed_classes:
        if renamed.target in created:
            key = "new_classes" if renamed.target in migration.new_classes else "new_sqlite_classes"
            raise table.error(
                key, f'"{renamed.target}" comes from renaming "{renamed.source}"; it must not be created as well'
            )

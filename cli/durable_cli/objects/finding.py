"""Finds one object: what it is called on the command line, and where its file is. Never creates one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from durable.config.nearest import did_you_mean
from durable.errors import NotFoundError, UserInputError
from durable_cli.console import printable
from durable_cli.project import Project

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout

SUGGESTIONS_FROM_MAX: Final = 10_000
"""Names that a misspelt one is compared with; a class may have millions."""
NAMES_SHOWN_MAX: Final = 10

_LOOKS_LIKE_SQL = re.compile(r"\s*(select|with|insert|update|delete|pragma|explain|create|drop|alter)\s", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """An object as it was typed: class or binding, then a name or 64 hex digits."""

    class_word: str
    name: str | None = None
    id: str | None = None

    def __str__(self) -> str:
        which = f'"{self.name}"' if self.name is not None else self.id or ""
        return printable(f"{self.class_word} {which}")

    def command(self, command: str, *options: str) -> str:
        """The line to type for this object: `durable objects restore Counter home --at …`."""
        words = [command, *options, "--"] if self.name is not None and self.name.startswith("-") else [command]
        words += [shlex.quote(self.class_word), shlex.quote(self.name) if self.name is not None else f"--id {self.id}"]
        return printable(" ".join(words if "--" in words else [*words, *options]))


def require_state(project: Project) -> None:
    """Raises NotFoundError when nothing is stored: taking the lock would make the folder."""
    if not project.state.is_dir():
        raise NotFoundError(
            f"nothing is stored yet: there is no {project.state}",
            fix="durable dev, then use the object once; or name another place with --persist-to DIR",
        )


def namespace_key(project: Project, layout: StateLayout, class_word: str) -> str:
    """The namespace of a class name or a binding name. Raises NotFoundError that lists what there is."""
    from durable.storage.class_life.applying import open_state

    bindings = {binding.name: binding.class_name for binding in project.config.bindings}
    class_name = bindings.get(class_word, class_word)
    keys: dict[str, str] = {}
    if layout.state_file.is_file():
        state = open_state(layout)
        try:
            keys = {row.class_name: row.key for row in state.namespaces(project.config.environment)}
        finally:
            state.close()
    if class_name in keys:
        return keys[class_name]
    if class_word in bindings or class_word in bindings.values():
        raise NotFoundError(f"{printable(class_name)} has no objects yet", fix="durable dev, then use one")
    raise no_such_class(class_word, [*keys, *bindings])


def no_such_class(class_word: str, words: Sequence[str]) -> NotFoundError:
    """`words` are the names of classes and bindings that there are."""
    known = f"There are {', '.join(words)}." if words else "There are none yet."
    return NotFoundError(
        f'there is no class or binding "{printable(class_word)}"',
        fix=f"{did_you_mean(class_word, words)} {known}".strip(),
    )


def object_file(layout: StateLayout, key: str, target: Target) -> Path:
    """Where the object's file is or would be. Raises UserInputError for what is no name and no id."""
    from durable.sdk.ids import checked_id, id_from_name

    try:
        identity = id_from_name(key, target.name) if target.name is not None else checked_id(key, target.id or "")
    except TypeError as error:
        raise UserInputError(str(error), fix="CLASS NAME, or CLASS --id with the 64 digits of ctx.id") from error
    return layout.object_file(key, identity)


def known_names(layout: StateLayout, key: str) -> Sequence[str]:
    from durable.storage.index import NamespaceIndex

    if not layout.index_file(key).is_file():  # opening it would make one
        return ()
    index = NamespaceIndex(layout.index_file(key))
    try:
        return index.names(SUGGESTIONS_FROM_MAX)
    finally:
        index.close()


def no_such_object(target: Target, names: Sequence[str]) -> NotFoundError:
    if target.name is not None and _LOOKS_LIKE_SQL.match(target.name):
        return NotFoundError(
            f"no such object: {target}; the first word after the class is the object's name",
            fix=f'durable sql {target.class_word} NAME "SQL"',
        )
    hint = printable(did_you_mean(target.name, names)) if target.name is not None else ""
    if names:
        shown = ", ".join(printable(name, length_max=80) for name in names[:NAMES_SHOWN_MAX])
        hint += f" {target.class_word} has {shown}" + (" and more." if len(names) > NAMES_SHOWN_MAX else ".")
    return NotFoundError(f"no such object: {target}", fix=hint.strip())

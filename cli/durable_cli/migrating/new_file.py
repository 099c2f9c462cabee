"""`durable migrate new CLASS MESSAGE`: the next numbered file in `migrations/<Class>`, ready to be written into."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from durable.errors import UserInputError
from durable.schema.files import FOLDER, read_class

if TYPE_CHECKING:
    from durable.config import Config
    from durable_cli.project import Project

_NAME_CHARACTERS_MAX: Final = 60
_SQL: Final = """\
-- {message}
-- Runs once per object of {class_name}, in one transaction with its version: no BEGIN, no COMMIT, no PRAGMA.
"""
_PYTHON: Final = '''\
"""{message}"""


def up(ctx):
    """Runs once per object of {class_name}, in one transaction with its version; ctx.storage.sql, ctx.storage.kv."""
'''


def make_migration(project: Project, words: Sequence[str]) -> Path:
    """Make the file and return its path. Raises UserInputError, or MigrationError for files that are wrong already."""
    usage = 'durable migrate new ChatRoom "add reactions"'
    if len(words) != 2:
        raise UserInputError("new takes a class and what the migration does", fix=usage)
    class_name, message = _class_of(words[0], project.config), words[1].strip()
    suffix = ".py" if message.endswith(".py") else ".sql"
    name = _file_name(message.removesuffix(".py"))
    if not name:
        raise UserInputError(f"{message!r} holds no letter that a file's name could have", fix=usage)
    folder = project.config.root / FOLDER / class_name
    version = read_class(folder).version + 1 if folder.is_dir() else 1
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{version:04d}_{name}{suffix}"
    plain = " ".join(message.removesuffix(".py").replace('"""', "'''").replace("\\", "/").split())
    text = (_PYTHON if suffix == ".py" else _SQL).format(message=plain, class_name=class_name)
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
    return path


def _class_of(word: str, config: Config) -> str:
    """The class that a word means: its name, or that of a binding to it."""
    from durable.config.classes import live_class_names
    from durable.config.nearest import did_you_mean

    classes = live_class_names(config)
    by_binding = {binding.name: binding.class_name for binding in config.bindings if binding.script_name is None}
    if word in classes:
        return word
    if word in by_binding:
        return by_binding[word]
    hint = did_you_mean(word, [*classes, *by_binding])
    known = f"there are {', '.join(sorted(classes))}" if classes else "the configuration has none"
    raise UserInputError(f'there is no class or binding "{word}"; {known}', fix=hint)


def _file_name(message: str) -> str:
    """`add reactions` → `add_reactions`."""
    plain = unicodedata.normalize("NFKD", message).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:_NAME_CHARACTERS_MAX].rstrip("_")

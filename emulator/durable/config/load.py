"""A configuration file → `Config`: read it within bounds, choose the environment, check every key, add the secrets.

Must not know user code (see `classes`) or recorded state.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from pathlib import Path

from durable import limits
from durable.config import keys, snippets
from durable.config.asset_settings import read_assets, unread_rules
from durable.config.bindings import read_bindings
from durable.config.dev_settings import read_dev
from durable.config.discover import find_config
from durable.config.document import Document, KeyPath, Malformed, dotted, error_at
from durable.config.exported_classes import read_exports
from durable.config.fields import Table
from durable.config.jsonc_document import parse_jsonc
from durable.config.migration_entries import read_migrations
from durable.config.nearest import did_you_mean
from durable.config.products import NO_EFFECT, PRODUCTS, SILENT
from durable.config.schema import Assets, Binding, Config, ConfigWarning, ServiceBinding
from durable.config.secrets import Secrets, missing_secrets, read_secrets
from durable.config.services import read_services
from durable.config.text_file import read_text, shown
from durable.config.toml_document import parse_toml
from durable.config.triggers import read_crons
from durable.config.unacted_keys import read_unacted, read_unserved
from durable.config.variables import Taken, read_vars, refuse_taken_names, with_overrides
from durable.errors import ConfigError

__all__ = ["load"]

_WORKER_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PASSED_OVER = frozenset(PRODUCTS) | frozenset(NO_EFFECT) | SILENT
"""Keys of the platform: no mistakes, and `unacted_keys` tells of them."""


def load(
    path: Path | None = None,
    *,
    environment: str | None = None,
    start: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Config:
    """Read the file at `path`, or the nearest one upward from `start` (the current folder).

    `overrides` are variables from the command line; they win over `vars` and over secrets. Raises `UserInputError` when
    there is no file and `ConfigError` for anything in it that cannot be meant.
    """
    overrides = overrides or {}
    file = find_config(path, start)
    document = read_document(file)
    top = Table(document, (), document.data)
    chosen = _environment_table(top, environment)
    # Bindings and variables belong to one environment; everything else is inherited unless it is said again
    # (developers.cloudflare.com/workers/wrangler/environments).
    own = chosen or top
    warnings = _unknown_keys(top, chosen)
    name = _worker_name(top, chosen, environment, file.parent)
    bindings = read_bindings(own, name, warnings)
    services = read_services(own, warnings)
    assets = read_assets(_holder("assets", top, chosen), file.parent, warnings)
    taken = _taken_names(document, bindings, services, assets)
    variables = with_overrides(read_vars(own), overrides, taken)
    refuse_taken_names(own, taken)
    secrets = read_secrets(file.parent, environment)
    _refuse_taken_secrets(secrets, taken)
    warnings += missing_secrets(own, {*secrets, *variables})
    unserved = tuple(each for each in read_unserved(own, file.name) if each.name not in {*taken, *variables, *secrets})
    flags = _holder("compatibility_flags", top, chosen)
    exports = read_exports(top, chosen, warnings)
    return Config(
        path=file,
        root=file.parent,
        environment=environment,
        name=name,
        main=_main(_holder("main", top, chosen), file.parent),
        compatibility_date=_compatibility_date(_holder("compatibility_date", top, chosen)),
        compatibility_flags=flags.texts("compatibility_flags"),
        bindings=bindings,
        migrations=() if exports is not None else read_migrations(_holder("migrations", top, chosen), warnings),
        vars=variables,
        secrets={key: value for key, (value, _) in secrets.items() if key not in overrides},
        dev=read_dev(top, warnings),
        crons=read_crons(_holder("triggers", top, chosen), warnings),
        warnings=tuple(warnings),
        source=document.text,
        exports=exports,
        services=services,
        assets=assets,
        unserved=unserved,
        notices=(*_flag_notice(file.name, flags), *read_unacted(top, chosen, unserved), *unread_rules(assets)),
    )


def read_document(file: Path) -> Document:
    """Parse by what the file's name ends in."""
    if file.suffix not in (".toml", ".json", ".jsonc"):
        raise ConfigError(
            f'a configuration file ends in .toml, .jsonc or .json, not in "{file.suffix}"', file=shown(file)
        )
    text = read_text(file, bytes_max=limits.CONFIG_BYTES_MAX)
    language = snippets.language_of(file.name)
    try:
        data, spots = parse_toml(text) if language == "toml" else parse_jsonc(text)
    except Malformed as problem:
        raise Document(shown(file), text, language, {}, {}).malformed(problem) from None
    return Document(shown(file), text, language, data, spots)


# --- environments -----------------------------------------------------------------------------------------------------
def _environment_table(top: Table, environment: str | None) -> Table | None:
    environments = top.table("env")
    for name in environments.values:
        environments.table(name)
    if environment is None:
        return None
    if environment not in environments:
        known = list(environments.values)
        message = f'there is no environment "{environment}". '
        message += f"This file has {', '.join(known)}. " if known else "This file has none. "
        message += did_you_mean(environment, known)
        raise top.error(
            "env", message.rstrip(), fix=snippets.environment_entry(top.document.language, environment), at_key=True
        )
    # It becomes part of file names, `.dev.vars.<environment>`.
    if not _ENVIRONMENT_NAME.fullmatch(environment):
        message = f'"{environment}" cannot be the name of an environment: letters, digits, ".", "_" and "-" can'
        raise environments.error(environment, message, at_key=True)
    return environments.table(environment)


def _holder(key: str, top: Table, chosen: Table | None) -> Table:
    return chosen if chosen is not None and key in chosen else top


def _unknown_keys(top: Table, chosen: Table | None) -> list[ConfigWarning]:
    warnings = top.unknown_keys(keys.TOP, _PASSED_OVER)
    if chosen is None:
        return warnings
    warnings += [
        chosen.warning(key, f'"{key}" has no effect in an environment.', "Set it at the top level.")
        for key in ("dev", "env")
        if key in chosen
    ]
    warnings += chosen.unknown_keys(keys.ENVIRONMENT, _PASSED_OVER | {"dev", "env"})
    for key in ("durable_objects", "services", "vars"):
        if key in top and key not in chosen:
            message = (
                f'"{key}" is set at the top level and not in {dotted(chosen.path)}; environments do not inherit it.'
            )
            location = chosen.document.location(chosen.path, key=True)
            warnings.append(ConfigWarning(message, location, f'Add "{key}" to the environment.'))
    return warnings


# --- single keys ------------------------------------------------------------------------------------------------------
def _worker_name(top: Table, chosen: Table | None, environment: str | None, folder: Path) -> str:
    holder = _holder("name", top, chosen)
    name = holder.text("name")
    if name is None:
        name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "worker"
        name = name[: limits.WORKER_NAME_CHARACTERS_MAX]
    elif not _WORKER_NAME.fullmatch(name):
        suggestion = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")
        fix = snippets.setting(top.document.language, "name", suggestion) if suggestion else ""
        raise holder.wrong("name", 'lower-case letters, digits, "-" and "_"', fix=fix)
    elif len(name) > limits.WORKER_NAME_CHARACTERS_MAX:
        raise holder.wrong("name", f"at most {limits.WORKER_NAME_CHARACTERS_MAX} characters")
    return name if environment is None or holder is chosen else f"{name}-{environment}"


def _main(holder: Table, root: Path) -> Path:
    text = holder.text("main")
    language = holder.document.language
    if text is None:
        fix = snippets.setting(language, "main", "main.py")
        raise holder.document.error(_strayed_main(holder.document), _missing_main(holder.document), key=True, fix=fix)
    if not text or "\0" in text:
        raise holder.wrong("main", "the path of a Python file")
    path = Path(os.path.abspath(root / text))
    if path.suffix != ".py":
        raise holder.wrong("main", "the path of a Python file", fix=snippets.setting(language, "main", "main.py"))
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        hint = did_you_mean(path.name, sorted(each.name for each in path.parent.glob("*.py") if each.is_file()))
        raise holder.error("main", f"{shown(path)} {what}." + (f" {hint}" if hint else ""))
    return path


def _strayed_main(document: Document) -> KeyPath:
    """Where `main` stands when it was written below a `[table]`, whose key it then is."""
    return next((path for path in document.spots if len(path) > 1 and path[-1] == "main"), ())


def _missing_main(document: Document) -> str:
    if not document.data:
        return 'this file is empty; "main" has to name the Python file with the code'
    stray = _strayed_main(document)
    if stray:
        table = ".".join(str(part) for part in stray[:-1])
        return f'"main" stands in [{table}] here; move it above the first table'
    return '"main" is missing; it names the Python file with the code'


def _compatibility_date(holder: Table) -> str:
    key = "compatibility_date"
    value = holder.values.get(key, "")
    language = holder.document.language
    if isinstance(value, datetime.date):
        raise holder.wrong(key, "a string", fix=snippets.setting(language, key, value.isoformat()[:10]))
    text = holder.text(key)
    if text is None:
        return ""
    plain = text.replace("\N{EN DASH}", "-").replace("\N{EM DASH}", "-")
    try:
        if not _DATE.fullmatch(plain):
            raise ValueError
        datetime.date.fromisoformat(plain)
    except ValueError:
        raise holder.wrong(key, 'a date like "2026-01-31"') from None
    if plain != text:
        raise holder.wrong(key, "written with hyphens, not dashes", fix=snippets.setting(language, key, plain))
    return text


def _flag_notice(file_name: str, holder: Table) -> tuple[ConfigWarning, ...]:
    """Only for a file that wrangler reads too: it deploys no Python without the flag."""
    if not file_name.startswith("wrangler.") or "python_workers" in holder.texts("compatibility_flags"):
        return ()
    message = 'Python runs here, and on the platform only with "python_workers" in compatibility_flags.'
    hint = snippets.setting(holder.document.language, "compatibility_flags", ["python_workers"])
    return (ConfigWarning(message, holder.document.location(("compatibility_flags",)), hint),)


# --- names in env -----------------------------------------------------------------------------------------------------
def _taken_names(
    document: Document, bindings: tuple[Binding, ...], services: tuple[ServiceBinding, ...], assets: Assets | None
) -> Taken:
    """Raises ConfigError where two bindings have one name."""
    taken = {binding.name: ("a Durable Object binding", binding.location) for binding in bindings}
    others = [("a service binding", service.name, service.location) for service in services]
    if assets is not None and assets.binding:
        others.append(("the binding of the assets", assets.binding, assets.location))
    for what, name, place in others:
        if name in taken:
            message = (
                f"env.{name} is {what} here and {taken[name][0]} at line {taken[name][1].line}; rename one of them"
            )
            raise error_at(document.text, place, message)
        taken[name] = (what, place)
    return taken


def _refuse_taken_secrets(secrets: Secrets, taken: Taken) -> None:
    for name, (what, location) in taken.items():
        if name in secrets:
            place = secrets[name][1]
            raise ConfigError(
                f"env.{name} is a secret here and {what} in {location}; rename one of them",
                file=place.file,
                line=place.line,
                column=place.column,
            )

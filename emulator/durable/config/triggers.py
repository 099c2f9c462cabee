"""The `[triggers]` table → cron expressions that name a moment, or the field that does not, with a caret below it."""

from __future__ import annotations

from durable import limits
from durable.config import keys, snippets
from durable.config.document import KeyPath, error_at
from durable.config.fields import Table
from durable.config.schema import ConfigWarning, Location
from durable.cron import Cron, MalformedCron
from durable.errors import ConfigError

__all__ = ["read_crons"]


def read_crons(owner: Table, warnings: list[ConfigWarning]) -> tuple[str, ...]:
    """The expressions of `crons` in their order; appends to `warnings`."""
    table = owner.table("triggers")
    warnings += table.unknown_keys(keys.TRIGGERS)
    if isinstance(table.values.get("crons"), str):
        fix = snippets.setting(table.document.language, "crons", [table.values["crons"]])
        raise table.wrong("crons", "an array of strings", fix=fix)
    expressions = table.texts("crons")
    if len(expressions) > limits.CRONS_MAX:
        message = f"a worker has at most {limits.CRONS_MAX} cron triggers; these are {len(expressions)}"
        raise table.error("crons", message, at_key=True)
    for index, expression in enumerate(expressions):
        path = (*table.path, "crons", index)
        try:
            Cron.trigger(expression)
        except MalformedCron as problem:
            raise _refusal(table, path, expression, problem) from None
        if expression in expressions[:index]:
            raise table.document.error(path, f'the cron trigger "{expression}" stands here twice')
    return expressions


def _refusal(table: Table, path: KeyPath, expression: str, problem: MalformedCron) -> ConfigError:
    document = table.document
    place = document.location(path)
    spot = document.spots.get(path)
    # Behind the quote, unless escapes or several lines make the text another than what stands in the file.
    if spot is not None and document.text.startswith(expression, spot.value + 1):
        place = Location(place.file, place.line, place.column + 1 + problem.offset)
    fix = snippets.setting(document.language, "crons", ["*/15 * * * *"])
    return error_at(document.text, place, str(problem), fix=fix)

"""`durable sql`: look into one object, or change it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from durable_cli.commands.object_words import ClassArgument, IdentityOption
from durable_cli.options import JsonOption, Place, with_place

if TYPE_CHECKING:
    from durable_cli.objects.finding import Target
    from durable_cli.sql.output import Form

TABLE_ROWS_MAX: Final = 1_000
"""Rows of a table, or of lines: more cannot be read."""
SQL_BYTES_MAX: Final = 900_000
"""Text that is read from a file; one statement may have 100 000 bytes, and what a running emulator is sent a MiB."""
FORMS: Final[tuple[Form, ...]] = ("json", "csv", "table", "line")
USAGE: Final = 'durable sql CLASS NAME "SQL"'
USAGE_OF_ALL: Final = 'durable sql CLASS --all "SELECT …"'


@with_place
def sql(
    place: Place,
    class_word: ClassArgument,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", show_default=False, help="The object's name. With --id: the SQL.")
    ] = None,
    statement: Annotated[
        str | None, typer.Argument(metavar="SQL", show_default=False, help="What to run. Without it: a shell.")
    ] = None,
    identity: IdentityOption = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="F", show_default=False, help="Read SQL from a file; - is standard input."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Allow statements that change the object.")] = False,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            metavar="VALUE",
            show_default=False,
            help='A value for the next ?, or NAME=VALUE for :NAME. 3, true, null and "3" are JSON, else it is text.',
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Ask every object of the class; _object stands in front of each row.")
    ] = False,
    where_name: Annotated[
        str | None,
        typer.Option("--where-name", metavar="GLOB", show_default=False, help="With --all: objects of such names."),
    ] = None,
    reduce: Annotated[
        str | None,
        typer.Option(
            "--reduce",
            metavar="SQL",
            show_default=False,
            help="With --all: run this on the table rows, which holds what all objects returned.",
        ),
    ] = None,
    json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values on standard output.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Print a table. This is what happens without it.")] = False,
    line: Annotated[bool, typer.Option("--line", help="Print a line for each value, for wide rows.")] = False,
) -> None:
    """Run SQL on one object's database, or with --all on every object's of a class.

    Works with the emulator running and stopped, and wakes nobody. Nothing can be changed without --write, which
    commits all statements or none. An object that does not exist is not created. SELECT * FROM kv shows keys with
    their values decoded. Put -- before names that begin with a dash.

    Example: durable sql Counter home "SELECT * FROM hits WHERE n > ?" -p 2
    """
    from durable.errors import UserInputError
    from durable.limits import INSPECT_ROWS_MAX
    from durable_cli import console
    from durable_cli.sql.parameters import parse_parameters

    form = chosen_form(json=json, csv=csv, table=table, line=line)
    words = [word for word in (name, statement) if word is not None]
    target: Target | None = None
    if every:
        statement = parse_words_of_all(words, identity, write=write, has_file=file is not None)
    elif where_name is not None or reduce is not None:
        raise UserInputError("--where-name and --reduce are for many objects", fix=f"{USAGE_OF_ALL}, and then these")
    else:
        target, statement = parse_words(class_word, words, identity)
    if file is not None:
        if statement is not None:
            raise UserInputError("SQL is given twice: as a word and by --file", fix="leave one of them out")
        statement = _read_file(file)
    values = parse_parameters(parameters or [])
    if statement is None:
        if form is not None or not console.interactive():
            raise UserInputError("without a terminal SQL has to be given", fix=f"{USAGE}, or --file F, or --file -")
        if parameters:
            raise UserInputError("-p gives values to SQL, and there is none", fix=USAGE)
    project = place.open()
    rows_max = INSPECT_ROWS_MAX if form in ("json", "csv") else TABLE_ROWS_MAX
    # Imported here: each is needed by one of the three ways this goes on, and none by --help.
    if statement is None:
        from durable_cli.sql.shell.shell import run_shell

        assert target is not None
        run_shell(project, target, write=write)
    elif target is None:
        from durable_cli.sql.all_objects import run_all

        run_all(
            project, class_word, statement, values,
            where_name=where_name, reduce=reduce, form=form or "table", rows_max=rows_max,
        )  # fmt: skip
    else:
        from durable_cli.sql.one_object import run_sql
        from durable_cli.sql.output import show_results

        results = run_sql(project, target, statement, values, write=write, rows_max=rows_max)
        show_results(results, form or "table")


def chosen_form(**asked: bool) -> Form | None:
    """`chosen_form(json=True, csv=False)` is "json"; None when none was asked for. Raises UserInputError for two."""
    from durable.errors import UserInputError

    chosen: list[Form] = [form for form in FORMS if asked.get(form)]
    if len(chosen) > 1:
        raise UserInputError(
            f"{' and '.join(f'--{form}' for form in chosen)} exclude each other", fix="leave one of them out"
        )
    return chosen[0] if chosen else None


def parse_words_of_all(words: Sequence[str], identity: str | None, *, write: bool, has_file: bool) -> str | None:
    """With --all only SQL follows the class; it may come from a file. Raises UserInputError."""
    from durable.errors import UserInputError

    if identity is not None or len(words) > 1:
        raise UserInputError("--all means every object: there is no NAME and no --id", fix=USAGE_OF_ALL)
    if write:
        raise UserInputError("--all only reads", fix="durable sql CLASS NAME --write, for one object after the other")
    if not words and not has_file:
        raise UserInputError("with --all SQL has to be given", fix=USAGE_OF_ALL)
    return words[0] if words else None


def parse_words(class_word: str, words: Sequence[str], identity: str | None) -> tuple[Target, str | None]:
    """The first word is the object's name unless --id is given; the next one is SQL."""
    from durable.errors import UserInputError
    from durable_cli.objects.finding import Target

    match identity, words:
        case None, []:
            raise UserInputError("which object? Its NAME is missing", fix=f"{USAGE}, or --id HEX instead of NAME")
        case None, [name]:
            return Target(class_word, name=name), None
        case None, [name, statement]:
            return Target(class_word, name=name), statement
        case str(), []:
            return Target(class_word, id=identity), None
        case str(), [statement]:
            return Target(class_word, id=identity), statement
        case _:
            raise UserInputError(
                "with --id there is no NAME: only SQL follows the class", fix=f'durable sql {class_word} --id HEX "SQL"'
            )


def _read_file(file: str) -> str:
    from durable.errors import UserInputError

    if file == "-":
        content = sys.stdin.buffer.read(SQL_BYTES_MAX + 1)
    else:
        with open(Path(file).expanduser(), "rb") as stream:
            content = stream.read(SQL_BYTES_MAX + 1)
    if len(content) > SQL_BYTES_MAX:
        raise UserInputError(f"--file {file} has more than {SQL_BYTES_MAX} bytes", fix="split it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserInputError(f"--file {file} is not UTF-8: byte {error.start}") from error

"""`durable sql`: look into one object, or change it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from durable_cli.options import ConfigOption, EnvironmentOption, JsonOption, PersistOption

if TYPE_CHECKING:
    from durable.errors import DurableError
    from durable_cli.objects import Target
    from durable_cli.project import Project
    from durable_cli.rows import Rows

TABLE_ROWS_MAX: Final = 1_000
"""Rows of a table: more cannot be read."""
SQL_BYTES_MAX: Final = 1_000_000
"""Text that is read from a file; one statement may have 100 000 bytes."""
USAGE: Final = 'durable sql CLASS NAME "SQL"'


def sql(
    class_word: Annotated[str, typer.Argument(metavar="CLASS", help="A class name or a binding name.")],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", show_default=False, help="The object's name. With --id: the SQL.")
    ] = None,
    statement: Annotated[
        str | None, typer.Argument(metavar="SQL", show_default=False, help="What to run. Without it: a shell.")
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option("--id", metavar="HEX", show_default=False, help="The object's 64 hex digits, instead of NAME."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="F", show_default=False, help="Read SQL from a file; - is standard input."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Allow statements that change the object.")] = False,
    json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values on standard output.")] = False,
    config: ConfigOption = None,
    env: EnvironmentOption = None,
    persist_to: PersistOption = None,
) -> None:
    """Run SQL on one object's database.

    Works with the emulator running and stopped. Nothing can be changed without --write, and an object that does not
    exist is not created. Put -- before names that begin with a dash.
    """
    from durable.errors import UserInputError
    from durable.limits import INSPECT_ROWS_MAX
    from durable_cli import console
    from durable_cli.project import open_project

    if json and csv:
        raise UserInputError("--json and --csv exclude each other", fix="leave one of them out")
    target, statement = parse_words(class_word, [word for word in (name, statement) if word is not None], identity)
    if file is not None:
        if statement is not None:
            raise UserInputError("SQL is given twice: as a word and by --file", fix="leave one of them out")
        statement = _read_file(file)
    if statement is None and (json or csv or not console.interactive()):
        raise UserInputError("without a terminal SQL has to be given", fix=f"{USAGE}, or --file F, or --file -")
    project = open_project(config, env, persist_to)
    if statement is None:
        _run_shell(project, target, write=write)
        return
    rows = _run(project, target, statement, write, INSPECT_ROWS_MAX if json or csv else TABLE_ROWS_MAX)
    _print(rows, "json" if json else "csv" if csv else "table")


def parse_words(class_word: str, words: Sequence[str], identity: str | None) -> tuple[Target, str | None]:
    """The first word is the object's name unless --id is given; the next one is SQL."""
    from durable.errors import UserInputError
    from durable_cli.objects import Target

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


def _run(project: Project, target: Target, statement: str, write: bool, rows_max: int) -> Rows:
    from durable_cli.objects import run_sql

    return run_sql(project, target, statement, write=write, rows_max=rows_max)


def _print(rows: Rows, form: str) -> None:
    import shutil

    from durable_cli import console
    from durable_cli.rows import as_csv, as_json, as_table

    match form:
        case "json":
            console.put_data(as_json(rows))
        case "csv":
            console.put_data(as_csv(rows))
        case _ if rows.columns:
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            console.put_data(as_table(rows, colour=console.colour_wanted(sys.stdout), width=width))
        case _:
            pass
    if rows.truncated:
        console.say(f"… there are more than these {len(rows.rows)} rows: narrow the query with WHERE or LIMIT")
    if rows.rows_written:
        console.say(f"{rows.rows_written} row{'s' * (rows.rows_written != 1)} written")
    elif not rows.columns:
        console.say("done")
    elif not rows.rows and form == "table":
        console.say("no rows")


def _run_shell(project: Project, target: Target, *, write: bool) -> None:
    # readline edits lines by being imported; where it is missing, lines are typed plainly.
    import contextlib
    import importlib

    from durable_cli import console, report
    from durable_cli.sql_shell import HELP, Shell

    with contextlib.suppress(ImportError):
        importlib.import_module("readline")

    def show_error(error: DurableError) -> None:
        console.say(report.render(report.explain(error), console.stderr_ink()))

    # Asked before the first prompt, so that a name that does not exist is told at once.
    _run(project, target, "SELECT 1", False, 1)
    console.say(HELP if write else f"{HELP}\nRead-only; start with --write to change something.")
    shell = Shell(
        _read_line,
        lambda statement: _run(project, target, statement, write, TABLE_ROWS_MAX),
        show=lambda rows: _print(rows, "table"),
        show_text=console.say,
        show_error=show_error,
    )
    shell.loop(f"{target}> ")


def _read_line(prompt: str) -> str:
    if sys.stdout.isatty():
        return input(prompt)
    # Rows go into a file: input() would write the prompt there too.
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return input()

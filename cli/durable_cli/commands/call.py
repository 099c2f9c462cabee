"""`durable call`: one method of one object, called as the program's own code calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from durable_cli.commands.object_words import ClassArgument, IdentityOption
from durable_cli.options import JsonOption, Place, with_place

if TYPE_CHECKING:
    from durable_cli.objects.calling import CallFailedError
    from durable_cli.objects.finding import Target

USAGE: Final = "durable call CLASS NAME METHOD [JSON …]"


@with_place
def call(
    place: Place,
    class_word: ClassArgument,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME METHOD [JSON …]", show_default=False,
            help="The object's name, the method, and its arguments: JSON, or name=JSON. With --id: no NAME.",
        ),
    ] = None,
    identity: IdentityOption = None,
    create: Annotated[bool, typer.Option("--create", help="Also call an object that has stored nothing yet.")] = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Call a method of an object, and print what it returns.

    This wakes the object and runs your code, with the gates and limits of any call. Without a running emulator the
    program is started for this one call, and alarms that are due by then may run, too. What the method raises is told
    as durable dev tells it, and the command ends with 5. Bytes and other values that JSON lacks are written as objects
    such as {"$bytes": "AP8="}, both ways. Put -- before CLASS when a word after it begins with a dash.

    Example: durable call Counter home increment 2
    """
    from durable_cli import console, exit_codes, report
    from durable_cli.objects.calling import CallFailedError, parse_arguments
    from durable_cli.objects.calling import call as call_method

    target, method, rest = parse_words(class_word, words or [], identity)
    arguments = parse_arguments(rest)
    project = place.open()
    try:
        result = call_method(project, target, method, arguments, create=create)
    except CallFailedError as error:
        if json:
            console.put_json({"error": _facts(error)}, ascii_only=False)
        else:
            width = console.terminal_width()
            console.say(report.render_failure(error.report, console.stderr_ink(), width=width))
        raise typer.Exit(exit_codes.USER_CODE) from None
    if json:
        console.put_json(result, ascii_only=False)
    elif result is not None:
        console.put_data(result_text(result))


def parse_words(class_word: str, words: Sequence[str], identity: str | None) -> tuple[Target, str, Sequence[str]]:
    """The first word is the object's name unless --id is given; the next one is the method."""
    from durable.errors import UserInputError
    from durable_cli.objects.finding import Target

    name = None if identity is not None or not words else words[0]
    rest = words if identity is not None else words[1:]
    if identity is None and name is None:
        raise UserInputError("which object? Its NAME is missing", fix=USAGE)
    if not rest:
        raise UserInputError("which method? It is missing", fix=USAGE)
    return Target(class_word, name=name, id=identity), rest[0], rest[1:]


def result_text(result: Any) -> str:
    """Text as it is, everything else as JSON over several lines; harmless on a terminal."""
    import json as encoder

    from durable_cli.console import printable

    text = result if isinstance(result, str) else encoder.dumps(result, indent=2, ensure_ascii=False)
    return printable(text, keep="\n\t")


def _facts(error: CallFailedError) -> object:
    from durable.gateway.error_page import facts

    return error.facts or facts(error.report)

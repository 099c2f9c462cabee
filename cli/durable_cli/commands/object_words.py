"""How an object is named on the command line, with one wording for every command that takes one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from durable_cli.objects.finding import Target

NameArgument = Annotated[str | None, typer.Argument(metavar="NAME", show_default=False, help="The object's name.")]
ClassArgument = Annotated[str, typer.Argument(metavar="CLASS", help="A class name or a binding name.")]
AnyClassArgument = Annotated[
    str | None, typer.Argument(metavar="CLASS", show_default=False, help="A class name or a binding name.")
]
IdentityOption = Annotated[
    str | None,
    typer.Option("--id", metavar="HEX", show_default=False, help="The object's 64 hex digits, instead of NAME."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Put it in the place of an object that exists, whose state can be restored.")
]


def target_of(class_word: str, name: str | None, identity: str | None, usage: str) -> Target:
    """Raises UserInputError, with `usage`, for none or two ways of naming an object."""
    from durable.errors import UserInputError

    target = optional_target(class_word, name, identity, usage)
    if target is None:
        raise UserInputError("which object? Its NAME is missing", fix=f"{usage}, or --id HEX instead of NAME")
    return target


def optional_target(class_word: str, name: str | None, identity: str | None, usage: str) -> Target | None:
    """None for no object at all. Raises UserInputError for two ways of naming one."""
    from durable.errors import UserInputError
    from durable_cli.objects.finding import Target

    if name is not None and identity is not None:
        raise UserInputError("an object is named by either NAME or --id", fix=usage)
    return None if name is None and identity is None else Target(class_word, name=name, id=identity)


def confirm(question: str, answer: str, *, yes: bool) -> None:
    """Have a human type `answer`, unless `yes`. Raises UserInputError for any other, and where nobody can be asked."""
    from durable.errors import UserInputError
    from durable_cli import console

    if yes:
        return
    if not console.interactive():
        raise UserInputError(f"{question} Nobody can be asked here", fix="add --yes to do it without asking")
    expected = console.printable(answer)
    # Not input(): with readline it writes the question to standard output.
    sys.stderr.write(f"{question} Type {expected} to do it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != expected.strip():
        raise UserInputError("that is something else; nothing was changed")

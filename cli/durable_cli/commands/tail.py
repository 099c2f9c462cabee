"""`durable tail`: what a running `durable dev` tells, in another terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from durable_cli.commands.object_words import IdentityOption
from durable_cli.options import Place, with_place


@with_place
def tail(
    place: Place,
    class_word: Annotated[
        str | None,
        typer.Argument(metavar="[CLASS]", show_default=False, help="Only this class, by its name or a binding's."),
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", show_default=False, help="Only the object of this name.")
    ] = None,
    identity: IdentityOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line, as dev --log-format json has.")
    ] = False,
    errors: Annotated[bool, typer.Option("--errors", help="Only what went wrong.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also sockets, objects that wake and leave, whole tracebacks.")
    ] = False,
) -> None:
    """Follow what a running emulator tells: of everything, of one class or of one object.

    For a running emulator; reloads and crashes of your code do not end it. Ctrl+C does. Put -- before names that begin
    with a dash, and options before that.
    """
    from durable_cli import console
    from durable_cli.tailing import TailText, follow

    question = _question(class_word, name, identity) | {
        word: "1" for word, is_wanted in (("errors", errors), ("verbose", verbose)) if is_wanted
    }
    project = place.open()
    text = TailText(console.stdout_ink(), json=json, verbose=verbose, say=console.say)
    try:
        for each in text.of(follow(project, question), _what(class_word, name, identity, project.config.name)):
            console.put_data(each)
    except KeyboardInterrupt:
        if console.interactive():
            console.say()  # below the ^C that the terminal shows


def _question(class_word: str | None, name: str | None, identity: str | None) -> dict[str, str]:
    from durable.errors import UserInputError

    if name is not None and identity is not None:
        raise UserInputError("an object is named by either NAME or --id", fix="durable tail CLASS NAME")
    if identity is not None and class_word is None:
        raise UserInputError("which class? --id names an object of one", fix="durable tail CLASS --id HEX")
    words = {"class": class_word, "name": name, "id": identity}
    return {key: word for key, word in words.items() if word is not None}


def _what(class_word: str | None, name: str | None, identity: str | None, project: str) -> str:
    from durable_cli.objects.finding import Target

    if class_word is None:
        return project
    return str(Target(class_word, name=name, id=identity)).rstrip()

"""`durable objects`: what is stored, object by object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from durable_cli.options import ConfigOption, EnvironmentOption, JsonOption, PersistOption

if TYPE_CHECKING:
    from durable_cli.objects import Target

app = typer.Typer(help="Work on whole objects.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def objects() -> None:
    """Work on whole objects."""


@app.command()
def restore(
    class_word: Annotated[str, typer.Argument(metavar="CLASS", help="A class name or a binding name.")],
    name: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False, help="The object's name.")] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME|BOOKMARK", show_default=False,
            help="To when: -10m, '2 hours ago', 2026-01-31T12:00:00, milliseconds, or a bookmark."
            " Without it: what can be restored.",
        ),
    ] = None,
    identity: Annotated[
        str | None,
        typer.Option("--id", metavar="HEX", show_default=False, help="The object's 64 hex digits, instead of NAME."),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    env: EnvironmentOption = None,
    persist_to: PersistOption = None,
) -> None:  # fmt: skip
    """Bring an object back to an earlier state.

    Works with the emulator running and stopped. Nothing is lost by it: the bookmark that undoes the restore is shown.
    Put -- before names that begin with a dash.
    """
    import json as encoder

    from durable_cli import console
    from durable_cli.moments import parse_at
    from durable_cli.project import load_project, tell_warnings
    from durable_cli.restoring import restore as bring_back

    target = _target(class_word, name, identity)
    moment = parse_at(at) if at is not None else None
    project = load_project(config, env, persist_to)
    tell_warnings(project)
    answer = bring_back(project, target, moment)
    if json:
        console.put_data(encoder.dumps(answer))
    elif moment is None:
        console.put_data(_reach_text(answer))
    else:
        console.say(_restored_text(answer, target))


def _target(class_word: str, name: str | None, identity: str | None) -> Target:
    from durable.errors import UserInputError
    from durable_cli.objects import Target

    usage = "durable objects restore CLASS NAME --at TIME"
    if name is None and identity is None:
        raise UserInputError("which object? Its NAME is missing", fix=f"{usage}, or --id HEX instead of NAME")
    if name is not None and identity is not None:
        raise UserInputError("an object is named by either NAME or --id", fix=usage)
    return Target(class_word, name=name, id=identity)


def _reach_text(answer: dict[str, object]) -> str:
    from durable_cli.moments import shown_bytes, shown_moment

    segments = answer["segments"]
    rows = [
        ("oldest", shown_moment(answer["oldest_ms"])),
        ("newest", shown_moment(answer["newest_ms"])),
        ("bookmark", str(answer["bookmark"])),
        ("history", f"{shown_bytes(answer['bytes'])} in {segments} segment{'s' * (segments != 1)}"),
    ]
    return "\n".join(f"{label:<10}{value}" for label, value in rows)


def _restored_text(answer: dict[str, object], target: Target) -> str:
    from durable_cli.moments import shown_bytes, shown_moment

    return (
        f"{target} is as it was at {shown_moment(answer['moment_ms'])} ({shown_bytes(answer['bytes'])}),"
        f" bookmark {answer['restored']}\n"
        f"to undo this: {target.command('durable objects restore', '--at', str(answer['undo']))}"
    )

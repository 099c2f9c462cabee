"""The `durable` command: its options and commands, and every exception → words and an exit code.

This file imports typer and nothing else that is slow; a command imports what it needs when it runs. Start-up time is a
promise (`durable dev` serves after half a second), and completion runs this file at every press of Tab.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final, Protocol, runtime_checkable

import typer
from typer.main import get_command

_COMMANDS: Final = ("init", "dev", "tail", "migrate", "sql", "call", "shell", "doctor", "objects", "alarms")


def _show_version(wanted: bool) -> None:
    if wanted:
        from durable import __version__

        typer.echo(f"durable {__version__}")
        raise typer.Exit


def durable(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Durable Objects for Python, on your own machine."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def application(word: str = "") -> typer.Typer:
    """The program with its command of this name alone, or with all of them: each takes milliseconds to describe."""
    app = typer.Typer(
        name="durable",
        help="Durable Objects for Python, on your own machine.",
        # Plain help: the boxes of rich cost 60 ms and are unreadable in a pipe.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(durable)
    for name in (word,) if word in _COMMANDS else _COMMANDS:
        module = import_module(f"durable_cli.commands.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command()(getattr(module, name))
    return app


@runtime_checkable
class _UsageMistake(Protocol):
    """Typer's exceptions about what was typed; they live in click or, since 0.2x, in typer's own copy of it."""

    exit_code: int

    def format_message(self) -> str: ...


def main(arguments: Sequence[str] | None = None, *, platform: str = sys.platform) -> int:
    """Run the command line and return the exit code; `arguments` None means those of the process."""
    from durable_cli import console

    console.settle_streams()
    try:
        _check_surroundings(platform)
        if os.environ.get("DURABLE_FAILPOINTS"):
            _arm_failpoints()
        words = list(sys.argv[1:] if arguments is None else arguments)
        command = get_command(application(words[0] if words else ""))
        if words[:1] == ["dev"]:
            from durable_cli.commands.dev import with_debug_port

            words = with_debug_port(words)
        code = command.main(words, prog_name="durable", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as error:
        # Typer ends itself with 1 when whoever read the help has seen enough; 1 is for bugs of ours.
        return error.code if isinstance(error.code, int) and error.code != 1 else 0
    except (KeyboardInterrupt, typer.Abort):
        console.say()
        return 130
    except Exception as error:
        return _report(error)


def _check_surroundings(platform: str) -> None:
    if platform == "win32":
        from durable.errors import UserInputError

        raise UserInputError(
            "durable does not run on Windows itself: it needs Unix sockets and file locks",
            fix="use WSL 2 (https://learn.microsoft.com/windows/wsl/install), and install and run durable inside it",
        )
    try:
        os.getcwd()
    except FileNotFoundError:
        from durable.errors import UserInputError

        raise UserInputError("the current folder no longer exists", fix="cd to a folder that does") from None


def _arm_failpoints() -> None:
    from durable.failpoints import arm_from_environment

    arm_from_environment()


def _report(error: Exception) -> int:
    # Imported here: only a failure needs it.
    from durable_cli import console, report

    if isinstance(error, _UsageMistake):
        usage = _usage_line(error)
        explanation = report.Explanation(error.format_message(), fix=usage, code=error.exit_code)
    else:
        explanation = report.explain(error)
    console.say(report.render(explanation, console.stderr_ink()))
    return explanation.code


def _usage_line(error: object) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context is not None else "durable --help"


if __name__ == "__main__":
    sys.exit(main())

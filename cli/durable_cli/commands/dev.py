"""`durable dev`: run the project and reload it when it is saved."""

from __future__ import annotations

import contextlib
import gc
import itertools
import signal
from collections.abc import Generator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from durable_cli.options import EnvironmentOption, PersistOption

DEBUG_PORT: Final = 5678
"""Where editors look for debugpy when nobody says anything else (code.visualstudio.com/docs/python/debugging)."""


class LogFormat(StrEnum):
    """Lines for people, or one JSON object per line."""

    pretty = "pretty"
    json = "json"


def dev(
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config", "-c", metavar="FILE", show_default=False,
            help="The configuration file. Repeat it for workers that this one is bound to: the first has the port. "
            "Default: the nearest durable.toml, wrangler.toml or wrangler.jsonc upward.",
        ),
    ] = None,
    env: EnvironmentOption = None,
    ip: Annotated[
        str | None,
        typer.Option("--ip", metavar="IP", show_default=False, help="Address to listen on. Default: 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", "-p", metavar="N", min=0, max=65535, show_default=False,
            help="Port; 0 takes a free one. Default: 8787.",
        ),
    ] = None,
    persist_to: PersistOption = None,
    hosts: Annotated[
        int | None,
        typer.Option(
            "--hosts", metavar="N", min=1, show_default=False,
            help="Processes that run your code. Default: 1.",
        ),
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option("--var", metavar="K=V", show_default=False, help="Set a variable of env to a text; repeatable."),
    ] = None,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Do not watch the project's files.")] = False,
    drop_sockets: Annotated[
        bool,
        typer.Option("--drop-sockets", help="A reload ends every WebSocket, as a deployment does in production."),
    ] = False,
    keep_accepted: Annotated[
        bool,
        typer.Option(
            "--keep-accepted", help="A reload keeps accept()ed WebSockets, too, and has the new code accept them again."
        ),
    ] = False,
    debug: Annotated[
        int | None,
        typer.Option(
            "--debug", metavar="[PORT]", min=0, max=65535, show_default=False,
            help="Let an editor attach with debugpy. PORT: 5678; further hosts take the next ones.",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            "--log-format", metavar="pretty|json", show_default=False,
            help="Lines for people, or a JSON object per line. Default: pretty.",
        ),
    ] = LogFormat.pretty,
    python: Annotated[
        str | None,
        typer.Option(
            "--python", metavar="P", show_default=False,
            help="Python that runs your code. Default: .venv beside the configuration, then durable's own.",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No lines for requests and alarms; errors stay.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also sockets, objects that wake and leave, whole tracebacks.")
    ] = False,
) -> None:  # fmt: skip
    """Run the project, and reload it at every save.

    Prints one line `Ready on http://127.0.0.1:8787` on standard output when it serves; everything else goes to
    standard error. Ctrl+C lets running events finish and stops; a second Ctrl+C stops at once.
    """
    with _start_up():
        from durable.errors import UserInputError
        from durable.supervisor.spawner import HostSpawner
        from durable_cli import console
        from durable_cli.interpreter import choose_interpreter
        from durable_cli.project import TypedSettings, load_projects

        if quiet and verbose:
            raise UserInputError("--quiet and --verbose exclude each other", fix="leave one of them out")
        if drop_sockets and keep_accepted:
            raise UserInputError("--drop-sockets and --keep-accepted exclude each other", fix="leave one of them out")
        projects = load_projects(
            config or (),
            env,
            persist_to,
            variables=parse_variables(var or ()),
            settings=TypedSettings(ip, port, hosts),
        )
        interpreters = [choose_interpreter(python, project.config.root) for project in projects]
        if debug is not None:
            from durable_cli.interpreter import check_debugpy

            for path in {interpreter.path: interpreter for interpreter in interpreters}.values():
                check_debugpy(path)
        terminal = log_format is LogFormat.pretty and console.interactive()
        numbers = itertools.count(1)
        with contextlib.ExitStack() as spawners:
            started = [
                spawners.enter_context(
                    HostSpawner(
                        project.state,
                        project.config.root,
                        python=interpreter.path,
                        terminal=terminal,
                        debug=debug is not None,
                        numbers=numbers,
                    )
                )
                for project, interpreter in zip(projects, interpreters, strict=True)
            ]
            for project, spawner in zip(projects, started, strict=True):
                spawner.begin(project.config.dev.hosts)
            # From here on hosts boot in the time that our own imports take.
            from durable_cli.dev.serving import serve
            from durable_cli.dev.worker_run import Options, Worker

            options = Options(
                reload=not no_reload,
                sockets_on_reload="drop" if drop_sockets else "rebind" if keep_accepted else "keep",
                json=log_format is LogFormat.json,
                debug_port=debug,
                quiet=quiet,
                verbose=verbose,
            )
            serve([Worker(*parts) for parts in zip(projects, interpreters, started, strict=True)], options)


def with_debug_port(words: Sequence[str]) -> list[str]:
    """The command line with the port that `--debug` has when none is typed: typer knows no optional value."""
    spelt: list[str] = []
    for index, word in enumerate(words):
        spelt.append(word)
        if word == "--debug" and words[0] == "dev" and not "".join(words[index + 1 : index + 2]).isdecimal():
            spelt.append(str(DEBUG_PORT))
    return spelt


@contextlib.contextmanager
def _start_up() -> Generator[None]:
    """Until the event loop takes the signals over there is nothing to drain: being stopped is success."""
    before = {number: signal.signal(number, _stop_before_start) for number in (signal.SIGINT, signal.SIGTERM)}
    gc.disable()  # imports allocate a lot and free nothing; it is switched on again when the program serves
    try:
        yield
    finally:
        gc.enable()
        for number, handler in before.items():
            signal.signal(number, handler)


def parse_variables(words: Sequence[str]) -> dict[str, object]:
    """`["GREETING=hello"]` → `{"GREETING": "hello"}`; values are text. Raises UserInputError for a word without `=`."""
    from durable.errors import UserInputError

    variables: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UserInputError(f"--var {word}: a variable is NAME=VALUE", fix=f"--var {name or 'NAME'}=value")
        variables[name] = value
    return variables


def _stop_before_start(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)

"""Where a command works: the configuration and the state beside it, reached through the running emulator or the lock.

One rule for every tool: whoever holds the lock may open the files; whoever does not asks the process that does.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from durable import config as configuration
from durable import limits
from durable.config import Config, ConfigWarning, DevSettings
from durable.errors import StateInUseError, UserInputError
from durable_cli import console
from durable_cli.report import shown_path

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout
    from durable_cli.client import Client

STATE_FOLDER: Final = ".durable"
IN_USE_TRIES: Final = 20
IN_USE_PAUSE_SECONDS: Final = 0.1
"""An emulator that is starting holds the lock before it listens, one that is stopping after; 2 s bridge both."""

_IP_WORDS: Final = {"localhost": "127.0.0.1", "*": "0.0.0.0"}
"""What wrangler takes for addresses, in the file as well."""

Result = TypeVar("Result")


class TypedSettings(Struct, frozen=True):
    """Keys of [dev] that the command line replaces; None keeps what the file says."""

    ip: str | None = None
    port: int | None = None
    hosts: int | None = None

    def over(self, dev: DevSettings) -> DevSettings:
        """Raises UserInputError for what a file could not say either."""
        ip = _IP_WORDS.get(self.ip or "", self.ip)
        hosts = dev.hosts if self.hosts is None else self.hosts
        if hosts > limits.HOSTS_MAX:
            raise UserInputError(f"--hosts {hosts}: at most {limits.HOSTS_MAX} processes", fix="--hosts 2")
        try:
            ipaddress.ip_address(dev.ip if ip is None else ip)
        except ValueError:
            raise UserInputError(f"--ip {ip}: not an IP address", fix="--ip 127.0.0.1, or --ip 0.0.0.0") from None
        return replace(
            dev, ip=dev.ip if ip is None else ip, port=dev.port if self.port is None else self.port, hosts=hosts
        )


class Project(Struct, frozen=True):
    """A configuration and the folder that `--persist-to` replaces as a whole."""

    config: Config
    folder: Path
    read_again: Callable[[], Config]
    """The same file, with the same words of the command line laid over it."""

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def run(self) -> Path:
        return self.folder / "run"


def load_project(
    file: Path | None,
    environment: str | None,
    persist_to: Path | None,
    *,
    variables: Mapping[str, object] | None = None,
    settings: TypedSettings | None = None,
) -> Project:
    """Read the configuration. `variables` are laid over [vars]."""

    def read(path: Path | None) -> Config:
        loaded = configuration.load(path, environment=environment, overrides=variables or {})
        return replace(loaded, dev=(settings or TypedSettings()).over(loaded.dev))

    config = read(file)
    folder = persist_to.expanduser().absolute() if persist_to is not None else config.root / STATE_FOLDER
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise UserInputError(
            f"{folder} cannot hold state: SQLite takes UTF-8 paths only",
            fix="rename the folder, or use --persist-to DIR",
        ) from None
    return Project(config, folder, lambda: read(config.path))


def load_projects(
    files: Sequence[Path],
    environment: str | None,
    persist_to: Path | None,
    *,
    variables: Mapping[str, object] | None = None,
    settings: TypedSettings | None = None,
) -> list[Project]:
    """The projects of one `durable dev`: the first file is as for `load_project`, the others are workers beside it.

    Those listen on free ports, and below --persist-to have a folder of their name. Raises UserInputError for two that
    would share a name or a state.
    """
    settings = settings or TypedSettings()
    projects = [
        load_project(files[0] if files else None, environment, persist_to, variables=variables, settings=settings)
    ]
    for file in files[1:]:
        beside = replace(settings, port=0, ip=settings.ip or projects[0].config.dev.ip)
        project = load_project(file, environment, None, variables=variables, settings=beside)
        if persist_to is not None:
            project = replace(project, folder=projects[0].folder / project.config.name)
        for other in projects:
            _refuse_alike(project, other)
        projects.append(project)
    return projects


def _refuse_alike(project: Project, other: Project) -> None:
    config, path = project.config, shown_path(project.config.path)
    if config.path == other.config.path:
        raise UserInputError(f"-c {path} is given twice", fix=f"leave one -c {path} out")
    if config.name == other.config.name:
        raise UserInputError(
            f'both {shown_path(other.config.path)} and {path} are the worker "{config.name}"; '
            "bindings could not tell them apart",
            fix='give one of them another "name"',
        )
    if project.folder == other.folder:
        raise UserInputError(
            f"{shown_path(other.config.path)} and {path} would both keep their state in {shown_path(project.folder)}",
            fix="move one of them to a folder of its own, or use --persist-to DIR, where each gets one",
        )


def open_project(file: Path | None, environment: str | None, persist_to: Path | None) -> Project:
    """As `load_project`, for a command that only uses it: what is doubtful in it is told at once."""
    project = load_project(file, environment, persist_to)
    tell_warnings(project)
    return project


def tell_warnings(project: Project) -> None:
    """What is probably not meant in the configuration, for the human."""
    ink = console.stderr_ink()
    for warning in project.config.warnings:
        console.say(f"{ink.paint('warning:', 'yellow', 'bold')} {warning_text(warning)}")


def warning_text(warning: ConfigWarning) -> str:
    """`durable.toml:3:1: "nmae" is not a setting. Did you mean "name"?`"""
    location = warning.location
    place = shown_path(location.file) + (f":{location.line}:{location.column}" if location.line else "")
    return console.printable(f"{place}: {warning.message} {warning.hint}".rstrip(), keep="\n")


def with_state(
    project: Project,
    what: str,
    *,
    on_files: Callable[[StateLayout], Result],
    on_emulator: Callable[[Client], Result],
    on_lock: Callable[[int], None] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Result:
    """Take the lock and call `on_files`, or, when an emulator holds it, call `on_emulator`.

    `what` names us to others while we hold it; `on_lock` is told its descriptor, for processes that inherit it.
    Raises StateInUseError when the holder is no emulator that answers.
    """
    # Imported here: `durable dev` loads this file and needs none of them.
    from durable.storage.layout import StateLayout
    from durable.storage.lock import StateLock
    from durable_cli.emulator_address import NotRunningError, find_emulator

    tries = 0
    while True:
        try:
            lock = StateLock.acquire(project.state, what=what)
        except StateInUseError as error:
            tries += 1
            emulator = find_emulator(project.run)
            # An address that an earlier emulator left may be someone else's by now: only the holder gets the token.
            if emulator is not None and error.holder.startswith(f"pid {emulator.pid} "):
                from durable_cli.client import Client

                try:
                    client = Client(emulator)
                    _check_environment(client, project.config.environment)
                    return on_emulator(client)
                except NotRunningError:
                    pass
            if error.has_ended or tries >= IN_USE_TRIES:
                raise
            pause(IN_USE_PAUSE_SECONDS)
        else:
            try:
                if on_lock is not None:
                    on_lock(lock.fd)
                return on_files(StateLayout(project.state))
            finally:
                lock.release()


def _check_environment(client: Client, wanted: str | None) -> None:
    """An emulator serves one environment; asking it about another would answer with the wrong objects."""
    serving = client.get("/__durable/status").get("environment")
    if serving != wanted:
        named = f"the environment {serving}" if serving is not None else "no environment"
        raise UserInputError(
            f"the running emulator serves {named}, and {wanted or 'none'} was asked for",
            fix=f"add --env {serving}, or stop it" if serving is not None else "leave --env out, or stop it",
        )

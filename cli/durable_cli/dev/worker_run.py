"""One worker of a run of `durable dev`: its emulator, and its lines of the log, which carry its name among several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from msgspec import Struct

from durable import __version__
from durable.emulator import Emulator
from durable.gateway.neighbours import Neighbours
from durable.supervisor.debug_ports import LOOPBACK
from durable.supervisor.events import ConfigRejected, Reloaded, ReloadFailed
from durable.supervisor.spawner import HostSpawner
from durable_cli import console, exit_codes, report
from durable_cli.dev.bindings import bindings_rows, bindings_table
from durable_cli.dev.request_log import RequestLog, Writer
from durable_cli.interpreter import Interpreter
from durable_cli.project import Project, tell_warnings, warning_text
from durable_cli.text.events import JsonFormatter, PrettyFormatter

if TYPE_CHECKING:
    from durable.gateway.accepted_sockets import OnReload


class Options(Struct, frozen=True):
    """What was typed after `durable dev` that is not a setting of the configuration."""

    reload: bool = True
    sockets_on_reload: OnReload = "keep"
    json: bool = False
    debug_port: int | None = None
    quiet: bool = False
    verbose: bool = False


class Worker(Struct, frozen=True):
    """What one `-c` has led to: a configuration, the Python that runs its code, and the hosts that boot already."""

    project: Project
    interpreter: Interpreter
    spawner: HostSpawner


class WorkerRun:
    """Made in a running loop."""

    def __init__(
        self,
        worker: Worker,
        options: Options,
        *,
        label: str,
        debug_port: int | None,
        neighbours: Neighbours,
        writer: Writer,
        hear: Callable[[WorkerRun, object], None],
    ) -> None:
        """`label` is in front of its lines, "" where there is only one worker; `hear` is told every event after the
        log was."""
        self.worker = worker
        self.load_failure = exit_codes.DONE
        """The exit code for what keeps the program from being loaded, while that is so."""
        self._verbose = options.verbose
        self._hear = hear
        self._ink = console.stderr_ink()
        self.json = JsonFormatter(quiet=options.quiet, verbose=options.verbose) if options.json else None
        self.pretty = PrettyFormatter(self._ink, quiet=options.quiet, verbose=options.verbose, watching=options.reload)
        self.pretty.width = console.terminal_width
        self.log = RequestLog(self.json or self.pretty, writer, asyncio.get_running_loop().call_later)
        self.emulator = Emulator(
            worker.project.config,
            worker.spawner,
            reread=worker.project.read_again,
            watch=options.reload,
            on_reload=options.sockets_on_reload,
            verbose=options.verbose,
            on_event=self._on_event,
            debug_port=debug_port,
            neighbours=neighbours,
        )
        for formatter in (self.json, self.pretty):
            if formatter is not None:
                formatter.clock = self.emulator.clock_mark
                formatter.worker = label

    def _on_event(self, event: object) -> None:
        match event:
            case ReloadFailed(serving=0):
                self.load_failure = exit_codes.USER_CODE
            case ConfigRejected(serving=0):
                self.load_failure = exit_codes.USAGE
            case Reloaded():
                self.load_failure = exit_codes.DONE
            case _:
                pass
        self._hear(self, event)

    # --- words --------------------------------------------------------------------------------------------------------
    def tell_bindings(self, started: Collection[str]) -> None:
        """What it is and what its code finds; `started` are the names of all workers."""
        project = self.worker.project
        config = project.config
        if self.json is not None:
            rows = bindings_rows(config, started)
            bindings = [{"name": name, "kind": kind, "what": what} for name, kind, what in rows]
            warnings = [warning_text(warning) for warning in (*config.warnings, *config.notices)]
            self.log.say(
                self.json.line("starting", version=__version__, name=config.name, bindings=bindings, warnings=warnings)
            )
            return
        tell_warnings(project)
        for notice in config.notices:
            console.say(f"{self._ink.paint('note:', 'cyan', 'bold')} {warning_text(notice)}")
        heading = f"{self._ink.paint(f'durable {__version__}', 'bold')}  {config.name}"
        if config.environment is not None:
            heading += f" [{config.environment}]"
        lines = [
            f"{heading}  {self._ink.paint(report.shown_path(config.path), 'dim')}",
            bindings_table(config, self._ink, started),
        ]
        if self._verbose:
            lines.append(f"  Python: {self.worker.interpreter.path} ({self.worker.interpreter.reason})")
        self.log.say("\n".join(lines))
        self.log.flush()

    def tell_debug_ports(self) -> None:
        ports = self.emulator.debug_ports
        if ports and self.json is not None:
            self.log.say(self.json.line("debug", ip=LOOPBACK, ports=ports))
        elif ports:
            shown = ", ".join(f"{LOOPBACK}:{port}" for port in ports)
            self.log.say(self.pretty.marked(self._ink.paint(f"debugpy waits for your editor on {shown}", "cyan")))

    def tell_address(self) -> None:
        """Where a worker serves that is not the first: its own port, for our tools and for whoever wants to ask it."""
        if self.json is not None:
            self.log.say(self.json.line("ready", url=self.emulator.url))
        else:
            self.log.say(self.pretty.marked(self._ink.paint(f"serves on {self.emulator.url}", "green")))

"""One run of `durable dev`: the emulator, the log, the keys and the signals, from the first process to the last.

Decides nothing about serving or reloading; that is the emulator's. Owns the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import typer
import uvloop

from durable import __version__
from durable.emulator import Emulator
from durable.gateway.deferred_client import defer_client
from durable.limits import GC_YOUNG_OBJECTS
from durable.supervisor.debug_ports import LOOPBACK
from durable.supervisor.events import ConfigRejected, DebuggerContinued, Reloaded, ReloadFailed
from durable.supervisor.spawner import HostSpawner
from durable_cli import console, exit_codes, report
from durable_cli.bindings import bindings_rows, bindings_table
from durable_cli.event_text import JsonFormatter, PrettyFormatter
from durable_cli.hotkeys import Hotkeys
from durable_cli.interpreter import Interpreter
from durable_cli.keys import Keys
from durable_cli.project import Project, tell_warnings, warning_text
from durable_cli.request_log import BackgroundWriter, RequestLog
from durable_cli.terminal_handover import TerminalHandover

if TYPE_CHECKING:
    from durable.gateway.accepted_sockets import OnReload

CLEAR_SCREEN: Final = "\x1b[2J\x1b[3J\x1b[H"
"""Erase what is seen, erase what was scrolled away, go to the first line (ECMA-48, xterm)."""


@dataclass(frozen=True)
class Options:
    """What was typed after `durable dev` that is not a setting of the configuration."""

    reload: bool = True
    sockets_on_reload: OnReload = "keep"
    json: bool = False
    debug_port: int | None = None
    quiet: bool = False
    verbose: bool = False


def serve(project: Project, interpreter: Interpreter, spawner: HostSpawner, options: Options) -> None:
    """Run until Ctrl+C or SIGTERM. Raises what kept it from starting."""
    defer_client()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(project, interpreter, spawner, options))


async def _serve(project: Project, interpreter: Interpreter, spawner: HostSpawner, options: Options) -> None:
    run = _Run(project, interpreter, spawner, options)
    run.listen_to_signals()
    await run.serve()


class _Run:
    def __init__(self, project: Project, interpreter: Interpreter, spawner: HostSpawner, options: Options) -> None:
        self._project = project
        self._options = options
        self._interpreter = interpreter
        self._loop = asyncio.get_running_loop()
        self._ink = console.stderr_ink()
        self._json = JsonFormatter(quiet=options.quiet, verbose=options.verbose) if options.json else None
        self._writer = BackgroundWriter(sys.stderr)
        self._pretty = PrettyFormatter(self._ink, quiet=options.quiet, verbose=options.verbose, watching=options.reload)
        self._pretty.width = console.terminal_width
        self._log = RequestLog(self._json or self._pretty, self._writer, self._loop.call_later)
        self._emulator = Emulator(
            project.config,
            spawner,
            reread=project.read_again,
            watch=options.reload,
            on_reload=options.sockets_on_reload,
            verbose=options.verbose,
            on_event=self._on_event,
            debug_port=options.debug_port,
        )
        for formatter in (self._json, self._pretty):
            if formatter is not None:
                formatter.clock = self._emulator.clock_mark
        self._stop = asyncio.Event()
        self._started = False
        self._ready_told = False
        self._load_failure = exit_codes.DONE
        self._keys = Keys(self._emulator, self, self._ink, stop=self._ask_to_stop) if self._has_keys() else None
        self._terminal = Hotkeys(self._keys.table if self._keys is not None else {})
        self._handover = TerminalHandover(self._terminal, self._log, self._writer) if self._has_keys() else None

    # --- from start to end --------------------------------------------------------------------------------------------
    async def serve(self) -> None:
        starting = asyncio.ensure_future(self._emulator.start())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            # One turn of the loop: the host's process is born before we spend time on words.
            await asyncio.sleep(0)
            self._tell_bindings()
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                self._tell_start()
                with self._terminal:
                    await stopping
        finally:
            stopping.cancel()
            starting.cancel()
            await asyncio.gather(starting, stopping, return_exceptions=True)
            await self._emulator.stop()
            self._log.flush()
            self._writer.close()

    def _tell_start(self) -> None:
        self._started = True
        gc.freeze()  # modules live as long as the process: no collection looks at them again
        gc.set_threshold(GC_YOUNG_OBJECTS)
        gc.enable()
        if self._load_failure == exit_codes.DONE:
            self._tell_ready()
        elif not self._options.reload:
            # Nobody waits for a save that would mend it. What is wrong was told by the event.
            raise typer.Exit(self._load_failure)
        self._tell_debug_ports()
        if self._keys is not None:
            self._keys.help()

    def _on_event(self, event: object) -> None:
        match event:
            case ReloadFailed(serving=0):
                self._load_failure = exit_codes.USER_CODE
            case ConfigRejected(serving=0):
                self._load_failure = exit_codes.USAGE
            case Reloaded():
                self._load_failure = exit_codes.DONE
                if self._started:
                    self._tell_ready()
            case _:
                pass
        # That the prompt is gone need not be told to whoever was sitting there.
        if self._json is not None or not isinstance(event, DebuggerContinued):
            self._log.add(event)
        if self._keys is not None:
            self._keys.hear(event)
        if self._handover is not None:
            self._handover.hear(event)

    # --- words --------------------------------------------------------------------------------------------------------
    def _tell_bindings(self) -> None:
        config = self._project.config
        if self._json is not None:
            bindings = [{"name": name, "kind": kind, "what": what} for name, kind, what in bindings_rows(config)]
            warnings = [warning_text(warning) for warning in config.warnings]
            self._log.say(
                self._json.line("starting", version=__version__, name=config.name, bindings=bindings, warnings=warnings)
            )
            return
        tell_warnings(self._project)
        heading = f"{self._ink.paint(f'durable {__version__}', 'bold')}  {config.name}"
        if config.environment is not None:
            heading += f" [{config.environment}]"
        lines = [
            f"{heading}  {self._ink.paint(report.shown_path(config.path), 'dim')}",
            bindings_table(config, self._ink),
        ]
        if self._options.verbose:
            lines.append(f"  Python: {self._interpreter.path} ({self._interpreter.reason})")
        self._log.say("\n".join(lines))
        self._log.flush()

    def _tell_ready(self) -> None:
        """The one line on standard output, once: whoever started us may wait for it."""
        if self._ready_told:
            return
        self._ready_told = True
        self._log.flush()
        # Whoever reads our output may be gone; that is no reason to stop serving.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"Ready on {self._emulator.url}\n")
            sys.stdout.flush()
        if self._json is not None:
            self._log.say(self._json.line("ready", url=self._emulator.url))

    def _tell_debug_ports(self) -> None:
        ports = self._emulator.debug_ports
        if ports and self._json is not None:
            self._log.say(self._json.line("debug", ip=LOOPBACK, ports=ports))
        elif ports:
            shown = ", ".join(f"{LOOPBACK}:{port}" for port in ports)
            self._log.say(self._ink.paint(f"debugpy waits for your editor on {shown}", "cyan"))

    # --- signals ------------------------------------------------------------------------------------------------------
    def listen_to_signals(self) -> None:
        # SIGHUP: the terminal was closed. All three drain; hosts are told by us, not by the terminal.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._ask_to_stop)

    def _ask_to_stop(self) -> None:
        if self._stop.is_set():
            self._end_at_once()
        self._stop.set()
        if self._has_keys():
            self._log.say("stopping; Ctrl+C again stops at once")

    def _end_at_once(self) -> NoReturn:
        """Hosts end with us: their channel is at its end. What was acknowledged is on disk."""
        self._emulator.kill()
        if self._handover is not None:
            self._handover.end()
        self._terminal.restore()
        os._exit(exit_codes.INTERRUPTED)

    # --- keys ---------------------------------------------------------------------------------------------------------
    def _has_keys(self) -> bool:
        return self._json is None and console.interactive()

    def say(self, text: str) -> None:
        """A line of the keys, in its place among those of the log."""
        self._log.say(text)

    def ask(self, prompt: str, answered: Callable[[str], object]) -> None:
        """Have a line typed behind `prompt`."""
        self._log.flush()
        self._writer.write(prompt)
        self._terminal.ask(answered, self._writer.write)

    def clear(self) -> None:
        """Empty the screen, what was scrolled away with it."""
        self._log.flush()
        self._pretty.failures.forget()
        self._writer.write(CLEAR_SCREEN)

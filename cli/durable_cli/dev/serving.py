"""One run of `durable dev`: its workers, the keys and the signals, from the first process to the last.

Decides nothing about serving or reloading; that is the emulators'. Owns the terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import typer
import uvloop

from durable.gateway.deferred_client import defer_client
from durable.gateway.neighbours import Neighbours
from durable.limits import GC_YOUNG_OBJECTS
from durable.supervisor.events import DebuggerContinued
from durable_cli import console, exit_codes
from durable_cli.dev.hotkeys import Hotkeys
from durable_cli.dev.keys import Keys
from durable_cli.dev.request_log import BackgroundWriter
from durable_cli.dev.terminal_handover import TerminalHandover
from durable_cli.dev.worker_run import Options, Worker, WorkerRun

CLEAR_SCREEN: Final = "\x1b[2J\x1b[3J\x1b[H"
"""Erase what is seen, erase what was scrolled away, go to the first line (ECMA-48, xterm)."""


def serve(workers: Sequence[Worker], options: Options) -> None:
    """Run until Ctrl+C or SIGTERM; the first worker has the port. Raises what kept it from starting."""
    defer_client()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(workers, options))


async def _serve(workers: Sequence[Worker], options: Options) -> None:
    run = _Run(workers, options)
    run.listen_to_signals()
    await run.serve()


class _Run:
    def __init__(self, workers: Sequence[Worker], options: Options) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._writer = BackgroundWriter(sys.stderr)
        self._stop = asyncio.Event()
        self._started = False
        self._ready_told = False
        self._keys: Keys | None = None
        self._handover: TerminalHandover | None = None
        neighbours = Neighbours()
        self._runs: list[WorkerRun] = []
        hosts = 0
        for worker in workers:
            config = worker.project.config
            self._runs.append(
                WorkerRun(
                    worker,
                    options,
                    label=config.name if len(workers) > 1 else "",
                    debug_port=options.debug_port and options.debug_port + hosts,
                    neighbours=neighbours,
                    writer=self._writer,
                    hear=self._hear,
                )
            )
            hosts += config.dev.hosts
        self._first = self._runs[0]
        self._log = self._first.log
        if self._has_keys():
            emulators = [run.emulator for run in self._runs]
            self._keys = Keys(emulators, self, console.stderr_ink(), stop=self._ask_to_stop)
        self._terminal = Hotkeys(self._keys.table if self._keys is not None else {})
        if self._has_keys():
            self._handover = TerminalHandover(self._terminal, self, self._writer)

    # --- from start to end --------------------------------------------------------------------------------------------
    async def serve(self) -> None:
        starting = asyncio.ensure_future(self._start())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            # One turn of the loop: the hosts' processes are born before we spend time on words.
            await asyncio.sleep(0)
            started = [run.worker.project.config.name for run in self._runs]
            for run in self._runs:
                run.tell_bindings(started)
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
            await asyncio.gather(*(run.emulator.stop() for run in self._runs))
            self.flush()
            self._writer.close()

    async def _start(self) -> None:
        # All of them are there before the first program is loaded, which may be bound to any of them.
        for run in self._runs:
            run.emulator.open()
        starts = [asyncio.ensure_future(run.emulator.start()) for run in self._runs]
        try:
            await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    def _tell_start(self) -> None:
        self._started = True
        gc.freeze()  # modules live as long as the process: no collection looks at them again
        gc.set_threshold(GC_YOUNG_OBJECTS)
        gc.enable()
        failures = [run.load_failure for run in self._runs if run.load_failure != exit_codes.DONE]
        if failures and not self._options.reload:
            # Nobody waits for a save that would mend it. What is wrong was told by the event.
            raise typer.Exit(failures[0])
        for run in self._runs[1:]:
            run.tell_address()
        if self._first.load_failure == exit_codes.DONE:
            self._tell_ready()
        for run in self._runs:
            run.tell_debug_ports()
        if self._keys is not None:
            self._keys.help()

    def _hear(self, run: WorkerRun, event: object) -> None:
        """Any event of any worker."""
        if not self._ready_told and self._started and self._first.load_failure == exit_codes.DONE:
            self._tell_ready()
        # That the prompt is gone need not be told to whoever was sitting there.
        if self._options.json or not isinstance(event, DebuggerContinued):
            run.log.add(event)
        if self._keys is not None:
            self._keys.hear(event, run)
        if self._handover is not None:
            self._handover.hear(event)

    # --- words --------------------------------------------------------------------------------------------------------
    def _tell_ready(self) -> None:
        """The one line on standard output, once: whoever started us may wait for it."""
        if self._ready_told:
            return
        self._ready_told = True
        self.flush()
        # Whoever reads our output may be gone; that is no reason to stop serving.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"Ready on {self._first.emulator.url}\n")
            sys.stdout.flush()
        if self._first.json is not None:
            self._log.say(self._first.json.line("ready", url=self._first.emulator.url))

    def flush(self) -> None:
        """Hand every worker's lines over, now."""
        for run in self._runs:
            run.log.flush()

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
        for run in self._runs:
            run.emulator.kill()
        if self._handover is not None:
            self._handover.end()
        self._terminal.restore()
        os._exit(exit_codes.INTERRUPTED)

    # --- keys ---------------------------------------------------------------------------------------------------------
    def _has_keys(self) -> bool:
        return not self._options.json and console.interactive()

    def say(self, text: str) -> None:
        """A line of the keys, in its place among those of the log."""
        self._log.say(text)

    def ask(self, prompt: str, answered: Callable[[str], object]) -> None:
        """Have a line typed behind `prompt`."""
        self.flush()
        self._writer.write(prompt)
        self._terminal.ask(answered, self._writer.write)

    def clear(self) -> None:
        """Empty the screen, what was scrolled away with it."""
        self.flush()
        for run in self._runs:
            run.pretty.failures.forget()
        self._writer.write(CLEAR_SCREEN)

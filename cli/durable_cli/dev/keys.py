"""The keys of `durable dev`: what each does, and what it is called in the state that things are in.

Reads no terminal, which is for `hotkeys`. Whatever goes wrong is one line, and never the end of the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Final, Protocol

from durable.emulator import Emulator
from durable.gateway.events import ClockMoved
from durable.supervisor.events import ConfigApplied, ConfigRejected, Reloaded, ReloadFailed
from durable_cli.console import Ink, printable
from durable_cli.dev.hotkeys import Hotkey, help_line
from durable_cli.durations import parse_duration_ms, shown_duration
from durable_cli.text.evictions import evicted_text

ERROR_CHARACTERS_MAX: Final = 300


class Screen(Protocol):
    """Where the keys' words go, between the lines of the log."""

    def say(self, text: str) -> None: ...
    def clear(self) -> None: ...
    def ask(self, prompt: str, answered: Callable[[str], object]) -> None: ...


class Keys:
    """`table` is for `Hotkeys`; `hear` every event, for the labels. Keys mean all workers; the first one is opened."""

    def __init__(self, emulators: Sequence[Emulator], screen: Screen, ink: Ink, *, stop: Callable[[], object]) -> None:
        self._emulators = emulators
        self._emulator = emulators[0]
        self._screen = screen
        self._ink = ink
        self._broken: set[object] = set()
        """Workers of which what is on the disk cannot be loaded; older code may serve all the same."""
        self._frozen = False
        self._is_known = False
        """Whether the help line was shown."""
        self._due_ms: int | None = None
        """When something is due next, as it was when the help line was last asked for."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.table: dict[str, Hotkey] = {
            "o": Hotkey("open", lambda: self._begin("open", self._open_browser())),
            "r": Hotkey(self._reload_words, lambda: self._begin("reload", self._reload())),
            "s": Hotkey(self._restart_words, lambda: self._begin("restart", self._restart())),
            "e": Hotkey("evict all", lambda: self._begin("evict", self._evict_all())),
            "a": Hotkey(self._alarm_words, lambda: self._begin("next alarm", self._next_alarm())),
            "t": Hotkey("advance time", self._ask_duration),
            "f": Hotkey(self._freeze_words, lambda: self._begin("time", self._freeze())),
            "c": Hotkey("clear", screen.clear),
            "h": Hotkey("help", self.help),
            "q": Hotkey("quit", stop),
        }

    # --- words --------------------------------------------------------------------------------------------------------
    def help(self) -> None:
        """Say which keys there are, as things stand."""
        self._begin("help", self._help())

    async def _help(self) -> None:
        self._due_ms, _ = await self._next_due()
        self._is_known = True
        self._show(help_line(self.table))

    def hear(self, event: object, worker: object = None) -> None:
        """Any event of a worker's, after the log was told: a key that is called something else now is shown."""
        match event:
            case ReloadFailed() | ConfigRejected():
                was_broken = bool(self._broken)
                self._broken.add(worker)
                if not was_broken:
                    self._show_key("r")
            case Reloaded() | ConfigApplied():
                self._broken.discard(worker)
            case ClockMoved(is_frozen=is_frozen) if is_frozen != self._frozen:
                self._frozen = is_frozen
                self._show_key("f")
            case _:
                pass

    def _reload_words(self) -> str:
        return "load again" if self._broken else "reload"

    def _restart_words(self) -> str:
        hosts = sum(len(emulator.supervisor.statistics().pids) for emulator in self._emulators)
        return "restart host" if hosts == 1 else "restart hosts"

    def _alarm_words(self) -> str:
        if self._due_ms is None:
            return ""
        left_ms = self._due_ms - self._emulator.time.clock.wall_ms()
        return f"next alarm, in {shown_duration(left_ms)}" if left_ms > 0 else "next alarm, now due"

    def _freeze_words(self) -> str:
        return "resume time" if self._emulator.time.clock.is_frozen else "freeze time"

    def _show_key(self, key: str) -> None:
        # Not before the first help line, which says what is so from the start.
        if self._is_known:
            self._show(help_line({key: self.table[key]}))

    def _show(self, line: str) -> None:
        self._screen.say(self._ink.paint(line, "dim"))

    # --- what they do -------------------------------------------------------------------------------------------------
    def _begin(self, what: str, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(what, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, what: str, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception as error:
            fix = getattr(error, "fix", "")
            text = printable(f"{what}: {str(error) or type(error).__name__}", length_max=ERROR_CHARACTERS_MAX)
            self._screen.say(self._ink.paint(text, "red") + (f" ({printable(fix)})" if fix else ""))

    async def _reload(self) -> None:
        await asyncio.gather(*(emulator.reload() for emulator in self._emulators))

    async def _restart(self) -> None:
        await asyncio.gather(*(self._restart_one(emulator) for emulator in self._emulators))

    async def _restart_one(self, emulator: Emulator) -> None:
        before = emulator.supervisor.statistics()
        await emulator.restart_hosts()
        after = emulator.supervisor.statistics()
        if after.failed_reloads == before.failed_reloads:
            replaced = ", ".join(f"{old or 'none'} → {new}" for old, new in zip(before.pids, after.pids, strict=True))
            self._screen.say(f"restarted: pid {replaced}")

    async def _evict_all(self) -> None:
        for emulator in self._emulators:
            self._screen.say(evicted_text(await emulator.presence.evict_all()))

    async def _next_due(self) -> tuple[int | None, int]:
        """When anything is due next, and in how many milliseconds: each worker has a clock of its own."""
        found: list[tuple[int, int]] = []
        for emulator in self._emulators:
            due_ms = await emulator.time.next_due_ms()
            if due_ms is not None:
                found.append((due_ms - emulator.time.clock.wall_ms(), due_ms))
        left_ms, due_ms = min(found, default=(0, None))
        return due_ms, max(0, left_ms)

    async def _next_alarm(self) -> None:
        """Move the clock to whatever is due next, and run it."""
        due_ms, left_ms = await self._next_due()
        if due_ms is None:
            self._screen.say("no alarm is set")
        elif len(self._emulators) == 1:
            await self._advance(to_ms=due_ms)
        else:
            await self._advance(duration_ms=left_ms)

    def _ask_duration(self) -> None:
        def answered(text: str) -> None:
            self._begin("advance", self._advance_by(text))

        self._screen.ask("advance the clock by (2h30m, 14d, 90s; Esc leaves it): ", answered)

    async def _advance_by(self, text: str) -> None:
        await self._advance(duration_ms=parse_duration_ms(text, "a duration"))

    async def _advance(self, *, duration_ms: int = 0, to_ms: int | None = None) -> None:
        times = [emulator.time for emulator in self._emulators]
        advances = [time.begin_advance(duration_ms=duration_ms, to_ms=to_ms) for time in times]
        await asyncio.gather(*(time.wait_advance() for time in times))
        alarms = sum(advance.alarms for advance in advances)
        self._screen.say(f"{alarms} alarm{'s' * (alarms != 1)} ran")

    async def _freeze(self) -> None:
        """Or have it go on, when it stands still."""
        is_frozen = self._emulator.time.clock.is_frozen
        for emulator in self._emulators:
            await (emulator.time.resume() if is_frozen else emulator.time.freeze())

    async def _open_browser(self) -> None:
        # Imported here: only this key needs it.
        import webbrowser

        url = self._emulator.url
        if not await asyncio.get_running_loop().run_in_executor(None, webbrowser.open, url):
            self._screen.say(f"no browser was found; open {url}")

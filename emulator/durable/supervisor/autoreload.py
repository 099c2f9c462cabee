"""From saves to reloads: which saves count, how many make one reload. Knows no host; it is told what was loaded."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, suppress

from durable.clock import Clock
from durable.gateway.events import GatewayFault, HostLog, OnEvent
from durable.limits import WATCHED_FOLDERS_MAX
from durable.supervisor.debounce import Debounce
from durable.supervisor.own_writes import OwnWrites
from durable.supervisor.watcher import Fingerprints, ProjectFiles, Saved, saves, sha256_of


class AutoReload:
    """Watches between `start` and `stop`; calls `reload` with the files that changed, never twice at a time."""

    def __init__(
        self,
        files: ProjectFiles,
        *,
        clock: Clock,
        reload: Callable[[frozenset[str]], Awaitable[None]],
        on_event: OnEvent,
    ) -> None:
        self._files = files
        self._reload = reload
        self._on_event = on_event
        self._debounce = Debounce(clock)
        self._fingerprints = Fingerprints()
        self._own_writes = OwnWrites(clock)
        self._fingerprints.look(files.config_files)
        self._loaded: dict[str, str] = {}
        self.broken = False
        """What was loaded last cannot run."""
        self._changed: set[str] = set()
        self._saved = asyncio.Event()
        self.watching = asyncio.Event()
        """Set while no save goes unseen."""
        self._watch_task: asyncio.Task[None] | None = None
        self._reloading: asyncio.Task[None] | None = None

    def loaded(self, files: Mapping[str, str], *, broken: bool) -> None:
        """A load has read these files (path → hash). While it is `broken`, saving unchanged files tries again."""
        self.broken = broken
        # A failed import may have stopped before it read everything: what the last good one read still matters.
        self._loaded = {**self._loaded, **files} if broken else dict(files)
        self._files.loaded = frozenset(self._loaded)
        self._fingerprints.remember(files)

    def also(self, patterns: Iterable[str]) -> None:
        """Watch for these patterns from now on."""
        self._files.also(patterns)
        if self._watch_task is not None:
            self._watch_task.cancel()
            self.watching.clear()
            self._watch_task = asyncio.create_task(self._watch(), name="watch files")

    def start(self) -> None:
        self._watch_task = asyncio.create_task(self._watch(), name="watch files")
        self._reloading = asyncio.create_task(self._reload_when_due(), name="reload on save")

    async def stop(self) -> None:
        tasks = [task for task in (self._watch_task, self._reloading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        try:
            async with aclosing(saves(self._files)) as changes:
                async for saved in changes:
                    if self._files.too_many:
                        self._files.too_many = False
                        self._warn(f"more than {WATCHED_FOLDERS_MAX} folders; saves in the others go unnoticed")
                    self.watching.set()
                    self._take(saved)
        except OSError as error:
            # Usually the limit of inotify watches. The program runs on; a reload by hand still works.
            self._warn(f"files cannot be watched, so saves go unnoticed: {error}")
        except Exception:
            self._on_event(GatewayFault(traceback.format_exc()))

    def _take(self, saved: Saved) -> None:
        changed = {path for path in saved.paths if self._fingerprints.changed(path)}
        if self.broken and not saved.suspected:
            changed = set(saved.paths)
        changed = {path for path in changed if not self._is_own(path)}
        if changed:
            self._changed |= changed
            self._debounce.saved()
            self._saved.set()

    async def _reload_when_due(self) -> None:
        while True:
            due_seconds = self._debounce.due_in()
            if due_seconds == 0.0:
                self._debounce.fired()
                await self._reload_changed()
                continue
            self._saved.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(due_seconds):
                    await self._saved.wait()

    async def _reload_changed(self) -> None:
        changed, self._changed = self._changed, set()
        if not self.broken:
            # Loaded meanwhile by an earlier reload, or edited back.
            changed = {path for path in changed if path not in self._loaded or sha256_of(path) != self._loaded[path]}
        if not changed:
            return
        self._own_writes.load_begins()
        try:
            await self._reload(frozenset(changed))
        except Exception:
            # A bug of ours in one reload must not be the end of all reloads.
            self._on_event(GatewayFault(traceback.format_exc()))
        finally:
            self._own_writes.load_ends()

    def _is_own(self, path: str) -> bool:
        """Whether the program writes this file itself each time it is loaded; what it consists of is always a save."""
        if path in self._loaded or path in self._files.config_files:
            return False
        if self._own_writes.saved(path):
            name = os.path.relpath(path, self._files.root)
            self._warn(f"{name} changes each time the program is loaded, so its changes count as saves no longer")
        return path in self._own_writes.found

    def _warn(self, text: str) -> None:
        self._on_event(HostLog("warning", text))

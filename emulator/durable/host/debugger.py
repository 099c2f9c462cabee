"""Where user code stops in pdb: the host asks for the terminal of `durable dev`, waits for it and gives it back.

    stop ──DebuggerEntered──► wait until the terminal is ours ──► prompt ──► give it back ──DebuggerLeft──►

Until the terminal is ours we must not touch it: the kernel halts a process in the background that reads it. While
somebody steps, the terminal stays here, as long as the next stop comes soon; an event that waits for something gives it
back meanwhile. Knows no pdb: `terminal_pdb` is the debugger, and is loaded with the first import of pdb.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import itertools
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO, cast

from msgspec import Struct

from durable.actor.standstill import stood_still
from durable.actor.turn import actor_variable
from durable.errors import DebuggerUnavailableError
from durable.wire.messages import DebuggerEntered, DebuggerLeft, Message

if TYPE_CHECKING:
    from importlib.abc import Loader

POLL_SECONDS: Final = 0.005
"""How often a stop looks whether the terminal is ours: there is no call that waits for it."""
STEP_SECONDS: Final = 0.05
"""A step that takes longer than this gives the terminal back until it is through."""

SignalHandler = Callable[[int, FrameType | None], Any] | int | None


class DebuggedHost(Protocol):
    """What stopping needs of the host."""

    @property
    def loop(self) -> Any: ...

    def send(self, message: Message) -> None: ...
    def send_now(self) -> None:
        """Hand everything that was sent to the kernel, without the loop."""
        ...

    def own_file(self, file: str) -> str | None: ...


class Place(Struct, frozen=True):
    """Where user code stands: `Place('ChatRoom "general"', "ChatRoom.fetch", "main.py", 12)`."""

    label: str
    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Debugger:
    """One per host. Threads of user code may stop, too: one after the other."""

    def __init__(self, host: DebuggedHost, *, terminal: bool) -> None:
        self._host = host
        self._has_terminal = terminal
        self._lock = threading.RLock()
        self._depth = 0
        self._stops = itertools.count(1)
        self._terminal: Terminal | None = None
        self._thread = threading.get_ident()
        self._unsaid: deque[Message] = deque()
        """What other threads have to say; said in the order of the stops, whichever thread gets there first."""

    def install(self) -> None:
        """From now on every debugger that is made from pdb's is ours."""
        if "pdb" in sys.modules:
            _adapt(sys.modules["pdb"], self)
        else:
            sys.meta_path.insert(0, PdbFinder(lambda module: _adapt(module, self)))

    @property
    def is_prompting(self) -> bool:
        """Whether this very thread stands at a prompt, and runs what was typed there."""
        return self._depth > 0 and self._lock_is_ours()

    def _lock_is_ours(self) -> bool:
        # An RLock that another thread holds cannot be had without waiting.
        if self._lock.acquire(blocking=False):
            self._lock.release()
            return True
        return False

    def place(self, frame: FrameType, line: int = 0) -> Place:
        actor = actor_variable.get()
        code = frame.f_code
        file = self._host.own_file(code.co_filename) or code.co_filename
        return Place(actor.label if actor is not None else "", code.co_qualname, file, line or frame.f_lineno)

    def check_terminal(self, place: Place) -> None:
        """Raises `DebuggerUnavailableError` when nobody could type anything."""
        if not self._has_terminal:
            raise DebuggerUnavailableError(place.file, place.line)

    @contextlib.contextmanager
    def prompt(self, place: Place, *, interrupted: SignalHandler) -> Generator[Terminal]:
        """Have the terminal for one prompt; `interrupted` is what Ctrl+C does as long as the terminal is here.

        Call `Terminal.keep` when the next stop is expected soon.
        """
        self.check_terminal(place)
        began = time.monotonic()
        with self._turn():
            terminal = self._terminal
            if terminal is None:
                terminal = self._terminal = self._take(place)
            terminal.begin_prompt(interrupted)
            self._depth += 1
            try:
                yield terminal
            finally:
                self._depth -= 1
                if threading.get_ident() == self._thread:
                    stood_still(time.monotonic() - began)
                if self._depth == 0:
                    self._settle(terminal)

    @contextlib.contextmanager
    def _turn(self) -> Generator[None]:
        """One thread at a time has the terminal."""
        while not self._lock.acquire(timeout=POLL_SECONDS):
            # The other one's words go through our loop, which stands still here.
            self._say_unsaid()
        try:
            yield
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def elsewhere(self, place: Place) -> Generator[None]:
        """A stop whose words go another way than through our terminal; nobody may take it for a fault either."""
        stop = self._enter(place, terminal=False)
        try:
            yield
        finally:
            self._say(DebuggerLeft(stop))

    def say(self, text: str) -> None:
        """A word between two prompts, also from a signal handler: the program may be inside a write of the stream."""
        if self._terminal is not None:
            os.write(self._terminal.stdout.fileno(), text.encode())

    # --- having the terminal ------------------------------------------------------------------------------------------
    def _take(self, place: Place) -> Terminal:
        try:
            descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            raise DebuggerUnavailableError(place.file, place.line) from None
        stop = self._enter(place, terminal=True)
        ours = os.getpgrp()
        # However long it takes: another host may be at its prompt, or `durable dev` in the background.
        while os.tcgetpgrp(descriptor) != ours:
            self._say_unsaid()
            time.sleep(POLL_SECONDS)
        return Terminal(descriptor, stop)

    def _settle(self, terminal: Terminal) -> None:
        """After a prompt: the terminal goes back now, or soon if the next stop does not come."""
        if not terminal.kept:
            self._give_back()
        elif threading.get_ident() == self._thread:
            self._host.loop.call_later(STEP_SECONDS, self._step_is_long, terminal, terminal.prompts)
        else:
            self._host.loop.call_soon_threadsafe(
                self._host.loop.call_later, STEP_SECONDS, self._step_is_long, terminal, terminal.prompts
            )

    def _step_is_long(self, terminal: Terminal, prompts: int) -> None:
        # Without waiting: the loop must not stand still because a thread is at its prompt.
        if self._lock.acquire(blocking=False):
            try:
                if self._terminal is terminal and terminal.prompts == prompts and self._depth == 0:
                    self._give_back()
            finally:
                self._lock.release()

    def _give_back(self) -> None:
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.close()
            self._say(DebuggerLeft(terminal.stop))

    # --- telling the gateway ------------------------------------------------------------------------------------------
    def _enter(self, place: Place, *, terminal: bool) -> int:
        stop = next(self._stops)
        self._say(DebuggerEntered(stop, place.label, place.function, place.file, place.line, terminal))
        return stop

    def _say(self, message: Message) -> None:
        self._unsaid.append(message)
        self._say_unsaid()
        if threading.get_ident() != self._thread:
            self._host.loop.call_soon_threadsafe(self._say_unsaid)

    def _say_unsaid(self) -> None:
        if threading.get_ident() == self._thread:
            while self._unsaid:
                self._host.send(self._unsaid.popleft())
            # Now: the loop may stand still from here on.
            self._host.send_now()


class Terminal:
    """The terminal while it is ours: descriptors 0 and 1, so that line editing and pagers work, and their streams."""

    def __init__(self, descriptor: int, stop: int) -> None:
        self.stop = stop
        self.kept = False
        self.prompts = 0
        self.idle_interrupts: SignalHandler = None
        """What Ctrl+C did before; None in a thread, where Python can set no handler."""
        self._descriptor = descriptor
        self._saved = [os.dup(number) for number in (0, 1)]
        for number in (0, 1):
            os.dup2(descriptor, number)
        self.stdin: TextIO = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
        self.stdout: TextIO = os.fdopen(1, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        if threading.current_thread() is threading.main_thread():
            self.idle_interrupts = signal.getsignal(signal.SIGINT)
            # readline measured a screen that was not there; it measures again before the next line.
            os.kill(os.getpid(), signal.SIGWINCH)
        self._printed_to = sys.stdout
        # What is printed by the line that was stepped over is for whoever steps, now.
        sys.stdout = self.stdout

    def begin_prompt(self, interrupted: SignalHandler) -> None:
        self.kept = False
        self.prompts += 1
        if self.idle_interrupts is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, interrupted)

    def keep(self) -> None:
        """The next prompt is expected soon."""
        self.kept = True

    def close(self) -> None:
        """Give the terminal to the process group that started us."""
        # Neither stream is closed: user code may hold one by now, and put it back into `sys` when it likes.
        if sys.stdout is self.stdout:
            sys.stdout = self._printed_to
        with contextlib.suppress(OSError, ValueError):
            self.stdout.flush()
        for number, saved in enumerate(self._saved):
            os.dup2(saved, number)
            os.close(saved)
        if self.idle_interrupts is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self.idle_interrupts)
        # From the background, after somebody has taken it from us, this would halt us.
        with contextlib.suppress(OSError), _signals_blocked(signal.SIGTTOU):
            if os.tcgetpgrp(self._descriptor) == os.getpgrp():
                os.tcsetpgrp(self._descriptor, os.getpgid(os.getppid()))
        os.close(self._descriptor)


@contextlib.contextmanager
def _signals_blocked(*numbers: int) -> Generator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class PdbFinder:
    """Adapts pdb when it is imported, which costs nothing as long as nobody does."""

    def __init__(self, adapt: Callable[[ModuleType], None]) -> None:
        self._adapt = adapt
        self._is_asking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "pdb" or self._is_asking:
            return None
        # All the others are asked, and more than once if need be: who finds a module need not import it.
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _AdaptingLoader(spec.loader, self._adapt))
        return spec


class _AdaptingLoader:
    """pdb's own loader, and then us. Not a subclass: importlib.abc takes as long to import as all of this."""

    def __init__(self, loader: Loader, adapt: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._adapt = adapt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._adapt(module)


def _adapt(module: ModuleType, debugger: Debugger) -> None:
    # Only who debugs pays for pdb, which takes as long to import as half of a host.
    from durable.host.terminal_pdb import adapt

    adapt(module, debugger)

"""pdb whose default streams are the terminal of `durable dev`. Loaded when somebody imports pdb, and not before.

`breakpoint()`, `pdb.set_trace()`, `pdb.post_mortem()` and debuggers that build on pdb all make a `Pdb` and end in its
`interaction`: that is where the terminal is asked for. Who gives streams of his own, as remote-pdb does, keeps them.
"""

from __future__ import annotations

import bdb
import pdb
import sys
from types import FrameType, ModuleType, TracebackType
from typing import Any, Final

from durable.host.debugger import Debugger, Place, Terminal

_SKIPPED: Final = frozenset({
    "durable", "durable.*", "asyncio", "asyncio.*", "concurrent.*", "selectors", "threading", "_weakrefset",
})  # fmt: skip
"""Modules that nobody means to step through: `s` at a call of an object goes on in the object."""
_EARLY_WORDS_MAX: Final = 20


class TerminalPdb(pdb.Pdb):
    """Takes the place of `pdb.Pdb`."""

    debugger: Debugger
    allow_kbdint: bool
    """pdb's own: whether it waits for a command, or runs one."""

    def __init__(self, completekey: str = "tab", stdin: Any = None, stdout: Any = None, *rest: Any, **more: Any):
        super().__init__(completekey, stdin, stdout, *rest, **more)
        self._talks_elsewhere = stdin is not None or stdout is not None
        self._is_prompting = False
        self._early_words: list[str] = []
        """What pdb says before it prompts, when the terminal is not ours yet."""
        if not self._talks_elsewhere and self.skip is None:
            self.skip = set(_SKIPPED)

    def set_trace(self, frame: FrameType | None = None, *rest: Any, **more: Any) -> None:
        frame = frame or sys._getframe().f_back  # pyright: ignore[reportPrivateUsage]
        if frame is not None and not self._talks_elsewhere and not self.debugger.is_prompting:
            # Here, and not at the next line: the traceback then ends where the stop was asked for.
            self.debugger.check_terminal(self.debugger.place(frame))
        super().set_trace(frame, *rest, **more)

    def message(self, msg: str, *rest: Any, **more: Any) -> None:
        if self._talks_elsewhere or self._is_prompting:
            super().message(msg, *rest, **more)
        else:
            self._early_words = [*self._early_words[1 - _EARLY_WORDS_MAX :], msg]

    def user_exception(self, frame: FrameType, exc_info: Any) -> None:
        if self.skip and self.is_skipped_module(frame.f_globals.get("__name__", "")):
            # Stepping has come to the end of a coroutine, and what is left of the turn is ours.
            self.set_continue()
        else:
            super().user_exception(frame, exc_info)

    def interaction(self, frame: FrameType | None, traceback: Any = None, *rest: Any) -> None:
        """Stop: at `frame`, or where `traceback` (since 3.13 an exception) ends."""
        if self.debugger.is_prompting:
            super().interaction(frame, traceback, *rest)  # `debug` at a prompt, or a breakpoint in what was typed
            return
        place = self._place(frame, traceback)
        if self._talks_elsewhere:
            with self.debugger.elsewhere(place):
                super().interaction(frame, traceback, *rest)
            return
        with self.debugger.prompt(place, interrupted=self._interrupted) as terminal:
            self._interact(terminal, frame, traceback, *rest)
        if self.quitting and frame is not None:
            sys.settrace(None)
            raise bdb.BdbQuit(f"you left the debugger with q at {place}, which ends what was running there")

    def _interact(self, terminal: Terminal, frame: FrameType | None, traceback: Any, *rest: Any) -> None:
        streams = sys.stdin, sys.stdout
        own = self.stdin, self.stdout
        sys.stdin, sys.stdout = self.stdin, self.stdout = terminal.stdin, terminal.stdout
        self.use_rawinput = True
        self.nosigint = True  # Ctrl+C is `Debugger`'s: after `c` it is not for this process
        if getattr(self, "mode", None) == "inline":
            self.mode = None  # since 3.14 `q` would end the process, and every object in it
        self._is_prompting = True
        try:
            words, self._early_words = self._early_words, []
            for word in words:
                self.message(word)
            super().interaction(frame, traceback, *rest)
        finally:
            self._is_prompting = False
            sys.stdin, sys.stdout = streams
            self.stdin, self.stdout = own
        if frame is not None and not self.quitting and self.stoplineno != -1:
            terminal.keep()

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        """Ctrl+C: it ends what was typed, or stops where the program is. Never may it reach the loop of the host."""
        if self.allow_kbdint:
            raise KeyboardInterrupt
        if not self._is_prompting:
            sys.settrace(None)
            self.debugger.say("\ninterrupted; stops at the next line of yours\n")
            super().set_trace(frame)

    def _place(self, frame: FrameType | None, traceback: Any) -> Place:
        trace = traceback if isinstance(traceback, TracebackType) else getattr(traceback, "__traceback__", None)
        if trace is None:
            return self.debugger.place(frame or sys._getframe())  # pyright: ignore[reportPrivateUsage]
        while trace.tb_next is not None:
            trace = trace.tb_next
        return self.debugger.place(trace.tb_frame, trace.tb_lineno)


def adapt(module: ModuleType, debugger: Debugger) -> None:
    """Have everybody who makes a `Pdb` make ours."""
    TerminalPdb.debugger = debugger
    module.Pdb = TerminalPdb  # type: ignore[attr-defined]

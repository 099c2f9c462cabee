"""debugpy in a host, for `durable dev --debug`: it listens on a port of its own, to which the gateway leads editors.

`breakpoint()` stops in the editor when one is attached, and else where it would without `--debug`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec import Struct

from durable.wire.messages import DebuggerListening, Log, Message

_OWN_PORT: Final = ("127.0.0.1", 0)


class Speaker(Protocol):
    """What is told of it: the host."""

    def send(self, message: Message) -> None: ...


class DebugServer(Struct, frozen=True):
    """`port`, or why there is none."""

    port: int
    problem: str = ""

    def announce(self, host: Speaker) -> None:
        if self.port:
            host.send(DebuggerListening(self.port))
        else:
            host.send(Log("warning", f"--debug: debugpy does not listen: {self.problem}"))


def listen() -> DebugServer:
    """Start debugpy; takes half a second. It must be called in the thread that user code will run in."""
    # It would warn about the standard library's frozen modules, which nobody means to step through.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    settrace = sys.settrace
    try:
        import debugpy

        port: int = debugpy.listen(_OWN_PORT)[1]
    except Exception as error:
        return DebugServer(0, f"{type(error).__name__}: {error}")
    sys.breakpointhook = _breakpoint
    if sys.settrace is not settrace:
        sys.settrace = SharedTracing(settrace)
    return DebugServer(port)


class SharedTracing:
    """`sys.settrace` for pdb beside debugpy, up to Python 3.11: when pdb is through, debugpy traces again.

    debugpy's own stand-in would print eight lines of warning instead, and never stop anywhere afterwards.
    """

    def __init__(self, settrace: Callable[[Any], None]) -> None:
        self._settrace = settrace
        self._before = threading.local()

    def __call__(self, function: Any) -> None:
        if function is None:
            self._settrace(self._before.__dict__.pop("trace", None))
        else:
            self._before.__dict__.setdefault("trace", sys.gettrace())
            self._settrace(function)


def _breakpoint(*arguments: Any, **named: Any) -> Any:
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*arguments, **named)
    import debugpy

    frame = sys._getframe().f_back  # pyright: ignore[reportPrivateUsage]
    if debugpy.is_client_connected():
        # As `debugpy.breakpoint()`, which would stop in this very function.
        return sys.modules["pydevd"].settrace(
            suspend=True, trace_only_current_thread=True, patch_multiprocessing=False, stop_at_frame=frame
        )
    import pdb

    return pdb.Pdb().set_trace(frame)

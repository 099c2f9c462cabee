"""What the gateway can still learn of a process that crashes or hangs: faulthandler writes stacks into a pipe.

The signal handlers are C code: they report while other C code holds the interpreter's lock, and after memory was torn
apart. Nothing but faulthandler writes there, so that no thread ever waits for the gateway to read.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from contextlib import suppress
from typing import NoReturn


def install(descriptor: int) -> None:
    """Report into this pipe, which this process alone is to hold: a fatal signal, SIGUSR1, and who calls `os._exit`."""
    os.set_inheritable(descriptor, False)
    faulthandler.enable(file=descriptor, all_threads=False)
    faulthandler.register(signal.SIGUSR1, file=descriptor, all_threads=False)
    exit_now = os._exit

    def tell_and_exit(status: int) -> NoReturn:
        # An exit code alone would not say which of a thousand lines it came from.
        with suppress(Exception):
            faulthandler.dump_traceback(file=descriptor, all_threads=False)
        exit_now(status)

    def forget() -> None:
        """A child that user code forked is not the host: what happens to it is told on its standard error."""
        os._exit = exit_now
        faulthandler.unregister(signal.SIGUSR1)
        with suppress(OSError, RuntimeError, ValueError):
            faulthandler.enable()
        with suppress(OSError):
            os.close(descriptor)

    os._exit = tell_and_exit
    os.register_at_fork(after_in_child=forget)


def shows_stack() -> bool:
    """Whether SIGUSR1 still makes faulthandler report, and does not run a handler of the program's own."""
    # Python's table knows nothing of faulthandler's handler, only of whoever called signal.signal() later.
    return signal.getsignal(signal.SIGUSR1) in (signal.SIG_DFL, None)

"""Why a host is gone, in words that go on after "the host process": what the kernel, faulthandler and we know of it."""

from __future__ import annotations

import signal
from pathlib import Path

from msgspec import Struct

from durable.limits import MEMORY_EXIT_CODE
from durable.supervisor.process import HostExit
from durable.supervisor.stacks import Stack

_CRASHES = {
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGBUS: "a bus error",
    signal.SIGFPE: "a floating point exception",
    signal.SIGILL: "an illegal instruction",
    signal.SIGABRT: "an abort() in C code",
}


_CLOSED = "code in it may have closed file descriptors that it did not open"


class Death(Struct, frozen=True):
    """What is known besides the exit status.

    `stopped` is why we ended it, in the same words; `unreachable`: it lived on after its end of the channel was closed.
    """

    exit: HostExit
    stopped: str = ""
    unreachable: bool = False
    out_of_memory: bool = False
    stack: Stack | None = None

    def __str__(self) -> str:
        if self.stopped:
            return self.stopped
        place = f" in {self.stack.place}" if self.stack is not None and self.stack.place else ""
        if self.unreachable or (self.exit.code == 0 and not place):
            return f"closed its channel to the gateway: {_CLOSED}"
        if self.exit.code == MEMORY_EXIT_CODE:
            return "went over memory_mb in [dev] and did not let go of it"
        if self.exit.code == -signal.SIGKILL and self.out_of_memory:
            return "was killed by the kernel because memory ran out: memory_mb in [dev] ends an object's greed earlier"
        # faulthandler says at least that it was there, unless its pipe is gone.
        mute = f": {_CLOSED}" if self.stack is None else ""
        crash = _CRASHES.get(signal.Signals(-self.exit.code)) if self._is_known_signal else None
        if crash is None:
            return f"{self.exit}{place}{mute if self.exit.code == 1 else ''}"
        return f"died of {crash}{place}{mute}"

    @property
    def _is_known_signal(self) -> bool:
        return -self.exit.code in signal.Signals.__members__.values()


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since the machine started; 0 where it does not say.

    Counts those of containers too (Documentation/admin-guide/cgroup-v2 and mm/oom_kill.c: `count_vm_event(OOM_KILL)`).
    """
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)

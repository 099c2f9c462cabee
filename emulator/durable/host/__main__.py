"""`python -m durable.host --channel-fd N --lock-fd M …`: start a host process; the supervisor is the only caller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading

from durable import __version__, failpoints
from durable.host import debug_server, fault_reports, output
from durable.host.debugger import Debugger
from durable.host.guard import Guard
from durable.host.host import Host
from durable.host.loop_monitor import LoopMonitor
from durable.host.outgoing import close_client
from durable.storage.descriptors import raise_descriptor_limit
from durable.wire.progress import Progress

_PARENT_POLL_SECONDS = 1.0
"""How soon a host notices that its gateway died while user code blocks the loop."""

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent dies."""


def main() -> int:
    """Exit code 0 after a drain, or when the gateway has gone."""
    # Not argparse: it takes longer to import than all of this, and its one caller makes no mistakes.
    options = dict(zip(sys.argv[1::2], map(int, sys.argv[2::2]), strict=True))
    channel_fd, lock_fd = options["--channel-fd"], options["--lock-fd"]
    fault_reports.install(options["--report-fd"])
    progress = Progress.join(options["--progress-fd"])
    output.install(options["--output-token"])
    # The terminal's Ctrl+C is the gateway's to answer; it drains its hosts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(channel_fd, False)
    failpoints.arm_from_environment()
    raise_descriptor_limit()
    if lock_fd >= 0:
        # Held on purpose: the state directory is free only when no process of the tree can write to it.
        os.set_inheritable(lock_fd, False)
        os.register_at_fork(after_in_child=lambda: _close_quietly(channel_fd, lock_fd))
    threading.Thread(target=_watch_parent, args=(os.getppid(),), name="durable-parent", daemon=True).start()
    runner = asyncio.Runner(loop_factory=_loop_factory())
    with runner:
        status = runner.run(_serve(socket.socket(fileno=channel_fd), progress, options))
    # Threads of user code must not keep a drained host alive.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


async def _serve(sock: socket.socket, progress: Progress, options: dict[str, int]) -> int:
    loop = asyncio.get_running_loop()
    # Before the first word: that debugpy takes half a second to start is not the time of the program.
    server = debug_server.listen() if options.get("--debug") else None
    host = Host(
        sock, loop, version=__version__, python=sys.version.split()[0], guard=lambda state: Guard(state).install(),
        progress=progress, on_attached=_watch_loop,
    )  # fmt: skip
    os.register_at_fork(after_in_child=host.forked)
    Debugger(host, terminal=bool(options.get("--terminal"))).install()
    if server is not None:
        server.announce(host)
    status = await host.finished
    await close_client()
    return status


def _watch_loop(host: Host) -> None:
    LoopMonitor(
        host.loop.call_soon_threadsafe, own_file=host.own_file, say=host.send, show=host.progress.show_label
    ).start()


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    if os.environ.get("DURABLE_LOOP") == "asyncio":
        return None
    with contextlib.suppress(ImportError):
        import uvloop  # absent where it has no wheel; asyncio's own loop serves as well, only slower

        return uvloop.Loop
    return None


def _watch_parent(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes  # loaded here, beside the start-up rather than in it

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    waiting = threading.Event()
    while os.getppid() == parent:
        waiting.wait(_PARENT_POLL_SECONDS)
    os._exit(1)


def _close_quietly(*descriptors: int) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())

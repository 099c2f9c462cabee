"""Running a project inside tests: `run(config)` starts the whole emulator in a thread, on a free port, on empty state.

    from durable.testing import run

    with run("durable.toml") as app:
        assert app.get("/").status == 200

The pytest plugin gives the same object as the fixture `durable_app`. All of it is synchronous; it needs no asyncio.
"""

from durable.errors import SocketClosedError, SocketRefusedError
from durable.testing.app import App, run
from durable.testing.client import Reply, Socket

__all__ = ["App", "Reply", "Socket", "SocketClosedError", "SocketRefusedError", "run"]

"""One emulator in a thread of its own, and the test's view of it: a URL, requests, sockets, SQL.

The thread owns the loop, the emulator and every connection; the test's thread only waits for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import tempfile
import threading
from collections.abc import Coroutine, Generator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from durable import config as configuration
from durable.config import Config
from durable.errors import DurableError, LoadFailedError, NotFoundError, StorageError
from durable.testing.client import CALL_SECONDS, Reply, Socket, open_socket, send_request

if TYPE_CHECKING:
    import aiohttp

    from durable.emulator import Emulator
    from durable.gateway.events import Event

START_SECONDS = 60.0
STOP_SECONDS = 30.0


@contextlib.contextmanager
def run(
    config: Path | str | None = None,
    *,
    vars: Mapping[str, object] | None = None,
    environment: str | None = None,
    state: Path | None = None,
    hosts: int | None = None,
    python: str | None = None,
) -> Generator[App]:
    """Run a project until the block ends.

    `config` is the file, or else the nearest one upward from the current folder; `vars` are laid over its `[vars]`.
    State is kept in `state` (as `.durable/state` is), by default in a folder that is deleted afterwards. Raises
    `LoadFailedError` with the traceback when the program cannot be imported.
    """
    path = Path(config) if config is not None else None
    loaded = configuration.load(path, environment=environment, overrides=vars or {})
    # A port that the configuration names may be taken by `durable dev` on the same project.
    dev = replace(loaded.dev, ip="127.0.0.1", port=0, hosts=hosts or loaded.dev.hosts)
    with tempfile.TemporaryDirectory(prefix="durable-test-") as folder:
        app = App(replace(loaded, dev=dev), state or Path(folder) / "state", python)
        try:
            app.start()
            yield app
        finally:
            app.stop()


class App:
    """A running project; made by `run` and by the fixture `durable_app`."""

    def __init__(self, config: Config, state: Path, python: str | None) -> None:
        self.url = ""
        """`http://127.0.0.1:49152`, without a slash at the end."""
        self._config = config
        self._state = state
        self._python = python
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._emulator: Emulator | None = None
        self._session: aiohttp.ClientSession | None = None
        self._load_failure = ""

    # --- requests -----------------------------------------------------------------------------------------------------
    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(
        self,
        path: str,
        *,
        json: object = None,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        return self.request("POST", path, json=json, data=data, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request. Every status is a reply, and a redirect is not followed."""
        assert self._session is not None, "the app is not running"
        work = send_request(self._session, method, self.url + path, headers=headers, json_body=json, data=data)
        reply: Reply = self._wait(work)
        return reply

    def websocket(self, path: str, *, headers: Mapping[str, str] | None = None) -> Socket:
        """Open a WebSocket; raises `SocketRefusedError` when the answer is no handshake."""
        assert self._session is not None, "the app is not running"
        url = "ws" + self.url.removeprefix("http") + path
        socket: Socket = self._wait(open_socket(self._session, url, headers, lambda opened: Socket(opened, self._wait)))
        return socket

    # --- looking inside -----------------------------------------------------------------------------------------------
    def sql(self, class_name: str, name: str, sql: str, *, write: bool = False) -> list[dict[str, Any]]:
        """Rows of the last statement on one object's database, as `durable sql` shows them; the object is not woken.

        Raises `NotFoundError` when there is no such object and `StorageError` with SQLite's message.
        """
        assert self._emulator is not None, "the app is not running"
        question = {"class": class_name, "name": name, "id": None, "sql": sql, "write": write, "rows_max": 10_000}
        token = {"Authorization": f"Bearer {self._emulator.token}"}
        reply = self.post("/__durable/sql", json=question, headers=token)
        answer = reply.json()
        if reply.status == 404:
            raise NotFoundError(answer["error"]["message"])
        if reply.status != 200:
            raise StorageError(answer["error"]["message"])
        last = answer["results"][-1]
        return [dict(zip(last["columns"], row, strict=True)) for row in last["rows"]]

    def status(self) -> dict[str, Any]:
        """What the emulator is doing: `{"generation": 1, "hosts": [{"shard": 0, "pid": 4711, "requests": 0}], …}`."""
        assert self._emulator is not None, "the app is not running"
        reply = self.get("/__durable/status", headers={"Authorization": f"Bearer {self._emulator.token}"})
        status: dict[str, Any] = reply.json()
        return status

    # --- time ---------------------------------------------------------------------------------------------------------
    def now(self) -> datetime:
        """The project's time, as `durable.now()` tells it there."""
        assert self._emulator is not None, "the app is not running"
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self._emulator.time.clock.wall_ms())

    def advance(self, duration: timedelta | float) -> int:
        """Move the project's clock on, by seconds or a timedelta; returns how many alarms ran on the way.

        They run in order, each at its own time, and so do those that they set. All of them have ended on return. Raises
        `TimeoutError` when that takes longer than half a minute; the clock then stays where it got to.
        """
        assert self._emulator is not None, "the app is not running"
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
        advanced: int = self._wait(self._advance(round(seconds * 1000)))
        return advanced

    def freeze(self) -> None:
        """Have the project's clock stand still: only `advance` moves it."""
        assert self._emulator is not None, "the app is not running"
        self._wait(self._emulator.time.freeze())

    def resume(self) -> None:
        """Have the clock go on from where it stands."""
        assert self._emulator is not None, "the app is not running"
        self._wait(self._emulator.time.resume())

    def reset_clock(self) -> None:
        """Back to the machine's time."""
        assert self._emulator is not None, "the app is not running"
        self._wait(self._emulator.time.reset())

    def reload(self) -> None:
        """Load the program anew, as `durable dev` does when a file is saved."""
        assert self._emulator is not None, "the app is not running"
        self._wait(self._emulator.reload())
        self._raise_load_failure()

    # --- life ---------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=[ready], name="durable emulator", daemon=True)
        self._thread.start()
        ready.wait()
        self._wait(self._start(), START_SECONDS)
        self._raise_load_failure()

    def stop(self) -> None:
        if self._loop is None or self._thread is None:
            return
        try:
            self._wait(self._stop(), STOP_SECONDS)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def _serve(self, ready: threading.Event) -> None:
        """The thread: hosts end with the thread that spawned them, so it lives as long as the emulator."""
        # Loaded here, with everything else that only a running emulator needs.
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            asyncio.set_event_loop(self._loop)
            self._loop.call_soon(ready.set)
            self._loop.run_forever()

    async def _start(self) -> None:
        import aiohttp

        from durable.emulator import Emulator
        from durable.supervisor.spawner import HostSpawner

        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._emulator = Emulator(
            self._config,
            HostSpawner(self._state, self._config.root, python=self._python, what="durable.testing"),
            on_event=self._tell,
            watch=False,
        )
        await self._emulator.start()
        self.url = self._emulator.url

    async def _advance(self, duration_ms: int) -> int:
        assert self._emulator is not None
        time = self._emulator.time
        advance = time.begin_advance(duration_ms=duration_ms)
        try:
            await time.wait_advance()
        except asyncio.CancelledError:
            await time.stop_advance()
            raise
        if advance.failure:
            raise DurableError(f"the clock stands at {advance.now_ms} ms: {advance.failure}")
        return advance.alarms

    async def _stop(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._emulator is not None:
            await self._emulator.stop()

    def _wait(self, work: Coroutine[Any, Any, Any], seconds: float = CALL_SECONDS) -> Any:
        assert self._loop is not None, "the app is not running"
        future = asyncio.run_coroutine_threadsafe(self._with_output(work), self._loop)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise

    async def _with_output(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, after everything that was printed for it."""
        try:
            return await work
        finally:
            if self._emulator is not None:
                self._emulator.read_output()

    def _raise_load_failure(self) -> None:
        text, self._load_failure = self._load_failure, ""
        if text:
            raise LoadFailedError(text)

    def _tell(self, event: Event) -> None:
        """Where pytest shows it when the test fails: standard error, or what the program itself printed to."""
        from durable.gateway.error_page import failure
        from durable.gateway.events import GatewayFault, HostLog, Output, OutputLeftOut, UserCodeFailed
        from durable.supervisor.events import ConfigRejected, HostDied, ReloadFailed
        from durable.wire.traceback_text import traceback_text

        match event:
            case ReloadFailed(report=report):
                self._load_failure = traceback_text(report)
            case ConfigRejected(errors=errors):
                self._load_failure = "\n\n".join(f"{error}\n{error.fix}".rstrip() for error in errors)
            case UserCodeFailed(report=report):
                print(failure("text", report).decode(), file=sys.stderr)
            case HostLog(text=text, label=label):
                print(f"{label}: {text}" if label else text, file=sys.stderr)
            case Output(stream=stream, text=text):
                print(text, file=sys.stdout if stream == "stdout" else sys.stderr)
            case OutputLeftOut(lines=lines):
                print(f"… {lines} more lines", file=sys.stderr)
            case HostDied(pid=pid, cause=cause):
                print(f"the host (pid {pid}) {cause}", file=sys.stderr)
            case GatewayFault(traceback=traceback):
                print(traceback, file=sys.stderr)
            case _:
                pass

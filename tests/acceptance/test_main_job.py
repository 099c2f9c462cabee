"""The main job, as a newcomer meets it: `make demo` in a copy of the checkout without a .venv, then two browser pages.

Everything is real: make, pip, the command, its processes, SQLite files, Chromium.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium, Page, find_chromium

REPO = Path(__file__).parents[2]
INSTALL_SECONDS_MAX = 240.0
SECONDS_MAX = 15.0

HANDLER = "text = text.strip()\n"
LOUD_HANDLER = "text = text.strip().upper()\n"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here"),
]


class Demo:
    """`make demo` in a folder, and what it printed."""

    def __init__(self, checkout: Path, port: int) -> None:
        self.project = checkout / ".demo"
        self.url = f"http://127.0.0.1:{port}"
        self.printed = ""
        self._checkout = checkout
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *, seconds: float) -> None:
        """Type `make demo` and wait for the line that says it is ready."""
        # What the test's own virtual environment sets must not leak into the newcomer's.
        hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        before = len(self.printed)
        self._process = await asyncio.create_subprocess_exec(
            "make",
            "--no-print-directory",
            "demo",
            f"PORT={self._port}",
            cwd=self._checkout,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        await self.wait_printed(f"Ready on {self.url}\n", since=before, seconds=seconds)

    async def stop(self) -> None:
        """Ask the emulator itself to end, as Ctrl+C does; it drains and exits 0, and make with it."""
        assert self._process is not None
        os.kill(self.run_file()["pid"], signal.SIGTERM)
        code = await asyncio.wait_for(self._process.wait(), SECONDS_MAX)
        await self._reader
        self._process = None
        assert code == 0, self.printed

    async def kill(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError, OSError, ValueError, KeyError):
            os.kill(self.run_file()["pid"], signal.SIGKILL)
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._reader.cancel()

    async def wait_printed(self, text: str, *, since: int = 0, seconds: float = SECONDS_MAX) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.printed[since:]:
            assert time.monotonic() < deadline, f"{text!r} was not printed within {seconds} s:\n{self.printed[since:]}"
            assert self._process is None or self._process.returncode is None, self.printed[since:]
            await asyncio.sleep(0.02)

    def run_file(self) -> dict[str, Any]:
        return dict(json.loads((self.project / ".durable" / "run" / "emulator.json").read_text()))

    async def host_pids(self) -> list[int]:
        """The processes that run the project's code now."""

        def ask() -> Any:
            token = self.run_file()["token"]
            request = urllib.request.Request(
                f"{self.url}/__durable/status", headers={"Authorization": f"Bearer {token}"}
            )
            with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
                return json.load(answer)

        return [host["pid"] for host in (await asyncio.to_thread(ask))["hosts"]]

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while chunk := await process.stdout.read(65_536):
            self.printed += chunk.decode(errors="replace")


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    """A copy of what git holds, with nothing installed, and a free port."""
    checkout = tmp_path / "durable"
    copy_checkout(checkout)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = Demo(checkout, port)
    try:
        yield demo
    finally:
        await demo.kill()


def copy_checkout(target: Path) -> None:
    """What a clone would hold, and the work that is not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPO / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, target / name)


async def say(page: Page, text: str) -> None:
    await page.type("textarea", text)
    await page.press_enter()


async def wait_last(pages: list[Page], text: str) -> None:
    """Until every page shows this as the last message of the room, and nothing of its own is unconfirmed."""
    shown = f"chat.messages.at(-1)?.text === {json.dumps(text)} && !chat.unsent.length"
    for page in pages:
        await page.wait_for(shown, seconds=SECONDS_MAX)


async def assert_same_sockets(pages: list[Page]) -> None:
    for page in pages:
        assert await page.evaluate("[chat.socketsOpened, chat.state]") == [1, "live"]


async def test_from_make_demo_to_a_room_that_survives_edits_a_bad_save_a_kill_and_a_restart(demo: Demo) -> None:
    await demo.start(seconds=INSTALL_SECONDS_MAX)
    main = demo.project / "main.py"
    good = main.read_text()
    assert good.count(HANDLER) == 1

    async with Chromium() as browser:
        pages = [await browser.open(f"{demo.url}/room/general") for _ in range(2)]
        first, second = pages
        for page in pages:
            await page.wait_for("chat.state === 'live' && chat.people.length === 2", seconds=SECONDS_MAX)

        # A message typed in one page appears in the other.
        await say(first, "hello from the first")
        await wait_last(pages, "hello from the first")
        await say(second, "hello from the second")
        await wait_last(pages, "hello from the second")

        # Edit, save: same sockets, and the next message is handled by the new code.
        since = len(demo.printed)
        main.write_text(good.replace(HANDLER, LOUD_HANDLER))
        await demo.wait_printed("reloaded", since=since)
        await say(first, "loud")
        await wait_last(pages, "LOUD")
        await assert_same_sockets(pages)

        # A syntax error: the room goes on with the last good code, and the terminal shows the place.
        since = len(demo.printed)
        main.write_text(good.replace(HANDLER, "text = = text\n"))
        line = good[: good.index(HANDLER)].count("\n") + 1
        await demo.wait_printed("SyntaxError", since=since)
        await demo.wait_printed(f"main.py:{line}", since=since)
        await say(second, "still loud")
        await wait_last(pages, "STILL LOUD")
        await assert_same_sockets(pages)

        # Mended: the new code again.
        since = len(demo.printed)
        main.write_text(good)
        await demo.wait_printed("reloaded", since=since)
        await say(first, "Back to normal")
        await wait_last(pages, "Back to normal")
        await assert_same_sockets(pages)

        # The process that runs the room is killed: the sockets stay open and the next message is answered.
        killed = await demo.host_pids()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        await say(second, "who pulled the plug?")
        await wait_last(pages, "who pulled the plug?")
        await assert_same_sockets(pages)
        assert not set(killed) & set(await demo.host_pids())
        assert [page.errors for page in pages] == [[], []]

        # Stop and start: the pages come back by themselves with what was written meanwhile, and the history is there.
        before = await first.evaluate("chat.messages")
        await demo.stop()
        await first.wait_for("chat.state !== 'live'")
        await say(first, "written while you were away")
        await demo.start(seconds=SECONDS_MAX)
        await wait_last(pages, "written while you were away")
        after = await first.evaluate("chat.messages")
        assert after[:-1] == before
        assert [await page.evaluate("chat.socketsOpened") for page in pages] == [2, 2]

        newcomer = await browser.open(f"{demo.url}/room/general")
        await newcomer.wait_for("chat.state === 'live'", seconds=SECONDS_MAX)
        assert await newcomer.evaluate("chat.messages") == after
        assert newcomer.errors == []

    await demo.stop()

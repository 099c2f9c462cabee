"""A real browser for tests: headless Chromium over the DevTools protocol; pages, conditions to wait for, pictures.

Knows nothing of the product. Everything that waits has a deadline and says what it saw last.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # containers and CI run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # /dev/shm of a container is too small for a page
    "--no-first-run",
    "--no-proxy-server",  # tests talk to 127.0.0.1 only
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--remote-debugging-port=0",
)
START_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 20.0
POLL_SECONDS = 0.03


class BrowserError(AssertionError):
    """The browser, or the script of a page, failed the test."""


def find_chromium() -> str | None:
    """The first Chromium on PATH; None without one, so that a test can say that it needs it."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. `errors` collects uncaught exceptions, console errors and failed loads as text."""

    def __init__(self, browser: Chromium, session: str, target: str) -> None:
        self.errors: list[str] = []
        self._browser = browser
        self._session = session
        self._target = target
        self._loaded = asyncio.Event()

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._browser.command(method, session=self._session, **params)

    async def goto(self, url: str) -> None:
        """Open `url` and wait for its load event."""
        self._loaded.clear()
        answer = await self.command("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(f"{url} did not open: {answer['errorText']}")
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited, an exception raised here."""
        answer = await self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"{expression}: {_exception_text(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    async def wait_for(self, condition: str, *, seconds: float = 10.0) -> None:
        """Poll a JavaScript expression until it is true in JavaScript's sense."""
        deadline = time.monotonic() + seconds
        while True:
            # While a page loads, the expression may name what is not there yet.
            with suppress(BrowserError):
                if await self.evaluate(f"Boolean({condition})"):
                    return
            if time.monotonic() > deadline:
                seen = await self.evaluate("document.body ? document.body.innerText.slice(0, 2000) : ''")
                raise BrowserError(f"not within {seconds} s: {condition}\npage errors: {self.errors}\npage: {seen}")
            await asyncio.sleep(POLL_SECONDS)

    async def click(self, selector: str) -> None:
        """Press the mouse in the middle of the first element that matches."""
        place = await self.evaluate(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.command(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    async def type(self, selector: str, text: str) -> None:
        """Focus an element and type into it as a person would paste: input events fire, key events do not."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.command("Input.insertText", text=text)

    async def press_enter(self) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if kind == "keyDown" else {}
            await self.command(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, **text
            )

    async def resize(self, width: int, height: int, *, scale: float = 1.0, mobile: bool = False) -> None:
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    async def prefer(self, scheme: str) -> None:
        """`scheme` is "light" or "dark"."""
        await self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def screenshot(self, file: Path) -> None:
        """Write what the page shows as PNG."""
        answer = await self.command("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(answer["data"]))

    async def close(self) -> None:
        await self._browser.command("Target.closeTarget", targetId=self._target)

    def on_event(self, method: str, params: dict[str, Any]) -> None:
        """For the browser: an event of this page arrived."""
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            self.errors.append(_exception_text(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())


class Chromium:
    """A running browser: `async with Chromium() as browser: page = await browser.open(url)`."""

    def __init__(self, executable: str | None = None) -> None:
        found = executable or find_chromium()
        if found is None:
            raise BrowserError(f"no Chromium on PATH (looked for {', '.join(NAMES)}): apt-get install chromium")
        self._executable = found
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._pages: dict[str, Page] = {}
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_id = 0

    async def __aenter__(self) -> Chromium:
        self._process = await asyncio.create_subprocess_exec(
            self._executable,
            *FLAGS,
            f"--user-data-dir={self._profile.name}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port, path = await self._wait_devtools_address()
            self._client = aiohttp.ClientSession()
            self._socket = await self._client.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0)
        except BaseException:
            await self._end(seconds=0)
            raise
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):
            await asyncio.wait_for(self.command("Browser.close"), 5)
        self._reader.cancel()
        await self._socket.close()
        await self._client.close()
        await self._end(seconds=3)

    async def open(self, url: str, *, width: int = 1200, height: int = 800) -> Page:
        """A new tab that shares nothing with the others but the machine: its own cookies and storage."""
        context = (await self.command("Target.createBrowserContext"))["browserContextId"]
        created = await self.command("Target.createTarget", url="about:blank", browserContextId=context)
        target = created["targetId"]
        session = (await self.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log"):
            await page.command(f"{domain}.enable")
        await page.resize(width, height)
        # Every page believes that it is in front; otherwise all tabs but one would count as hidden.
        await page.command("Emulation.setFocusEmulationEnabled", enabled=True)
        await page.goto(url)
        return page

    async def command(self, method: str, *, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one DevTools command and wait for its answer."""
        self._last_id += 1
        number = self._last_id
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        await self._socket.send_json(message)
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS_MAX)
        except TimeoutError:
            raise BrowserError(f"the browser did not answer {method} within {ANSWER_SECONDS_MAX} s") from None
        finally:
            del self._answers[number]

    async def _read(self) -> None:
        async for frame in self._socket:
            message = json.loads(frame.data)
            if "id" in message:
                answer = self._answers.get(message["id"])
                if answer is None or answer.done():
                    continue
                if "error" in message:
                    answer.set_exception(BrowserError(message["error"]["message"]))
                else:
                    answer.set_result(message["result"])
            elif page := self._pages.get(message.get("sessionId", "")):
                page.on_event(message["method"], message["params"])
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(BrowserError("the browser is gone"))

    async def _wait_devtools_address(self) -> tuple[str, str]:
        # Chromium writes the port it chose, then the path of its own socket.
        file = Path(self._profile.name) / "DevToolsActivePort"
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._process.returncode is not None:
                raise BrowserError(f"{self._executable} ended with exit code {self._process.returncode} at its start")
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) == 2:
                return lines[0], lines[1]
            await asyncio.sleep(POLL_SECONDS)
        raise BrowserError(f"{self._executable} opened no DevTools port within {START_SECONDS_MAX} s")

    async def _end(self, seconds: float) -> None:
        # The launcher is a shell script and the browser a family of processes: end the whole session started above.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._profile.cleanup()


def _exception_text(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details["text"])

"""One report for each failure of user code, wherever it goes: to callers, other hosts, alarms, tasks and clients."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from durable.gateway.events import ObjectEvicted, UserCodeFailed
from durable.gateway.failure_layout import failure_lines
from durable.supervisor.events import ReloadFailed
from durable.wire.messages import ErrorReport
from tests.integration.running_emulator import Running, running
from tests.settings import settings

PROGRAM = """\
import asyncio
import base64
from urllib.parse import quote

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Room(DurableObject):
    def __init__(self, ctx, env):
        self.ctx, self.env = ctx, env
        if ctx.id.name == "cursed":
            raise RuntimeError("it cannot be constructed")

    def say(self, text, n=1):
        raise ValueError("no such room: " + text)

    async def ask(self, name, text):
        return await self.env.ROOMS.get_by_name(name).say(text, n=2)

    def query(self):
        return self.ctx.storage.sql.exec("SELECT nope, ? AS n", 7)

    async def alarm(self):
        await self.ask("b", "in an alarm")

    async def ring(self):
        await self.ctx.storage.set_alarm(1)

    async def twice(self):
        task = asyncio.create_task(self.ask("b", "twice"))
        self.ctx.wait_until(task)
        await task

    def loose(self):
        self.task = asyncio.create_task(self.ask("b", "loose"))
        self.task.add_done_callback(lambda _: delattr(self, "task"))

    def unawaited(self):
        self.env.ROOMS.get_by_name("b").say("unawaited")

    async def handled(self):
        try:
            await self.ask("b", "handled")
        except ValueError:
            return "fine"

    async def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws, message):
        await self.ask("b", message)

    def leak(self, how):
        key = self.env.API_KEY
        text = {"message": key, "repr": repr({"key": key}), "url": quote(key, safe=""), "argument": "none",
            "basic": base64.b64encode(f"me:{key}".encode()).decode()}[how]
        error = ValueError("refused: " + text)
        error.add_note("with " + key)
        try:
            self.ctx.storage.sql.exec(f"SELECT '{key}', nope")
        except Exception as cause:
            raise error from cause

    def long_sql(self):
        return self.ctx.storage.sql.exec("SELECT '" + "x" * 395 + self.env.API_KEY + "', nope, '" + "y" * 5000 + "'")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, name, method, *args = request.url.partition("//")[2].split("/")
        room = self.env.ROOMS.get_by_name(name)
        if method == "fetch":
            return await room.fetch(request)
        if method == "leak":
            return Response(await room.leak(args[0]))
        return Response(str(await getattr(room, method)(*args)))
"""
SETTINGS = settings("Room", "ROOMS") + "\n[dev]\nport = 0\n"
SECRET = 'sk-live/"4f9a8b7c6d5e"'
NAMES = "abcdef"


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    (tmp_path / ".dev.vars").write_text(f"API_KEY='{SECRET}'\n")
    async with running(tmp_path, PROGRAM, SETTINGS, hosts=2) as emulator:
        yield emulator


async def reports(run: Running, count: int = 1) -> list[ErrorReport]:
    """Those told since the last look, when `count` have come and none is on its way."""
    await run.event(UserCodeFailed, count)
    assert (await run.get("/f/handled"))[0] == 200
    found = [event.report for event in run.told(UserCodeFailed)]
    run.events.clear()
    return found


def texts(report: ErrorReport) -> list[str]:
    return [frame.function for frame in report.frames if frame.user]


async def test_a_call_that_fails_shows_the_callee_its_arguments_and_every_callers_line(run: Running) -> None:
    # Of four objects some live in another host than the one they ask.
    for name in "acde":
        status, _ = await run.get(f"/{name}/ask/b/hello")

        [report] = await reports(run)
        asked, called = f"Room \"{name}\".ask(name='b', text='hello')", "Room \"b\".say(text='hello', n=2)"
        assert status == 500
        assert (report.label, report.method, report.arguments) == ('Room "b"', "say", "text='hello', n=2")
        assert texts(report) == ["fetch", "ask", "say"]
        assert list(dict.fromkeys(frame.place for frame in report.frames)) == ["Default.fetch", asked, called]
        assert 'raise ValueError("no such room: " + text)' in report.frames[-1].context


async def test_a_failure_is_told_once_wherever_it_goes(run: Running) -> None:
    for path, label, functions in [
        ("/a/ring", 'Room "b"', ["alarm", "ask", "say"]),
        ("/a/twice", 'Room "b"', ["twice", "ask", "say"]),
        ("/a/loose", 'Room "b"', ["ask", "say"]),
        ("/a/unawaited", 'Room "b"', ["say"]),
        ("/cursed/say/x", 'Room "cursed"', ["fetch", "__init__"]),
    ]:
        await run.get(path)

        [report] = await reports(run)
        assert (report.label, texts(report)) == (label, functions), path


async def test_a_failure_in_a_socket_handler_is_told_once_and_the_socket_stays(run: Running) -> None:
    async with run.client.ws_connect(run.emulator.url.replace("http", "ws") + "/a/fetch") as socket:
        await socket.send_str("hello")
        [report] = await reports(run)
        assert not socket.closed

    assert texts(report) == ["web_socket_message", "ask", "say"]
    assert "Room \"a\".web_socket_message(message='hello')" in {frame.place for frame in report.frames}


async def test_a_failure_that_is_handled_is_not_told(run: Running) -> None:
    assert await run.get("/a/handled") == (200, "fine")
    assert run.told(UserCodeFailed) == []


async def test_failures_that_look_alike_are_all_told(run: Running) -> None:
    for _ in range(3):
        await run.get("/a/say/hello")

    assert len(await reports(run, 3)) == 3


async def test_a_statement_that_sqlite_refuses_is_shown_with_its_bindings(run: Running) -> None:
    _, page = await run.get("/a/query", headers={"Accept": "application/json"})

    [report] = await reports(run)
    assert report.sql is not None
    assert (report.sql.text, report.sql.bindings, report.sql.offset) == ("SELECT nope, ? AS n", 1, 7)
    assert json.loads(page)["error"]["sql"] == {"text": "SELECT nope, ? AS n", "bindings": 1}


def shown(run: Running) -> str:
    """Everything that was told: what the log says of it, and all that the events hold."""
    lines = [line for event in run.told(UserCodeFailed) for line in failure_lines(event.report, lambda text, _: text)]
    text = "\n".join([*lines, *map(repr, run.events)])
    run.events.clear()
    return text


HIDDEN = (SECRET, repr(SECRET)[1:-1], quote(SECRET, safe=""), base64.b64encode(b"me:" + SECRET.encode()).decode()[:20])


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
async def test_no_secret_reaches_a_client_or_the_terminal(run: Running, accept: str) -> None:
    for how in ("message", "repr", "url", "basic", "argument"):
        _, page = await run.get(f"/a/leak/{how}", headers={"Accept": accept})
        await run.event(UserCodeFailed)

        for text in (page, shown(run)):
            assert "«API_KEY»" in text
            assert [form for form in (*HIDDEN, "4f9a8b7c6d5e") if form in text] == [], how


async def test_a_secret_of_the_environment_is_hidden_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "whsec_0123456789")
    program = PROGRAM.replace(".say(text, n=2)", '.say(__import__("os").environ["STRIPE_API_KEY"])')
    async with running(tmp_path, program, SETTINGS, watch=False) as run:
        _, page = await run.get("/a/ask/b/x")
        report = (await run.event(UserCodeFailed)).report

    assert (report.message, report.arguments) == ("no such room: «STRIPE_API_KEY»", "text='«STRIPE_API_KEY»'")
    assert "whsec" not in page


async def test_without_its_name_among_the_secrets_the_key_would_be_seen(tmp_path: Path) -> None:
    # The twin: the same value as a plain variable under a name that tells nothing.
    program = PROGRAM.replace("env.API_KEY", "env.COLOUR")
    plain = SETTINGS.replace("[dev]", f"[vars]\nCOLOUR = '{SECRET}'\n[dev]")
    async with running(tmp_path, program, plain, watch=False) as run:
        _, page = await run.get("/a/leak/message")
        await run.event(UserCodeFailed)

    assert SECRET in page
    assert "4f9a8b7c6d5e" in shown(run)


async def test_a_statement_is_never_cut_through_a_secret(run: Running) -> None:
    _, page = await run.get("/a/long_sql")

    [report] = await reports(run)
    assert report.sql is not None
    assert len(report.sql.text) < 1000
    assert "sk-live" not in page + report.sql.text


async def test_callers_get_the_exception_as_it_was(run: Running) -> None:
    run.main.write_text(
        PROGRAM.replace(
            "return Response(await room.leak(args[0]))",
            "try:\n                await room.leak(args[0])\n            except ValueError as error:\n"
            "                return Response(str(self.env.API_KEY in str(error)))",
        )
    )
    await run.emulator.reload()

    assert [await run.get(f"/{name}/leak/message") for name in NAMES] == [(200, "True")] * len(NAMES)


async def test_a_program_that_cannot_be_loaded_tells_no_secret(run: Running) -> None:
    run.main.write_text(PROGRAM + f"\nkey = {SECRET!r}\nraise ValueError(key)  # {SECRET}\n")
    await run.emulator.reload()
    failed = await run.event(ReloadFailed)

    assert failed.report.message == "«API_KEY»"
    assert failed.report.frames[-1].context.endswith("raise ValueError(key)  # «API_KEY»")
    assert "4f9a8b7c6d5e" not in repr(run.events)


async def test_the_line_of_an_object_that_was_reset_tells_no_secret(run: Running) -> None:
    run.main.write_text(PROGRAM.replace('"it cannot be constructed"', '"refused: " + env.API_KEY'))
    await run.emulator.reload()
    run.emulator.tell_life(True)
    await run.get("/cursed/say/x")
    gone = await run.event(ObjectEvicted)

    assert gone.cause == "RuntimeError: refused: «API_KEY»"


async def test_many_requests_that_meet_one_failure_are_all_answered_with_it(run: Running) -> None:
    answers = await asyncio.gather(*(run.get("/cursed/say/x") for _ in range(5)))

    assert [status for status, _ in answers] == [500] * 5
    assert all("it cannot be constructed" in page for _, page in answers)

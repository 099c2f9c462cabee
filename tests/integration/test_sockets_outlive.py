"""Sockets across reloads, deaths and the end: which stay, which are closed and how, and what the log says of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType

from durable.gateway.accepted_sockets import AcceptedSockets
from durable.gateway.events import (
    AcceptedSocketsClosed,
    SocketEventsLost,
    SocketGone,
    SocketsDropped,
    SocketsRebound,
    UserCodeFailed,
)
from durable.gateway.websockets import ClientSockets
from durable.sdk.ids import id_from_name
from durable.supervisor.events import HostDied, HostRestarted
from tests.integration.running_emulator import WAIT_SECONDS, Running, running
from tests.settings import settings

SETTINGS = (
    settings("Room", "ROOMS")
    + """
[dev]
port = 0
drain_seconds = 1
"""
)

PROGRAM = """\
import asyncio
import os
from urllib.parse import urlsplit

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

VERSION = "one"


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.clients = 0
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS told(what TEXT)")

    def tell(self, what):
        self.ctx.storage.sql.exec("INSERT INTO told VALUES (?)", what)

    def told(self):
        return [row["what"] for row in self.ctx.storage.sql.exec("SELECT what FROM told")]

    async def fetch(self, request):
        how = urlsplit(request.url).path.split("/")[2]
        if how == "told":
            return Response.json(self.told())
        if how == "abort":
            self.ctx.abort("enough")
        client, server = WebSocketPair()
        self.clients += 1
        if how == "sleep":
            self.ctx.accept_web_socket(server, tags=["t"])
            server.serialize_attachment({"by": VERSION})
            return Response(None, status=101, web_socket=client)
        server.accept()
        mine = self.clients

        async def hear(event):
            if event.data == "slow":
                await asyncio.sleep(60)
            if event.data == "close":
                server.close(4000, "asked")
            server.send(f"{VERSION} {mine} {event.data} {request.headers.get('x-who')} {urlsplit(request.url).query}")

        server.add_event_listener("message", hear)
        server.add_event_listener("close", lambda event: self.tell(f"{VERSION} close {event.code}"))
        protocol = {"sec-websocket-protocol": "chat"} if "sec-websocket-protocol" in request.headers else {}
        return Response(None, status=101, headers=protocol, web_socket=client)

    async def web_socket_message(self, ws, message):
        if message == "slow":
            await asyncio.sleep(60)
        if message == "abort":
            self.ctx.abort("enough")
        if message == "critical":
            async def fail():
                raise ValueError("in the section")
            await self.ctx.block_concurrency_while(fail)
        if message == "ask":
            while not os.path.exists("held"):
                await asyncio.sleep(0.01)
            for _ in range(20):
                message = await self.env.ROOMS.get_by_name("other").told()
                await asyncio.sleep(0.02)
        ws.send(f"{VERSION} {message} {self.ctx.get_tags(ws)} {ws.deserialize_attachment()}")

    def web_socket_close(self, ws, code, reason, was_clean):
        self.tell(f"{VERSION} close {code}")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlsplit(request.url).path.split("/")[1]
        return await self.env.ROOMS.get_by_name(name).fetch(request)
"""
TWO = PROGRAM.replace('"one"', '"two"')


async def connect(
    run: Running, path: str, *, headers: dict[str, str] | None = None, protocols: Sequence[str] = ()
) -> aiohttp.ClientWebSocketResponse:
    return await run.client.ws_connect(run.emulator.url + path, headers=headers, protocols=protocols)


async def say(ws: aiohttp.ClientWebSocketResponse, text: str) -> str:
    await ws.send_str(text)
    return await ws.receive_str(timeout=WAIT_SECONDS)


async def ending(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code that the connection ends with."""
    while (await ws.receive(timeout=WAIT_SECONDS)).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
        pass
    return ws.close_code


async def save(run: Running, program: str) -> None:
    """Reload by hand, so that the moment is the test's."""
    run.main.write_text(program)
    await run.emulator.reload()


# --- accept()ed ones --------------------------------------------------------------------------------------------------
async def test_a_reload_closes_accepted_sockets_with_1012_and_one_line_names_their_objects(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        closing = [await connect(run, "/a/hold"), await connect(run, "/a/hold"), await connect(run, "/b/hold")]
        staying = await connect(run, "/a/sleep")
        await save(run, TWO)

        assert [await ending(ws) for ws in closing] == [1012, 1012, 1012]
        assert run.told(AcceptedSocketsClosed) == [AcceptedSocketsClosed((("Room", "a", 2), ("Room", "b", 1)))]
        assert await say(staying, "x") == "two x ['t'] {'by': 'one'}"
        assert (await run.get("/a/told"))[1] == "[]"


async def test_kept_sockets_are_rebound_to_the_new_code_by_their_first_request(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="rebind") as run:
        sockets = [
            await connect(run, f"/a/hold?n={n}", headers={"X-Who": f"client {n}"}, protocols=["chat"]) for n in range(3)
        ]
        assert await say(sockets[2], "hello") == "one 3 hello client 2 n=2"
        await save(run, TWO)

        # No second handshake, and new memory: the object counts its clients from one again.
        answers = [await say(ws, "again") for ws in sockets]
        assert answers == [f"two {n + 1} again client {n} n={n}" for n in range(3)]
        assert await run.event(SocketsRebound) == SocketsRebound(3, 0)
        assert not run.told(AcceptedSocketsClosed)
        assert not run.told(SocketGone)
        assert run.emulator.status()["sockets"] == 3

        # It is a socket like any other: closed by its client, by its object, and rebound once more.
        await sockets[0].close(code=4001)
        await run.until(lambda: run.emulator.status()["sockets"] == 2)
        await sockets[1].send_str("close")
        assert await ending(sockets[1]) == 4000
        await run.until(lambda: run.emulator.status()["sockets"] == 1)
        await save(run, PROGRAM)
        assert await say(sockets[2], "third") == "one 1 third client 2 n=2"
        assert json.loads((await run.get("/a/told"))[1])[0] == "two close 4001"


async def test_what_a_client_sends_before_it_is_rebound_is_delivered_in_order_after_it(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="rebind") as run:
        ws = await connect(run, "/a/hold")
        assert await say(ws, "0") == "one 1 0 None "
        run.main.write_text(TWO.replace("VERSION = ", "import time\ntime.sleep(0.2)\nVERSION = "))
        reloading = asyncio.ensure_future(run.emulator.reload())
        sent = 0
        while not run.told(SocketsRebound):
            sent += 1
            await ws.send_str(str(sent))
            await asyncio.sleep(0.001)
        await reloading

        heard = [(await ws.receive_str(timeout=WAIT_SECONDS)).split()[:3] for _ in range(sent)]
        assert [number for _, _, number in heard] == [str(number) for number in range(1, sent + 1)]
        assert {version for version, _, _ in heard} == {"one", "two"}
        assert not run.told(SocketEventsLost)


async def test_kept_sockets_outlive_a_killed_host_and_what_it_had_begun_is_lost_and_counted(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="rebind") as run:
        ws = await connect(run, "/a/hold")
        await ws.send_str("slow")
        assert await say(ws, "1") == "one 1 1 None "
        os.kill(run.pids[0], signal.SIGKILL)
        await run.event(HostDied)
        assert await say(ws, "2") == "one 1 2 None "
        assert await run.event(SocketsRebound) == SocketsRebound(1, 0)
        assert run.told(SocketEventsLost) == [SocketEventsLost(1)]


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        pytest.param(('if how == "told":', 'if how == "hold":'), False, id="another status"),
        pytest.param(('if how == "told":', 'assert how != "hold"\n        if how == "told":'), True, id="an exception"),
        pytest.param(('"sec-websocket-protocol": "chat"', '"sec-websocket-protocol": "talk"'), False, id="a protocol"),
    ],
)
async def test_new_code_that_does_not_take_a_kept_socket_closes_it_with_1012(
    tmp_path: Path, change: tuple[str, str], fails: bool
):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="rebind") as run:
        ws = await connect(run, "/a/hold", protocols=["chat", "talk"])
        assert ws.protocol == "chat"
        await save(run, TWO.replace(*change))
        assert await ending(ws) == 1012
        assert await run.event(SocketsRebound) == SocketsRebound(0, 1)
        assert bool(run.told(UserCodeFailed)) == fails
        await run.until(lambda: run.emulator.status()["sockets"] == 0)


async def test_a_kept_socket_whose_client_has_left_meanwhile_is_not_asked_for_again(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="rebind") as run:
        leaving, speaking = await connect(run, "/a/hold"), await connect(run, "/a/hold")
        os.kill(run.pids[0], signal.SIGKILL)
        await run.event(HostDied)
        # Of one that said something first, the new code hears what it said, and then that it left.
        await speaking.send_str("last words")
        await leaving.close(code=4001)
        await speaking.close(code=4002)
        await run.event(HostRestarted)
        await run.until(lambda: run.emulator.status()["sockets"] == 0)
        assert (await run.get("/a/told"))[1] == '["one close 4002"]'


async def test_a_second_reload_before_the_sockets_are_rebound_is_met_as_well(tmp_path: Path):
    slow = TWO.replace("how = urlsplit", "await asyncio.sleep(1.5)\n        how = urlsplit")
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="rebind") as run:
        ws = await connect(run, "/a/hold")
        await save(run, slow)
        await ws.send_str("kept")
        await save(run, TWO)  # the drain's deadline comes before the slow answer
        assert await ws.receive_str(timeout=WAIT_SECONDS) == "two 1 kept None "
        assert await run.event(SocketsRebound) == SocketsRebound(1, 0)


async def test_sockets_that_are_not_rebound_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The twin: without the request that is asked again, a kept socket says nothing more."""
    monkeypatch.setattr(AcceptedSockets, "release", lambda self: None)
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="rebind") as run:
        ws = await connect(run, "/a/hold")
        await save(run, TWO)
        await ws.send_str("x")
        with pytest.raises(TimeoutError):
            await ws.receive_str(timeout=0.3)
        assert not run.told(SocketsRebound)


# --- as in production -------------------------------------------------------------------------------------------------
async def test_with_drop_sockets_every_reload_ends_every_socket_without_a_frame(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="drop") as run:
        sockets = [await connect(run, path) for path in ("/a/sleep", "/b/sleep", "/b/hold")]
        await save(run, TWO)
        assert [await ending(ws) for ws in sockets] == [1006, 1006, 1006]
        assert run.told(SocketsDropped) == [SocketsDropped(3, 0)]
        assert not run.told(AcceptedSocketsClosed)
        assert run.emulator.status()["sockets"] == 0

        # Nobody is told of the end, nothing is listed any more, and a crash is no reload.
        again = await connect(run, "/a/sleep")
        assert await say(again, "x") == "two x ['t'] {'by': 'two'}"
        assert (await run.get("/a/told"))[1] == "[]"
        os.kill(run.pids[0], signal.SIGKILL)
        await run.event(HostDied)
        assert await say(again, "y") == "two y ['t'] {'by': 'two'}"
        await save(run, TWO)
        assert await ending(again) == 1006
        assert run.told(SocketsDropped)[1:] == [SocketsDropped(1, 0)]


async def test_a_save_that_cannot_be_loaded_drops_nothing(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="drop") as run:
        ws = await connect(run, "/a/sleep")
        await save(run, "broken(")
        assert await say(ws, "x") == "one x ['t'] {'by': 'one'}"
        assert not run.told(SocketsDropped)


# --- resets -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["abort", "critical"])
async def test_a_reset_drops_the_sockets_of_its_object_and_no_others(tmp_path: Path, how: str):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        mine = [await connect(run, "/a/sleep"), await connect(run, "/a/hold"), await connect(run, "/a/sleep")]
        other = await connect(run, "/b/sleep")
        await mine[0].send_str(how)
        assert [await ending(ws) for ws in mine] == [1006, 1006, 1006]
        assert await say(other, "x") == "one x ['t'] {'by': 'one'}"
        assert (await run.get("/a/told"))[1] == "[]"
        assert run.emulator.status()["sockets"] == 1


# --- the end ----------------------------------------------------------------------------------------------------------
async def test_the_end_of_the_emulator_closes_every_socket_with_1001_and_runs_no_handler(tmp_path: Path):
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False, on_reload="rebind") as run:
        sockets = [await connect(run, "/a/sleep"), await connect(run, "/a/hold")]
        codes = [asyncio.ensure_future(ending(ws)) for ws in sockets]
        await run.emulator.stop()
        assert await asyncio.gather(*codes) == [1001, 1001]
        assert not run.told(AcceptedSocketsClosed)
    async with running(tmp_path, PROGRAM, SETTINGS, watch=False) as run:
        assert (await run.get("/a/told"))[1] == "[]"


# --- several hosts ----------------------------------------------------------------------------------------------------
async def reload_while_a_handler_asks_the_other_host(run: Running, patch: pytest.MonkeyPatch) -> None:
    """A handler of a socket asks an object of the other host, again and again, from the moment of the hold on."""
    hold = run.emulator._front.sockets.hold

    def hold_and_say_so() -> None:
        hold()
        (run.root / "held").touch()

    patch.setattr(run.emulator._front.sockets, "hold", hold_and_say_so)
    key = run.emulator.namespaces()["Room"].key
    placement = run.emulator.router.placement
    here = placement(id_from_name(key, "other"))
    # Where a name leads differs from project to project.
    asking = next(name for name in map(str, itertools.count()) if placement(id_from_name(key, name)) != here)
    ws = await connect(run, f"/{asking}/sleep")
    assert await say(ws, "x") == "one x ['t'] {'by': 'one'}"
    await ws.send_str("ask")
    await run.until(lambda: run.emulator._front.sockets.statistics().events > 0)
    await save(run, TWO)


async def test_a_socket_handler_may_ask_an_object_of_another_host_while_both_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running(tmp_path, PROGRAM, SETTINGS, hosts=2, watch=False) as run:
        await reload_while_a_handler_asks_the_other_host(run, monkeypatch)
        assert not run.told(UserCodeFailed)
        assert not run.told(SocketEventsLost)
        assert run.emulator._front.sockets.statistics().events == 0


async def test_a_drain_that_does_not_wait_for_socket_handlers_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The twin: the other host closes first, and the handler's call fails."""
    monkeypatch.setattr(ClientSockets, "busy", lambda self, link: False)
    async with running(tmp_path, PROGRAM, SETTINGS, hosts=2, watch=False) as run:
        await reload_while_a_handler_asks_the_other_host(run, monkeypatch)
        failed, lost = run.told(UserCodeFailed), run.told(SocketEventsLost)
        assert failed or lost

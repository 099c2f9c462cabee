"""`/__durable/events` of a running emulator: what is told, once each, whom it wakes, what it says of a stuck host."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from durable.supervisor.events import HostRestarted, Reloaded
from tests.integration.running_emulator import SETTINGS, WAIT_SECONDS, Running, running
from tests.settings import settings

PROGRAM = """\
import asyncio, time

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint, fetch


class Counter(DurableObject):
    async def fetch(self, request):
        sql = self.ctx.storage.sql
        what = request.url.split("/")[-1].partition("?")[0]
        if what == "fail":
            raise ValueError("no such room")
        if what == "sql-error":
            sql.exec("SELEKT")
        if what == "read":
            sql.exec("CREATE TABLE IF NOT EXISTS t(n)")
            for n in range(3):
                sql.exec("INSERT INTO t VALUES (?)", n)
            sql.exec("SELECT n FROM t").to_array()
            await self.ctx.storage.put("a", 1)
            await self.ctx.storage.get("a")
        if what == "ask":
            for name in "abcdefgh":
                await self.env.COUNTER.get_by_name(name).hello()
        if what == "abort":
            self.ctx.abort("enough")
        if what == "half":
            raise ValueError("half \\ud83d")
        if what == "odd":
            request.url, request.method = None, 7
            await self.env.COUNTER.get_by_name("b").__getattr__("x" * 5000)()
        if what == "wait":
            await asyncio.sleep(60)
        if what == "outside":
            await fetch(request.headers["X-Address"] + "/b/hello?token=hunter2")
        if what == "socket":
            client, server = WebSocketPair()
            self.ctx.accept_web_socket(server)
            return Response(None, status=101, web_socket=client)
        if what == "hang":
            time.sleep(3)
        return Response("ok")

    def web_socket_message(self, ws, message):
        ws.send(message)

    def hello(self):
        return 1


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        parts = request.url.split("/")
        if len(parts) < 5:
            return Response("worker")
        return await self.env.COUNTER.get_by_name(parts[3]).fetch(request)
"""


async def told(app: Running, query: str = "") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {app.emulator.token}"}
    status, text = await app.get(f"/__durable/events{query}", headers=headers)
    assert status == 200, text
    return dict(json.loads(text))


def lines_of(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(event["kind"], event["what"], event["outcome"]) for event in answer["events"]]


async def told_of(app: Running, name: str) -> list[tuple[str, str, str]]:
    return lines_of(await told(app, f"?class=Counter&name={name}"))


async def wait_told(app: Running, line: tuple[str, str, str]) -> None:
    """Of any object: one that is only about to be made is not found by its name."""
    async with asyncio.timeout(WAIT_SECONDS):
        while line not in lines_of(await told(app)):
            await asyncio.sleep(0.01)


async def test_a_request_and_everything_below_it_are_told_in_order(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, watch=False) as app:
        assert (await app.get("/general/read?token=hunter2"))[0] == 200
        await app.get("/")
        answer = await told(app, "?class=COUNTER&name=general")
    events = answer["events"]
    assert [(event["kind"], event["what"], event["outcome"]) for event in events] == [
        ("request", "GET /general/read", "200"),
        ("fetch", "GET /general/read", "ok"),
        ("construct", "", "ok"),
        ("sql", "CREATE TABLE IF NOT EXISTS t(n)", "ok"),
        *[("sql", "INSERT INTO t VALUES (?)", "ok")] * 3,
        ("sql", "SELECT n FROM t", "ok"),
        ("commit", "", "ok"),
    ]
    assert [event["rows"] for event in events if event["kind"] == "sql"] == [0, 1, 1, 1, 3]
    assert events[1]["storage_operations"] == 2
    assert {event["class"] for event in events} == {"Counter"}
    request, fetch = events[:2]
    assert request["duration_ms"] >= fetch["duration_ms"] > 0
    assert request["at_ms"] <= fetch["at_ms"]
    assert (answer["left_out"], answer["silent_hosts"]) == (False, [])


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("fail", ("fetch", "GET /a/fail", "ValueError: no such room")),
        ("sql-error", ("sql", "SELEKT", 'SqlError: near "SELEKT": syntax error at offset 0')),
        ("abort", ("reset", "", "ActorResetError: enough")),
    ],
)
async def test_what_failed_says_with_what(tmp_path: Path, path: str, line: tuple[str, str, str]) -> None:
    async with running(tmp_path, PROGRAM, watch=False) as app:
        await app.get(f"/a/{path}")
        lines = await told_of(app, "a")
    assert line in [(kind, what, outcome[: len(line[2])]) for kind, what, outcome in lines]


@pytest.mark.parametrize("hosts", [1, 2])
async def test_a_call_stands_in_the_timeline_of_both_objects(tmp_path: Path, hosts: int) -> None:
    async with running(tmp_path, PROGRAM, hosts=hosts, watch=False) as app:
        await app.get("/caller/ask")
        asked = [what for kind, what, _ in await told_of(app, "caller") if kind == "asks"]
        called = [(kind, what) for kind, what, _ in await told_of(app, "b")]
    assert asked == [f'Counter "{name}" hello' for name in "abcdefgh"]
    assert ("call", "hello") in called


async def test_each_event_is_told_once_to_whoever_goes_on_asking(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, hosts=2, watch=False) as app:
        since, seen = 0, 0

        async def ask_again() -> None:
            nonlocal since, seen
            answer = await told(app, f"?since={since}&limit=10000")
            seen += sum(event["kind"] == "fetch" for event in answer["events"])
            since = answer["next"]

        async def use(name: str) -> None:
            for _ in range(20):
                assert (await app.get(f"/{name}/read"))[0] == 200

        using = asyncio.gather(*(use(name) for name in "abcd"))
        while not using.done():
            await ask_again()
        await using
        await ask_again()
    assert seen == 80


async def test_looking_wakes_nobody_and_makes_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, watch=False) as app:
        await app.get("/a/read")
        headers = {"Authorization": f"Bearer {app.emulator.token}"}
        await app.emulator.presence.evict_all()
        assert (await told_of(app, "a"))[-1] == ("evict", "", "ok")
        for _ in range(3):
            await told_of(app, "a")
        assert [kind for kind, _, _ in await told_of(app, "a")].count("construct") == 1
        status, text = await app.get("/__durable/events?class=Counter&name=nobody", headers=headers)
        assert (status, json.loads(text)["error"]["code"]) == (404, "no_such_object")


async def test_a_reload_is_told_and_what_was_before_it_too(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM) as app:
        await app.get("/a/read")
        before = await told_of(app, "a")
        for count in (1, 2):
            await app.emulator.reload()
            await app.event(Reloaded, count)
        after = await told_of(app, "a")
        await app.get("/b/fail")
    assert ("sql", "SELECT n FROM t", "ok") in before
    assert after == [*before, ("reload", "", "ok"), ("reload", "", "ok")]


async def test_a_host_that_dies_takes_its_memory_along_and_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM) as app:
        await app.get("/a/read")
        os.kill(app.pids[0], signal.SIGKILL)
        await app.event(HostRestarted)
        lines = await told_of(app, "a")
    assert [kind for kind, _, _ in lines] == ["request", "host", "host"]
    assert "SIGKILL" in lines[1][2]


async def test_a_client_that_goes_away_is_told_as_that(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, watch=False) as app:
        asking = asyncio.create_task(app.get("/a/wait"))
        await app.until(lambda: app.in_flight > 0)
        await wait_told(app, ("construct", "", "ok"))
        asking.cancel()
        await wait_told(app, ("fetch", "GET /a/wait", "cancelled"))


async def test_half_a_character_is_told_as_an_escape_and_keeps_no_reload_waiting(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM) as app:
        await app.get("/a/half")
        before = await told_of(app, "a")
        await app.emulator.reload()
        assert await told_of(app, "a") == [*before, ("reload", "", "ok")]
    assert ("fetch", "GET /a/half", r"ValueError: half \ud83d") in before


async def test_whatever_code_does_to_its_request_it_ends_and_stays_short(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, watch=False) as app:
        status, _ = await app.get("/a/odd")
        lines = [*await told_of(app, "a"), *await told_of(app, "b")]
    assert status == 500
    assert [kind for kind, what, _ in lines if not what and kind == "fetch"] == ["fetch"]
    assert max(len(what) + len(outcome) for _, what, outcome in lines) < 500


async def test_what_an_object_asks_of_the_outside_is_told_without_secrets(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, watch=False) as app:
        address = app.emulator.url.replace("http://", "http://user:hunter2@")
        status, _ = await app.get("/a/outside", headers={"X-Address": address})
        lines = await told_of(app, "a")
    assert status == 200
    assert ("outgoing", f"GET {app.emulator.url}/b/hello", "200") in lines


async def test_sockets_stay_when_hosts_are_restarted(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM) as app:
        before = app.pids
        async with app.client.ws_connect(f"{app.emulator.url}/a/socket") as socket:
            await socket.send_str("one")
            assert await socket.receive_str() == "one"
            await app.emulator.restart_hosts()
            await socket.send_str("two")
            assert await socket.receive_str() == "two"
            lines = await told_of(app, "a")
        assert not {*before} & {*app.pids}
    assert lines.count(("socket", "message of 3 characters", "ok")) == 2
    assert ("socket", "opened", "") in lines


async def test_a_stuck_host_is_named_and_the_rest_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, PROGRAM, SETTINGS.replace("[dev]", "[dev]\nwatchdog_seconds = 30")) as app:
        await app.get("/a/read")
        hanging = asyncio.create_task(app.get("/a/hang"))
        await app.until(lambda: app.in_flight > 0)
        await asyncio.sleep(0.05)
        answer = await told(app, "?class=Counter&name=a")
        assert answer["silent_hosts"] == [{"shard": 0, "reason": "it did not answer within 1 s"}]
        assert [event["kind"] for event in answer["events"]] == ["request"]
        assert (await hanging)[0] == 200
        assert not (await told(app))["silent_hosts"]


async def test_without_a_class_the_latest_of_all_are_told(tmp_path: Path) -> None:
    other = settings("Counter", "COUNTER") + "\n[dev]\nport = 0\n"
    async with running(tmp_path, PROGRAM, other, watch=False) as app:
        for name in "abc":
            await app.get(f"/{name}/x")
        await app.get("/")
        everybody, few = await told(app), await told(app, "?limit=2")
        of_class = await told(app, "?class=Counter")
    assert {event["name"] for event in everybody["events"]} == {"a", "b", "c", None}
    assert [event["name"] for event in few["events"]] == ["c", None]
    assert few["left_out"]
    assert {event["name"] for event in of_class["events"]} == {"a", "b", "c"}

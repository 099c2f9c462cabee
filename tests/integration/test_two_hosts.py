"""Two hosts share the objects between them, and no program notices: calls, bodies, sockets and failures cross over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from durable.supervisor.events import HostDied, HostRestarted, Reloaded
from tests.integration.running_emulator import WAIT_SECONDS, Running, running
from tests.settings import settings

SETTINGS = (
    settings("Thing", "THINGS")
    + """
[dev]
port = 0
"""
)

PROGRAM = """\
import asyncio
import datetime
import hashlib
import os
from urllib.parse import urlsplit

from durable import DurableObject, HostGoneError, Response, WebSocketPair, WorkerEntrypoint

VERSION = "one"


class OutOfStock(Exception):
    def __init__(self, thing, left):
        super().__init__(thing, left)
        self.thing, self.left = thing, left


class Thing(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.in_memory = 0
        self.order = []
        ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS counts(n INTEGER PRIMARY KEY)")

    def where(self):
        return os.getpid()

    def version(self):
        return VERSION

    def count(self):
        self.in_memory += 1
        self.ctx.storage.sql.exec("INSERT INTO counts DEFAULT VALUES")
        return [self.in_memory, self.ctx.storage.sql.exec("SELECT count(*) AS n FROM counts").one()["n"]]

    def echo(self, *values, **named):
        return [list(values), named]

    def change(self, items):
        items.append("changed by the callee")
        return items

    async def append(self, number):
        # The later ones are the quicker ones.
        self.order.append(number)
        return list(self.order)

    def fail(self, kind):
        if kind == "own":
            raise OutOfStock("tea", 3)
        if kind == "key":
            return {}["missing"]
        if kind == "death":
            os.kill(os.getpid(), 9)
        if kind == "reset":
            self.ctx.abort("enough")
        raise ValueError("from the other host", 7)

    async def ask(self, name, *others):
        \"\"\"Through all of them, and the way back.\"\"\"
        there = await self.env.THINGS.get_by_name(name).ask(*others) if others else None
        return [os.getpid(), await self.env.THINGS.get_by_name(name).where(), there]

    async def asked_back(self, name, mine):
        return await self.env.THINGS.get_by_name(name).where_asked_by(mine)

    async def where_asked_by(self, name):
        return [os.getpid(), await self.env.THINGS.get_by_name(name).where()]

    async def slow(self):
        await asyncio.sleep(60)

    async def fetch(self, request):
        if request.headers.get("upgrade", "").lower() == "websocket":
            client, server = WebSocketPair()
            self.ctx.accept_web_socket(server, tags=[request.headers.get("x-worker-pid")])
            server.send(str(os.getpid()))
            return Response(None, status=101, web_socket=client)
        if urlsplit(request.url).path.endswith("/pour"):
            return Response(self.pour(), headers={"X-Host": str(os.getpid())})
        content = await request.bytes()
        fields = [("X-Host", str(os.getpid())), ("X-Method", request.method)]
        cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        return Response(hashlib.sha256(content).hexdigest(), status=201, headers=fields + cookies)

    async def pour(self):
        for _ in range(80):
            yield bytes(range(256)) * 256

    def web_socket_message(self, ws, message):
        ws.send(f"{message} {self.ctx.get_tags(ws)[0]} {len(self.ctx.get_web_sockets())}")

    def web_socket_close(self, ws, code, reason, was_clean):
        ws.close(code, reason)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name, _, what = urlsplit(request.url).path.strip("/").partition("/")
        thing = self.env.THINGS.get_by_name(name)
        here = {"worker": os.getpid()}
        if name == "version":
            things = [self.env.THINGS.get_by_name(one) for one in what.split(",")]
            return Response.json([VERSION, *[await thing.version() for thing in things]])
        if what in {"body", "pour", "socket"}:
            request.headers.set("x-worker-pid", str(os.getpid()))
            response = await thing.fetch(request)
            if what != "socket":
                response.headers.set("x-worker-pid", str(os.getpid()))
            return response
        if what == "values":
            values = [b"\\x00\\xff", {1: (2, 3)}, {"a"}, 2**70, 1.5, None, datetime.datetime(2026, 1, 31, 12, 30)]
            return Response.json(here | {"same": await thing.echo(*values, named="né") == [values, {"named": "né"}]})
        if what == "copied":
            mine = ["mine"]
            theirs = await thing.change(mine)
            return Response.json(here | {"mine": mine, "theirs": theirs})
        if what == "order":
            return Response.json(here | {"order": (await asyncio.gather(*[thing.append(n) for n in range(50)]))[-1]})
        if what.startswith("fail/"):
            try:
                await thing.fail(what.removeprefix("fail/"))
            except OutOfStock as error:
                found = {"kind": "OutOfStock", "args": [error.thing, error.left], "remote": error.remote}
            except HostGoneError as error:
                found = {"kind": "HostGoneError", "args": [str(error)], "retryable": error.retryable}
            except Exception as error:
                found = {"kind": type(error).__name__, "args": list(error.args), "remote": error.remote}
            return Response.json(here | found)
        if what == "reset":
            seen = []
            for method in ("fail", "echo"):
                try:
                    seen.append(await getattr(thing, method)("reset"))
                except Exception as error:
                    same = error.durable_object_id == str(thing.id)
                    seen.append([str(error), error.durable_object_reset, error.remote, same])
            fresh = await self.env.THINGS.get_by_name(name).echo("fresh")
            return Response.json(here | {"seen": seen, "fresh": fresh})
        if what.startswith("ask/"):
            return Response.json(here | {"answer": await thing.ask(*what.split("/")[1:])})
        if what.startswith("asked_back/"):
            other = what.removeprefix("asked_back/")
            return Response.json(here | {"answer": await thing.asked_back(other, name)})
        return Response.json(here | {"answer": await getattr(thing, what)()})
"""

SIZE = 5 * 1024 * 1024
JSON = {"Accept": "application/json"}


class Spread:
    """A running emulator with two hosts, and the name of an object on each of them."""

    def __init__(self, run: Running) -> None:
        self.run = run
        self.url = run.emulator.url
        self.names: dict[int, str] = {}

    async def find(self) -> None:
        for number in range(200):
            if len(self.names) == 2:
                break
            name = f"thing-{number}"
            self.names.setdefault((await self.ask(f"/{name}/where"))["answer"], name)
        assert set(self.names) == set(self.run.pids)

    async def ask(self, path: str) -> Any:
        status, text = await self.run.get(path)
        assert status == 200, text
        return json.loads(text)

    async def crossing(self, what: str) -> list[Any]:
        """Answers to `/<name>/<what>` from a worker on one host about an object on the other, in both directions."""
        answers = []
        for pid, name in self.names.items():
            async with asyncio.timeout(WAIT_SECONDS):
                while (answer := await self.ask(f"/{name}/{what}"))["worker"] == pid:
                    pass
            answers.append(answer)
        return answers


@pytest.fixture
async def spread(tmp_path: Path) -> AsyncIterator[Spread]:
    async with running(tmp_path, PROGRAM, SETTINGS, hosts=2, watch=False) as run:
        spread = Spread(run)
        await spread.find()
        yield spread


async def test_objects_are_spread_over_both_hosts_and_each_lives_in_one_of_them(spread: Spread):
    homes: dict[str, set[int]] = {}
    workers = set()
    for _ in range(3):
        for number in range(40):
            answer = await spread.ask(f"/object-{number}/where")
            homes.setdefault(f"object-{number}", set()).add(answer["answer"])
            workers.add(answer["worker"])
    assert {len(pids) for pids in homes.values()} == {1}
    assert workers == set(spread.run.pids)
    per_host = [sum(pids == {pid} for pids in homes.values()) for pid in spread.run.pids]
    # 40 fair coins: fewer than 8 of a kind come once in 40 000 runs.
    assert min(per_host) >= 8


async def test_values_cross_unchanged_and_as_copies(spread: Spread):
    assert [answer["same"] for answer in await spread.crossing("values")] == [True, True]
    for answer in await spread.crossing("copied"):
        assert (answer["mine"], answer["theirs"]) == (["mine"], ["mine", "changed by the callee"])


async def test_calls_of_one_caller_arrive_in_the_order_in_which_they_were_made(spread: Spread):
    for answer in await spread.crossing("order"):
        assert answer["order"][-50:] == list(range(50))


async def test_an_exception_crosses_with_its_type_its_arguments_and_the_callees_lines(spread: Spread):
    for kind, expected in (
        ("own", ("OutOfStock", ["tea", 3])),
        ("key", ("KeyError", ["missing"])),
        ("value", ("ValueError", ["from the other host", 7])),
    ):
        for answer in await spread.crossing(f"fail/{kind}"):
            assert (answer["kind"], answer["args"], answer["remote"]) == (*expected, True)


async def test_a_reset_crosses_with_its_properties_and_breaks_the_stub_that_saw_it(spread: Spread):
    for answer in await spread.crossing("reset"):
        assert answer["seen"] == [["enough", True, False, True]] * 2
        assert answer["fresh"] == [["fresh"], {}]


async def test_an_exception_that_nobody_catches_shows_the_callees_line_to_the_client(spread: Spread):
    line = PROGRAM.splitlines().index('        raise ValueError("from the other host", 7)') + 1
    program = PROGRAM.replace("except Exception as error", "except ArithmeticError as error")
    spread.run.main.write_text(program)
    await spread.run.emulator.reload()
    for name in spread.names.values():
        for _ in range(4):  # from both hosts: workers take turns
            async with spread.run.client.get(f"{spread.url}/{name}/fail/value", headers=JSON) as response:
                error = (await response.json())["error"]
            assert response.status == 500
            assert (error["type"], error["object"], error["method"]) == ("ValueError", f'Thing "{name}"', "fail")
            own = [frame for frame in error["frames"] if frame["user"]]
            assert (own[-1]["line"], own[-1]["function"]) == (line, "fail")
            assert own[0]["function"] == "fetch"


async def test_requests_and_responses_cross_whole(spread: Spread):
    content = os.urandom(SIZE)

    async def body() -> AsyncIterator[bytes]:
        for at in range(0, SIZE, 100_000):
            yield content[at : at + 100_000]

    sent, received = set(), set()
    # Workers take turns, and so must the order in which the objects are asked.
    for turn in range(4):
        for pid, name in list(spread.names.items())[:: 1 if turn % 2 else -1]:
            async with spread.run.client.put(f"{spread.url}/{name}/body", data=body()) as response:
                text = await response.text()
            assert (response.status, text) == (201, hashlib.sha256(content).hexdigest())
            assert (response.headers["X-Host"], response.headers["X-Method"]) == (str(pid), "PUT")
            assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
            sent.add((response.headers["X-Worker-Pid"], response.headers["X-Host"]))
    for turn in range(4):
        for name in list(spread.names.values())[:: 1 if turn % 2 else -1]:
            async with spread.run.client.get(f"{spread.url}/{name}/pour") as response:
                poured = await response.read()
            assert poured == bytes(range(256)) * 256 * 80
            received.add((response.headers["X-Worker-Pid"], response.headers["X-Host"]))
    # From both hosts to both hosts.
    assert sent == received == {(str(worker), str(home)) for worker in spread.run.pids for home in spread.run.pids}


async def test_objects_call_each_other_over_and_over_again(spread: Spread):
    (first_pid, first), (second_pid, second) = spread.names.items()
    answer = (await spread.ask(f"/{first}/ask/{second}/{first}/{second}"))["answer"]
    assert answer == [first_pid, second_pid, [second_pid, first_pid, [first_pid, second_pid, None]]]
    # A waits for B, and B asks A: A's gate is open while it waits.
    async with asyncio.timeout(WAIT_SECONDS):
        answer = (await spread.ask(f"/{first}/asked_back/{second}"))["answer"]
    assert answer == [second_pid, first_pid]


async def test_a_socket_reaches_an_object_through_a_worker_on_the_other_host(spread: Spread):
    combinations = set()
    for pid, name in spread.names.items():
        sockets = []
        for _ in range(4):
            socket = await spread.run.client.ws_connect(f"{spread.url.replace('http', 'ws')}/{name}/socket")
            assert await socket.receive_str(timeout=WAIT_SECONDS) == str(pid)
            sockets.append(socket)
        for socket in sockets:
            await socket.send_str("hello")
            text, worker, count = (await socket.receive_str(timeout=WAIT_SECONDS)).split()
            assert (text, count) == ("hello", "4")
            combinations.add((int(worker), pid))
        for socket in sockets:
            await socket.close(code=4001)
            assert socket.close_code == 4001
    assert combinations == {(worker, home) for worker in spread.run.pids for home in spread.run.pids}


async def test_a_killed_host_takes_nothing_of_the_other_with_it(spread: Spread):
    run = spread.run
    (dead_pid, dead), (alive_pid, alive) = spread.names.items()
    socket = await run.client.ws_connect(f"{spread.url.replace('http', 'ws')}/{alive}/socket")
    assert await socket.receive_str(timeout=WAIT_SECONDS) == str(alive_pid)
    assert (await spread.ask(f"/{alive}/count"))["answer"] == [1, 1]
    assert [(await spread.ask(f"/{dead}/count"))["answer"] for _ in range(2)] == [[1, 1], [2, 2]]
    # Workers take turns: of these one waits on each host.
    waiting = [asyncio.ensure_future(run.get(f"/{dead}/slow", headers=JSON)) for _ in range(2)]
    await run.until(lambda: [link.in_flight for link in run.emulator.router.links if link is not None] != [0, 0])
    await asyncio.gather(*(spread.ask(f"/{dead}/where") for _ in range(2)))

    os.kill(dead_pid, signal.SIGKILL)

    # All the while: the socket is answered, and so is every request whose worker was not on the dead host.
    counted, statuses, said = 1, [], 0
    async with asyncio.timeout(WAIT_SECONDS):
        while not run.told(HostRestarted) or said < 20:
            await socket.send_str(f"{said}")
            text, _, _ = (await socket.receive_str(timeout=WAIT_SECONDS)).split()
            assert text == str(said)
            said += 1
            status, answer = await run.get(f"/{alive}/count")
            statuses.append(status)
            if status == 200:
                in_memory, stored = json.loads(answer)["answer"]
                # Its memory is the one it had.
                assert in_memory == stored > counted
                counted = stored
    assert set(statuses) <= {200, 503}
    assert statuses.count(503) <= 1, statuses
    assert (await run.event(HostDied)).pid == dead_pid
    for status, answer in await asyncio.gather(*waiting):
        assert (status, json.loads(answer)["error"]["code"]) == (503, "host_crashed")

    # The other's objects are back with what was acknowledged, in a new process.
    assert (await spread.ask(f"/{dead}/count"))["answer"] == [1, 3]
    assert (await spread.ask(f"/{dead}/where"))["answer"] not in {dead_pid, alive_pid}
    assert (await spread.ask(f"/{alive}/where"))["answer"] == alive_pid
    assert len(run.told(HostDied)) == 1
    await socket.close()


async def test_the_death_of_another_host_is_an_exception_that_a_caller_can_catch(spread: Spread):
    run = spread.run
    [dead_pid, dead], _ = spread.names.items()
    async with asyncio.timeout(WAIT_SECONDS):
        while (await spread.ask(f"/{dead}/where"))["worker"] != dead_pid:
            pass
    # Workers take turns: the next one is on the other host.
    answer = await spread.ask(f"/{dead}/fail/death")
    assert answer["worker"] != dead_pid
    assert (answer["kind"], answer["retryable"]) == ("HostGoneError", True)
    assert (await run.event(HostDied)).pid == dead_pid


async def test_a_reload_is_one_barrier_and_no_request_sees_two_versions(spread: Spread):
    run = spread.run
    path = "/version/" + ",".join(spread.names.values())
    seen: list[tuple[str, ...]] = []
    stop = False

    async def client() -> None:
        mine: list[str] = []
        while not stop:
            versions = tuple(await spread.ask(path))
            assert len(set(versions)) == 1, versions
            mine.append(versions[0])
            seen.append(versions)
        assert mine == sorted(mine, key=order.index)

    def enough(count: int) -> bool:
        return len(seen) > count or any(one.done() for one in clients)

    order = ["one", "two", "three", "four"]
    clients = [asyncio.ensure_future(client()) for _ in range(6)]
    for count, version in enumerate(order[1:], 1):
        await run.until(partial(enough, len(seen) + 20))
        run.main.write_text(PROGRAM.replace('"one"', f'"{version}"'))
        await run.emulator.reload()
        await run.event(Reloaded, count)
    assert set(await spread.ask(path)) == {"four"}
    stop = True
    await asyncio.gather(*clients)
    assert {versions[0] for versions in seen} >= {"one", "two", "three"}


async def test_an_upgrade_that_no_object_answers_is_refused(spread: Spread):
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await spread.run.client.ws_connect(f"{spread.url.replace('http', 'ws')}/nobody/where")

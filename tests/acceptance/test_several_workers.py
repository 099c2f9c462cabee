"""Several workers in one `durable dev`: services, objects of another worker, reloads of one, and what tools see."""

from __future__ import annotations

import asyncio
import io
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.running_dev import WAIT_SECONDS, Dev, typed
from tests.acceptance.test_cli_dev import Keyboard
from tests.settings import settings

SHOP = """\
import json
from urllib.parse import parse_qsl, urlsplit

from durable import DurableObject, Response, WorkerEntrypoint


class Desk(DurableObject):
    async def ask(self):
        return await self.env.AUTH.call_back(self.double)

    def double(self, number):
        return number * 2


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path, query = urlsplit(request.url).path, dict(parse_qsl(urlsplit(request.url).query))
        if path.startswith("/auth/"):
            return await self.env.AUTH.fetch(request)
        if path == "/room":
            return await self.env.ROOMS.get_by_name(query["name"]).fetch(request)
        if path == "/say":
            return Response.json(await self.env.ROOMS.get_by_name(query["name"]).say(query["text"]))
        if path == "/id":
            return Response(str(self.env.ROOMS.id_from_name(query["name"])))
        if path == "/check":
            return Response.json(await self.env.AUTH.check(query["who"], roles=["a", "b"]))
        if path == "/admin":
            return Response.json([await self.env.ADMIN.who(), await self.env.OWN.who(), await self.env.OWN.tenant()])
        if path == "/leak":
            await self.env.AUTH.leak()
        if path == "/desk":
            return Response.json(await self.env.DESKS.get_by_name("a").ask())
        if path == "/slow":
            return Response(await self.env.AUTH.take_long())
        if path == "/fail":
            try:
                await self.env.AUTH.refuse("no such user")
            except PermissionError as error:
                return Response(f"{type(error).__name__}: {error}, remote: {error.remote}")
        if path == "/callback":
            seen = []

            async def hear(number):
                seen.append(number)
                return number * 2

            return Response.json([await self.env.AUTH.call_back(hear), seen])
        return Response("shop one")


class Till(WorkerEntrypoint):
    def who(self):
        return "till of shop"

    def tenant(self):
        return self.ctx.props["tenant"]
"""

SHOP_SETTINGS = (
    settings("Desk", "DESKS", name="shop")
    + """
[[durable_objects.bindings]]
name = "ROOMS"
class_name = "Room"
script_name = "auth"

[[services]]
binding = "AUTH"
service = "auth"

[[services]]
binding = "ADMIN"
service = "auth"
entrypoint = "Admin"

[[services]]
binding = "OWN"
service = "shop"
entrypoint = "Till"
props = { tenant = "acme" }
"""
)

AUTH = """\
import asyncio
from urllib.parse import urlsplit

from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Room(DurableObject):
    def say(self, text):
        said = self.ctx.storage.kv.get("said") or []
        self.ctx.storage.kv.put("said", [*said, text])
        return [*said, text]

    async def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws, message):
        ws.send(f"room says {message}")


class Admin(WorkerEntrypoint):
    async def who(self):
        return f"{type(self).__name__} of {self.env.WORKER}"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        print("auth was asked")
        body = await request.text()
        return Response(f"{request.method} {urlsplit(request.url).path} {body} by auth one")

    async def check(self, who, roles):
        return {"who": who, "roles": roles}

    def leak(self):
        raise ValueError(f"the key is {self.env.API_KEY}")

    async def take_long(self):
        await asyncio.sleep(0.05)
        return "done"

    def refuse(self, why):
        raise PermissionError(why)

    async def call_back(self, hear):
        return [await hear(1), await hear(2)]
"""

AUTH_SETTINGS = (
    settings("Room", "ROOMS", name="auth")
    + """
[vars]
WORKER = "auth"
"""
)


def project(folder: Path, written: str, program: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "durable.toml").write_text(written)
    (folder / "main.py").write_text(program)
    return folder / "durable.toml"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return project(tmp_path / "shop", SHOP_SETTINGS, SHOP)


@pytest.fixture
def auth(tmp_path: Path) -> Path:
    return project(tmp_path / "auth", AUTH_SETTINGS, AUTH)


@pytest.fixture
def both(tmp_path: Path, shop: Path, auth: Path, start_dev: Callable[..., Dev]) -> Dev:
    return start_dev(tmp_path, "-c", str(shop), "-c", str(auth)).wait_ready()


def test_a_service_is_asked_over_http_and_by_its_methods(both: Dev):
    assert both.get("/auth/login?x=1") == (200, "GET /auth/login  by auth one")
    assert both.get("/check?who=ada") == (200, '{"who":"ada","roles":["a","b"]}')


async def test_large_bodies_stream_there_and_back(both: Dev):
    sent = "0123456789" * 500_000
    async with (
        aiohttp.ClientSession() as session,
        session.post(both.url + "/auth/upload", data=io.BytesIO(sent.encode())) as response,
    ):
        answer = await response.text()
    assert (response.status, answer == f"POST /auth/upload {sent} by auth one") == (200, True)


def test_named_entrypoints_of_another_worker_and_of_its_own_are_asked(both: Dev):
    assert both.get("/admin") == (200, '["Admin of auth","till of shop","acme"]')


def test_an_exception_of_a_service_has_its_type_and_comes_from_afar(both: Dev):
    assert both.get("/fail") == (200, "PermissionError: no such user, remote: True")


def test_a_secret_of_one_worker_is_not_on_the_error_page_of_another(
    tmp_path: Path, shop: Path, auth: Path, start_dev: Callable[..., Dev]
):
    (auth.parent / ".dev.vars").write_text("API_KEY=hunter2-and-more\n")
    dev = start_dev(tmp_path, "-c", str(shop), "-c", str(auth)).wait_ready()

    status, page = dev.get("/leak")

    assert (status, "the key is «API_KEY»" in page) == (500, True)
    assert "hunter2" not in page + dev.told


def test_a_function_given_to_a_service_runs_where_it_was_made(both: Dev):
    assert both.get("/callback") == (200, "[[2,4],[1,2]]")


def test_a_function_that_another_worker_has_used_is_given_back(both: Dev, shop: Path):
    assert both.get("/desk") == (200, "[2,4]")

    evicted = typed(shop.parent, "objects", "evict", "Desk", "a")

    assert (evicted.returncode, evicted.stderr) == (0, 'Desk "a" has left memory\n')


def test_objects_of_another_worker_are_the_ones_that_it_has_itself(both: Dev, auth: Path):
    assert both.get("/say?name=a&text=one") == (200, '["one"]')
    assert both.get("/say?name=a&text=two") == (200, '["one","two"]')

    said = typed(auth.parent, "call", "Room", "a", "say", '"three"')
    listed = typed(auth.parent, "objects", "list", "Room", "--json")

    assert json.loads(said.stdout) == ["one", "two", "three"]
    assert [each["id"] for each in json.loads(listed.stdout)["objects"]] == [both.get("/id?name=a")[1]]


async def test_a_socket_that_an_object_of_another_worker_accepted_reaches_the_client(both: Dev):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(both.url.replace("http", "ws") + "/room?name=a") as socket,
    ):
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=20) == "room says hello"


def test_lines_of_each_worker_are_labelled_and_the_other_has_an_address_of_its_own(both: Dev):
    both.get("/auth/login")
    assert both.wait_told("auth was asked").startswith("[auth] ")
    assert both.wait_told("GET /auth/login").startswith("[shop] ")
    assert both.wait_told("serves on http://").startswith("[auth] ")


async def test_saving_one_worker_reloads_it_and_leaves_the_other_alone(both: Dev, shop: Path, auth: Path):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(both.url.replace("http", "ws") + "/room?name=a") as socket,
    ):
        (auth.parent / "main.py").write_text(AUTH.replace("auth one", "auth two").replace("room says", "room heard"))
        line = await asyncio.to_thread(both.wait_told, "reloaded in")
        assert line.startswith("[auth] ")
        assert both.get("/auth/x") == (200, "GET /auth/x  by auth two")
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=20) == "room heard hello"
        assert not any(line.startswith("[shop] reloaded") for line in both.err)

        (shop.parent / "main.py").write_text(SHOP.replace("shop one", "shop two"))
        await asyncio.to_thread(both.wait_told, "[shop] reloaded in")
        assert both.get("/") == (200, "shop two")
        await socket.send_str("again")
        assert await socket.receive_str(timeout=20) == "room heard again"
    assert len([line for line in both.err if line.startswith("[auth] reloaded")]) == 1


def test_requests_meet_the_old_code_or_the_new_and_never_the_reload_between(both: Dev, auth: Path):
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers.append(both.get("/slow"))

    # There is always one that runs: a reload that let them through would find no end.
    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    try:
        for number in range(3):
            told = len(both.err)
            (auth.parent / "main.py").write_text(AUTH + f"# save {number}\n")
            both.wait_told("[auth] reloaded in", since=told)
    finally:
        done.set()
        for thread in asking:
            thread.join()

    assert set(answers) == {(200, "done")}


async def test_all_of_it_holds_with_several_hosts_each(
    tmp_path: Path, shop: Path, auth: Path, start_dev: Callable[..., Dev]
):
    dev = start_dev(tmp_path, "--hosts", "2", "-c", str(shop), "-c", str(auth)).wait_ready()
    for _ in range(4):
        assert dev.get("/callback") == (200, "[[2,4],[1,2]]")
    for name in "abcd":
        assert dev.get(f"/say?name={name}&text=one") == (200, '["one"]')
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(dev.url.replace("http", "ws") + f"/room?name={name}") as socket,
        ):
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=20) == "room says hello"


def test_a_worker_that_cannot_be_loaded_is_told_and_mended_while_the_others_serve(
    tmp_path: Path, shop: Path, auth: Path, start_dev: Callable[..., Dev]
):
    (auth.parent / "main.py").write_text("def broken(:\n")
    dev = start_dev(tmp_path, "-c", str(shop), "-c", str(auth)).wait_ready()
    assert dev.get("/") == (200, "shop one")
    assert dev.get("/check?who=ada")[0] in (500, 503)

    (auth.parent / "main.py").write_text(AUTH)
    dev.wait_told("[auth] reloaded in")

    assert dev.get("/say?name=a&text=one") == (200, '["one"]')


def test_a_class_that_another_worker_gets_later_is_found_then(
    tmp_path: Path, shop: Path, auth: Path, start_dev: Callable[..., Dev]
):
    without = AUTH_SETTINGS.partition("[[durable_objects")[0]
    auth.write_text(without)
    dev = start_dev(tmp_path, "-c", str(shop), "-c", str(auth)).wait_ready()
    assert "has no such class" in dev.wait_told('env.ROOMS is bound to the class Room of the worker "auth"')

    auth.write_text(AUTH_SETTINGS)
    dev.wait_told("[shop] reloaded in")
    dev.wait_told("[auth] reloaded in")

    assert dev.get("/say?name=a&text=one") == (200, '["one"]')


def test_a_service_that_is_not_started_is_told_at_the_start_and_when_it_is_called(
    tmp_path: Path, shop: Path, auth: Path, start_dev: Callable[..., Dev]
):
    dev = start_dev(shop.parent).wait_ready()

    told = dev.wait_told('env.AUTH belongs to the worker "auth"')
    assert f"durable dev -c {shop} -c {auth}" in told
    assert "env.AUTH   service         auth [not started]" in dev.told
    status, page = dev.get("/auth/login")
    assert (status, f"durable dev -c {shop} -c {auth}" in page) == (500, True)
    assert dev.get("/") == (200, "shop one")


def test_an_editor_finds_the_hosts_of_every_worker(
    tmp_path: Path, shop: Path, auth: Path, start_dev: Callable[..., Dev]
):
    pytest.importorskip("debugpy")
    dev = start_dev(tmp_path, "--debug", "0", "-c", str(shop), "-c", str(auth)).wait_ready()
    told = [dev.wait_told(f"[{name}] debugpy waits for your editor on 127.0.0.1:") for name in ("shop", "auth")]
    assert len({line.rpartition(":")[2] for line in told}) == 2


def test_the_keys_mean_all_workers(tmp_path: Path, shop: Path, auth: Path):
    keyboard = Keyboard(tmp_path, "-c", str(shop), "-c", str(auth))
    try:
        keyboard.wait_seen("[q] quit")
        assert "[s] restart hosts" in keyboard.seen
        keyboard.press("r")
        keyboard.wait(lambda: set(re.findall(r"\[(\w+)\]\S* \S*reloaded in", keyboard.seen)) == {"shop", "auth"})
        keyboard.press("f")
        keyboard.wait(lambda: keyboard.seen.count("the clock says") == 2)
        keyboard.press("q")
        assert keyboard.process.wait(WAIT_SECONDS) == 0
    finally:
        keyboard.close()


def test_one_worker_of_several_that_cannot_start_keeps_all_from_starting(tmp_path: Path, shop: Path, auth: Path):
    holder = Dev(auth.parent).wait_ready()
    try:
        ended = typed(tmp_path, "dev", "--port", "0", "-c", str(shop), "-c", str(auth))
    finally:
        holder.end()
    assert ended.returncode == 4
    assert str(auth.parent) in ended.stderr


def test_ctrl_c_ends_all_of_them_with_0_and_leaves_nothing_behind(both: Dev, shop: Path, auth: Path):
    family = both.processes()
    assert len(family) >= 3

    assert both.end() == 0

    assert not any((folder.parent / ".durable" / "run" / "emulator.json").exists() for folder in (shop, auth))
    assert typed(auth.parent, "objects", "list", "--json").returncode == 0


@pytest.mark.parametrize("name", ["shop", "auth"])
def test_two_configurations_of_one_name_are_a_mistake_of_whoever_typed_them(
    tmp_path: Path, shop: Path, auth: Path, name: str
):
    for each in (shop, auth):
        each.write_text(
            each.read_text().replace('name = "shop"', f'name = "{name}"').replace('name = "auth"', f'name = "{name}"')
        )
    ended = typed(tmp_path, "dev", "--port", "0", "-c", str(shop), "-c", str(auth))
    assert ended.returncode == 2
    assert f'are the worker "{name}"' in ended.stderr

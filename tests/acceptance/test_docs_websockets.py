"""docs/websockets.md is true: every example runs in a real object with real clients, and what its tables say happens.

Blocks that begin with a class are classes of one program, whose worker is the page's own; those that begin with a
client are run as clients, those that begin with a test as tests. Any other is the inside of a method.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import random
import re
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from docs.limits_document import constants, shown
from durable import limits
from durable.testing import App, SocketRefusedError, run
from tests.acceptance.test_docs_storage import ask
from tests.acceptance.websockets_document import (
    BROWSER,
    CLASSES,
    CLIENT,
    CONSOLE,
    DOCUMENT,
    SNIPPETS,
    TESTS,
    WAIT_SECONDS,
    WORKER,
    address,
    heard,
    kill_the_host,
    objects,
    result,
    sign,
    until,
    write_project,
)

NODE = shutil.which("node")
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("websockets")
    write_project(folder)
    return folder


@pytest.fixture(scope="module")
def app(project: Path) -> Iterator[App]:
    with run(project / "durable.toml", state=project / "state") as running:
        yield running


@pytest.fixture
def dial(app: App) -> Iterator[Callable[..., ClientConnection]]:
    """`dial("/room/tea", "ada")` is a socket into it, which the end of the test closes."""
    with ExitStack() as open_ones:

        def dial(
            path: str,
            user: str = "ada",
            more: str = "",
            *,
            additional_headers: dict[str, str] | None = None,
            max_queue: int = 16,
        ) -> ClientConnection:
            url = address(app, path, user) + more
            return open_ones.enter_context(
                connect(url, additional_headers=additional_headers, max_queue=max_queue, close_timeout=1)
            )

        yield dial


# --- examples -------------------------------------------------------------------------------------------------------
def test_every_class_of_the_document_is_tried_here() -> None:
    source = Path(__file__).read_text("utf-8")

    assert [name for name in CLASSES if f"test_{name.lower()}_" not in source] == []


@pytest.mark.parametrize("number", range(len(SNIPPETS)), ids=lambda number: SNIPPETS[number].splitlines()[-1][:60])
def test_an_example_gives_what_is_printed_beside_it(app: App, number: int) -> None:
    assert ask(app, "Examples", str(number), f"example_{number}") == {"result": None}


def test_echo_answers_and_outlives_a_save_and_countdown_does_not(app: App, dial: Callable[..., Any]) -> None:
    echo = dial("/Echo/a")
    echo.send("text")
    echo.send(b"bytes")
    assert [echo.recv(WAIT_SECONDS), echo.recv(WAIT_SECONDS)] == ["text", b"bytes"]

    app.reload()

    echo.send("still here")
    assert echo.recv(WAIT_SECONDS) == "still here"


def test_countdown_counts_and_is_closed_by_a_save(app: App, dial: Callable[..., Any]) -> None:
    countdown = dial("/Countdown/a")
    for left in (2, 1):
        countdown.send("go")
        assert countdown.recv(WAIT_SECONDS) == f"{left} left"

    app.reload()

    with pytest.raises(ConnectionClosed):
        countdown.recv(WAIT_SECONDS)
    assert countdown.close_code == 1012


def test_room_tells_everybody_or_all_tabs_of_one(dial: Callable[..., Any]) -> None:
    ada, eve = dial("/room/general", "ada"), dial("/room/general", "eve")
    tabs = [dial("/room/general", "bob") for _ in range(2)]
    ada.send('{"text": "psst", "to": "bob"}')
    ada.send('{"text": "hello"}')

    psst, hello = {"from": "ada", "text": "psst"}, {"from": "ada", "text": "hello"}
    assert [[heard(tab), heard(tab)] for tab in tabs] == [[psst, hello]] * 2
    assert [heard(ada), heard(eve)] == [hello, hello]


def test_lobby_knows_who_is_here_also_after_a_save(app: App, dial: Callable[..., Any]) -> None:
    ada = dial("/lobby/a", "ada")
    assert heard(ada) == {"people": {"ada": "here"}}
    tabs = [dial("/lobby/a", "bob") for _ in range(2)]
    assert heard(ada) == {"joined": "bob"}
    ada.send("away")
    assert heard(ada) == {"user": "ada", "status": "away"}
    app.reload()
    assert heard(dial("/lobby/a", "eve")) == {"people": {"ada": "away", "bob": "here", "eve": "here"}}
    assert heard(ada) == {"joined": "eve"}
    for tab in tabs:
        tab.close()
    assert heard(ada) == {"left": "bob"}


def test_channel_stores_a_message_once_and_tells_what_was_missed(dial: Callable[..., Any]) -> None:
    ada = dial("/channel/a", "ada")
    for said in (["1", "one"], ["2", "two"], ["1", "one"]):
        ada.send(json.dumps(dict(zip(("id", "text"), said, strict=True))))
    assert [heard(ada)["n"] for _ in range(3)] == [1, 2, 1]
    ada.send("ping")
    assert ada.recv(WAIT_SECONDS) == "pong"

    assert heard(dial("/channel/a", "bob", "&since=1")) == {"n": 2, "user": "ada", "id": "2", "text": "two"}
    everything = dial("/channel/a", "ada")  # the same id of somebody else is another message
    bob = dial("/channel/a", "bob", "&since=2")
    bob.send('{"id": "1", "text": "three"}')
    assert [heard(everything)["text"] for _ in range(3)] == ["one", "two", "three"]


def test_polite_stands_between_its_client_and_a_room(app: App, dial: Callable[..., Any]) -> None:
    with connect(address(app, "/Polite/a"), additional_headers={"x-user": "ada"}) as ada:
        bob = dial("/room/tea", "bob")
        ada.send('{"text": "darn it"}')
        assert heard(bob) == heard(ada) == {"from": "ada", "text": "oh it"}
        ada.close(4001)
        bob.send('{"text": "where is she?"}')
        assert heard(bob)["from"] == "bob"


def test_feed_passes_on_what_it_hears_and_comes_back_by_its_alarm(app: App, dial: Callable[..., Any]) -> None:
    asked: list[ServerConnection] = []

    def speak(ws: ServerConnection) -> None:
        asked.append(ws)
        ws.send(f"news {len(asked)}")
        if len(asked) > 1:
            ws.recv()

    client = dial("/Feed/a")
    with serve(speak, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.socket.getsockname()[:2]
        result(app, "Feed", "a", "follow", f"ws://{host}:{port}/")
        assert [client.recv(WAIT_SECONDS), client.recv(WAIT_SECONDS)] == ["news 1", "news 2"]
        for connection in asked:
            connection.close()


def test_an_end_of_a_pair_is_no_result_of_a_method(app: App) -> None:
    assert ask(app, "Reporter", "a", "hand_over")["error"] == "DataCloneError"


# --- who may come in ------------------------------------------------------------------------------------------------
def test_the_worker_lets_in_whom_it_knows_and_says_who_it_is(app: App, dial: Callable[..., Any]) -> None:
    assert app.get("/room/door").status == 426
    for token in ("", "ada", "ada.00", sign("bob").replace("bob", "ada"), "%C3%A4.1"):
        with pytest.raises(SocketRefusedError, match="403"):
            app.websocket(f"/room/door?token={token}")
    liar = dial("/room/door", "bob", additional_headers={"x-user": "ada"})
    liar.send('{"text": "I am Ada"}')
    assert heard(liar)["from"] == "bob"


# --- clients --------------------------------------------------------------------------------------------------------
def test_the_python_client_comes_back_and_misses_nothing(app: App, dial: Callable[..., Any]) -> None:
    scope: dict[str, Any] = {
        "asyncio": asyncio, "connect": connect_async, "InvalidStatus": InvalidStatus, "json": json, "random": random,
        "suppress": suppress, "uuid": uuid, "WebSocketException": WebSocketException,
    }  # fmt: skip
    exec(CLIENT, scope)
    bob = dial("/channel/python", "bob")

    async def talk() -> list[str]:
        shown_ones: asyncio.Queue[Any] = asyncio.Queue()
        client = scope["Client"](address(app, "/channel/python"), shown_ones.put_nowait)
        await client.say("one")  # before there is a connection
        running = asyncio.create_task(client.run())
        texts = [(await shown_ones.get())["text"]]
        await asyncio.to_thread(result, app, "Channel", "python", "drop", 1012)
        await asyncio.to_thread(say_again, app)
        await client.say("three")
        texts += [(await shown_ones.get())["text"] for _ in range(2)]
        running.cancel()
        assert client.unconfirmed == {}
        refused = scope["Client"](client.url.replace("token=ada", "token=eve"), print)
        with pytest.raises(InvalidStatus):
            await refused.run()
        return texts

    def say_again(app: App) -> None:
        with connect(address(app, "/channel/python", "bob") + "&since=1") as again:
            again.send('{"id": "b", "text": "two"}')
            heard(again)

    async def in_time() -> list[str]:
        return await asyncio.wait_for(talk(), WAIT_SECONDS)

    shown_ones = asyncio.run(in_time())

    assert shown_ones == [heard(bob)["text"], *shown_ones[1:]]
    assert sorted(shown_ones) == ["one", "three", "two"]


@pytest.mark.skipif(NODE is None, reason="there is no Node here")
def test_the_browsers_client_comes_back_and_misses_nothing(app: App, tmp_path: Path) -> None:
    script = tmp_path / "client.cjs"
    url = json.dumps(address(app, "/channel/browser"))
    talk = 'process.stdin.on("data", (text) => client.say(String(text).trim()));'
    script.write_text(
        "globalThis.crypto ??= require('node:crypto').webcrypto;\n"
        f"{BROWSER}\nconst client = new Client({url}, (message) => console.log(message.text));\n{talk}\n",
        "utf-8",
    )
    node = subprocess.Popen(
        [str(NODE), "--no-warnings", "--experimental-websocket", str(script)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    watch = threading.Timer(WAIT_SECONDS, node.kill)
    watch.start()
    assert node.stdin is not None
    assert node.stdout is not None
    try:
        node.stdin.write("one\n")
        assert node.stdout.readline() == "one\n"
        result(app, "Channel", "browser", "drop", 1012)
        with connect(address(app, "/channel/browser", "bob") + "&since=1") as bob:
            bob.send('{"id": "b", "text": "two"}')
            heard(bob)
            assert node.stdout.readline() == "two\n"
            node.stdin.write("three\n")
            assert [heard(bob)["text"], node.stdout.readline()] == ["three", "three\n"]
        result(app, "Channel", "browser", "drop", 4003)
        node.stdin.close()
        assert node.wait(WAIT_SECONDS) == 0  # as long as it tries to come back, it does not end
    finally:
        watch.cancel()
        node.kill()
        node.stdout.close()


# --- closing --------------------------------------------------------------------------------------------------------
def vanish(client: ClientConnection) -> None:
    client.socket.shutdown(socket.SHUT_RDWR)


def close_without_code(client: ClientConnection) -> None:
    client.socket.sendall(b"\x88\x80\0\0\0\0")


def flood(client: ClientConnection) -> None:
    client.send("flood")


ENDS: dict[str, Callable[[ClientConnection], object]] = {
    'the client closes with 4000 "done"': lambda client: client.close(4000, "done"),
    "the client closes without a code": close_without_code,
    "the client vanishes": vanish,
    'the object closes with 4002 "out" and the client answers': lambda client: client.send("bye"),
    "the client does not read, and too much waits for it": flood,
    "the client breaks the protocol": lambda client: client.socket.sendall(b"\x83\x80\0\0\0\0"),
    "a message is larger than 32 MiB": lambda client: client.send(bytes(32 * MIB + 1)),
}
CLOSING = re.findall(r"^\| (.+?) \| `(web_socket_\w+)` \| (.+) \| (\d*) ?\|$", DOCUMENT, re.MULTILINE)


def test_every_end_of_the_table_is_tried_here() -> None:
    assert [row[0] for row in CLOSING] == list(ENDS)


@pytest.mark.parametrize(("what", "handler", "arguments", "code"), CLOSING, ids=[row[0] for row in CLOSING])
def test_a_socket_ends_as_the_table_says(
    app: App, dial: Callable[..., Any], what: str, handler: str, arguments: str, code: str
) -> None:
    name = uuid.uuid4().hex
    # Nothing is read ahead: the client that does not read has to be one.
    client = dial(f"/Reporter/{name}", max_queue=1 if ENDS[what] is flood else 16)
    with suppress(ConnectionClosed):
        ENDS[what](client)

    called, got = until(lambda: result(app, "Reporter", name, "ended"))

    if handler == "web_socket_close":
        assert (called, f"`{got}`") == (handler, arguments)
    else:
        kind, status = re.findall(r"`(.+?)`", arguments)
        assert called == handler
        assert got.startswith(f"{kind}: ")
        assert status in got
    if code:
        with pytest.raises(ConnectionClosed):
            while True:
                client.recv(WAIT_SECONDS)
        assert client.close_code == int(code)


# --- hibernation, crashes -------------------------------------------------------------------------------------------
def test_the_commands_of_the_document_print_what_it_shows(app: App, project: Path, dial: Callable[..., Any]) -> None:
    _ = dial("/Countdown/tea"), dial("/room/lounge", "ada")
    sections = re.split(r"^\$ (.+)\n", CONSOLE, flags=re.MULTILINE)[1:]
    assert len(sections) == 6

    for command, lines in zip(sections[::2], sections[1::2], strict=True):
        printed = objects(project, *command.split()[2:])
        assert [line for line in lines.splitlines() if line not in printed.splitlines()] == [], printed


LEFT = re.findall(r"^\| (.+?) \| lost \| (.+?) \| (kept|lost) \| kept \|$", DOCUMENT, re.MULTILINE)
ENDINGS = ("a save with `--drop-sockets`", "the end of `durable dev`")
"""Rows that are tried elsewhere: `test_sockets_on_reload.py`, and the test after the next one."""


@pytest.mark.parametrize(("after", "connection", "answers"), [row for row in LEFT if row[0] not in ENDINGS])
def test_what_is_left_is_what_the_table_says(
    app: App, project: Path, dial: Callable[..., Any], after: str, connection: str, answers: str
) -> None:
    name = uuid.uuid4().hex
    client = dial(f"/Reporter/{name}")
    result(app, "Reporter", name, "remember")

    match after:
        case "10 quiet seconds, `durable objects evict`":
            assert "has left memory" in objects(project, "evict", "Reporter", name)
        case "a save":
            app.reload()
        case "the object's process died":
            kill_the_host(app)
        case _:
            assert after.startswith("`ctx.abort()`")
            assert ask(app, "Reporter", name, "abort")["error"] == "ActorResetError"

    assert result(app, "Reporter", name, "left") == {
        "memory": False,
        "connection": [[["tag"], {"name": "Ada"}]] if connection == "kept" else [],
        "auto-response": answers == "kept",
        "storage": True,
    }
    if connection == "kept":
        client.send("ping")
        assert client.recv(WAIT_SECONDS) == "pong"
    else:
        assert "the client sees 1006" in connection
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(WAIT_SECONDS)
        assert closed.value.rcvd is None


def test_at_the_end_clients_see_the_code_of_the_table(project: Path) -> None:
    assert ("the end of `durable dev`", "lost, 1001", "lost") in LEFT
    assert len(LEFT) == 6
    with ExitStack() as open_ones:
        with run(project / "durable.toml") as app:
            client = open_ones.enter_context(connect(address(app, "/Reporter/a")))
        with pytest.raises(ConnectionClosed):
            client.recv(WAIT_SECONDS)
    assert client.close_code == 1001


def test_a_kill_loses_the_event_that_runs_and_no_other(app: App, dial: Callable[..., Any]) -> None:
    client = dial("/Reporter/killed")
    client.send("wait")
    until(lambda: result(app, "Reporter", "killed", "began"))

    kill_the_host(app)
    client.send("again")

    assert client.recv(WAIT_SECONDS) == "heard"
    client.close(4000, "done")
    assert until(lambda: result(app, "Reporter", "killed", "ended"))[0] == "web_socket_close"


def test_the_line_about_lost_events_is_the_one_of_the_command() -> None:
    from durable.gateway.events import SocketEventsLost
    from durable_cli.console import Ink
    from durable_cli.text.events import PrettyFormatter

    line = PrettyFormatter(Ink(False)).text(SocketEventsLost(2))

    assert f"`{line}`" in " ".join(DOCUMENT.split())


# --- limits, testing ------------------------------------------------------------------------------------------------
def test_the_limits_of_the_document_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", DOCUMENT, re.MULTILINE))
    source = Path(limits.__file__).read_text("utf-8")
    values = {limit.name: shown(limit.name, limit.value) for _, limit in constants(source)}

    assert len(rows) == 11
    assert rows == {name: values[name].replace("\N{NO-BREAK SPACE}", " ") for name in rows}


@pytest.mark.parametrize("name", re.findall(r"^def (test_\w+)", TESTS, re.MULTILINE))
def test_the_tests_of_the_document_pass(app: App, name: str) -> None:
    scope: dict[str, Any] = {"hmac": hmac, "json": json, "pytest": pytest, "SocketRefusedError": SocketRefusedError}
    exec(WORKER[: WORKER.index("\n\nclass Default")], scope)
    exec(TESTS, scope)

    scope[name](app)


def test_a_test_of_the_document_fails_where_a_room_forgets(tmp_path: Path, project: Path) -> None:
    broken = (project / "main.py").read_text("utf-8").replace("self.ctx.get_web_sockets(tag):", "[]:")
    (tmp_path / "main.py").write_text(broken, "utf-8")
    shutil.copy(project / "durable.toml", tmp_path)
    with run(tmp_path / "durable.toml") as forgetful, pytest.raises(TimeoutError):
        with connect(address(forgetful, "/room/tea")) as ada:
            ada.send('{"text": "hello"}')
            ada.recv(0.5)

"""Projects written for Cloudflare, in its layout and with its imports, run under `durable dev` as they are.

They lie in tests/cloudflare, and nothing in them knows of us: `src/…py`, a `wrangler.jsonc` or `wrangler.toml`, a
`pyproject.toml`. Each is copied, started with `durable dev` and nothing else, and met through HTTP and sockets.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from websockets.sync.server import Server, ServerConnection, serve

from tests.acceptance.cloudflare_project import Starter, anchors_told, ask, dial, heard, start
from tests.acceptance.running_dev import WAIT_SECONDS, rows, typed

__all__ = ["start"]


# --- a list object ----------------------------------------------------------------------------------------------------
def test_lists_keep_their_items_apart_and_over_a_restart(start: Starter) -> None:
    dev = start("lists")
    assert ask(dev, "/groceries", "POST", {"text": "milk", "amount": 2}).json == {"number": 1}
    assert ask(dev, "/groceries", "POST", {"text": "bread"}).status == 201
    assert ask(dev, "/tools", "POST", {"text": "saw"}).json == {"number": 1}
    assert ask(dev, "/groceries/done/0", "POST").json == {"done": "milk"}
    assert dev.end() == 0
    assert anchors_told(dev) == {"value-timezone"}

    dev = start("lists")

    assert ask(dev, "/groceries").json == {
        "name": "groceries",
        "items": [{"text": "milk", "amount": 2, "done": True}, {"text": "bread", "amount": 1, "done": False}],
        "open": ["bread"],
    }
    assert ask(dev, "/groceries/newest").json == ["bread", "milk"]
    assert ask(dev, "/groceries", "DELETE").status == 204
    assert ask(dev, "/groceries").json["items"] == []
    assert ask(dev, "/tools").json["open"] == ["saw"]
    assert ask(dev, "/").status == 404


def test_an_exception_of_an_object_reaches_its_caller_with_its_message(start: Starter) -> None:
    dev = start("lists")

    answer = ask(dev, "/groceries/done/7", "POST")

    assert answer.status == 409
    assert answer.json["error"].endswith("there is no item 7")


# --- a chat room with hibernation -------------------------------------------------------------------------------------
def test_a_chat_room_greets_broadcasts_whispers_and_says_who_left(start: Starter) -> None:
    dev = start("chat")
    assert ask(dev, "/").headers["content-type"] == "text/html; charset=utf-8"
    assert ask(dev, "/room/tea").status == 426
    with dial(dev, "/room/tea?name=ann") as ann:
        assert heard(ann) == {"type": "joined", "who": "ann", "present": ["ann"]}
        ann.send(json.dumps({"text": "hello"}))
        assert heard(ann) == {"type": "said", "who": "ann", "text": "hello", "woken": True}

        with dial(dev, "/room/tea?name=bob") as bob:
            assert heard(bob) == {"type": "history", "who": "ann", "text": "hello"}
            assert heard(bob) == heard(ann) == {"type": "joined", "who": "bob", "present": ["ann", "bob"]}
            bob.send(json.dumps({"to": "ann", "text": "psst"}))
            assert heard(ann) == {"type": "whisper", "who": "bob", "text": "psst"}
            bob.send(b"\x01\x02\x03")
            assert bob.recv(timeout=WAIT_SECONDS) == b"\x03\x02\x01"
            bob.close(4001, "tired")

        assert heard(ann) == {"type": "left", "who": "bob", "code": 4001, "clean": True}
        assert ask(dev, "/present/tea").json == ["ann"]
        assert ask(dev, "/present/coffee").json == []
    assert dev.end() == 0
    assert anchors_told(dev) == {"sql-int"}


def test_a_chat_room_sleeps_under_its_open_sockets(start: Starter) -> None:
    dev = start("chat")
    with dial(dev, "/room/tea?name=ann") as ann:
        heard(ann)
        ann.send(json.dumps({"text": "one"}))
        assert heard(ann)["woken"] is True
        ann.send(json.dumps({"text": "two"}))
        assert heard(ann)["woken"] is False

        assert typed(dev.folder, "objects", "evict", "Room", "tea").returncode == 0
        ann.send("ping")
        assert ann.recv(timeout=WAIT_SECONDS) == "pong"
        listed = typed(dev.folder, "objects", "show", "Room", "tea", "--json")
        assert json.loads(listed.stdout)["state"] == "hibernated"

        ann.send(json.dumps({"text": "three"}))
        assert heard(ann) == {"type": "said", "who": "ann", "text": "three", "woken": True}
        with dial(dev, "/room/tea?name=bob") as bob:
            assert [heard(bob)["text"] for _ in range(3)] == ["one", "two", "three"]
            assert heard(bob)["present"] == ["ann", "bob"]


def test_a_save_renews_the_room_and_keeps_its_sockets(start: Starter) -> None:
    dev = start("chat", watch=True)
    with dial(dev, "/room/tea?name=ann") as ann:
        heard(ann)
        entry = dev.folder / "src" / "entry.py"
        since = len(dev.err)
        entry.write_text(entry.read_text().replace('"type": "said"', '"type": "shouted"'))
        dev.wait_told("reloaded in ", since=since)

        ann.send(json.dumps({"text": "hello"}))

        assert heard(ann) == {"type": "shouted", "who": "ann", "text": "hello", "woken": True}


# --- an alarm-driven watchdog with an outgoing WebSocket --------------------------------------------------------------
class Feed:
    """A server somewhere else: keeps who connected, with which path, and speaks when told."""

    def __init__(self) -> None:
        self.connections: list[tuple[str, ServerConnection]] = []
        self._arrived = threading.Semaphore(0)

    def talk(self, connection: ServerConnection) -> None:
        assert connection.recv(timeout=WAIT_SECONDS) == "hello"
        assert connection.request is not None
        self.connections.append((connection.request.path, connection))
        self._arrived.release()
        for _ in connection:
            pass

    def wait_connected(self) -> tuple[str, ServerConnection]:
        assert self._arrived.acquire(timeout=WAIT_SECONDS), "nobody came"
        return self.connections[-1]


@pytest.fixture
def feed() -> Iterator[tuple[Feed, str]]:
    feed = Feed()
    server: Server
    with serve(feed.talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield feed, f"ws://127.0.0.1:{server.socket.getsockname()[1]}/subscribe"
        for _, connection in feed.connections:
            connection.close()
        server.shutdown()
        thread.join()


def test_a_watchdog_connects_again_when_its_alarm_finds_the_connection_gone(
    start: Starter, feed: tuple[Feed, str]
) -> None:
    server, url = feed
    dev = start("watchdog", "--var", f"FEED={url}")
    first = ask(dev, "/").json
    assert (first["total"], first["alarm"]) == (0, True)
    path, connection = server.wait_connected()
    assert path == "/subscribe"
    for at, value in ((11, 5), (12, 7)):
        connection.send(json.dumps({"at": at, "value": value}))
    dev.wait_for(lambda: ask(dev, "/").json["total"] == 12, "items of the feed")
    assert ask(dev, "/").json["connected"] is True

    assert typed(dev.folder, "alarms", "fire", "Consumer", "feed").returncode == 0
    assert ask(dev, "/").json["looks"] == 1
    assert len(server.connections) == 1

    connection.close(1012, "restart")
    dev.wait_for(lambda: any("feed closed: 1012 restart" in line for line in dev.err + dev.out), "the close")
    fired = typed(dev.folder, "alarms", "fire", "Consumer", "feed")
    assert fired.returncode == 0, fired.stderr

    path, connection = server.wait_connected()
    assert path == "/subscribe?cursor=12"
    connection.send(json.dumps({"at": 13, "value": 1}))
    dev.wait_for(lambda: ask(dev, "/").json["total"] == 13, "the next item")
    assert ask(dev, "/").json["looks"] == 2
    assert dev.end() == 0
    assert anchors_told(dev) == set()


# --- a multi-level class hierarchy ------------------------------------------------------------------------------------
def test_classes_inherit_over_several_levels_and_modules(start: Starter) -> None:
    dev = start("classes")

    assert ask(dev, "/checking/ann/move?cents=500").json == 499
    assert ask(dev, "/checking/ann/move?cents=-1000").json == -502
    assert ask(dev, "/savings/ann/move?cents=300").json == 300
    assert ask(dev, "/savings/ann/move?cents=-200").json == 100
    refused = ask(dev, "/savings/ann/move?cents=-200")
    assert refused.status == 400
    assert "Savings in EUR does not allow -200" in refused.text
    assert ask(dev, "/savings/ann/audit").json == [
        "asked for 300",
        "now 300",
        "asked for -200",
        "now 100",
        "asked for -200",
    ]
    missing = ask(dev, "/checking/ann/audit")
    assert missing.status == 400
    assert "audit" in missing.text
    assert rows(typed(dev.folder, "sql", "Savings", "ann", "SELECT cents FROM moves", "--json")) == [
        {"cents": 300},
        {"cents": -200},
    ]
    assert dev.end() == 0
    assert anchors_told(dev) == {"sql-int"}


def test_an_environment_of_wrangler_toml_is_chosen_by_name(start: Starter) -> None:
    dev = start("classes", "--env", "staging")

    assert "Savings in XTS does not allow -1" in ask(dev, "/savings/ann/move?cents=-1").text


# --- an object that aborts itself -------------------------------------------------------------------------------------
def test_an_object_that_aborts_loses_its_memory_and_what_it_had_not_committed(start: Starter) -> None:
    dev = start("aborting")
    assert [ask(dev, "/").json for _ in range(2)] == [{"seen": 1, "stored": 1}, {"seen": 2, "stored": 2}]

    aborted = ask(dev, "/abort").json

    assert aborted["message"].endswith("the meter does not trust itself")
    assert aborted["held"] == "broken"
    assert aborted["fresh"] == {"seen": 1, "stored": 101}
    assert ask(dev, "/").json == {"seen": 2, "stored": 102}
    assert dev.end() == 0
    assert anchors_told(dev) == set()

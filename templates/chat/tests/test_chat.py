"""The chat as its users meet it: real sockets, a real database, a state directory of its own for each test."""

from __future__ import annotations

import json
import time
from pathlib import Path

from durable.testing import run

CONFIG = Path(__file__).parent.parent / "durable.toml"


def join(app, room, name):
    """A socket into the room, and the welcome it got."""
    socket = app.websocket(f"/room/{room}/socket?user={name.lower()}-0000&name={name}")
    return socket, receive(socket, "welcome")


def receive(socket, kind):
    """The next event of this kind; others are passed over."""
    while True:
        event = json.loads(socket.receive())
        if event["type"] == kind:
            return event


def say(socket, text, id="1"):
    socket.send(json.dumps({"type": "say", "id": id, "text": text}))


def texts(app, room):
    return [message["text"] for message in app.get(f"/room/{room}/messages").json()["messages"]]


def test_the_front_door_leads_to_a_room(durable_app):
    reply = durable_app.get("/")
    assert (reply.status, reply.headers["location"]) == (302, f"{durable_app.url}/room/general")
    assert "<title>chat</title>" in durable_app.get("/room/general").text


def test_a_message_reaches_everybody_in_the_room_and_nobody_else(durable_app):
    ada, _ = join(durable_app, "general", "Ada")
    bob, _ = join(durable_app, "general", "Bob")
    eve, _ = join(durable_app, "other", "Eve")
    say(ada, " hello ")
    say(eve, "alone")
    for socket in (ada, bob):
        message = receive(socket, "message")
        assert (message["name"], message["text"]) == ("Ada", "hello")
    assert receive(eve, "message")["text"] == "alone"
    assert texts(durable_app, "general") == ["hello"]


def test_who_joins_gets_the_history_and_the_people(durable_app):
    ada, _ = join(durable_app, "general", "Ada")
    for number in range(60):
        say(ada, f"message {number}", id=str(number))
    while receive(ada, "message")["text"] != "message 59":
        pass
    _, welcome = join(durable_app, "general", "Bob")
    assert [message["text"] for message in welcome["messages"]] == [f"message {number}" for number in range(10, 60)]
    assert [person["name"] for person in welcome["people"]] == ["Ada", "Bob"]
    earlier = durable_app.get(f"/room/general/messages?before={welcome['messages'][0]['id']}").json()["messages"]
    assert [message["text"] for message in earlier] == [f"message {number}" for number in range(10)]


def test_a_message_that_is_sent_twice_is_stored_once(durable_app):
    ada, _ = join(durable_app, "general", "Ada")
    say(ada, "once", id="same")
    say(ada, "once", id="same")
    first, second = receive(ada, "message"), receive(ada, "message")
    assert first == second
    assert texts(durable_app, "general") == ["once"]


def test_others_see_who_joins_is_renamed_and_leaves(durable_app):
    ada, _ = join(durable_app, "general", "Ada")
    bob, _ = join(durable_app, "general", "Bob")
    assert receive(ada, "joined")["person"]["name"] == "Bob"
    bob.send(json.dumps({"type": "rename", "name": "  Bobby   T "}))
    renamed = receive(ada, "renamed")
    assert (renamed["was"], renamed["person"]["name"]) == ("Bob", "Bobby T")
    bob.close()
    assert receive(ada, "left")["person"]["name"] == "Bobby T"


def test_somebody_with_two_tabs_leaves_with_the_last_one(durable_app):
    ada, _ = join(durable_app, "general", "Ada")
    tabs = [join(durable_app, "general", "Bob")[0] for _ in range(2)]
    _, welcome = join(durable_app, "general", "Eve")
    assert [person["name"] for person in welcome["people"]] == ["Ada", "Bob", "Eve"]
    tabs[0].close()
    say(tabs[1], "still here")
    assert receive(ada, "message")["text"] == "still here"
    tabs[1].close()
    assert receive(ada, "left")["person"]["name"] == "Bob"


def test_ping_is_answered(durable_app):
    ada, _ = join(durable_app, "general", "Ada")
    ada.send("ping")
    assert ada.receive() == "pong"


def test_nonsense_is_refused_and_the_socket_stays(durable_app):
    ada, _ = join(durable_app, "general", "Ada")
    for nonsense in ("not json", "[]", '{"type": "say", "id": 1, "text": 2}', "x" * 20_000, b"\xff"):
        ada.send(nonsense)
        assert receive(ada, "error")["text"] == "This room does not understand that."
    for text in ("   ", "x" * 2001):
        say(ada, text, id="bad")
        assert receive(ada, "error")["id"] == "bad"
    say(ada, "fine")
    assert receive(ada, "message")["text"] == "fine"


def test_bad_addresses_are_told_what_is_right(durable_app):
    for path in ("/room/UPPER", "/room/", "/room/" + "a" * 41, "/room/a/b", "/nowhere"):
        assert durable_app.get(path).status == 404
    assert durable_app.get("/room/general/socket?user=ada-0000").status == 426


def test_old_messages_are_deleted_by_the_alarm():
    with run(CONFIG, vars={"KEEP_DAYS": 1 / 86_400}) as app:
        ada, _ = join(app, "general", "Ada")
        say(ada, "soon gone")
        receive(ada, "message")
        deadline = time.monotonic() + 10
        while texts(app, "general") and time.monotonic() < deadline:
            time.sleep(0.1)
        assert texts(app, "general") == []

"""What Cloudflare's documentation shows, chapter by chapter: the projects handbook and legacy of tests/cloudflare."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.acceptance.cloudflare_project import PROJECTS, ask, dial, heard, start
from tests.acceptance.running_dev import WAIT_SECONDS, Dev, typed

__all__ = ["start"]


@pytest.fixture(scope="module", params=["1", "2"], ids=["one host", "two hosts"])
def handbook(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    folder = tmp_path_factory.mktemp("handbook")
    for file in (PROJECTS / "handbook").rglob("*.*"):
        if "__pycache__" not in file.parts:
            copy = folder / file.relative_to(PROJECTS / "handbook")
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
    dev = Dev(folder, "--hosts", request.param, "--no-reload")
    try:
        yield dev.wait_ready()
    finally:
        dev.discard()


@pytest.mark.parametrize(
    ("method", "found"),
    [
        (
            "keys",
            {"several": {"a": 1, "c": 3}, "has": [1, False, 2], "deleted": [1, True], "left": ["c"]},
        ),
        (
            "sync_keys",
            [["c", 3], ["one", {"nested": [1, 2, {"three": True}]}], ["two", "text"], True, True],
        ),
        (
            "sql",
            {
                "columns": ["id", "name", "born", "picture"],
                "first": [False, "Ada", 1815.5],
                "rest": ["Grace"],
                "raw": [[1, "Ada"], [2, "Grace"]],
                "picture": [2],
                "size": True,
                "written": 1,
            },
        ),
        ("transactions", [True, "done", "sync rolled back", [None, 5, None]]),
        ("errors", [True, "DataCloneError"]),
        ("identity", {"name": "a", "equal": True, "hex": True, "from_hex": True, "unique": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_storage(handbook: Dev, method: str, found: Any) -> None:
    answer = ask(handbook, f"/store/{method}")

    assert answer.status == 200, answer.text
    assert answer.json == found


def test_an_alarm_sends_what_was_batched(handbook: Dev) -> None:
    assert [ask(handbook, "/batch", "POST", text).json for text in ("one", "two")] == [{"queued": 1}, {"queued": 2}]

    fired = typed(handbook.folder, "alarms", "fire", "Batcher", "foo")

    assert fired.returncode == 0, fired.stderr
    assert ask(handbook, "/batches").json == [['"one"', '"two"']]
    assert ask(handbook, "/batch", "POST", "three").json == {"queued": 1}


def test_a_socket_of_the_standard_api_gets_events(handbook: Dev) -> None:
    with dial(handbook, "/socket") as one:
        one.send("a")
        assert heard(one) == {"heard": "a", "open": 1}
        with dial(handbook, "/socket") as two:
            two.send("b")
            assert heard(two) == {"heard": "b", "open": 2}
            two.close(4001)
        handbook.wait_told("closed with 4001")
        one.send("c")
        assert heard(one) == {"heard": "c", "open": 1}


def test_the_response_of_javascript_is_an_answer_too_with_a_socket_and_without(handbook: Dev) -> None:
    with dial(handbook, "/plain") as socket:
        assert heard(socket) == {"count": 0}
        socket.send("four")
        assert heard(socket) == {"count": 4}
    answer = ask(handbook, "/plain")
    assert (answer.status, answer.headers["content-type"], answer.json) == (203, "application/json", {"count": 4})


def test_sockets_are_keys_of_dicts_and_found_again_after_sleep(handbook: Dev) -> None:
    with dial(handbook, "/session") as one, dial(handbook, "/session") as two:
        two.send("a")
        assert two.recv(timeout=WAIT_SECONDS) == "a True 1 0"
        assert one.recv(timeout=WAIT_SECONDS) == "a from somebody else"
        assert typed(handbook.folder, "objects", "evict", "Sessions", "a").returncode == 0

        one.send("b")

        assert one.recv(timeout=WAIT_SECONDS) == "b True 1 1"
        assert two.recv(timeout=WAIT_SECONDS) == "b from somebody else"


def test_functions_requests_and_responses_travel_over_rpc(handbook: Dev) -> None:
    answer = ask(handbook, "/rpc")

    assert answer.status == 200, answer.text
    assert answer.json == [[2, 4, 6], [1, 2, 3], [11, 16], 10, {"a": 1}, "1"]


def test_an_objects_own_exception_is_an_abort_error_of_fetch_and_a_js_exception_of_a_call(handbook: Dev) -> None:
    answer = ask(handbook, "/failing")

    assert answer.status == 200, answer.text
    fetched, (called, remote) = answer.json
    assert fetched.endswith("no entry at http://inside/x")
    assert called.endswith("NoEntry: no entry for x")
    assert remote is True


def test_a_worker_calls_its_own_named_entrypoint(handbook: Dev) -> None:
    assert ask(handbook, "/exports").text == "hello, ann"


def test_streams_are_made_and_read(handbook: Dev) -> None:
    assert ask(handbook, "/streams").json == ["0 ", "1 2 ", ["whole"]]


def test_values_go_to_javascript_and_back(handbook: Dev) -> None:
    answer = ask(handbook, "/interop")

    assert answer.status == 200, answer.text
    assert answer.json == ["hello", 2, {"a": {"b": [1, 2]}}, ["a"], 1, [1, 2]]


def test_all_ways_to_log_lead_to_the_terminal(handbook: Dev) -> None:
    assert ask(handbook, "/logs").text == ""

    for text in ("an info of the logger", "an error of the console", "printed"):
        handbook.wait_told(text)


def test_a_request_is_told_apart_by_its_parts(handbook: Dev) -> None:
    answer = ask(handbook, "/request_parts?q=%C3%A9", "POST", {}, user_agent="test")

    assert answer.json == {
        "method": "POST",
        "is_post": True,
        "path": "/request_parts",
        "q": "é",
        "none": None,
        "agent": "test",
        "nothing": None,
    }


def test_forms_are_read_and_made(handbook: Dev) -> None:
    boundary = uuid.uuid4().hex
    parts = [
        ('form-data; name="name"', "ann"),
        ('form-data; name="upload"; filename="a.csv"\r\ncontent-type: text/csv', "1,2"),
    ]
    body = "".join(f"--{boundary}\r\ncontent-disposition: {head}\r\n\r\n{text}\r\n" for head, text in parts)
    sent = Request(
        f"{handbook.url}/form",
        f"{body}--{boundary}--\r\n".encode(),
        {"content-type": f"multipart/form-data; boundary={boundary}"},
    )
    with urlopen(sent, timeout=WAIT_SECONDS) as response:
        assert response.read() == b'{"name":"ann","file":"a.csv","type":"text/csv","text":"1,2"}'

    assert ask(handbook, "/make_form").json == ["1", "inside", "two parts", 9]


def test_responses_of_every_kind(handbook: Dev) -> None:
    redirect = ask(handbook, "/responses?kind=redirect")
    assert (redirect.status, redirect.headers["location"]) == (301, "https://example.com/there")
    two = ask(handbook, "/responses?kind=bytes")
    assert (two.text, two.headers["content-type"], two.headers["x-a"]) == ("\x01\x02", "application/x-two", "1")
    made = ask(handbook, "/responses?kind=array")
    assert (made.status, made.text) == (201, "\x03\x04")
    wrong = ask(handbook, "/responses?kind=other")
    assert wrong.status == 500
    assert "Response" in wrong.text


def test_requests_are_cloned_made_and_read_once(handbook: Dev) -> None:
    assert ask(handbook, "/clone", "POST", "body").json == ['"body"', "put", "b", "Body already used", 1]


def test_the_environment_is_there_outside_of_classes_and_can_be_patched(handbook: Dev) -> None:
    assert ask(handbook, "/top_level_env").json == ["hello", "patched", 5, 5]


def test_work_goes_on_behind_an_answer_and_a_cron_trigger_runs(handbook: Dev) -> None:
    assert ask(handbook, "/rest_of_it").json == [36, True]
    handbook.wait_for(lambda: ask(handbook, "/logged").json.count("waited") == 2, "what was waited for")
    handbook.wait_told("one 2")

    assert ask(handbook, "/cdn-cgi/handler/scheduled?cron=0+3+*+*+*").status == 200
    assert ask(handbook, "/logged").json[-1] == "0 3 * * *"


def test_a_worker_from_before_classes_serves_by_its_global_handler(start: Any, tmp_path: Path) -> None:
    dev = start("legacy")

    answer = ask(dev, "/there")

    assert (answer.status, answer.text, answer.headers["x-path"]) == (200, "Hello, world!", "there")
    # Nobody answers the close frames of the clients: on the platform of that date the program itself had to.
    with dial(dev, "/room", close_timeout=0) as one, dial(dev, "/room", close_timeout=0) as two:
        one.send("a")
        assert [one.recv(timeout=WAIT_SECONDS), two.recv(timeout=WAIT_SECONDS)] == ["a to 2", "a to 2"]

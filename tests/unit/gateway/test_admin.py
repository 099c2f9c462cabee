"""`/__durable/*` without a network: who may ask, what is refused, what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from durable import values
from durable.errors import HostGoneError, LoadFailedError, MigrationError, OverloadedError, ReloadingError
from durable.gateway import admin as module
from durable.gateway.admin import Admin
from durable.gateway.admin_presence import PresenceTools
from durable.sdk.ids import id_from_name
from durable.storage.index import IndexRow
from durable.wire.messages import (
    ActorKey,
    CallReply,
    ErrorReport,
    Evict,
    EvictAll,
    Failed,
    Inspect,
    InspectedRows,
    InspectReply,
    Look,
    NamespaceInfo,
    Restore,
)

TOKEN = "t0ken"
KEY = "Room-9f3a"
GENERAL = id_from_name(KEY, "general")


class Body:
    """A request body in two pieces, or one that never comes."""

    def __init__(self, data: bytes, *, stalled: bool = False) -> None:
        self.data = data
        self.stalled = stalled

    async def iter_any(self) -> AsyncIterator[bytes]:
        if self.stalled:
            await asyncio.Event().wait()
        for piece in (self.data[:3], self.data[3:]):
            if piece:
                yield piece


class ScriptedHost:
    """Router and link in one."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.links: list[Any] = []
        self.reply: Any = InspectReply(1, 0, [InspectedRows(["n"], [])])

    async def link_for(self, actor: ActorKey | None) -> Any:
        return self

    async def request(self, question: Any) -> Any:
        self.asked.append(question(1))
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


class ScriptedIndex:
    def __init__(self) -> None:
        self.rows = {GENERAL: IndexRow(GENERAL, "general", 1, 1, None, 0)}

    async def get(self, namespace: str, identity: str) -> IndexRow | None:
        return self.rows.get(identity) if namespace == KEY else None

    async def names(self, namespace: str, limit: int) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows.values() if row.name is not None)[:limit]


class Bench:
    def __init__(self) -> None:
        self.host = ScriptedHost()
        self.index = ScriptedIndex()
        self.migrations: list[bool] = []
        self.reloads = 0
        self.refusal: Exception | None = None
        room = NamespaceInfo(KEY, "Room")
        spaces = {"Room": room, "ROOMS": room}
        self.host.links = [self.host]
        self.admin = Admin(
            TOKEN,
            self.host,
            self.index,
            namespaces=lambda: spaces,
            status=lambda: {"version": "1", "hosts": [{"shard": 0}]},
            migrate=self.migrate,
            reload=self.reload,
            more=PresenceTools(self.host, self.index, lambda: spaces).routes,
        )

    async def migrate(self, dry_run: bool, folder: str) -> dict[str, object]:
        self.migrations.append(dry_run)
        if self.refusal is not None:
            raise self.refusal
        return {"steps": [], "applied": []}

    async def reload(self) -> None:
        self.reloads += 1
        if self.refusal is not None:
            raise self.refusal

    async def ask(
        self, method: str, path: str, body: Any = None, *, authorization: str | None = f"Bearer {TOKEN}"
    ) -> tuple[int, dict[str, Any], web.Response]:
        headers = {} if authorization is None else {"Authorization": authorization}
        payload = body if isinstance(body, Body) else Body(b"" if body is None else json.dumps(body).encode())
        request = make_mocked_request(method, path, headers=headers, payload=payload)  # type: ignore[arg-type]
        response = await self.admin.handle(request)
        assert isinstance(response, web.Response)
        assert response.content_type == "application/json"
        assert response.text is not None
        return response.status, json.loads(response.text), response

    async def sql(self, **fields: Any) -> tuple[int, dict[str, Any]]:
        fields = {"class": "Room", "name": "general", "sql": "SELECT n", **fields}
        wanted = {key: value for key, value in fields.items() if value is not None}
        status, answer, _ = await self.ask("POST", "/__durable/sql", wanted)
        return status, answer


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- who may ask -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("authorization", [None, "", "Basic dXNlcjpwYXNz", TOKEN])
@pytest.mark.parametrize("path", ["/__durable/status", "/__durable/nothing"])
async def test_without_a_token_nothing_is_told_not_even_which_paths_exist(
    bench: Bench, path: str, authorization: str | None
):
    status, answer, response = await bench.ask("GET", path, authorization=authorization)

    assert status == 401
    assert answer["error"]["code"] == "unauthorized"
    assert answer["error"]["fix"] == ("send Authorization: Bearer <token>; the token is in .durable/run/emulator.json")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer", "Bearer t0ken2", "Bearer é"])
async def test_a_wrong_token_is_refused_whatever_it_is_made_of(bench: Bench, given: str):
    status, answer, _ = await bench.ask("POST", "/__durable/reload", authorization=given)

    assert (status, answer["error"]["code"]) == (403, "wrong_token")
    assert answer["error"]["message"] == "the token is not the one of this emulator"
    assert bench.reloads == 0


async def test_a_token_of_bytes_that_are_no_text_is_only_wrong(bench: Bench):
    request: Any = SimpleNamespace(headers={"Authorization": "Bearer \udcff\udc80"})

    assert (await bench.admin.handle(request)).status == 403


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/__durable/reload", "POST"),
        ("GET", "/__durable/sql", "POST"),
        ("HEAD", "/__durable/migrate", "POST"),
        ("POST", "/__durable/status", "GET"),
    ],
)
async def test_nothing_that_changes_anything_is_a_get(bench: Bench, method: str, path: str, allowed: str):
    status, answer, response = await bench.ask(method, path)

    assert (status, answer["error"]["code"]) == (405, "method_not_allowed")
    assert response.headers["Allow"] == allowed
    assert (bench.reloads, bench.migrations) == (0, [])


async def test_an_unknown_path_names_the_known_ones(bench: Bench):
    status, answer, _ = await bench.ask("GET", "/__durable/statsu?x=1")

    assert (status, answer["error"]["code"]) == (404, "no_such_path")
    assert answer["error"]["message"] == "/__durable/statsu does not exist"
    assert "/__durable/status" in answer["error"]["fix"]


async def test_answers_are_not_kept_and_open_to_no_other_origin(bench: Bench):
    _, _, response = await bench.ask("GET", "/__durable/status")

    assert response.headers["Cache-Control"] == "no-store"
    assert not any(name.lower().startswith("access-control") for name in response.headers)


# --- bodies ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (Body(b"{"), "Input data was truncated"),
        (Body(b"[]"), "Expected `object`, got `array`"),
        ({"class": "Room"}, "Object missing required field `sql`"),
        ({"class": "Room", "sql": 1}, "Expected `str`, got `int` - at `$.sql`"),
        ({"class": "Room", "sql": "", "nmae": "x"}, "Object contains unknown field `nmae`"),
    ],
)
async def test_a_body_of_another_shape_is_refused_with_the_place(bench: Bench, body: Any, said: str):
    status, answer, _ = await bench.ask("POST", "/__durable/sql", body)

    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert said in answer["error"]["message"]


async def test_a_body_beyond_the_bound_is_refused(bench: Bench):
    status, answer, _ = await bench.ask("POST", "/__durable/sql", Body(b" " * (1024 * 1024 + 1)))

    assert (status, answer["error"]["code"]) == (413, "too_large")
    assert answer["error"]["message"] == "the body is larger than 1048576 bytes"


async def test_a_body_that_does_not_arrive_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ADMIN_BODY_SECONDS_MAX", 0)

    status, answer, _ = await bench.ask("POST", "/__durable/sql", Body(b"", stalled=True))

    assert (status, answer["error"]["code"]) == (408, "too_slow")


# --- status, migrate, reload -----------------------------------------------------------------------------------------
async def test_status_is_what_the_emulator_says(bench: Bench):
    status, answer, _ = await bench.ask("GET", "/__durable/status")

    assert (status, answer) == (200, {"version": "1", "hosts": [{"shard": 0}]})


async def test_migrate_applies_unless_it_is_a_dry_run(bench: Bench):
    await bench.ask("POST", "/__durable/migrate", {"dry_run": True})
    status, answer, _ = await bench.ask("POST", "/__durable/migrate")

    assert bench.migrations == [True, False]
    assert (status, answer) == (200, {"steps": [], "applied": []})


async def test_a_migration_that_cannot_be_applied_says_what_to_type(bench: Bench):
    bench.refusal = MigrationError("the class Room is not known", fix="add it to new_sqlite_classes")

    status, answer, _ = await bench.ask("POST", "/__durable/migrate", {})

    assert status == 400
    assert answer["error"] == {
        "code": "configuration",
        "message": "the class Room is not known",
        "fix": "add it to new_sqlite_classes",
    }


async def test_reload_answers_when_it_is_done(bench: Bench):
    status, answer, _ = await bench.ask("POST", "/__durable/reload", {})

    assert (status, answer, bench.reloads) == (200, {}, 1)


async def test_a_program_that_cannot_be_loaded_is_the_users(bench: Bench):
    bench.refusal = LoadFailedError("SyntaxError: invalid syntax")

    status, answer, _ = await bench.ask("POST", "/__durable/reload", {})

    assert (status, answer["error"]["code"]) == (400, "user_code_failed")


# --- restore ---------------------------------------------------------------------------------------------------------
async def test_a_restore_is_asked_of_the_host_that_has_the_object(bench: Bench):
    done = {"restored": "a", "moment_ms": 7, "undo": "b", "bytes": 4096}
    bench.host.reply = CallReply(1, 0, values.encode(done))

    for fields, asked in (
        ({"bookmark": "a"}, ("a", None)),
        ({"moment_ms": -5}, ("", -5)),
        ({}, ("", None)),
    ):
        status, answer, _ = await bench.ask(
            "POST", "/__durable/restore", {"class": "Room", "name": "general", **fields}
        )
        assert (status, answer) == (200, done)
        assert bench.host.asked[-1] == Restore(1, ActorKey(KEY, GENERAL, "general"), *asked)


async def test_an_object_that_the_index_has_forgotten_is_looked_for_all_the_same(bench: Bench):
    bench.host.reply = Failed(1, 0, ErrorReport("NotFoundError", "object has no data and no history"))

    status, answer, _ = await bench.ask("POST", "/__durable/restore", {"class": "Room", "name": "genral"})

    assert bench.host.asked[0].actor.name == "genral"
    assert (status, answer["error"]) == (
        404,
        {"code": "no_such_object", "message": 'no such object: Room "genral"', "fix": 'Did you mean "general"?'},
    )


async def test_what_cannot_be_restored_is_said_in_the_words_of_the_host(bench: Bench):
    bench.host.reply = Failed(1, 0, ErrorReport("StorageError", "the bookmark x belongs to another object"))

    status, answer, _ = await bench.ask(
        "POST", "/__durable/restore", {"class": "Room", "name": "general", "bookmark": "x"}
    )

    assert (status, answer["error"]["code"]) == (400, "storage_error")
    assert answer["error"]["message"] == "the bookmark x belongs to another object"


# --- show and evict --------------------------------------------------------------------------------------------------
GENERAL_KEY = ActorKey(KEY, GENERAL, "general")


def presence(state: str, *pins: str, **more: Any) -> CallReply:
    told = [{"kind": "timer", "text": pin, "count": 1} for pin in pins]
    return CallReply(1, 0, values.encode({"state": state, "pins": told, "sockets": 0, **more}))


async def test_show_joins_what_the_index_knows_with_what_the_host_sees(bench: Bench):
    bench.host.reply = presence("pinned", "timer due in 14 s at main.py:12")

    status, answer, _ = await bench.ask("POST", "/__durable/show", {"class": "ROOMS", "name": "general"})

    assert bench.host.asked == [Look(1, GENERAL_KEY)]
    assert (status, answer) == (
        200,
        {
            "class": "Room",
            "name": "general",
            "id": GENERAL,
            "created_ms": 1,
            "alarm_ms": None,
            "state": "pinned",
            "pins": [{"kind": "timer", "text": "timer due in 14 s at main.py:12", "count": 1}],
            "sockets": 0,
        },
    )


async def test_an_object_that_lives_and_has_stored_nothing_is_shown_without_times(bench: Bench):
    bench.host.reply = presence("idle")

    status, answer, _ = await bench.ask("POST", "/__durable/show", {"class": "Room", "name": "young"})

    assert (status, answer["name"], answer["created_ms"], answer["state"]) == (200, "young", None, "idle")


@pytest.mark.parametrize("path", ["/__durable/show", "/__durable/evict"])
async def test_an_object_that_is_neither_stored_nor_alive_does_not_exist(bench: Bench, path: str):
    bench.host.reply = presence("inactive")

    status, answer, _ = await bench.ask("POST", path, {"class": "Room", "name": "genral"})

    assert (status, answer["error"]["code"]) == (404, "no_such_object")


async def test_evict_says_whether_it_did_and_what_is_left(bench: Bench):
    bench.host.reply = presence("hibernated", evicted=True)

    status, answer, _ = await bench.ask("POST", "/__durable/evict", {"class": "Room", "name": "general"})

    assert bench.host.asked == [Evict(1, GENERAL_KEY)]
    assert (status, answer["evicted"], answer["state"]) == (200, True, "hibernated")


async def test_what_pins_an_object_is_why_it_is_not_evicted(bench: Bench):
    bench.host.reply = presence("pinned", "timer due in 14 s at main.py:12", "2 accept()ed sockets", evicted=False)

    status, answer, _ = await bench.ask("POST", "/__durable/evict", {"class": "Room", "name": "general"})

    assert (status, answer["error"]) == (
        409,
        {
            "code": "pinned",
            "message": 'Room "general" cannot leave memory: timer due in 14 s at main.py:12; 2 accept()ed sockets',
            "fix": "let that end, or save the program: a reload resets what is pinned",
        },
    )


# --- sql -------------------------------------------------------------------------------------------------------------
async def test_all_are_evicted_in_every_host_and_the_pinned_are_named(bench: Bench):
    pinned = {"namespace": KEY, "name": "general", "id": GENERAL, "pins": [{"kind": "timer", "text": "timer due"}]}
    bench.host.links = [bench.host, None, bench.host]
    bench.host.reply = CallReply(1, 0, values.encode({"evicted": 3, "pinned": [pinned], "pinned_count": 1}))
    status, answer, _ = await bench.ask("POST", "/__durable/evict", {"all": True, "class": "ROOMS"})
    assert (status, answer["evicted"], answer["pinned_count"]) == (200, 6, 2)
    assert answer["pinned"][0] == {
        "class": "Room", "name": "general", "id": GENERAL, "pins": [{"kind": "timer", "text": "timer due"}],
    }  # fmt: skip
    assert bench.host.asked == [EvictAll(1, None, KEY)] * 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"all": True, "class": "Room", "name": "general"}, "either one object is evicted, or all of them are"),
        ({"name": "general"}, "class is missing"),
        ({}, "class is missing"),
    ],
)
async def test_what_is_to_be_evicted_has_to_be_said(bench: Bench, body: dict[str, Any], said: str):
    status, answer, _ = await bench.ask("POST", "/__durable/evict", body)
    assert status == 400
    assert said in answer["error"]["message"]
    assert not bench.host.asked


@pytest.mark.parametrize("class_name", ["Room", "ROOMS"])
async def test_sql_reaches_the_object_by_class_or_binding_and_name(bench: Bench, class_name: str):
    found = InspectedRows(["n", "t"], [values.encode([1, "a"]), values.encode([2, None])], True, 7, True)
    bench.host.reply = InspectReply(1, 0, [found, InspectedRows([], [])])

    status, answer = await bench.sql(**{"class": class_name, "write": True, "rows_max": 2})

    assert bench.host.asked == [Inspect(1, ActorKey(KEY, GENERAL, "general"), "SELECT n", True, 2, 10.0)]
    assert (status, answer) == (
        200,
        {
            "results": [
                {
                    "columns": ["n", "t"],
                    "rows": [[1, "a"], [2, None]],
                    "truncated": True,
                    "rows_written": 7,
                    "oversized": True,
                },
                {"columns": [], "rows": [], "truncated": False, "rows_written": 0, "oversized": False},
            ]
        },
    )


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ([1, "a", None, 1.5, True], [1, "a", None, 1.5, True]),
        ([{"$bytes": "AP8="}, {"$float": "-inf"}], [b"\x00\xff", float("-inf")]),
        ({"n": 1}, {"n": 1}),
    ],
)
async def test_parameters_reach_the_object(bench: Bench, given: Any, sent: Any):
    status, _ = await bench.sql(parameters=given)

    assert status == 200
    assert values.decode(bench.host.asked[0].parameters) == sent


@pytest.mark.parametrize("given", [[[1]], [{"a": 1}], [{"$set": []}], {"n": {"$float": "1"}}, [{"$bytes": "?"}]])
async def test_parameters_that_sqlite_has_no_type_for_are_refused(bench: Bench, given: Any):
    status, answer = await bench.sql(parameters=given)

    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert answer["error"]["message"].startswith("a parameter ")
    assert bench.host.asked == []


async def test_an_object_is_found_by_its_id_in_any_case_and_keeps_its_name(bench: Bench):
    status, _ = await bench.sql(name=None, id=GENERAL.upper())

    assert status == 200
    assert bench.host.asked[0].actor == ActorKey(KEY, GENERAL, "general")


async def test_bytes_and_infinities_have_a_form_in_json(bench: Bench):
    cells = [b"\x00\xff", float("inf"), float("-inf"), 2**60, 1.5, "é"]
    bench.host.reply = InspectReply(1, 0, [InspectedRows(list("abcdef"), [values.encode(cells)])])

    _, answer = await bench.sql()

    assert answer["results"][0]["rows"] == [
        [{"$bytes": "AP8="}, {"$float": "inf"}, {"$float": "-inf"}, 2**60, 1.5, "é"]
    ]


async def test_a_row_may_come_as_a_tuple(bench: Bench):
    bench.host.reply = InspectReply(1, 0, [InspectedRows(["n"], [values.encode((1,))])])

    _, answer = await bench.sql()

    assert answer["results"][0]["rows"] == [[1]]


async def test_an_unknown_class_names_the_nearest(bench: Bench):
    status, answer = await bench.sql(**{"class": "Romo"})

    assert status == 404
    assert answer["error"] == {
        "code": "no_such_class",
        "message": 'there is no class or binding "Romo"; there are ROOMS, Room',
        "fix": 'Did you mean "Room"?',
    }


async def test_an_object_that_does_not_exist_is_not_made_and_the_nearest_named(bench: Bench):
    status, answer = await bench.sql(name="genral")

    assert status == 404
    assert answer["error"] == {
        "code": "no_such_object",
        "message": 'no such object: Room "genral"',
        "fix": 'Did you mean "general"?',
    }
    assert bench.host.asked == []


async def test_without_a_near_name_some_existing_ones_are_shown(bench: Bench):
    _, answer = await bench.sql(name="zzz")
    assert answer["error"]["fix"] == 'there are "general"'

    bench.index.rows.clear()
    _, answer = await bench.sql(name="zzz")
    assert answer["error"]["fix"] == "Room has no objects with a name yet"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": None, "id": "zz"}, "Invalid Durable Object ID: must be 64 hex digits"),
        ({"name": None, "id": "0" * 64}, "Durable Object ID is not valid for this namespace."),
        ({"name": None}, "an object is named by either name or id"),
        ({"id": GENERAL}, "an object is named by either name or id"),
        ({"rows_max": 0}, "rows_max is between 1 and 10000, not 0"),
        ({"rows_max": 10_001}, "rows_max is between 1 and 10000, not 10001"),
    ],
)
async def test_what_cannot_be_meant_is_refused(bench: Bench, fields: dict[str, Any], said: str):
    status, answer = await bench.sql(**fields)

    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert answer["error"]["message"] == said


async def test_what_sqlite_says_is_passed_on(bench: Bench):
    bench.host.reply = InspectReply(1, 0, [], error='near "SELEC": syntax error')

    status, answer = await bench.sql()

    assert (status, answer["error"]) == (
        400,
        {"code": "sql_error", "message": 'near "SELEC": syntax error', "fix": ""},
    )


async def test_a_failed_inspection_is_an_error_of_ours(bench: Bench):
    bench.host.reply = Failed(1, 0, ErrorReport("StorageError", "the file is damaged"))

    status, answer = await bench.sql()

    assert (status, answer["error"]["code"]) == (500, "inspection_failed")
    assert answer["error"]["message"] == "the file is damaged"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HostGoneError("gone"), "host_crashed"),
        (ReloadingError("reloading"), "reloading"),
        (OverloadedError("too many"), "overloaded"),
    ],
)
async def test_a_host_that_cannot_answer_now_is_worth_another_try(bench: Bench, error: Exception, code: str):
    bench.host.reply = error
    status, answer, response = await bench.ask(
        "POST", "/__durable/sql", {"class": "Room", "name": "general", "sql": "SELECT 1"}
    )

    assert (status, answer["error"]["code"]) == (503, code)
    assert response.headers["Retry-After"] == "1"

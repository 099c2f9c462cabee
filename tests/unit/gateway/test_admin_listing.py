"""`/__durable/objects` with scripted hosts: whom it asks, what it does without an answer, what it refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from durable import values
from durable.clock import ManualClock
from durable.errors import HostGoneError, ProgramBrokenError, UserInputError
from durable.gateway import admin_listing as module
from durable.gateway.admin_listing import ListingTools, ListRequest
from durable.gateway.object_finder import AdminProblemError
from durable.sdk.ids import id_from_name
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.wire.messages import ActorKey, CallReply, LookMany, NamespaceInfo

ROOM = NamespaceInfo("Room-0123456789ab", "Room")
CALL = NamespaceInfo("Call-0123456789ab", "Call")
NAMES = ("a", "b", "c", "d")
NOW_SECONDS = 2_000_000_000.0


def identity(name: str, space: NamespaceInfo = ROOM) -> str:
    return id_from_name(space.key, name)


class ScriptedHost:
    """Answers with what it holds, and notes what it is asked."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = objects
        self.asked: list[LookMany] = []
        self.failure: Exception | None = None
        self.is_silent = False

    async def request(self, question: Any) -> CallReply:
        self.asked.append(question(7))
        assert self.asked[-1].id == 7
        if self.is_silent:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return CallReply(7, 0, values.encode({"objects": list(self.objects)}))


class Router:
    """Objects with the names a and b are of the first host, others of the second."""

    def __init__(self) -> None:
        self.hosts = (ScriptedHost(), ScriptedHost())
        self.links: list[Any] = [None, *self.hosts]
        self.refusal: Exception | None = None

    async def link_for(self, actor: ActorKey | None) -> Any:
        assert actor is not None
        if self.refusal is not None:
            raise self.refusal
        return self.hosts[actor.id not in (identity("a"), identity("b"))]


class NoIndex:
    async def get(self, namespace: str, identity: str) -> None:
        return None

    async def names(self, namespace: str, limit: int) -> tuple[str, ...]:
        return ()


@pytest.fixture
def router() -> Router:
    return Router()


@pytest.fixture
def tools(tmp_path: Path, router: Router) -> ListingTools:
    layout = StateLayout(tmp_path / "state")
    layout.ensure()
    layout.ensure_namespace(ROOM.key)
    index = NamespaceIndex(layout.index_file(ROOM.key))
    index.put_many(IndexRow(identity(name), name, 1, 1, None) for name in NAMES)
    index.close()
    return ListingTools(
        router,
        NoIndex(),
        lambda: {"Room": ROOM, "ROOMS": ROOM, "Call": CALL},
        layout=layout,
        clock=ManualClock(),
        root=lambda: tmp_path,
        now=lambda: NOW_SECONDS,
    )


async def listed(tools: ListingTools, **words: Any) -> list[dict[str, Any]]:
    answer: Any = await tools.routes()["/__durable/objects"].answer(ListRequest(**words))
    return list(answer["objects"])


async def test_each_host_is_asked_once_for_the_objects_of_the_page_that_are_its_own(
    tools: ListingTools, router: Router
) -> None:
    first, second = router.hosts
    first.objects = ({"id": identity("a"), "name": "a", "state": "idle", "sockets": 2, "idle_seconds": 5.0},)

    found = await listed(tools, limit=3)

    assert [each["name"] for each in found] == ["a", "b", "c"]
    assert [each["state"] for each in found] == ["idle", "inactive", "inactive"]
    assert (found[0]["sockets"], found[0]["used_ms"]) == (2, (NOW_SECONDS - 5) * 1000)
    assert (found[1]["sockets"], found[1]["used_ms"]) == (0, None)
    assert [(one.namespace, one.ids, one.versions) for one in first.asked] == [
        (ROOM.key, [identity("a"), identity("b")], False)
    ]
    assert [one.ids for one in second.asked] == [[identity("c")]]


async def test_a_host_that_is_busy_or_gone_costs_its_objects_their_state_and_nothing_else(
    tools: ListingTools, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIST_ANSWER_SECONDS_MAX", 0.0)
    router.hosts[0].is_silent = True
    router.hosts[1].failure = HostGoneError("gone")

    assert {each["name"]: each["state"] for each in await listed(tools)} == dict.fromkeys(NAMES, "unknown")


async def test_a_program_that_does_not_load_has_nothing_in_memory(tools: ListingTools, router: Router) -> None:
    router.refusal = ProgramBrokenError("The program cannot be loaded")

    assert [each["state"] for each in await listed(tools)] == ["inactive"] * 4


async def test_versions_are_asked_of_a_class_with_migrations_alone(
    tools: ListingTools, router: Router, tmp_path: Path
) -> None:
    (tmp_path / "migrations" / "Room").mkdir(parents=True)
    router.hosts[0].objects = ({"id": identity("a"), "version": 3},)

    found = await listed(tools, class_name="ROOMS")

    assert [each["schema_version"] for each in found] == [3, None, None, None]
    assert [one.versions for host in router.hosts for one in host.asked] == [True, True]


async def test_live_objects_are_those_that_hosts_name_stored_or_not(tools: ListingTools, router: Router) -> None:
    fresh = {"id": "0" * 64, "name": "fresh", "state": "idle", "idle_seconds": 1.0}
    router.hosts[1].objects = ({"id": identity("c"), "name": "c", "state": "pinned", "idle_seconds": 2.0}, fresh)

    found = await listed(tools, class_name="Room", live_only=True, sort="used")

    assert [(each["name"], each["created_ms"]) for each in found] == [("fresh", None), ("c", 1)]
    assert [one.ids for one in router.hosts[0].asked] == [None]


async def test_a_listing_by_use_knows_who_was_used_and_wrote_nothing(tools: ListingTools, router: Router) -> None:
    router.hosts[1].objects = ({"id": identity("d"), "name": "d", "state": "idle", "idle_seconds": 1.0},)

    assert [each["name"] for each in await listed(tools, sort="used", limit=1)] == ["d"]


async def test_ids_narrow_a_listing_to_objects_that_need_not_be_known(tools: ListingTools) -> None:
    found = await listed(tools, class_name="Room", ids=[identity("b"), "0" * 64])

    assert [(each["name"], each["created_ms"]) for each in found] == [("b", 1), (None, None)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"sort": "colour"}, 'sort is one of name, created, alarm, size, used, not "colour"'),
        ({"limit": 0}, "limit is between 1 and 10000, not 0"),
        ({"limit": 10_001}, "limit is between 1 and 10000, not 10001"),
        ({"ids": ["0" * 64]}, "ids are of one class"),
        ({"class_name": "Room", "ids": ["../../../etc/passwd"]}, "an id is 64 hex digits"),
        ({"class_name": "Rom"}, 'there is no class or binding "Rom"'),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anybody_is_asked(
    tools: ListingTools, router: Router, words: dict[str, Any], told: str
) -> None:
    with pytest.raises(AdminProblemError, match=told):
        await listed(tools, **words)

    assert not any(host.asked for host in router.hosts)


async def test_a_place_of_another_listing_is_refused(tools: ListingTools) -> None:
    with pytest.raises(UserInputError, match="--after is not a place"):
        await listed(tools, after="x")


async def test_a_damaged_index_is_an_error_that_names_it(tools: ListingTools, tmp_path: Path) -> None:
    (tmp_path / "state" / ROOM.key / "index.sqlite").write_bytes(b"nothing that SQLite knows" * 100)

    with pytest.raises(AdminProblemError, match=r"index\.sqlite"):
        await listed(tools)

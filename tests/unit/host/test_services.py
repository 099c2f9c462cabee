"""What `env` and `ctx.exports` hold, without a gateway: whom each stub would ask."""

from __future__ import annotations

from typing import Any

import pytest

from durable import values
from durable.host.env import Env
from durable.host.services import Exports, bindings_of
from durable.sdk.stub import Destination
from durable.wire.messages import Load, NamespaceInfo, NeighbourClass, ServiceInfo

ROOM = NamespaceInfo("Room-0123456789ab", "Room")


class Recording:
    """A transport that only says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def call(self, receiver: Any, method: str, args: Any, kwargs: Any) -> None:
        self.asked.append((receiver.script, str(receiver.id), method, args))

    def call_service(self, receiver: Any, method: str, args: Any, kwargs: Any) -> None:
        self.asked.append((receiver.destination, method, args))

    def fetch(self, receiver: Any, request: Any) -> None: ...
    def fetch_service(self, receiver: Any, request: Any) -> None: ...


def load(**more: Any) -> Load:
    given: dict[str, Any] = {"bindings": {"ROOMS": "Room"}, "vars": {}, **more}
    return Load(
        root="/p", main="/p/main.py", state="/p/s", namespaces=[ROOM], compatibility_date="", durability="full",
        idle_seconds=10, host_number=1, shard=0, shards=1, **given,
    )  # fmt: skip


@pytest.fixture
def asked() -> Any:
    return Recording()


def test_an_object_of_another_worker_has_the_id_that_it_has_there(asked):
    neighbour = NeighbourClass("HALL", "hall", "Room", ROOM.key)
    env = bindings_of(load(neighbours=[neighbour]), asked)

    assert env["HALL"].id_from_name("a") == env["ROOMS"].id_from_name("a")
    env["HALL"].get_by_name("a").say(1)
    env["ROOMS"].get_by_name("a").say(2)

    identity = str(env["ROOMS"].id_from_name("a"))
    assert asked.asked == [("hall", identity, "say", (1,)), ("", identity, "say", (2,))]


def test_a_service_is_asked_where_its_binding_says(asked):
    props = values.encode({"tenant": 7})
    env = bindings_of(load(services=[ServiceInfo("AUTH", "auth", "Admin", props)]), asked)

    env["AUTH"].check("ada")

    assert asked.asked == [(Destination("auth", "Admin", props), "check", ("ada",))]


def test_what_is_missing_is_an_entry_whose_use_says_why(asked):
    env = Env(bindings_of(load(unserved={"AUTH": "start auth as well"}), asked))

    assert "AUTH" in env
    with pytest.raises(NotImplementedError, match="start auth as well"):
        env.AUTH.fetch("http://x/")


def test_tables_of_variables_have_their_keys_as_attributes(asked):
    env = Env(bindings_of(load(vars={"LIMITS": {"rooms": 3, "open": [{"day": "mon"}]}}), asked))

    assert (env.LIMITS.rooms, env.LIMITS["rooms"], env.LIMITS.open[0].day) == (3, 3, "mon")
    assert env.LIMITS == {"rooms": 3, "open": [{"day": "mon"}]}


def test_exports_lead_to_every_class_as_a_binding_would(asked):
    exports = Exports(load(), asked, entrypoints=["Default", "Admin"], actors=["Room", "Unbound"])

    exports.Admin.who()
    exports.default.who()
    exports.Default.who()
    exports.Room.get_by_name("a").say()

    assert [entry[0] for entry in asked.asked] == [Destination("", "Admin"), Destination(), Destination(), ""]
    assert list(exports) == ["Admin", "Default", "Room"]
    assert exports["Admin"] is exports.Admin
    with pytest.raises(AttributeError, match="has no 'Unbound'; the main module exports Admin, Default, Room"):
        _ = exports.Unbound


@pytest.mark.parametrize(
    "given", [lambda admin: admin(props={"tenant": 7}), lambda admin: admin({"props": {"tenant": 7}})]
)
def test_an_exported_entrypoint_is_given_props_by_calling_it(asked, given):
    exports = Exports(load(), asked, entrypoints=["Admin"], actors=[])

    given(exports.Admin).who()
    exports.Admin.who()

    assert [entry[0].props for entry in asked.asked] == [values.encode({"tenant": 7}), b""]


def test_props_that_are_no_dict_are_refused(asked):
    with pytest.raises(TypeError, match="props are a dict, got int"):
        Exports(load(), asked, entrypoints=["Admin"], actors=[]).Admin(props=7)

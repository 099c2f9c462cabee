"""Several workers in one process: what they find of each other, whose hosts take a call, and whose socket it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import durable.gateway.neighbours as module
from durable import config, values
from durable.config import Config
from durable.errors import ActorError, UserInputError
from durable.gateway.neighbours import Neighbours, PatientRouter
from durable.gateway.router import Router
from durable.wire.messages import ActorKey, Call, HttpRequest, NamespaceInfo, NeighbourClass, ServiceInfo

ROOM = NamespaceInfo("Room-0123456789ab", "Room")


@pytest.fixture
def worker(tmp_path: Path) -> Callable[..., Config]:
    """`worker("shop", more)` is the configuration of a worker in a folder of its own."""

    def load(name: str, more: str = "") -> Config:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "main.py").write_text("")
        (folder / "durable.toml").write_text(f'name = "{name}"\nmain = "main.py"\n{more}')
        return config.load(folder / "durable.toml")

    return load


def bound_to(service: str, *more: str) -> str:
    return "\n".join(['[[services]]\nbinding = "AUTH"', f'service = "{service}"', *more])


ROOMS_OF_HALL = '[[durable_objects.bindings]]\nname = "ROOMS"\nclass_name = "Room"\nscript_name = "hall"\n'


def question(script: str) -> HttpRequest:
    return HttpRequest(1, None, "GET", "http://x/", [], script=script)


def test_a_service_of_a_started_worker_is_found_with_its_entrypoint_and_its_props(worker):
    neighbours = Neighbours()
    shop = worker("shop", bound_to("auth", 'entrypoint = "Admin"', "props = { tenant = 7 }"))
    for each in (shop, worker("auth")):
        neighbours.join(each)

    found = neighbours.surroundings(shop)

    assert found.services == (ServiceInfo("AUTH", "auth", "Admin", values.encode({"tenant": 7})),)
    assert found.missing == {}


def test_a_service_of_the_worker_itself_needs_nobody_else(worker):
    shop = worker("shop", bound_to("shop"))

    assert Neighbours().surroundings(shop).services == (ServiceInfo("AUTH", "", "", b""),)


def test_a_service_that_is_not_started_is_missing_and_the_command_is_told_with_its_place(worker, tmp_path: Path):
    shop, auth = worker("shop", bound_to("auth")), worker("auth")
    neighbours = Neighbours()
    neighbours.join(shop)

    found = neighbours.surroundings(shop)

    assert found.services == ()
    assert found.missing == {
        "AUTH": 'env.AUTH belongs to the worker "auth", which this command has not started. '
        f"Give it both configurations: durable dev -c {shop.path} -c {auth.path}"
    }


def test_a_class_of_another_worker_has_that_workers_key(worker):
    neighbours, shop = Neighbours(), worker("shop", ROOMS_OF_HALL)
    neighbours.join(shop)
    hall = worker("hall")
    neighbours.join(hall).learn(hall, [ROOM])

    assert neighbours.surroundings(shop).classes == (NeighbourClass("ROOMS", "hall", "Room", ROOM.key),)
    assert neighbours.class_names == {ROOM.key: "Room"}


def test_a_class_that_the_other_worker_does_not_declare_is_missing(worker):
    neighbours, shop, hall = Neighbours(), worker("shop", ROOMS_OF_HALL), worker("hall")
    neighbours.join(shop)
    neighbours.join(hall)

    assert neighbours.surroundings(shop).missing == {
        "ROOMS": 'env.ROOMS is bound to the class Room of the worker "hall", which has no such class: '
        f"{hall.path} declares none"
    }


def test_two_workers_of_one_name_are_refused(worker, tmp_path: Path):
    neighbours, one = Neighbours(), worker("auth")
    neighbours.join(one)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "main.py").write_text("")
    (tmp_path / "other" / "durable.toml").write_text('name = "auth"\nmain = "main.py"\n')
    with pytest.raises(UserInputError, match='both .* are the worker "auth"') as caught:
        neighbours.join(config.load(tmp_path / "other" / "durable.toml"))
    assert caught.value.fix == 'give one of them another "name"'


def test_a_worker_that_left_can_come_again(worker):
    neighbours, auth = Neighbours(), worker("auth")
    neighbours.join(auth).leave()
    neighbours.join(auth)


def test_others_hear_of_a_change_and_only_of_one(worker):
    neighbours = Neighbours()
    told: list[object] = []
    shop, hall = worker("shop", ROOMS_OF_HALL), worker("hall")
    neighbours.join(shop).on_change = lambda: told.append(neighbours.surroundings(shop).classes)
    place = neighbours.join(hall)
    place.on_change = lambda: told.append("itself")

    place.learn(hall, [ROOM])
    place.learn(hall, [ROOM])

    assert told == [(NeighbourClass("ROOMS", "hall", "Room", ROOM.key),)]


def test_a_worker_is_found_by_the_name_that_a_save_gave_it(worker):
    neighbours = Neighbours()
    place = neighbours.join(worker("hall"))
    place.learn(worker("lobby"), [])

    assert neighbours.worker("lobby") is place
    with pytest.raises(ActorError, match='the worker "hall" is not one of those that were started: lobby'):
        neighbours.worker("hall")


async def test_a_question_goes_to_the_hosts_of_the_worker_that_it_names(worker, new_host):
    neighbours = Neighbours()
    shop, hall = neighbours.join(worker("shop")), neighbours.join(worker("hall"))
    shop.router, hall.router = Router(1), Router(1)
    ours, theirs = await new_host(1), await new_host(2)
    shop.router.attach([ours.link])
    hall.router.attach([theirs.link])

    for script, owner in (("", ours), ("shop", ours), ("hall", theirs)):
        assert await shop.route(question(script)).link_for(None, through_hold=True) is owner.link


async def test_a_host_is_found_by_its_number_until_it_is_lost(new_host):
    neighbours, host = Neighbours(), await new_host(7)
    neighbours.listen(host.link)
    assert neighbours.link_of(7) is host.link

    link: Any = host.link
    link.lost()

    assert neighbours.link_of(7) is None


def test_a_question_to_nobody_is_an_error_with_the_names_that_there_are(worker):
    place = Neighbours().join(worker("shop"))
    with pytest.raises(ActorError, match='"auth" is not one of those that were started: shop'):
        place.route(question("auth"))
    with pytest.raises(ActorError, match="has not started yet"):
        place.route(Call(1, ActorKey("n", "0" * 64, None), "m", b"", script="shop"))


async def test_callers_from_beside_wait_for_a_reload(new_host):
    router, host = Router(1), await new_host()
    router.attach([host.link])
    router.hold()
    asking = asyncio.ensure_future(PatientRouter(router).link_for(None, through_hold=True))
    await asyncio.sleep(0)
    assert not asking.done()

    router.release()

    assert await asking is host.link


async def test_a_reload_that_waits_for_its_callers_is_not_waited_for(new_host, monkeypatch):
    monkeypatch.setattr(module, "NEIGHBOUR_HOLD_SECONDS", 0)
    router, host = Router(1), await new_host()
    router.attach([host.link])
    router.hold()

    assert await PatientRouter(router).link_for(None, through_hold=True) is host.link


class Room:
    def __init__(self, *sockets: int) -> None:
        self.sockets = sockets

    def knows(self, socket: int) -> bool:
        return socket in self.sockets


def test_a_socket_is_found_in_the_room_of_the_worker_that_accepted_it(worker):
    neighbours = Neighbours()
    rooms: list[Any] = [Room(1), Room(2)]
    for name, room in zip(("shop", "hall"), rooms, strict=True):
        neighbours.join(worker(name)).room = room

    assert (neighbours.room_of(2), neighbours.room_of(3)) == (rooms[1], None)

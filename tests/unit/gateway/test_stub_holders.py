"""Who holds whose stubs: the gateway's part of the count."""

from __future__ import annotations

from typing import Any, cast

import pytest

from durable.errors import HostGoneError
from durable.gateway.link import HostLink
from durable.gateway.stub_holders import StubHolders
from durable.wire.messages import Message, StubCount, StubKey


class Link:
    """As much of a link as is asked for."""

    def __init__(self, number: int) -> None:
        self.host_number = number
        self.is_lost = False
        self.told: list[tuple[int, int]] = []

    def send(self, message: Message) -> None:
        assert isinstance(message, StubCount)
        assert message.stub.host == self.host_number
        self.told.append((message.stub.number, message.change))


@pytest.fixture
def links() -> list[Any]:
    return [Link(number) for number in (1, 2, 3)]


@pytest.fixture
def holders(links: list[Any]) -> StubHolders:
    return StubHolders(lambda number: cast("HostLink", links[number - 1]) if number <= len(links) else None)


def stub(host: int, number: int = 7) -> StubKey:
    return StubKey(host, number)


def test_the_owners_own_count_is_trusted_until_the_holder_lets_go(holders: StubHolders, links: list[Any]) -> None:
    one, two, _ = links
    holders.carried(one, two, [stub(1), stub(1)])
    assert (one.told, holders.held()) == ([], 2)
    holders.released(two, StubCount(stub(1), -2))
    assert (one.told, holders.held()) == ([(7, -2)], 0)


def test_a_stub_that_is_passed_on_is_counted_for_its_owner(holders: StubHolders, links: list[Any]) -> None:
    one, two, three = links
    holders.carried(one, two, [stub(1)])
    holders.carried(two, three, [stub(1)])
    holders.released(two, StubCount(stub(1), -1))
    assert one.told == [(7, 1), (7, -1)]
    holders.lost(three)
    assert one.told == [(7, 1), (7, -1), (7, -1)]


def test_a_stub_that_comes_home_is_held_by_nobody(holders: StubHolders, links: list[Any]) -> None:
    one, two, _ = links
    holders.carried(two, one, [stub(1)])
    assert (one.told, holders.held()) == ([], 0)
    holders.carried(one, one, [stub(1)])
    assert one.told == [(7, -1)]


def test_nobody_gives_back_more_than_was_held(holders: StubHolders, links: list[Any]) -> None:
    one, two, three = links
    holders.carried(one, two, [stub(1)])
    for liar in (three, two, two):
        holders.released(liar, StubCount(stub(1), -5))
    assert one.told == [(7, -1)]


def test_what_was_on_its_way_to_a_lost_host_is_given_back(holders: StubHolders, links: list[Any]) -> None:
    one, two, three = links
    two.is_lost = True
    holders.carried(one, two, [stub(1)])
    holders.carried(three, two, [stub(1)])
    assert (one.told, holders.held()) == ([(7, -1)], 0)


def test_an_owner_that_is_gone_is_said_to_be(holders: StubHolders, links: list[Any]) -> None:
    links[0].is_lost = True
    for gone in (stub(1), stub(9)):
        with pytest.raises(HostGoneError, match="ask for a new stub"):
            holders.owner(gone)
    holders.carried(links[0], links[1], [stub(1)])
    holders.lost(links[1])
    assert links[0].told == []

"""Section 2.1 of the platform's facts: what a namespace makes of names, ids and options."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.stage import Facts, Stage

FACTS = Facts()


@FACTS.both("2.1 an id from a name is always the same and knows its name, the empty one too")
def named(thing: Any, platform: Any) -> None:
    things = thing.env.THINGS
    for name in ("", "a", "é"):
        id = things.idFromName(name)
        assert (id.name, id.toString()) == (name, str(things.id_from_name(name)))
        assert len(str(id)) == 64


@FACTS.both("2.1 an id from text is checked, comes out in lower case and has no name")
def from_text(thing: Any, platform: Any) -> None:
    things = thing.env.THINGS
    text = str(things.idFromName("a"))
    id = things.idFromString(text.upper())
    assert (str(id), id.name) == (text, None)


@FACTS.both("2.1 a new unique id has no name, and takes a jurisdiction as a keyword or in a dict")
def unique(thing: Any, platform: Any) -> None:
    things = thing.env.THINGS
    one, other = things.newUniqueId(), things.newUniqueId({"jurisdiction": "eu"})
    assert one.name is None
    assert not one.equals(other)
    assert [other.jurisdiction, things.newUniqueId(jurisdiction="eu").jurisdiction] == ["eu", "eu"]


@FACTS.both("2.1 get and getByName lead to the same object, and take options that place it")
async def got(thing: Any, platform: Any) -> None:
    things = thing.env.THINGS
    by_id = things.get(things.idFromName("b"), {"locationHint": "weur"})
    by_name = things.getByName("b", locationHint="nowhere-known", routingMode="primary-only")
    assert by_id.id.equals(by_name.id)
    assert [await by_id.own_name(), await by_name.own_name()] == ["b", "b"]


@FACTS.both_driven("2.1 get creates nothing: the first event does")
async def lazily(stage: Stage, platform: Any) -> None:
    def look(thing: Any) -> None:
        thing.env.THINGS.getByName("never asked")

    await stage.run(look)
    key = stage.gateway.key("never asked")
    assert stage.gateway.host.registry.live(key.id) is None


@FACTS.both("2.1 jurisdiction gives a namespace whose ids carry it")
def restricted(thing: Any, platform: Any) -> None:
    things = thing.env.THINGS
    eu = things.jurisdiction("eu")
    id = eu.idFromName("a")
    assert (id.jurisdiction, eu.get(id).id.jurisdiction) == ("eu", "eu")
    assert things.jurisdiction(None).idFromName("a").jurisdiction is None
    with pytest.raises(TypeError, match="unknown jurisdiction 'mars'"):
        things.jurisdiction("mars")

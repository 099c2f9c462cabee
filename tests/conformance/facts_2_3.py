"""What namespaces refuse."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.stage import Facts

FACTS = Facts()


@FACTS.both("2.3 idFromString of anything but 64 hex digits, or of another namespace's, is a TypeError")
def text(thing: Any, platform: Any) -> None:
    space = thing.env.THINGS
    for wrong in ("zz", "", "0" * 63, "0" * 65, "g" * 64):
        with pytest.raises(TypeError, match="^Invalid Durable Object ID: must be 64 hex digits$") as caught:
            space.idFromString(wrong)
        assert isinstance(caught.value, platform.JsException)
    with pytest.raises(TypeError, match=r"^Durable Object ID is not valid for this namespace\.$"):
        space.idFromString("0" * 64)
    forged = str(space.idFromName("a"))[:-1]
    with pytest.raises(TypeError, match="is not valid for this namespace"):
        space.idFromString(forged + ("0" if not str(space.idFromName("a")).endswith("0") else "1"))


@FACTS.both("2.3 get of what is no id is a TypeError that says so")
def no_id(thing: Any, platform: Any) -> None:
    for wrong in ("a", None, str(thing.env.THINGS.idFromName("a"))):
        with pytest.raises(TypeError, match="parameter 1 is not of type 'DurableObjectId'") as caught:
            thing.env.THINGS.get(wrong)
        assert isinstance(caught.value, platform.JsException)


@FACTS.both("2.3 a jurisdiction's namespace refuses ids without it")
def other_jurisdiction(thing: Any, platform: Any) -> None:
    european = thing.env.THINGS.jurisdiction("eu")
    with pytest.raises(TypeError, match="get called on jurisdictional subnamespace with an ID from a different"):
        european.get(thing.env.THINGS.idFromName("a"))
    assert european.get(european.idFromName("a")).name == "a"


@FACTS.both("2.3 the platform's jurisdictions are taken, and none is taken back; others are a TypeError")
def jurisdictions(thing: Any, platform: Any) -> None:
    for known in ("eu", "fedramp", "fedramp-high", "us"):
        assert thing.env.THINGS.newUniqueId(jurisdiction=known).jurisdiction == known
    assert thing.env.THINGS.jurisdiction(platform.jsnull).idFromName("a").jurisdiction is None
    with pytest.raises(TypeError, match="'moon'"):
        thing.env.THINGS.jurisdiction("moon")


@FACTS.both("2.3 a location hint is taken, whatever it says; a routing mode must be known")
async def hints(thing: Any, platform: Any) -> None:
    space = thing.env.THINGS
    for hint in ("enam", "weur", "nowhere"):
        assert await space.getByName("b", locationHint=hint).own_name() == "b"
    assert space.getByName("b", routingMode="primary-only").name == "b"
    with pytest.raises(ValueError, match="^unknown routingMode: fastest$") as caught:
        space.getByName("b", routingMode="fastest")
    assert isinstance(caught.value, platform.JsException)
    error: Any = caught.value
    assert error.name == "RangeError"


@FACTS.both("2.3 a request to an object needs a whole URL")
async def relative(thing: Any, platform: Any) -> None:
    with pytest.raises(TypeError, match=r"^Invalid URL: /x") as caught:
        await thing.env.THINGS.getByName("b").fetch("/x")
    assert isinstance(caught.value, platform.JsException)

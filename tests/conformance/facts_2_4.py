"""Ids, and what an object knows of its own."""

from __future__ import annotations

from typing import Any

import pytest

from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage, Thing

FACTS = Facts()


class Named(Thing):
    """Keeps which name it had when its alarm ran."""

    async def alarm(self, info: Any) -> None:
        self.ctx.storage.kv.put("name", self.ctx.id.name)


@FACTS.both("2.4 an id is its 64 hex digits as text, equals those of the same digits, and has name and jurisdiction")
def parts(thing: Any, platform: Any) -> None:
    space = thing.env.THINGS
    one = space.idFromName("a")
    assert (len(str(one)), str(one), one.toString()) == (64, one.toString(), str(one))
    assert (one.name, one.jurisdiction) == ("a", None)
    assert one.equals(space.idFromString(str(one)))
    assert not one.equals(space.idFromName("b"))
    assert not one.equals(str(one))


@FACTS.both("2.4 ids of the same digits are equal in Python's sense, too, and one key of a dict")
def equality(thing: Any, platform: Any) -> None:
    one, two = thing.env.THINGS.idFromName("a"), thing.env.THINGS.idFromName("a")
    assert one == two
    assert len({one, two}) == 1


@FACTS.both_driven("2.4 ctx.id has the name that the object was addressed by, and none for one without")
async def own_name(stage: Stage, platform: Any) -> None:
    async def ask(thing: Any) -> Any:
        space = thing.env.THINGS
        unique = space.get(space.newUniqueId())
        return [await space.getByName("b").own_name(), await unique.own_name()]

    assert await stage.run(ask) == ["b", None]


@FACTS.both_driven("2.4 an object that runs keeps its name when it is reached by its id's text")
async def name_kept(stage: Stage, platform: Any) -> None:
    async def ask(thing: Any, text: str) -> Any:
        space = thing.env.THINGS
        return await space.get(space.idFromString(text)).own_name()

    text = str(await stage.run(lambda thing: str(thing.ctx.id), name="b"))
    assert await stage.run(ask, text, name="other") == "b"


@FACTS.both("2.4 an id can be neither stored nor sent: its text can")
async def not_a_value(thing: Any, platform: Any) -> None:
    made = thing.env.THINGS.idFromName("a")
    for refused in (
        lambda: thing.ctx.storage.put("id", made),
        lambda: thing.ctx.storage.put("id", {"deep": [made]}),
        lambda: thing.env.THINGS.getByName("b").play(0, made),
    ):
        with pytest.raises(TypeError, match="DurableObjectId") as caught:
            await refused()
        error: Any = caught.value
        assert error.name == "DataCloneError"
    await thing.ctx.storage.put("id", str(made))
    assert thing.env.THINGS.idFromString(await thing.ctx.storage.get("id")).equals(made)


@FACTS.both_driven("2.4 the name is there in an alarm's run, in an object that was not in memory", actor=Named)
async def name_in_alarm(stage: Stage, platform: Any) -> None:
    await stage.run(lambda thing: thing.ctx.storage.setAlarm(1))
    await stage.restart(actor=Named)
    due = stage.gateway.key("a")
    reply = await stage.gateway.ask(lambda number: wire.AlarmDue(number, due, 1, 0, forced=True))
    assert reply.outcome == "done"
    assert await stage.run(lambda thing: thing.ctx.storage.kv.get("name")) == "a"

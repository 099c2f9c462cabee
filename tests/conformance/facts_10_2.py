"""Section 10.2 of the platform's facts: what travels. Values keep their Python types: see section 0."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.conformance.stage import Facts, Stage

FACTS = Facts()

ECHO = """
class Thing(_Base, platform.DurableObject):
    def echo(self, *args):
        return list(args)

    def large(self, size):
        return "x" * size
"""


@FACTS.both("10.2 plain values arrive as they were, and are copies", program=ECHO)
async def plain(thing: Any, platform: Any) -> None:
    given: list[Any] = [
        None,
        True,
        2**53,
        2**80,
        1.5,
        float("inf"),
        "é",
        b"\x00\xff",
        [1, [2]],
        {"a": {"b": 1}},
        {1, 2},
    ]
    given.append(datetime(2026, 1, 31, 12, 0, 0))
    found = await thing.env.THINGS.getByName("b").echo(*given)
    assert found == given
    given[8].append(3)
    assert found[8] == [1, [2]]


@FACTS.both("10.2 dicts arrive with attributes in a program of the platform, as dicts in another", program=ECHO)
async def dicts(thing: Any, platform: Any) -> None:
    sent = await thing.env.THINGS.getByName("b").echo({"a": {"b": 1}})
    found: Any = sent[0]
    if platform.is_cloudflare:
        assert found.a.b == 1
        with pytest.raises(AttributeError):
            found.c  # noqa: B018
        assert isinstance(found, dict)
    else:
        assert type(found) is dict


@FACTS.both("10.2 bytes arrive with the platform's methods in a program of the platform", program=ECHO)
async def blobs(thing: Any, platform: Any) -> None:
    (found,) = await thing.env.THINGS.getByName("b").echo(b"abc")
    assert bytes(found) == b"abc"
    if platform.is_cloudflare:
        assert (found.tobytes(), found.to_bytes(), len(found), found.nbytes) == (b"abc", b"abc", 3, 3)
    else:
        assert type(found) is bytes


@FACTS.both("10.2 Request, Response, Headers, Blob and File travel", program=ECHO)
async def http(thing: Any, platform: Any) -> None:
    sent = [
        platform.Request("http://x/", method="POST", body="one"),
        platform.Response("two", status=201),
        platform.Headers({"a": "b"}),
    ]
    request, response, headers = await thing.env.THINGS.getByName("b").echo(*sent)
    assert [request.url, request.method, await request.text()] == ["http://x/", "POST", "one"]
    assert [response.status, await response.text(), headers.get("a")] == [201, "two", "b"]
    if platform.is_cloudflare:
        blob, file = await thing.env.THINGS.getByName("b").echo(platform.Blob("3"), platform.File("4", "four.txt"))
        assert [await blob.text(), file.name, await file.text()] == ["3", "four.txt", "4"]


@FACTS.both("10.2 an exception travels as a value", program=ECHO)
async def errors(thing: Any, platform: Any) -> None:
    (found,) = await thing.env.THINGS.getByName("b").echo(ValueError("q"))
    assert isinstance(found, Exception)
    assert "q" in str(found)


@FACTS.both("10.2 custom classes, sockets and ids do not travel", program=ECHO)
async def refused(thing: Any, platform: Any) -> None:
    class Own:
        pass

    things = thing.env.THINGS
    stub = things.getByName("b")
    for wrong in (Own(), things.idFromName("a"), {"deep": [Own()]}, 1j, range(3), stub.echo(1)):
        with pytest.raises(platform.JsException) as raised:
            await stub.echo(wrong)
        assert raised.value.name == "DataCloneError"


@FACTS.both("10.2 a call carries up to 32 MiB each way; who sends more is told, results with remote", program=ECHO)
async def sizes(thing: Any, platform: Any) -> None:
    stub = thing.env.THINGS.getByName("b")
    limit = 32 * 1024 * 1024
    message = r"limited to 32MiB, but the size of this value was: \d+ bytes\."
    with pytest.raises(platform.JsException, match=message) as raised:
        await stub.echo("x" * limit)
    assert not raised.value.remote
    with pytest.raises(platform.JsException, match=message) as raised:
        await stub.large(limit)
    assert raised.value.remote
    assert len(await stub.large(limit - 1000)) == limit - 1000


@FACTS.both_driven("10.2 a call to another host is limited alike", program=ECHO, shards=2)
async def far_sizes(stage: Stage, platform: Any) -> None:
    name = next(name for name in "abcdefgh" if int(stage.gateway.key(name).id[:8], 16) % 2 == 1)
    own = next(name for name in "abcdefgh" if int(stage.gateway.key(name).id[:8], 16) % 2 == 0)

    async def ask(thing: Any) -> Any:
        with pytest.raises(platform.JsException, match="limited to 32MiB") as raised:
            await thing.env.THINGS.getByName(name).echo("x" * (32 * 1024 * 1024))
        return bool(raised.value.remote)

    assert await stage.run(ask, name=own) is False

"""What RPC carries besides plain values, and who is called besides objects. Played in one host and across two."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from durable import Headers, Request, Response, RpcTarget, values
from durable.errors import DataCloneError, RefusedError
from durable.sdk.blobs import Blob, File
from durable.sdk.rpc import RpcStub
from durable.sdk.stub import Destination, ServiceStub
from durable.wire import messages as wire
from tests.integration.paired import PARTS, Keeping, Pair, paired, part


class Thing(Keeping):
    def echo(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def _underscore(self) -> str:
        return "no name is hidden"

    @staticmethod
    def static(number: int) -> int:
        return number + 1

    number = 5

    async def keep(self, function: Any) -> Any:
        self.kept = function.dup()
        return await self.kept()

    def fetch(self, request: Request) -> Response:
        return Response("from fetch")


@pytest.fixture(params=[1, 2], ids=["one host", "two hosts"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    async with paired(tmp_path, request.param, Thing) as found:
        yield found


async def test_values_keep_their_python_types_and_nothing_is_shared(pair: Pair) -> None:
    async def take(thing: Thing, other: Any) -> Any:
        given: list[Any] = [
            None, True, 1, 2**70, 1.5, "é", b"x", bytearray(b"y"), (1, (2,)), {1: "a", "b": [2]}, {3}, frozenset({4}),
            datetime(2026, 1, 31, tzinfo=UTC), Decimal("1.50"),
        ]  # fmt: skip
        (args, kwargs) = await other.echo(*given, key=given)
        assert list(args) == given
        assert kwargs == {"key": given}
        assert [type(each) for each in args] == [type(each) for each in given]
        args[9]["b"].append(3)
        assert given[9] == {1: "a", "b": [2]}
        return True

    assert await pair.run(take)


async def test_requests_and_responses_travel_with_head_and_body(pair: Pair) -> None:
    async def read(thing: Thing, request: Request, response: Response) -> Any:
        assert isinstance(request, Request)
        assert isinstance(response, Response)
        return [
            str(request.method), request.url, request.headers.get("a"), await request.text(),
            response.status, response.headers.get("b"), await response.json(),
        ]  # fmt: skip

    def made(thing: Thing) -> Any:
        return [Response("ab", status=201, headers={"c": "d"}), Response(None, status=204)]

    async def take(thing: Thing, other: Any) -> Any:
        request = Request("http://x/y?z", method="PUT", headers={"a": "1"}, body="content")
        response = Response.from_json({"n": 1}, status=202, headers={"b": "2"})
        found = await other.play(part(read), request, response)
        with pytest.raises(OSError, match="used"):
            await request.text()
        first, second = await other.play(part(made))
        return [found, first.status, first.headers.get("c"), await first.text(), second.status, await second.text()]

    assert await pair.run(take) == [
        ["PUT", "http://x/y?z", "1", "content", 202, "2", {"n": 1}], 201, "d", "ab", 204, "",
    ]  # fmt: skip


async def test_bodies_that_stream_travel_piece_by_piece_both_ways(pair: Pair) -> None:
    arrived = asyncio.Event()

    async def read(thing: Thing, request: Request) -> Any:
        pieces: list[str] = []
        assert request.body is not None
        async for piece in request.body:
            pieces.append(bytes(piece).decode())
            arrived.set()
        return pieces

    def made(thing: Thing) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one "
            await thing.ctx.storage.put("half", 1)
            yield b"two"

        return {"response": Response(pieces())}

    async def take(thing: Thing, other: Any) -> Any:
        async def pieces() -> AsyncIterator[str]:
            yield "first"
            await arrived.wait()
            yield "second"

        found = await other.play(part(read), Request("http://x/", method="POST", body=pieces()))
        answer = await other.play(part(made))
        return ["".join(found), await answer["response"].text()]

    assert await pair.run(take) == ["firstsecond", "one two"]
    assert [host.bodies.statistics() for host in pair.hosts] == [(0, 0)] * len(pair.hosts)


async def test_headers_blobs_and_files_travel(pair: Pair) -> None:
    async def read(thing: Thing, headers: Headers, blob: Blob, file: File) -> Any:
        return [headers.items(), await blob.text(), blob.type, file.name, await file.text(), file.last_modified]

    async def take(thing: Thing, other: Any) -> Any:
        headers = Headers([("a", "1"), ("a", "2")])
        found = await other.play(
            part(read), headers, Blob(["x", "y"], "text/plain"), File(["z"], "z.txt", "a/b", None, 7)
        )
        (args, _) = await other.echo(headers)
        return [found, isinstance(args[0], Headers), args[0].get("a")]

    assert await pair.run(take) == [[[("a", "1"), ("a", "2")], "xy", "text/plain", "z.txt", "z", 7], True, "1, 2"]


async def test_an_exception_travels_as_a_value(pair: Pair) -> None:
    async def take(thing: Thing, other: Any) -> Any:
        (args, _) = await other.echo([KeyError("a"), ValueError("b", 2)])
        return [type(error).__name__ + str(error.args) for error in args[0]]

    assert await pair.run(take) == ["KeyError('a',)", "ValueError('b', 2)"]


async def test_what_does_not_travel_is_refused_where_it_was_sent(pair: Pair) -> None:
    async def take(thing: Thing, other: Any) -> Any:
        from durable.sdk.websocket import WebSocketPair

        client, _ = WebSocketPair()
        for wrong in (object(), thing, other.id, client, 1j, range(3), Response(None, status=101, web_socket=client)):
            with pytest.raises(DataCloneError):
                await other.echo({"deep": [wrong]})
        return True

    assert await pair.run(take)
    assert pair.exported == 0


async def test_only_methods_that_the_class_defines_can_be_called(pair: Pair) -> None:
    async def take(thing: Thing, other: Any) -> Any:
        for name in ("heard", "kept", "ctx", "env", "toString", "hasOwnProperty", "nothing"):
            with pytest.raises(TypeError, match=f'The RPC receiver does not implement the method "{name}"'):
                await getattr(other, name)()
        with pytest.raises(TypeError, match='"number" of Thing is not a function'):
            await other.number()
        for name in ("alarm", "connect", "dup", "constructor", "webSocketMessage", "web_socket_close"):
            assert callable(getattr(other, name)), "looking is no call"
            with pytest.raises(TypeError, match=f"'{name}' is a reserved method and cannot be called over RPC"):
                await getattr(other, name)()
        with pytest.raises(TypeError, match=r"static\(\) takes 1 positional argument but 2 were given"):
            await other.static(1, 2)
        return [await other.static(1), await other._underscore(), await (await other.fetch("http://x/")).text()]

    assert await pair.run(take) == [2, "no name is hidden", "from fetch"]


async def test_errors_say_whose_they_are_in_both_spellings(pair: Pair) -> None:
    def fail(thing: Thing) -> None:
        raise ValueError("boo")

    def abort(thing: Thing) -> None:
        thing.ctx.abort("over")

    async def take(thing: Thing, other: Any) -> Any:
        found = []
        for wrong in (fail, abort):
            stub = thing.env.THINGS.get_by_name(other.name)
            with pytest.raises(Exception, match="boo|over") as raised:
                await stub.play(part(wrong))
            error: Any = raised.value
            assert error.durableObjectId == error.durable_object_id == str(other.id)
            assert error.durableObjectReset == error.durable_object_reset
            found.append(
                [bool(error.remote), bool(error.durable_object_reset), bool(error.retryable), bool(error.overloaded)]
            )
        return found

    assert await pair.run(take) == [[True, False, False, False], [False, True, False, False]]


async def test_a_service_of_ones_own_is_called_like_an_object(pair: Pair) -> None:
    def answer(admin: Any, value: Any) -> Any:
        return [type(admin).__name__, dict(admin.ctx.props), value, lambda: "still there"]

    async def take(thing: Thing, other: Any) -> Any:
        transport = pair.hosts[0].transport
        service = ServiceStub(transport, Destination("", "Admin", values.encode({"tenant": 7})))
        name, props, value, function = await service.play_here(part(answer), {"n": 1})
        found = [name, props, value, await function()]
        for wrong in ("nothing", "ctx"):
            with pytest.raises(TypeError, match=f'does not implement the method "{wrong}"'):
                await getattr(service, wrong)()
        (args, _) = await other.echo(service)
        assert isinstance(args[0], ServiceStub)
        (again, *_) = await args[0].play_here(part(answer), 1)
        default = ServiceStub(transport, Destination())
        response = await default.fetch("http://x/")
        with pytest.raises(TypeError, match="no entrypoint Nobody"):
            await ServiceStub(transport, Destination("", "Nobody")).anything()
        return [*found, again, response.status]

    assert await pair.run(take) == ["Admin", {"tenant": 7}, {"n": 1}, "still there", "Admin", 200]
    gc.collect()  # the exceptions that were caught refer to the frame with the stubs
    await pair.until(lambda: pair.exported == 0)


async def test_an_entrypoint_is_called_by_the_gateway(pair: Pair) -> None:
    def answer(admin: Any, *args: Any, **kwargs: Any) -> Any:
        return [type(admin).__name__, args, kwargs]

    payload = values.encode(((part(answer), 1), {}))
    reply = await pair.links[0].request(
        lambda number: wire.Call(number, None, "play_here", payload, entrypoint="Admin")
    )
    assert isinstance(reply, wire.CallReply)
    assert values.decode(reply.payload) == ["Admin", (1,), {}]
    failed = await pair.links[0].request(lambda number: wire.Call(number, None, "nothing", payload, entrypoint="Admin"))
    assert isinstance(failed, wire.Failed)
    assert (failed.error.type, failed.served_by) == ("TypeError", None)
    assert not any(host.transport.running_scopes for host in pair.hosts)


async def test_a_function_of_a_request_ends_with_the_request(pair: Pair) -> None:
    """What a worker lends can be called while its request runs, whoever keeps it."""

    class Target(RpcTarget):
        def read(self) -> str:
            return "lent"

    def keep(thing: Thing, stub: Any) -> Any:
        thing.kept = stub.dup()
        return thing.kept.read()

    async def lend(admin: Any, name: str) -> Any:
        found = await admin.env.THINGS.get_by_name(name).play(part(keep), Target())
        return [found]

    async def take(thing: Thing, other: Any) -> Any:
        service = ServiceStub(pair.hosts[0].transport, Destination("", "Admin"))
        return await service.play_here(part(lend), other.name)

    async def use(thing: Thing, other: Any) -> Any:
        assert isinstance(thing.kept, RpcStub)
        return await thing.kept.read()

    def drop(thing: Thing, other: Any) -> None:
        thing.kept.dispose()

    assert await pair.run(take) == ["lent"]
    # An entrypoint's instance lasts as long as anybody holds what it lent.
    assert await pair.run(use, on="b") == "lent"
    await pair.run(drop, on="b")
    await pair.until(lambda: pair.exported == 0)


async def test_what_a_workers_request_lends_ends_with_the_request(pair: Pair) -> None:
    link = pair.links[0]
    request = wire.HttpRequest(0, None, "GET", f"http://x/{pair.name('b')}", [])

    def question(number: int) -> wire.HttpRequest:
        return msgspec.structs.replace(request, id=number)

    reply = await link.request(question)
    assert isinstance(reply, wire.HttpReply), reply
    assert (reply.status, reply.body) == (200, b"lent while the request runs")

    async def use(thing: Thing, other: Any) -> Any:
        with pytest.raises(Exception, match="the request that this stub came from is over") as raised:
            await thing.kept()
        return type(raised.value).__name__

    assert await pair.run(use, on="b") == "RefusedError"


async def test_a_request_that_is_over_is_told_to_who_calls_it(pair: Pair) -> None:
    from durable.host.rpc_scope import Scope

    async def take(thing: Thing, other: Any) -> Any:
        class Lent:
            def read(self) -> int:
                return 1

        scope, lent = Scope(pair.hosts[0], "Default"), Lent()
        gone = weakref.ref(lent)
        target = pair.hosts[0].transport.targets.export(lent.read, scope)
        del lent
        from durable.host.rpc_targets import Hold

        thing.kept = RpcStub(Hold(target))
        found = [await thing.kept()]
        scope.close()
        assert gone() is None
        for _ in range(2):
            with pytest.raises(RefusedError, match="the request that this stub came from is over"):
                await thing.kept()
        return found

    assert await pair.run(take) == [1]


async def test_dicts_and_bytes_arrive_as_what_the_program_asks_for(pair: Pair) -> None:
    class Blobs(bytes):
        pass

    async def take(thing: Thing, other: Any) -> Any:
        (args, kwargs) = await other.echo({"a": {"b": b"x"}}, [b"y"], key=(b"z",))
        return [
            type(args[0]).__name__, args[0].a.b, type(args[0].a.b).__name__, type(args[1][0]).__name__,
            type(kwargs["key"][0]).__name__,
        ]  # fmt: skip

    values.arrive_as(values.Row, Blobs)
    try:
        assert await pair.run(take) == ["Row", b"x", "Blobs", "Blobs", "Blobs"]
    finally:
        values.arrive_as(dict, bytes)
    assert PARTS

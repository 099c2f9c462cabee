"""The worker's requests without a gateway: which class serves them, with what context, and when they are over."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, cast

import pytest

from durable import WorkerEntrypoint, values
from durable.host.worker import Worker, WorkerContext
from durable.sdk.runtime import runtime_variable


class Host:
    """As much of one as a request needs."""

    env, exports = "the env", "the exports"

    def __init__(self) -> None:
        self.failures: list[tuple[str, str, str]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.deliveries = self.progress = self
        self.numbers = [0, 0, 0]

    def background(self, work: Any) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def log_failure(self, error: BaseException, label: str, method: str) -> None:
        self.failures.append((str(error), label, method))


class Scope:
    closed = 0

    def close(self) -> None:
        self.closed += 1


class Admin(WorkerEntrypoint):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self.tenant = ctx.props.get("tenant")


@pytest.fixture
def host() -> Generator[Any]:
    # What an entrypoint finds around it must not be there for the tests that come after.
    token = runtime_variable.set(cast("Any", None))
    yield Host()
    runtime_variable.reset(token)


def test_an_entrypoint_is_made_anew_with_the_props_that_it_was_called_with(host):
    worker = Worker(host, {"Admin": Admin})

    one, context = worker.entrypoint("Admin", values.encode({"tenant": 7}))
    other, _ = worker.entrypoint("Admin")

    assert (one.tenant, one.env, context.exports, other.tenant) == (7, "the env", "the exports", None)
    assert one.ctx is context


def test_an_entrypoint_that_is_not_there_is_told_with_those_that_are(host):
    with pytest.raises(TypeError, match="no entrypoint Admn: its classes that inherit from WorkerEntrypoint are Admin"):
        Worker(host, {"Admin": Admin}).entrypoint("Admn")
    with pytest.raises(TypeError, match="no entrypoint Default: .* are none"):
        Worker(host, {}).entrypoint("")


async def test_a_request_is_over_when_it_is_answered_and_nothing_of_it_goes_on(host):
    context, scope, go = WorkerContext(host, "Admin"), Scope(), asyncio.Event()
    context.scope = scope  # type: ignore[assignment]

    context.wait_until(go.wait())
    context.end()
    assert scope.closed == 0

    go.set()
    await asyncio.gather(*host.tasks)

    assert scope.closed == 1


async def test_what_fails_beyond_the_answer_is_logged_with_its_class_and_ends_the_request_too(host):
    async def fail() -> None:
        raise ValueError("too late")

    context, scope = WorkerContext(host, "Admin"), Scope()
    context.scope = scope  # type: ignore[assignment]
    context.wait_until(fail())
    context.end()
    await asyncio.gather(*host.tasks)

    assert (host.failures, scope.closed) == ([("too late", "Admin", "wait_until")], 1)

"""How facts make an object rest: time goes by on the host's clock, and the sweep looks."""

from __future__ import annotations

from typing import Any

from durable import WebSocketPair
from durable.actor.actor import Actor
from durable.clock import ManualClock
from durable.limits import IDLE_SECONDS
from durable.wire import messages as wire
from tests.conformance.stage import Stage, Thing


def rests(**more: Any) -> dict[str, Any]:
    """The setup of a fact about eviction: the platform's idle time, on a clock that the fact moves."""
    return {"idle_seconds": IDLE_SECONDS, "clock": ManualClock(), **more}


def live(stage: Stage, name: str = "a") -> Actor | None:
    found: Actor | None = stage.gateway.host.registry.live(stage.gateway.key(name).id)
    return found


async def pass_seconds(stage: Stage, seconds: float) -> None:
    """Time goes by without an event, and the sweep looks for what has rested long enough."""
    await stage.gateway.settled()
    clock = stage.gateway.host.clock
    assert isinstance(clock, ManualClock)
    clock.advance(seconds)
    stage.gateway.host.registry.sweep()


async def until_idle(stage: Stage) -> None:
    """Nothing keeps the object in memory any more."""
    await stage.gateway.step_until(lambda: (actor := live(stage)) is None or not actor.is_pinned)


def accept_hibernatable(thing: Thing) -> None:
    _, server = WebSocketPair()
    thing.ctx.accept_web_socket(server, ["room"])
    server.serialize_attachment({"seat": 3})


def socket_of(stage: Stage) -> int:
    """The client socket that was accepted first."""
    number: int = stage.gateway.of(wire.SocketAccepted)[0].socket
    return number

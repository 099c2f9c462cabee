"""Where facts of the platform are played: inside a method of a real actor of a real host, with the test as the gateway.

A *fact* is one sentence about the platform and the code that finds out. Facts that one event can show run inside the
actor (`FACTS.inside`); those that need several events have a driver (`FACTS.driven`), which sends parts into actors.
Facts that must hold whatever a program imports are played twice, by a program that imports `workers` and by one that
imports `durable` (`FACTS.both`, `FACTS.both_driven`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from durable import DurableObject
from durable.actor.failure import raise_from_report
from durable.wire import messages as wire
from tests.conformance.platforms import CLOUDFLARE, PLATFORMS, Platform
from tests.integration.conftest import Gateway

Part = Callable[..., Any]
"""Runs inside an actor: gets the `Thing`, then whatever was sent along. Sync or async."""
P = TypeVar("P", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Fact:
    """`id` is a section and a sentence: `4.2 get of several keys is sorted by key`."""

    id: str
    play: Callable[..., Any]
    inside: bool
    actor: type[Thing] | None
    setup: Mapping[str, Any]
    platform: Platform | None = None
    """What the program imports; None: `durable`, and the fact does not care."""
    program: str | None = None

    @property
    def label(self) -> str:
        return self.id if self.platform is None else f"{self.id} [{self.platform.name}]"

    @property
    def section(self) -> str:
        return self.id.split(" ", 1)[0]


class Facts:
    """The table of one file, filled by its decorators; `setup` goes to `Gateway.start`."""

    def __init__(self) -> None:
        self._facts: list[Fact] = []

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._facts)

    def inside(self, name: str, *, actor: type[Thing] | None = None, **setup: Any) -> Callable[[P], P]:
        """The function gets the `Thing` and is one event of its: it has `ctx`, and a new object of its own."""
        return lambda play: self._add(Fact(name, play, True, actor, setup), play)

    def driven(self, name: str, *, actor: type[Thing] | None = None, **setup: Any) -> Callable[[P], P]:
        """The function gets the `Stage`. `actor` is the class behind it, a subclass of `Thing` in the facts' file."""
        return lambda play: self._add(Fact(name, play, False, actor, setup), play)

    def both(self, name: str, **how: Any) -> Callable[[P], P]:
        """Like `inside`, but played twice: the function gets the `Thing` and the `Platform` its program imports.

        Beside `actor` and what goes to `Gateway.start`, there is `program`: the rest of the main module, in place of
        the line that makes the class. It finds `platform` and the class to inherit from, `_Base`, and says `__all__`
        itself when it has other classes than `Thing`.
        """
        return self._through(PLATFORMS, True, name, **how)

    def both_driven(self, name: str, **how: Any) -> Callable[[P], P]:
        """Like `driven`, but played twice: the function gets the `Stage` and the `Platform`."""
        return self._through(PLATFORMS, False, name, **how)

    def cloudflare(self, name: str, **how: Any) -> Callable[[P], P]:
        """Like `both`, for what `durable` has no word for: played by the program that imports `workers` alone."""
        return self._through((CLOUDFLARE,), True, name, **how)

    def cloudflare_driven(self, name: str, **how: Any) -> Callable[[P], P]:
        """Like `both_driven`, for the program that imports `workers` alone."""
        return self._through((CLOUDFLARE,), False, name, **how)

    def _through(
        self,
        platforms: tuple[Platform, ...],
        inside: bool,
        name: str,
        *,
        actor: type[Thing] | None = None,
        program: str | None = None,
        **setup: Any,
    ) -> Callable[[P], P]:
        def add(play: P) -> P:
            for platform in platforms:
                self._add(Fact(name, play, inside, actor, setup, platform, program), play)
            return play

        return add

    def _add(self, fact: Fact, play: P) -> P:
        self._facts.append(fact)
        return play


class Thing(DurableObject):
    """The class that every fact meets: it runs what it is sent."""

    async def play(self, part: int, *args: Any) -> Any:
        result = _parts[part](self, *args)
        return await result if hasattr(result, "__await__") else result

    def play_plainly(self, part: int, *args: Any) -> Any:
        """The same as a plain method, which runs as one turn without a task."""
        return _parts[part](self, *args)

    def own_name(self) -> str | None:
        return self.ctx.id.name

    async def alarm(self, info: Any) -> None:
        return


_parts: dict[int, Part] = {}
_numbers = itertools.count(1)


class Stage:
    """What a driver has: one host, the objects in it, and pytest's monkeypatch for clocks and limits."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gateway = gateway
        self.monkeypatch = monkeypatch
        self._platform: Platform | None = None
        self._program: str | None = None

    async def start(self, fact: Fact, platform: Platform | None = None) -> None:
        self._platform, self._program = fact.platform or platform, fact.program
        await self.gateway.start(self.main(fact.actor), **fact.setup)
        if failed := self.gateway.of(wire.LoadFailed):
            self.gateway.channel.close()
            raise raise_from_report(failed[0].error)

    async def restart(self, fact_setup: Mapping[str, Any] | None = None, actor: type[Thing] | None = None) -> None:
        """End the host and start another one on the same state; messages and epochs of the old one are forgotten."""
        await self.gateway.stop()
        self.gateway.messages.clear()
        self.gateway.durable = 0
        await self.gateway.start(self.main(actor), **(fact_setup or {}))

    def main(self, actor: type[Thing] | None) -> str:
        """The main module of the project that plays the fact."""
        if self._platform is None:
            return program(actor or Thing)
        return program_of(self._platform, actor or Thing, self._program)

    def run(self, part: Part, *args: Any, name: str = "a") -> asyncio.Future[Any]:
        """One event of object `name` that runs `part(thing, *args)`; the answer once it is durable, or its error.

        The event is on its way when this returns, so that several can be started in a known order.
        """
        return asyncio.ensure_future(self.gateway.call_sent(self.send(part, *args, name=name)))

    def send(self, part: Part, *args: Any, name: str = "a", method: str = "play") -> Any:
        """The same, but the future is of the bare reply as it arrives, durable or not."""
        return self.gateway.send_call(method, self.number(part), *args, name=name)

    def number(self, part: Part) -> int:
        """What `play` takes for this part, for objects that call each other."""
        number = next(_numbers)
        _parts[number] = part
        return number


def program(actor: type[Thing]) -> str:
    """The main module of a project whose class is `actor`."""
    return (
        f"from {actor.__module__} import {actor.__name__} as Base\n\n\n"
        "__all__ = ['Thing']\n\n\nclass Thing(Base):\n    pass\n"
    )


def program_of(platform: Platform, actor: type[Thing], rest: str | None = None) -> str:
    """The same for a program of a platform: its class is an actor of the platform's `DurableObject`."""
    lines = [
        f"from tests.conformance.platforms import {'CLOUDFLARE' if platform.is_cloudflare else 'PYTHON'} as platform",
        f"from {actor.__module__} import {actor.__name__} as _Base",
        rest or "class Thing(_Base, platform.DurableObject):\n    pass",
    ]
    return "\n".join(["import workers", *lines] if platform.is_cloudflare else lines) + "\n"


async def play(fact: Fact, stage: Stage, through: Platform | None = None) -> None:
    """Find out whether the fact is true of this emulator: raises what its code raises.

    `through` is what the program imports when the fact does not care.
    """
    await stage.start(fact, through)
    platform = () if fact.platform is None else (fact.platform,)
    if fact.inside:
        await stage.run(lambda thing: fact.play(thing, *platform))
    else:
        await fact.play(stage, *platform)

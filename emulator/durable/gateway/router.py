"""Which host takes an event: by shard for actors, the least busy for the worker; and waiting while nobody does.

Knows links only as places to send to. Whether a host is being replaced or has died makes no difference here: events
from outside wait, in order and within bounds, until a link for them is attached and the router is released.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct

from durable.clock import Clock, SystemClock
from durable.errors import HostGoneError, OverloadedError, ProgramBrokenError, ReloadingError
from durable.gateway.link import HostLink, Question, Reply
from durable.limits import HELD_REQUESTS_MAX, HOLD_SECONDS_MAX, RESENDS_MAX
from durable.wire.messages import ActorKey, ErrorReport


class RouterStatistics(Struct, frozen=True):
    """`waiting` events have no host at the moment; `turned_away` is how many had none for too long, ever."""

    shards: int
    attached: int
    held: bool
    waiting: int
    turned_away: int


class Router:
    """Placement and the hold of a reload."""

    def __init__(
        self, shards: int = 1, *, clock: Clock | None = None, hold_seconds_max: float = HOLD_SECONDS_MAX
    ) -> None:
        self.links: list[HostLink | None] = [None] * shards
        self.held = False
        self.refusal: ErrorReport | None = None
        """Why the program cannot be loaded, while nothing older serves in its place."""
        self.on_attached: Callable[[], None] = _nobody_waits
        """Called when there is a new host."""
        self._clock = clock or SystemClock()
        self._hold_seconds_max = hold_seconds_max
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._turn = 0
        self._turned_away = 0

    def placement(self, actor_id: str) -> int:
        """The shard of an actor: its id is a hash already, so a part of it spreads evenly."""
        return int(actor_id[:8], 16) % len(self.links)

    # --- who owns it --------------------------------------------------------------------------------------------------
    def owner_nowait(self, actor: ActorKey | None) -> HostLink | None:
        """The link for an actor, or for the worker; None while there is none. Takes no notice of the hold."""
        links = self.links
        if actor is not None:
            return links[self.placement(actor.id)]
        if len(links) == 1:
            return links[0]
        return self._least_busy()

    def link_for_nowait(self, actor: ActorKey | None) -> HostLink | None:
        """As `owner_nowait`, but None during the hold."""
        return None if self.held else self.owner_nowait(actor)

    async def link_for(self, actor: ActorKey | None, *, through_hold: bool = False) -> HostLink:
        """Wait for the link that takes an event of this actor (None: of the worker).

        `through_hold` is for what events that already run ask of other actors: a hold must not stop them, or the drain
        would wait for itself. Raises `ReloadingError` after `hold_seconds_max`, `OverloadedError` when too many wait,
        `ProgramBrokenError` when there is nothing to wait for.
        """
        link = self.owner_nowait(actor) if through_hold else self.link_for_nowait(actor)
        if link is not None:
            return link
        if self.refusal is not None and not self.held:
            raise _broken(self.refusal)
        if len(self._waiting) >= HELD_REQUESTS_MAX:
            self._turned_away += 1
            raise OverloadedError(f"{HELD_REQUESTS_MAX} requests are waiting for the program to be reloaded.")
        waiting = _Waiting(
            asyncio.get_running_loop().create_future(),
            actor,
            through_hold,
            self._clock.monotonic() + self._hold_seconds_max,
        )
        self._waiting.append(waiting)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._hold_seconds_max, self.turn_away_late)
        return await waiting.link

    async def ask_again(
        self, question: Callable[[int], Question], error: HostGoneError, *, through_hold: bool = False
    ) -> tuple[HostLink, Reply]:
        """Ask the next host what the one that died had not begun; raises `error` when it had, or if all of them die."""
        for _ in range(RESENDS_MAX):
            if error.begun:
                break
            link = await self.link_for(question(0).actor, through_hold=through_hold)
            try:
                return link, await link.request(question)
            except HostGoneError as next_error:
                error = next_error
        raise error

    # --- for the supervisor -------------------------------------------------------------------------------------------
    def hold(self) -> None:
        """Keep events from outside here until `release`."""
        self.held = True

    def attach(self, links: Sequence[HostLink | None]) -> None:
        """The hosts of a generation own the shards now, one link each; a hold stays until `release`."""
        self.links = list(links)
        self.refusal = None
        self._serve_waiting()
        self.on_attached()

    def attach_one(self, shard: int, link: HostLink) -> None:
        """A replacement owns one shard."""
        self.links[shard] = link
        self.refusal = None
        self._serve_waiting()
        self.on_attached()

    def detach(self, link: HostLink) -> None:
        """A host is gone: events of its shard wait for its replacement. Unknown links are ignored."""
        self.links = [None if known is link else known for known in self.links]

    def refuse(self, report: ErrorReport) -> None:
        """The program cannot be loaded and nothing serves in its place: say so to all, until a link is attached."""
        self.refusal = report
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            if not one.link.done():
                one.link.set_exception(_broken(report))

    def release(self) -> None:
        """End the hold: what waited goes first, in order."""
        self.held = False
        self._serve_waiting()

    def turn_away_late(self) -> None:
        """Fail those who have waited too long; runs by itself, and in tests after the clock was moved."""
        now = self._clock.monotonic()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and (self._waiting[0].link.done() or self._waiting[0].deadline <= now):
            late = self._waiting.popleft()
            if not late.link.done():
                self._turned_away += 1
                late.link.set_exception(
                    ReloadingError(
                        f"No process was ready to run this within {self._hold_seconds_max:g} seconds; "
                        "the program is being reloaded or keeps ending."
                    )
                )
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._waiting[0].deadline - now, self.turn_away_late)

    def statistics(self) -> RouterStatistics:
        return RouterStatistics(
            shards=len(self.links),
            attached=sum(link is not None for link in self.links),
            held=self.held,
            waiting=sum(not waiting.link.done() for waiting in self._waiting),
            turned_away=self._turned_away,
        )

    def _serve_waiting(self) -> None:
        still: deque[_Waiting] = deque()
        for waiting in self._waiting:
            if waiting.link.done():
                continue  # cancelled: its client went away
            link = self.owner_nowait(waiting.actor) if waiting.through_hold else self.link_for_nowait(waiting.actor)
            if link is None:
                still.append(waiting)
            else:
                waiting.link.set_result(link)
        self._waiting = still
        if not still and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _least_busy(self) -> HostLink | None:
        """The attached link with the fewest open requests, of those that answer; among equals each in its turn."""
        self._turn += 1
        best: HostLink | None = None
        for offset in range(len(self.links)):
            link = self.links[(self._turn + offset) % len(self.links)]
            if link is not None and (best is None or _load(link) < _load(best)):
                best = link
        return best


def _load(link: HostLink) -> tuple[bool, int]:
    return link.is_silent, link.in_flight


def _nobody_waits() -> None:
    return


def _broken(report: ErrorReport) -> ProgramBrokenError:
    return ProgramBrokenError(f"The program cannot be loaded: {report.type}: {report.message}")


class _Waiting(Struct, frozen=True):
    link: asyncio.Future[HostLink]
    actor: ActorKey | None
    through_hold: bool
    deadline: float

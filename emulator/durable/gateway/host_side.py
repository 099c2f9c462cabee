"""The side of the gateway that faces hosts: what listens to their links, and what has them do what is due.

Made before anything that faces clients, and while hosts boot. It must not need a web server.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack

from durable.clock import ClockSetting, SystemClock
from durable.gateway.cron_triggers import CronTriggers
from durable.gateway.driven_alarms import DrivenAlarms
from durable.gateway.events import HostLog, OnEvent, UserCodeFailed
from durable.gateway.index_writer import IndexWriter
from durable.gateway.life import Life
from durable.gateway.link import HostLink
from durable.gateway.neighbours import Neighbour, Neighbours
from durable.gateway.relay import Relay
from durable.gateway.router import Router
from durable.gateway.time_control import TimeControl
from durable.gateway.timeline import GatewayTimeline
from durable.limits import PORTABILITY_PLACES_MAX
from durable.storage.layout import StateLayout
from durable.wire.messages import Log


class HostSide:
    """Of one worker."""

    def __init__(
        self,
        router: Router,
        layout: StateLayout,
        clock: SystemClock,
        timeline: GatewayTimeline,
        neighbours: Neighbours,
        place: Neighbour,
        *,
        keep_clock: Callable[[ClockSetting], None],
        on_event: OnEvent,
        ending: AsyncExitStack,
    ) -> None:
        """`place` is the worker's among its `neighbours`; `ending` is given what has to be stopped."""
        self.router = router
        self.clock = clock
        self.timeline = timeline
        self._neighbours = neighbours
        self._on_event = on_event
        self._told: set[str] = set()
        """What hosts have said that need not be said again."""
        self.relay = Relay(router, on_event, place.route, neighbours.holders)
        self.index = IndexWriter(layout, clock)
        ending.push_async_callback(self.index.close)
        self.alarms = DrivenAlarms(
            self.index,
            clock,
            router,
            on_event=on_event,
            class_name=neighbours.class_name,
            jitter=random.Random(),
        )
        self.index.watch(self.alarms)
        router.on_attached = self.alarms.hosts_changed
        ending.push_async_callback(self.alarms.stop)
        self.crons = CronTriggers(clock, router, on_event=on_event)
        ending.push_async_callback(self.crons.stop)
        self.time = TimeControl(
            clock, [self.alarms, self.crons], keep=keep_clock, fired=lambda: self.alarms.runs, on_event=on_event
        )
        ending.push_async_callback(self.time.stop_advance)
        self.life = Life(on_event, neighbours.class_name)

    def learn(self, crons: Sequence[str], namespaces: Iterable[str]) -> None:
        """What the program has from now on: its cron triggers, and the namespaces of its classes."""
        self.crons.set_expressions(crons)
        self.alarms.set_namespaces(namespaces)

    def listen(self, link: HostLink) -> None:
        """To a host that was just started."""
        self.time.listen(link)
        self.life.listen(link)
        self._neighbours.listen(link)
        self.relay.serve(link)
        self.index.listen(link)
        self.timeline.listen(link)
        link.on(Log, self._log)

    def start(self, namespaces: Iterable[str]) -> None:
        """Alarms of these namespaces and cron triggers run from now on."""
        self.alarms.start(namespaces)
        self.crons.start()

    async def rest(self) -> None:
        """Nothing comes due any more."""
        await self.time.stop_advance()
        await self.alarms.stop()
        await self.crons.stop()

    def _log(self, log: Log) -> None:
        if log.error is not None:
            self._on_event(UserCodeFailed(log.error, "", ""))
        elif log.once not in self._told:
            if log.once and len(self._told) < PORTABILITY_PLACES_MAX:
                self._told.add(log.once)
            self._on_event(HostLog(log.level, log.text, log.label))

"""Everything that faces clients: the web server, their sockets, and what tools may ask for.

Loaded when hosts are at work already, because aiohttp takes longer to import than all the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from durable.config import Config
from durable.gateway.access import Access
from durable.gateway.admin import Admin, Route
from durable.gateway.admin_presence import PresenceTools
from durable.gateway.asset_front import AssetFront
from durable.gateway.events import OnEvent
from durable.gateway.host_side import HostSide
from durable.gateway.http import HttpFront
from durable.gateway.neighbours import Neighbour, Neighbours
from durable.gateway.object_finder import ObjectFinder
from durable.gateway.server import GatewayServer
from durable.gateway.tail import Listen, Tails
from durable.gateway.websockets import ClientSockets
from durable.storage.layout import StateLayout
from durable.wire.messages import NamespaceInfo

if TYPE_CHECKING:
    from durable.gateway.accepted_sockets import OnReload
    from durable.gateway.admin_classes import DeletedClasses

LOOPBACK_FOR: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where somebody on this machine finds a server that listens on every address."""

_SHUTDOWN_SECONDS = 2.0
"""How long clients may take over the end of their connections once the hosts are gone."""


class Served(Protocol):
    """What is asked of the emulator that serves through this front; it may change while it runs."""

    @property
    def config(self) -> Config: ...
    @property
    def classes(self) -> DeletedClasses: ...
    def namespaces(self) -> Mapping[str, NamespaceInfo]: ...
    def status(self) -> Mapping[str, object]: ...
    def clock_mark(self) -> tuple[int, bool]: ...
    async def migrate(self, dry_run: bool, folder: str = "") -> Mapping[str, object]: ...
    async def reload_or_raise(self) -> None: ...


class Front:
    """Of one worker."""

    def __init__(
        self,
        served: Served,
        hosts: HostSide,
        layout: StateLayout,
        neighbours: Neighbours,
        place: Neighbour,
        *,
        token: str,
        assets: AssetFront,
        on_reload: OnReload,
        on_event: OnEvent,
        listen: Listen,
    ) -> None:
        """`place` is the worker's among its `neighbours`; `listen` brings what `on_event` is told to tools."""
        self._served = served
        self._hosts = hosts
        self._layout = layout
        self._redact = neighbours.redaction.report
        self._on_event = on_event
        self.sockets = ClientSockets(
            hosts.router, on_reload, on_event=on_event, class_name=neighbours.class_name, clock=hosts.clock
        )
        place.room, self.sockets.room_of = self.sockets, neighbours.room_of
        self.tails = Tails(
            ObjectFinder(hosts.index, served.namespaces), hosts.life, listen=listen, clock=served.clock_mark
        )
        self.presence = PresenceTools(hosts.router, hosts.index, served.namespaces)
        admin = Admin(
            token,
            hosts.router,
            hosts.index,
            namespaces=served.namespaces,
            status=served.status,
            migrate=served.migrate,
            reload=served.reload_or_raise,
            more=self._tool_routes,
        )
        dev = served.config.dev
        http = HttpFront(
            hosts.router,
            Access(dev.allowed_hosts if dev.ip in LOOPBACK_FOR else (*dev.allowed_hosts, dev.ip)),
            connect_socket=self.sockets.connect,
            admin=admin.handle,
            fire_cron=hosts.crons.fire,
            assets=assets,
            on_event=on_event,
            class_names=neighbours.class_names,
            redact=self._redact,
            clock=hosts.clock,
        )
        self.server = GatewayServer(
            http, dev.ip, dev.port, on_event=on_event, clock=hosts.clock, shutdown_seconds=_SHUTDOWN_SECONDS
        )

    async def start(self) -> str:
        """Serve; returns the address, without a slash at the end. Raises `UserInputError` for one that is not ours."""
        port = await self.server.start()
        listens = self._served.config.dev.ip
        ip = LOOPBACK_FOR.get(listens, listens)
        return f"http://[{ip}]:{port}" if ":" in ip else f"http://{ip}:{port}"

    def _tool_routes(self) -> dict[str, Route]:
        """What tools may ask for besides what `Admin` answers itself."""
        # Loaded at the first question: whoever starts waits for nothing that only tools need.
        from durable.gateway.admin_alarms import AlarmTools
        from durable.gateway.admin_call import CallTools
        from durable.gateway.admin_checkup import CheckupTools
        from durable.gateway.admin_classes import class_routes
        from durable.gateway.admin_data import DataTools
        from durable.gateway.admin_listing import ListingTools
        from durable.gateway.admin_query import QueryTools
        from durable.gateway.admin_schema import SchemaTools
        from durable.gateway.admin_timeline import TimelineTools

        served, hosts = self._served, self._hosts
        router, index, clock, namespaces = hosts.router, hosts.index, hosts.clock, served.namespaces
        reload = served.reload_or_raise
        return {
            **AlarmTools(hosts.alarms, hosts.time, clock, index, namespaces).routes(),
            **CallTools(router, index, namespaces, redact=self._redact, on_event=self._on_event).routes(),
            **CheckupTools(router, index, namespaces).routes(),
            **class_routes(served.classes),
            **self.presence.routes(),
            **DataTools(router, index, namespaces).routes(),
            **ListingTools(router, index, namespaces, layout=self._layout, clock=clock, root=self._root).routes(),
            **TimelineTools(hosts.timeline, router, clock, index, namespaces).routes(),
            **self.tails.routes(),
            **QueryTools(router, index, namespaces).routes(),
            **SchemaTools(router, index, namespaces, root=self._root, reload=reload).routes(),
        }

    def _root(self) -> Path:
        return self._served.config.root

"""The workers of one `durable dev`: each has hosts, a state and reloads of its own, and they meet here and only here.

Answers three questions. What does a program find of the others? Whose hosts take a call that names another worker?
Whose room has a socket that a worker hands on? Knows no process; each worker says what it is whenever that changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from durable import values
from durable.config import Binding, Config, ServiceBinding
from durable.config.nearby import find_worker
from durable.errors import ActorError, HostGoneError, UserInputError
from durable.gateway.link import HostLink, Question, Reply
from durable.gateway.router import Router
from durable.gateway.stub_holders import StubHolders
from durable.limits import NEIGHBOUR_HOLD_SECONDS
from durable.wire.messages import ActorKey, Call, HttpRequest, NamespaceInfo, NeighbourClass, ServiceInfo
from durable.wire.redaction import Redaction

if TYPE_CHECKING:
    from durable.gateway.websockets import ClientSockets


class Surroundings(Struct, frozen=True):
    """What a program finds of this and other workers by its bindings; `missing` says by binding what is in the way."""

    services: tuple[ServiceInfo, ...] = ()
    classes: tuple[NeighbourClass, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict[str, str])


class Neighbours:
    """Every worker joins before the first of them loads a program, and leaves at its end."""

    def __init__(self) -> None:
        self._workers: dict[str, Neighbour] = {}
        self.class_names: dict[str, str] = {}
        """Namespace key → class name of all of them, for reports; only grows."""
        self.redaction = Redaction()
        """One for all: what a worker raises is shown by the one that called it."""
        self._links: dict[int, HostLink] = {}
        self.holders = StubHolders(self.link_of)
        """Of stubs that a host of one worker gave to a host of another."""

    def join(self, config: Config) -> Neighbour:
        """Raises `UserInputError` when another worker has the same name."""
        other = self._workers.get(config.name)
        if other is not None:
            raise UserInputError(
                f'both {other.path} and {config.path} are the worker "{config.name}"; others could not tell them apart',
                fix='give one of them another "name"',
            )
        joined = self._workers[config.name] = Neighbour(self, config)
        return joined

    def surroundings(self, config: Config) -> Surroundings:
        """What the program of this configuration is to find, as things are now."""
        services: list[ServiceInfo] = []
        classes: list[NeighbourClass] = []
        missing: dict[str, str] = {}
        for service in config.services:
            if service.service not in self._workers and service.service != config.name:
                missing[service.name] = self._not_started(service.service, f"env.{service.name}", config)
            else:
                services.append(_service(service, config.name))
        for binding in config.bindings:
            if binding.script_name is not None:
                found = self._class_of(binding, binding.script_name, config)
                if isinstance(found, str):
                    missing[binding.name] = found
                else:
                    classes.append(found)
        return Surroundings(tuple(services), tuple(classes), missing)

    def _class_of(self, binding: Binding, script: str, config: Config) -> NeighbourClass | str:
        """The class that a binding leads to, or why it leads to none."""
        worker = self._workers.get(script)
        if worker is None:
            return self._not_started(script, f"env.{binding.name}", config)
        key = worker.keys.get(binding.class_name)
        if key is None:
            known = ", ".join(sorted(worker.keys)) or "none"
            return (
                f'env.{binding.name} is bound to the class {binding.class_name} of the worker "{script}", '
                f"which has no such class: {worker.path} declares {known}"
            )
        return NeighbourClass(binding.name, script, binding.class_name, key)

    def _not_started(self, script: str, what: str, config: Config) -> str:
        found = find_worker(config.root, script)
        place = str(found) if found is not None else f"<the wrangler.jsonc or durable.toml of {script}>"
        return (
            f'{what} belongs to the worker "{script}", which this command has not started. '
            f"Give it both configurations: durable dev -c {config.path} -c {place}"
        )

    def worker(self, script: str) -> Neighbour:
        """The worker of this name; raises `ActorError` when there is none."""
        found = self._workers.get(script)
        if found is None:
            raise ActorError(f'the worker "{script}" is not one of those that were started: {", ".join(self._workers)}')
        return found

    def class_name(self, namespace: str) -> str:
        """Of any worker; the namespace's own key where nobody knows it."""
        return self.class_names.get(namespace, namespace)

    def room_of(self, socket: int) -> ClientSockets | None:
        """Whose clients this socket is one of; None while nobody knows it."""
        for worker in self._workers.values():
            if worker.room is not None and worker.room.knows(socket):
                return worker.room
        return None

    def link_of(self, host_number: int) -> HostLink | None:
        """The link to a host, whichever worker it runs; None for one that is gone."""
        return self._links.get(host_number)

    def listen(self, link: HostLink) -> None:
        """A host of any worker lives from now until it is lost."""
        self._links[link.host_number] = link
        link.on_lost(partial(self._links.__delitem__, link.host_number))

    def renamed(self, worker: Neighbour, name: str) -> None:
        """A worker is called something else from now on, unless another one has the name already."""
        if name not in self._workers:
            self._workers[name] = self._workers.pop(worker.name)
            worker.name = name

    def tell(self, changed: Neighbour) -> None:
        """What a worker is has changed: the others look whether that concerns them."""
        for worker in list(self._workers.values()):
            if worker is not changed:
                worker.on_change()

    def remove(self, worker: Neighbour) -> None:
        if self._workers.get(worker.name) is worker:
            del self._workers[worker.name]


class Neighbour:
    """One worker, as the others see it."""

    def __init__(self, neighbours: Neighbours, config: Config) -> None:
        self.name = config.name
        self.path: Path = config.path
        self.keys: Mapping[str, str] = {}
        """Class name → namespace key."""
        self.router: Router | None = None
        self.room: ClientSockets | None = None
        self.on_change: Callable[[], None] = _nobody_asked
        """Called when another worker is not what it was."""
        self._neighbours = neighbours

    def learn(self, config: Config, namespaces: Sequence[NamespaceInfo]) -> None:
        """What the worker is from now on."""
        keys = {namespace.class_name: namespace.key for namespace in namespaces}
        self._neighbours.class_names.update({key: name for name, key in keys.items()})
        before = self.name, self.keys
        if config.name != self.name:
            self._neighbours.renamed(self, config.name)
        self.keys = keys
        if (self.name, keys) != before:
            self._neighbours.tell(self)

    def route(self, question: HttpRequest | Call) -> Router | PatientRouter:
        """Whose hosts take what one of ours asks; raises `ActorError` for a worker that there is not."""
        worker = self if question.script in ("", self.name) else self._neighbours.worker(question.script)
        if worker.router is None:
            raise ActorError(f'the worker "{worker.name}" has not started yet')
        return worker.router if worker is self else PatientRouter(worker.router)

    def leave(self) -> None:
        """The others do not find it any more."""
        self._neighbours.remove(self)


class PatientRouter:
    """The hosts of another worker: while it reloads, its callers wait, as requests from outside do.

    But not for long. What runs there may have asked us first, and the reload waits for that: then the call goes
    through, as calls between the objects of one worker always do.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def link_for(self, actor: ActorKey | None, *, through_hold: bool = False) -> HostLink:
        if through_hold and self._router.held:
            with suppress(TimeoutError):
                async with asyncio.timeout(NEIGHBOUR_HOLD_SECONDS):
                    return await self._router.link_for(actor)
        return await self._router.link_for(actor, through_hold=through_hold)

    async def ask_again(
        self, question: Callable[[int], Question], error: HostGoneError, *, through_hold: bool = False
    ) -> tuple[HostLink, Reply]:
        return await self._router.ask_again(question, error, through_hold=through_hold)


def _service(service: ServiceBinding, own_name: str) -> ServiceInfo:
    props = values.encode(dict(service.props)) if service.props else b""
    return ServiceInfo(service.name, "" if service.service == own_name else service.service, service.entrypoint, props)


def _nobody_asked() -> None:
    return

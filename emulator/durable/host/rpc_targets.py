"""What stubs call, seen from both ends: the functions and RpcTargets of this host, and those of others that it holds.

    the host that owns it                                          a host that holds stubs of it
    LocalTarget: the object, where it runs, how many hold it       RemoteTarget: its key, how many stubs here hold it

Who sends a stub away counts it; who has no stub left says so, once, for all that it was given (`StubCount`). Between
them the gateway counts what hosts pass on to one another, and speaks for a host that has died.
"""

from __future__ import annotations

from collections.abc import Awaitable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from durable.actor.events import CallEvent
from durable.errors import RefusedError
from durable.host.rpc_scope import Scope
from durable.sdk.rpc import Held, RpcTarget
from durable.sdk.stub import Receiver
from durable.wire.messages import StubCount, StubKey

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.host.host import Host

DISPOSED = "RPC stub used after being disposed."


class Target(Receiver):
    """What one or more stubs call."""

    __slots__ = ("key", "targets")

    def __init__(self, targets: Targets, key: StubKey) -> None:
        super().__init__()
        self.targets = targets
        self.key = key

    def retain(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError


class LocalTarget(Target):
    """A function or an RpcTarget of this host; ends when nobody holds it or when its home does."""

    __slots__ = ("count", "home", "label", "value")

    def __init__(self, targets: Targets, key: StubKey, value: Any, home: Actor | Scope) -> None:
        super().__init__(targets, key)
        self.value = value
        self.home: Actor | Scope = home
        self.activation = home.activation
        self.label = getattr(value, "__name__", "") or type(value).__name__
        self.count = 1
        home.exports += 1

    def retain(self) -> None:
        self.count += 1

    def release(self) -> None:
        self.change(-1)

    def change(self, change: int) -> None:
        self.count += change
        if self.count <= 0:
            value = self.value
            self.forget()
            self.targets.over(self)
            if isinstance(value, RpcTarget) and hasattr(type(value), "dispose"):
                self._tell(value)

    def forget(self) -> None:
        """Let the object go, whoever still holds it: who calls it hears why."""
        if self.value is not None:
            self.value = None
            self.home.exports -= 1
            if isinstance(self.home, Scope) and not self.home.exports:
                self.home.unheld()

    def _tell(self, value: RpcTarget) -> None:
        """The object hears that nobody holds it any more."""
        home = self.home
        if home.broken is not None:
            return

        def told(actor: Actor, _result: Any, error: BaseException | None) -> None:
            if error is not None and actor.broken is None:
                actor.engine.log_failure(error, actor.label, "dispose")

        home.deliver(CallEvent("dispose", (), {}, told, target=value))


class RemoteTarget(Target):
    """What another host owns."""

    __slots__ = ("received", "uses")

    def __init__(self, targets: Targets, key: StubKey) -> None:
        super().__init__(targets, key)
        self.received = 0
        self.uses = 0

    def retain(self) -> None:
        self.uses += 1

    def release(self) -> None:
        self.uses -= 1
        if self.uses <= 0:
            self.targets.let_go(self)


class Targets:
    """Both kinds, of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._thread = get_ident()
        self._local: dict[int, LocalTarget] = {}
        self._remote: dict[StubKey, RemoteTarget] = {}
        self._last = 0
        self._dropped: list[Target] = []

    def export(self, value: Any, home: Actor | Scope) -> LocalTarget:
        """A target for an object that leaves `home`, held once."""
        self._last += 1
        target = self._local[self._last] = LocalTarget(self, StubKey(self.host.number, self._last), value, home)
        if isinstance(home, Scope):
            home.exported.add(target)
        return target

    def arrived(self, key: StubKey) -> Target:
        """The target of a stub that another host has sent, held once more."""
        target: Target | None
        if key.host == self.host.number:
            target = self._local.get(key.number)
            if target is None:
                raise RefusedError(DISPOSED)
            target.retain()
            return target
        remote = self._remote.get(key)
        if remote is None:
            remote = self._remote[key] = RemoteTarget(self, key)
        remote.received += 1
        remote.uses += 1
        return remote

    def local(self, key: StubKey) -> LocalTarget | None:
        """Of this host, if it is not over."""
        return self._local.get(key.number)

    def counted(self, message: StubCount) -> None:
        """The gateway says who holds what."""
        target = self._local.get(message.stub.number)
        if target is not None:
            target.change(message.change)

    def over(self, target: LocalTarget) -> None:
        """Nobody holds it any more."""
        self._local.pop(target.key.number, None)
        if isinstance(target.home, Scope):
            target.home.exported.discard(target)

    def let_go(self, target: RemoteTarget) -> None:
        if self._remote.get(target.key) is target:
            del self._remote[target.key]
            self.host.send(StubCount(target.key, -target.received))

    def home_gone(self, actor: Actor) -> None:
        """The actor was reset or has left memory."""
        for target in self._local.values():
            if target.home is actor:
                target.forget()

    def drop(self, target: Target) -> None:
        """Nobody refers to a stub any more. Given back later: collectors run in any thread and in the middle of all."""
        self._dropped.append(target)
        loop = self.host.loop
        if len(self._dropped) == 1 and not loop.is_closed():
            (loop.call_soon if get_ident() == self._thread else loop.call_soon_threadsafe)(self._give_back)

    def _give_back(self) -> None:
        dropped, self._dropped = self._dropped, []
        for target in dropped:
            target.release()

    def statistics(self) -> tuple[int, int]:
        """How many objects of ours others may call, and how many of theirs we hold."""
        return len(self._local), len(self._remote)


class Hold(Held):
    """One stub's hold on its target."""

    __slots__ = ("_target",)

    def __init__(self, target: Target) -> None:
        self._target: Target | None = target

    @property
    def is_released(self) -> bool:
        return self._target is None

    @property
    def target(self) -> Target:
        """Raises for a stub that was disposed of."""
        if self._target is None:
            raise RefusedError(DISPOSED)
        return self._target

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
        target = self.target
        return target.targets.host.transport.call_target(target, method, args, kwargs)

    def again(self) -> Hold:
        target = self.target
        target.retain()
        return Hold(target)

    def release(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.release()

    def drop(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.targets.drop(target)

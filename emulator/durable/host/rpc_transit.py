"""Arguments and results on their way: copied inside this host, encoded for another, with what goes beside them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPMethod
from typing import TYPE_CHECKING, Any

from durable import values
from durable.host.rpc_scope import Scope, scope_now
from durable.host.rpc_targets import RemoteTarget, Targets
from durable.host.rpc_values import Luggage, takes
from durable.sdk.rpc import RpcStub
from durable.wire import messages as wire

if TYPE_CHECKING:
    from durable.actor.actor import Actor
    from durable.host.host import Host

# `request.method` is one, and to whoever returns it, it is a str.
values.register(HTTPMethod, str)


class Transit:
    """Of one host. Plain values take the first way of each method, which knows nothing of the second."""

    def __init__(self, host: Host, targets: Targets) -> None:
        self._host = host
        self._targets = targets

    # --- inside this host -------------------------------------------------------------------------------------------
    def copied(
        self, caller: Actor | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], Sequence[RpcStub]]:
        """Arguments for code of this host, and the stubs among them, which end with the call."""
        try:
            copied = values.plain_copy(args)
            heavy = values.may_be_heavy()
            if kwargs:
                # As a plain dict, whatever dicts arrive as: it holds arguments and is no value itself.
                kwargs = {name: values.plain_copy(value) for name, value in kwargs.items()}
                heavy = heavy or values.may_be_heavy()
        except (values.Refused, RecursionError):
            luggage = Luggage(self._host, caller or scope_now(self._host))
            copied, kwargs = self._carried((args, kwargs), luggage)
            return copied, kwargs, luggage.stubs
        if heavy:
            values.check_size(len(values.encode((copied, kwargs))))
        return copied, kwargs, ()

    def carry(self, home: Actor | Scope, result: Any) -> Any:
        """A result for code of this host that is no plain value."""
        return self._carried(result, Luggage(self._host, home))

    def _carried(self, value: Any, luggage: Luggage) -> Any:
        try:
            carried = values.copy_with(value, luggage.carry, takes)
            if values.may_be_heavy():
                values.check_size(len(values.encode_with(value, lambda _: None, takes)))
        except BaseException:
            luggage.give_back()
            raise
        return carried

    # --- to and from other hosts ------------------------------------------------------------------------------------
    def encoded(self, value: Any, home: Actor | Scope | None) -> tuple[bytes, Luggage | None, wire.Luggage | None]:
        """For another host, from code of `home`. Raises DataCloneError, also for what is too large."""
        try:
            payload = values.plain_encode(value)
        except (values.Refused, RecursionError, UnicodeEncodeError):
            return self._encoded_with(value, Luggage(self._host, home or scope_now(self._host)))
        values.check_size(len(payload))
        return payload, None, None

    def _encoded_with(self, value: Any, luggage: Luggage) -> tuple[bytes, Luggage, wire.Luggage]:
        try:
            payload = values.encode_with(value, luggage.pack, takes)
            values.check_size(len(payload))
        except BaseException:
            luggage.give_back()
            raise
        streams = [self._host.bodies.announce() for _ in luggage.streams]
        return payload, luggage, wire.Luggage([target.key for target in luggage.targets if target], streams)

    def sent(self, luggage: Luggage, packed: wire.Luggage | None, epoch: int) -> None:
        """It is on its way: the bodies follow, and what it brings of others is held by the gateway from now on."""
        for number, content in zip(packed.streams if packed else (), luggage.streams, strict=True):
            self._host.background(self._host.bodies.send_all(number, content))
        passed_on = [target for target in luggage.targets if isinstance(target, RemoteTarget)]

        def let_go() -> None:
            for target in passed_on:
                target.release()

        if passed_on:
            # Not before the gateway has seen the message, which may wait for its epoch there.
            self._host.when_durable(epoch, let_go)

    def unpacked(self, payload: bytes, packed: wire.Luggage | None) -> tuple[Any, Sequence[RpcStub]]:
        """What another host has sent, and the stubs in it. Raises ValueError for anything else."""
        if packed is None:
            return values.decode(payload), ()
        luggage = Luggage(self._host)
        luggage.streams = [self._host.bodies.incoming(number) for number in packed.streams]
        try:
            for key in packed.stubs:
                luggage.targets.append(self._targets.arrived(key))
            return values.decode_with(payload, luggage.unpack), luggage.stubs
        finally:
            luggage.give_back()

    def refuse(self, packed: wire.Luggage) -> None:
        """Nobody here wants what came."""
        for number in packed.streams:
            self._host.bodies.refuse(number)
        for key in packed.stubs:
            self._targets.arrived(key).release()

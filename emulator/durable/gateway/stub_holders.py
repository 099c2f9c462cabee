"""Which host holds stubs of what another host owns. Owners count; the gateway counts for those that pass on or die.

owner → holder     the owner has counted what it sends
holder → owner     nothing is counted: it comes home
holder → other     the owner is told of one more, before the holder's own can be given back
a host is lost     its owners are told of all that it held; who calls what it owned is told that it is gone
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from durable.errors import HostGoneError
from durable.gateway.link import HostLink
from durable.wire.messages import StubCount, StubKey


class StubHolders:
    """Of the links of one relay, whose stubs may belong to hosts of another."""

    def __init__(self, find_link: Callable[[int], HostLink | None]) -> None:
        self._find_link = find_link
        self._held: dict[HostLink, Counter[StubKey]] = {}

    def find(self, stub: StubKey) -> HostLink | None:
        """The owner."""
        return self._find_link(stub.host)

    def owner(self, stub: StubKey) -> HostLink:
        """Raises HostGoneError when it is no more."""
        link = self._find_link(stub.host)
        if link is None or link.is_lost:
            error = HostGoneError("The process that held what this stub calls has ended; ask for a new stub.")
            error.begun = False
            raise error
        return link

    def carried(self, sender: HostLink, receiver: HostLink, stubs: Sequence[StubKey]) -> None:
        """These go from one host to another now."""
        for stub in stubs:
            if stub.host == receiver.host_number:
                if sender is receiver:
                    receiver.send(StubCount(stub, -1))
                continue
            if receiver.is_lost:
                if stub.host == sender.host_number:
                    sender.send(StubCount(stub, -1))
                continue
            if stub.host != sender.host_number:
                self._tell(stub, 1)
            self._held.setdefault(receiver, Counter())[stub] += 1

    def released(self, holder: HostLink, message: StubCount) -> None:
        """A host says that it holds so many fewer."""
        held = self._held.get(holder)
        count = min(-message.change, held[message.stub]) if held is not None else 0
        if held is not None and count > 0:
            held[message.stub] -= count
            if not held[message.stub]:
                del held[message.stub]
            self._tell(message.stub, -count)

    def lost(self, holder: HostLink) -> None:
        """The host is gone, and holds nothing any more."""
        for stub, count in self._held.pop(holder, Counter[StubKey]()).items():
            self._tell(stub, -count)

    def held(self) -> int:
        """How many stubs are held elsewhere than where they come from."""
        return sum(sum(counted.values()) for counted in self._held.values())

    def _tell(self, stub: StubKey, change: int) -> None:
        link = self._find_link(stub.host)
        if link is not None and not link.is_lost:
            link.send(StubCount(stub, change))

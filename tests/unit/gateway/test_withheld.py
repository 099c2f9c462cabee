from __future__ import annotations

from durable.gateway.withheld import Withheld
from durable.wire.messages import ActorKey, SocketClose, SocketSend

ROOM = ActorKey("Room-1", f"{1:064x}", "general")


def test_what_was_dropped_holds_nothing_up():
    withheld = Withheld()
    assert withheld.hold(SocketSend([1], "lost", None, epoch=5))
    assert withheld.hold(SocketSend([2], "kept", None, epoch=5))
    withheld.drop(lambda epoch, message: isinstance(message, SocketSend) and message.sockets == [1])

    assert not withheld.hold(SocketClose(1, 1006, ""))
    assert withheld.hold(SocketClose(2, 1006, ""))  # it may not overtake what is still to be sent
    assert withheld.release(5) == [SocketSend([2], "kept", None, epoch=5), SocketClose(2, 1006, "")]

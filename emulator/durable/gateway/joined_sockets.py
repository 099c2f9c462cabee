"""Two accepted sockets that are the ends of one pair: what the code at one end says, the code at the other end hears.

No client is connected to either. The two may belong to different hosts, to an actor and to a worker, and one of them
may hibernate; to its own host each looks like any other socket, so that events are counted, held over a reload and
released by epoch as those of clients are. Code cannot be stopped like a client: an end that falls behind is let go.
"""

from __future__ import annotations

from durable.gateway.socket_record import SocketRecord
from durable.gateway.websocket_frames import ABNORMAL, NO_CODE, Frame
from durable.limits import SOCKET_JOINED_EVENTS_MAX, SOCKET_SEND_BURST_BYTES_MAX

_TRY_AGAIN_LATER = 1013
_SLOW = "the other end reads too slowly"
_VANISHED = "WebSocket disconnected without sending Close frame."


def join(record: SocketRecord, other: SocketRecord | None) -> None:
    """Connect two accepted sockets; `record` hears at once that `other` is gone when there is none to connect to."""
    if other is None or other.actor is None or other.client is not None or other.finished:
        record.dead = True
        record.closed(ABNORMAL, _VANISHED, False)
        return
    one, two = JoinedEnd(record), JoinedEnd(other)
    one.opposite, two.opposite = two, one
    # What was said before goes first.
    record.connect(one)
    other.connect(two)


class JoinedEnd:
    """Stands where a client's connection would: what it is told to send, the opposite end's owner receives."""

    opposite: JoinedEnd

    def __init__(self, record: SocketRecord) -> None:
        self.record = record
        self._close_sent = False
        self._heard_last = False

    def send(self, frame: Frame) -> None:
        other = self.opposite
        if self._close_sent or other._heard_last:
            return
        record = other.record
        if record.undone >= SOCKET_JOINED_EVENTS_MAX or record.undone_bytes > SOCKET_SEND_BURST_BYTES_MAX:
            other._hear_last(_TRY_AGAIN_LATER, _SLOW, was_clean=False)
            self._hear_last(_TRY_AGAIN_LATER, _SLOW, was_clean=False)
            self._end()
        elif frame.is_text:
            record.message(frame.payload.decode(), None)
        else:
            record.message(None, frame.payload)

    def close(self, code: int, reason: str) -> None:
        """As a client's: the other end hears of it, both are over when both have said so. 1006 ends them at once."""
        if code == ABNORMAL:
            self._close_sent = self._heard_last = True
            self.opposite._hear_last(ABNORMAL, _VANISHED, was_clean=False)
            self._end()
        elif not self._close_sent:
            self._close_sent = True
            self.opposite._hear_last(code or NO_CODE, reason, was_clean=True)
            if self.opposite._close_sent:
                self._end()

    def _hear_last(self, code: int, reason: str, *, was_clean: bool) -> None:
        if not self._heard_last:
            self._heard_last = True
            self.record.closed(code, reason, was_clean)

    def _end(self) -> None:
        for end in (self, self.opposite):
            end._close_sent = end._heard_last = True
            if not end.record.dead:
                end.record.ended()

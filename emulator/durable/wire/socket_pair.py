"""The two ends of a channel as sockets. Apart from the channel: hosts are started before asyncio is imported."""

from __future__ import annotations

import socket

BUFFER_BYTES = 256 * 1024
"""One read inside a large frame, and what the kernel may keep for us."""


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected, non-blocking stream sockets; the second one is for the child."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return ours, theirs

"""`durable dev` whose gateway keeps whatever a client does not read: what the bounds are there to prevent."""

from __future__ import annotations

import sys

from durable.gateway import frame_writer
from durable_cli.main import main

if __name__ == "__main__":
    for bound in ("SOCKET_SEND_BUFFER_BYTES_MAX", "SOCKET_SEND_UNTAKEN_BYTES_MAX", "SOCKET_SEND_BURST_BYTES_MAX"):
        assert hasattr(frame_writer, bound)
        setattr(frame_writer, bound, sys.maxsize)
    main()

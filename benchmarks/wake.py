"""How long a message takes that wakes its object: from the frame's first byte to the answer's last, at the client.

The object opens its database in its constructor. It is put to sleep through `/__durable/evict`, and its answer says how
many messages it has had since it was constructed: anything but one would be no measurement.
"""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

from benchmarks import socket_client, subjects
from benchmarks.measure import Series
from benchmarks.servers import Unavailable, start
from durable_cli.client import Client
from durable_cli.emulator_address import find_emulator

WAKE_MS_MAX = 3.0
WAKES = 60
FIRST = b"\x81\x011"
"""The frame of a text message that says 1."""
ASLEEP_SECONDS = 0.05


def wakes(scratch: Path, *, times: int = WAKES) -> Series:
    """Milliseconds from a message to a hibernated object to its answer."""
    series = Series()
    dice = random.Random(7)
    scratch.mkdir(parents=True, exist_ok=True)
    server = start(subjects.durable(scratch), scratch / "log")
    try:
        server.wait_answer("/hello")
        emulator = find_emulator(scratch / "state" / "run")
        if emulator is None:
            raise Unavailable(f"no address of an emulator below {scratch}")
        admin = Client(emulator)
        connection = socket_client.connect(server.port, "/sleep")
        connection.settimeout(10)
        answer(connection)  # the first message opens the file for the first time
        for _ in range(times):
            told = admin.post("/__durable/evict", {"class": "Sleeper", "name": "a"})
            if not told.get("evicted"):
                raise Unavailable(f"the object is still in memory: {told}")
            time.sleep(ASLEEP_SECONDS * (1 + dice.random()))
            series.rounds.append(answer(connection) * 1000)
        connection.close()
    finally:
        server.stop()
    return series


def answer(connection: socket.socket) -> float:
    """Seconds that the answer took."""
    started = time.perf_counter()
    connection.sendall(socket_client.QUESTION)
    received = b""
    while len(received) < len(FIRST):
        received += connection.recv(100)
    took = time.perf_counter() - started
    if received != FIRST:
        raise Unavailable(f"the object was awake, or is not ours: {received!r}")
    return took

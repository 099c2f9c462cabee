"""The supervisor in numbers."""

from __future__ import annotations

from msgspec import Struct


class SupervisorStatistics(Struct, frozen=True):
    """`pids` by shard, None where a host is missing; `deaths` counts hosts that ended without being asked."""

    generation: int
    pids: tuple[int | None, ...]
    processes: int
    reloads: int
    failed_reloads: int
    deaths: int

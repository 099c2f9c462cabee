"""Resident memory of a server's processes after it has worked, read from /proc; empty where there is no /proc."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def resident_mb(pid: int) -> float:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def children(pid: int) -> list[int]:
    """Processes started by `pid`, oldest first."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended while we looked
        if int(fields[1]) == pid:
            found.append((int(fields[19]), int(folder.name)))
    return [child for _, child in sorted(found)]


def by_process(pid: int) -> dict[str, float]:
    """`{"gateway": 61.2, "host": 48.0, "standby host": 33.1}`: the process and its children, in megabytes."""
    if not PROC.is_dir():
        return {}
    sizes = {"gateway": resident_mb(pid)}
    for number, child in enumerate(children(pid), 1):
        sizes["host" if number == 1 else "standby host" if number == 2 else f"child {number}"] = resident_mb(child)
    return sizes


def proportional_mb(pid: int) -> float:
    """Megabytes of a process and all below it, with every page that they share counted once."""
    size = 0.0
    for member in (pid, *descendants(pid)):
        for line in (PROC / str(member) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                size += int(line.split()[1]) / 1024
    return size


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]

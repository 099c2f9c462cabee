"""Who listens on a TCP port of this machine, as far as this user may know. Reads Linux's /proc; elsewhere unknown."""

from __future__ import annotations

from pathlib import Path

_LISTEN = "0A"
"""TCP_LISTEN in the `st` column of /proc/net/tcp (proc(5))."""


def port_holder(port: int, proc: Path = Path("/proc")) -> str:
    """`pid 4711 (python3)`, or an empty string; other users' processes cannot be seen. Never raises."""
    try:
        sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listeners(proc / "net" / table, port)}
        if not sockets:
            return ""
        for process in proc.iterdir():
            if process.name.isdigit() and _holds(process, sockets):
                return f"pid {process.name} ({_command(process)})"
    except OSError:
        pass
    return ""


def _listeners(table: Path, port: int) -> list[str]:
    """Inodes of the sockets that listen on the port."""
    if not table.exists():
        return []
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return [row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port]


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(str(descriptor.readlink()) in sockets for descriptor in (process / "fd").iterdir())
    except OSError:
        return False


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "ended"

"""`durable sql CLASS --all` over many sleeping objects: objects per second, the first row, memory, processor time.

    python -m benchmarks.query [OBJECTS [PROJECT]]

Each object has a table of 20 rows, which the query counts. What is measured is the whole command, as the shell sees it,
with the emulator stopped and running. PROJECT is a folder to make the objects in, or to find them in; it is kept.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fleet import make_project

QUERY = "SELECT count(*) AS n FROM m"
DURABLE = [sys.executable, "-m", "durable_cli"]
ALL = [*DURABLE, "sql", "Room", "--all", QUERY]
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="durable-query-") as folder:
        root = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder)
        if not (root / "durable.toml").exists():
            make_project(root, count)
            os.sync()
        for form in (["--csv"], ["--json"], ["--reduce", "SELECT sum(n) FROM rows"]):
            measure(root, f"stopped, {form[0]}", form, count, [])
        emulator = start(root)
        try:
            processes = [emulator.pid, *children(emulator.pid)]
            for form in (["--csv"], ["--json"], ["--reduce", "SELECT sum(n) FROM rows"]):
                measure(root, f"running, {form[0]}", form, count, processes)
        finally:
            emulator.send_signal(signal.SIGINT)
            emulator.wait()


def measure(root: Path, title: str, form: list[str], count: int, processes: list[int]) -> None:
    """`processes` are the emulator's, which work for the command."""
    before = {pid: processor_seconds(pid) for pid in processes}
    began = time.perf_counter()
    with subprocess.Popen([*ALL, *form], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as command:
        assert command.stdout is not None
        first, rows = 0.0, 0
        for line in command.stdout:
            # A name, and then a value: no line of names, no bracket.
            if not first and re.search(rb"\d", line):
                first = time.perf_counter() - began
            rows += 1
        _, status, used = os.wait4(command.pid, 0)
        command.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    cpu = used.ru_utime + used.ru_stime
    theirs = {pid: processor_seconds(pid) - before[pid] for pid in processes}
    memory = ", ".join(f"{peak_mib(pid)} MiB" for pid in processes)
    print(
        f"{title:<19} {count / seconds:6.0f} objects/s in {seconds:.2f} s, first row {first:.2f} s, {rows} lines;"
        f" command: {cpu * 1e6 / count:.0f} µs of processor time per object, {used.ru_maxrss // 1024} MiB"
        + (
            f"; emulator: {sum(theirs.values()) * 1e6 / count:.0f} µs per object, largest ever {memory}"
            if processes
            else ""
        )
    )


def start(root: Path) -> subprocess.Popen[str]:
    """An emulator that is ready, and whose output nobody has to read."""
    process = subprocess.Popen(
        [*DURABLE, "dev", "--quiet", "--no-reload", "--port", "0"],
        cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    address = root / ".durable" / "run" / "emulator.json"
    while process.poll() is None and f'"pid": {process.pid}' not in (address.read_text() if address.exists() else ""):
        time.sleep(0.05)
    # Hosts that are starting are not measured.
    subprocess.run([*ALL, "--where-name", "room 0"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    return process


def children(pid: int) -> list[int]:
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(each for child in found for each in children(child))]


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    main()

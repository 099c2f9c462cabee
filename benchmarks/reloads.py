"""From `rename()` of a save to the first byte that the new code answers, as somebody edits who has the page open.

The chat template with fifty sockets in one room; saves two seconds apart, every second one of the same size as the file
it replaces; and saves on each other's heels, which wait for a quarter of a second of quiet. The same template with
numpy and pandas imported says what big packages cost. `wrangler dev` runs its own program, without sockets.
"""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks import memory, socket_client, subjects
from benchmarks.measure import Bar, Measure, Series
from benchmarks.servers import Recipe, Server, Unavailable, get, start
from benchmarks.subjects import DURABLE, REPO, WRANGLER, Peers

SAVES = 30
SAVE_EVERY_SECONDS = 2.0
SOCKETS = 50
PACKAGES = ("numpy", "pandas")
RELOAD_MS_MAX, RELOAD_P95_MS_MAX = 30.0, 60.0
PACKAGES_MS_MAX = 80.0
IDLE_MB_MAX = 110.0
IDLE_SECONDS = 3.0
"""After the last request, until the memory is read: the standby is up, and nothing runs."""
ANSWER_SECONDS_MAX = 20.0
ASK_AGAIN_SECONDS = 0.001
"""Asking without a pause would take the processor that the new code is imported on."""
VERSION = "version-000000"


def measures(
    scratch: Path, peers: Peers | None, say: Callable[[str], None], *, times: int = SAVES, packages: bool = True
) -> list[Measure]:
    """Everything about saves and starts on the chat template."""
    bars = (Bar(RELOAD_MS_MAX), Bar(RELOAD_P95_MS_MAX, quantile=0.95))
    reload = Measure("reload", "save → new code, chat, 50 sockets", "ms", {}, bars=bars)
    burst = Measure("reload-burst", "the same, saves back to back", "ms", {})
    idle = Measure("memory-idle", "all processes idle, PSS", "MB", {}, bars=(Bar(IDLE_MB_MAX),))
    say("reload …")
    chat = chat_template(scratch / "chat")
    reload.series[DURABLE], burst.series[DURABLE], idle.series[DURABLE] = edited(chat, scratch, times=times)
    found = [reload, burst, idle]
    if peers is not None:
        say("reload: wrangler dev …")
        try:
            reload.series[WRANGLER] = wrangler_saves(scratch / "reload-wrangler", peers, times=times)
        except Unavailable as error:
            say(f"left out: {error}")
    if packages:
        say(f"reload with {' and '.join(PACKAGES)} …")
        heavy = Measure("reload-packages", "save → new code, numpy and pandas", "ms", {}, bars=(Bar(PACKAGES_MS_MAX),))
        try:
            python = with_packages(scratch / "packages")
            recipe = chat_template(scratch / "chat-packages", python, imports=f"import {', '.join(PACKAGES)}\n")
            heavy.series[DURABLE] = edited(recipe, scratch / "heavy", times=times)[0]
            found.append(heavy)
        except Unavailable as error:
            say(f"left out: {error}")
    return found


def chat_template(scratch: Path, python: str | None = None, *, imports: str = "") -> Recipe:
    """A real `durable dev` on a copy of the chat template that says its version at `/version`."""
    folder = scratch / "app"
    shutil.copytree(REPO / "templates" / "chat", folder, ignore=shutil.ignore_patterns(".durable", "__pycache__"))
    config = folder / "durable.toml"
    config.write_text(config.read_text().replace("{{name}}", "chat"))
    main = folder / "main.py"
    route, future = '        if url.path == "/":\n', "from __future__ import annotations\n"
    text = main.read_text()
    if route not in text or future not in text:
        raise Unavailable("the chat template has changed: its worker does not look for the path / any more")
    answer = f'        if url.path == "/version":\n            return Response("{VERSION}")\n'
    main.write_text(text.replace(route, answer + route).replace(future, f"{future}{imports}", 1))
    command = [str(Path(sys.executable).with_name("durable")), "dev", "--config", str(config)]
    command += ["--port", "{port}", "--persist-to", str(scratch / "state")]
    return Recipe(DURABLE, command + (["--python", python] if python else []), folder, {})


def edited(recipe: Recipe, scratch: Path, *, times: int) -> tuple[Series, Series, Series]:
    """Milliseconds of saves two seconds apart, and back to back; megabytes of all processes before them."""
    scratch.mkdir(parents=True, exist_ok=True)
    apart, burst, idle = Series(), Series(), Series()
    dice = random.Random(20)
    source = recipe.folder / "main.py"
    text = source.read_text()
    server = start(recipe, scratch / "log")
    try:
        server.wait_answer("/version")
        time.sleep(IDLE_SECONDS)
        idle.rounds.append(memory.proportional_mb(server.pid))
        sockets = [
            socket_client.connect(server.port, f"/room/general/socket?user=somebody-{number}&name=Ada")
            for number in range(SOCKETS)
        ]
        for number in range(1, times + 1):
            time.sleep(SAVE_EVERY_SECONDS + dice.random() * 0.2)
            apart.rounds.append(saved(server, source, versioned(text, number, longer=number % 2 == 0)))
        for number in range(times + 1, times + 1 + times // 2):
            burst.rounds.append(saved(server, source, versioned(text, number, longer=False)))
        dropped = sum(not is_open(each) for each in sockets)
        if dropped:
            raise Unavailable(f"{dropped} of {SOCKETS} sockets were dropped by a reload:\n{server.log_tail()}")
        for each in sockets:
            each.close()
    finally:
        server.stop()
    return apart, burst, idle


def versioned(text: str, number: int, *, longer: bool) -> tuple[str, bytes]:
    """The next save, and what it answers."""
    wanted = f"version-{number:06}"
    return text.replace(VERSION, wanted) + ("# a line more\n" if longer else ""), wanted.encode()


def saved(server: Server, source: Path, save: tuple[str, bytes]) -> float:
    """Milliseconds from the rename to the first byte by the new code; the new file was complete before."""
    text, wanted = save
    new = source.with_suffix(".tmp")
    new.write_text(text)
    question = f"GET /version HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_SECONDS_MAX)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Warm: accepted, and known to the gateway, before the clock runs.
        answer(connection, question)
        renamed = time.perf_counter()
        new.replace(source)
        while time.perf_counter() - renamed < ANSWER_SECONDS_MAX:
            first_byte, body = answer(connection, question)
            if body == wanted:
                return (first_byte - renamed) * 1000
            time.sleep(ASK_AGAIN_SECONDS)
    raise Unavailable(f"{wanted.decode()} did not appear within {ANSWER_SECONDS_MAX:g} s:\n{server.log_tail()}")


def answer(connection: socket.socket, question: bytes) -> tuple[float, bytes]:
    """When the first byte of the answer came, and its body."""
    connection.sendall(question)
    received = connection.recv(65536)
    first_byte = time.perf_counter()
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return first_byte, body


def is_open(sock: socket.socket) -> bool:
    """Whether the socket answers: what its room has said meanwhile is read first."""
    sock.settimeout(ANSWER_SECONDS_MAX)
    payload = b"ping"
    sock.sendall(
        b"\x81\x84" + socket_client.MASK + bytes(byte ^ socket_client.MASK[i] for i, byte in enumerate(payload))
    )
    received = b""
    while b"\x81\x04pong" not in received:
        try:
            piece = sock.recv(65536)
        except OSError:
            return False
        if not piece:
            return False
        received = received[-16:] + piece
    return True


def wrangler_saves(scratch: Path, peers: Peers, *, times: int) -> Series:
    """The same clock on `wrangler dev` and its own program."""
    scratch.mkdir(parents=True, exist_ok=True)
    recipe = subjects.wrangler(scratch, peers)
    source = recipe.folder / "worker.js"
    text = source.read_text()
    series = Series()
    server = start(recipe, scratch / "log")
    try:
        server.wait_answer("/version")
        for number in range(1, times + 1):
            time.sleep(SAVE_EVERY_SECONDS)
            wanted = f"version-{number}"
            series.rounds.append(reconnecting(server, source, text.replace("version-0", wanted), wanted.encode()))
    finally:
        server.stop()
    return series


def reconnecting(server: Server, source: Path, text: str, wanted: bytes) -> float:
    """As `saved`, for a server that may close connections when it reloads: each question has its own."""
    new = source.with_suffix(".tmp")
    new.write_text(text)
    renamed = time.perf_counter()
    new.replace(source)
    while time.perf_counter() - renamed < ANSWER_SECONDS_MAX:
        try:
            if get(server.port, "/version")[1] == wanted:
                return (time.perf_counter() - renamed) * 1000
        except OSError:
            pass
        time.sleep(ASK_AGAIN_SECONDS)
    raise Unavailable(f"{wanted.decode()} did not appear within {ANSWER_SECONDS_MAX:g} s:\n{server.log_tail()}")


def with_packages(folder: Path) -> str:
    """An interpreter that has big packages besides everything that ours has; they are no dependency of anything."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"pip install {' '.join(PACKAGES)} failed:\n{done.stderr[-500:]}")
    libraries = [sysconfig.get_path("purelib"), str(REPO / "emulator"), str(REPO / "cli")]
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (Path(site.stdout.strip()) / "durable.pth").write_text("\n".join(libraries) + "\n")
    return str(python)

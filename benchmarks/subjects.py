"""The servers that are compared and how each is started. Every one runs a copy of its program in a scratch folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import Recipe, Unavailable

HERE = Path(__file__).parent
REPO = HERE.parent

BARE = "aiohttp"
BARE_SERVER = "aiohttp web.Server"
DURABLE = "durable"
RELAXED = "durable relaxed"
TWO_HOSTS = "durable --hosts 2"
WORKERD = "workerd"
WRANGLER = "wrangler dev"


@dataclass(frozen=True)
class Peers:
    """workerd and wrangler from npm, installed in `folder`."""

    folder: Path
    versions: dict[str, str]

    def program(self, name: str) -> str:
        return str(self.folder / "node_modules" / ".bin" / name)


def install_peers(folder: Path) -> Peers:
    """Install workerd and wrangler with npm, once per folder; Unavailable says what is missing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Unavailable("--peers needs node and npm")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / ".bin" / "wrangler").exists():
        command = [npm, "install", "--no-audit", "--no-fund", "--silent", "workerd", "wrangler"]
        (folder / "package.json").write_text('{"private": true}\n')
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"npm install failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    versions = {
        name: json.loads((folder / "node_modules" / name / "package.json").read_text())["version"]
        for name in ("workerd", "wrangler")
    }
    return Peers(folder, versions)


def bare(kind: str) -> Recipe:
    """`kind` is "application" or "server"."""
    name = BARE if kind == "application" else BARE_SERVER
    return Recipe(name, [sys.executable, "-m", "benchmarks.bare", kind, "{port}"], REPO, {})


def durable(scratch: Path, *, durability: str = "full", pitr_days: int | None = None, hosts: int = 1) -> Recipe:
    """A real `durable dev` on a fresh copy of the program, its state inside `scratch`; None leaves a setting out."""
    folder = scratch / "app"
    shutil.copytree(HERE / "app", folder, ignore=shutil.ignore_patterns(".durable", "__pycache__"))
    config = folder / "durable.toml"
    settings = f'durability = "{durability}"' + ("" if pitr_days is None else f"\npitr_days = {pitr_days}")
    config.write_text(config.read_text().replace('durability = "full"', settings))
    command = [str(Path(sys.executable).with_name("durable")), "dev", "--config", str(config), "--port", "{port}"]
    command += ["--persist-to", str(scratch / "state"), "--hosts", str(hosts)]
    name = TWO_HOSTS if hosts == 2 else DURABLE if durability == "full" else RELAXED
    return Recipe(name, command, folder, {})


def workerd(scratch: Path, peers: Peers) -> Recipe:
    folder = copy_of_peers(scratch)
    state = folder / "state"
    state.mkdir()
    command = [peers.program("workerd"), "serve", "workerd.capnp", "--socket-addr", "http=127.0.0.1:{port}"]
    return Recipe(WORKERD, [*command, "--directory-path", f"state={state}"], folder, {})


def wrangler(scratch: Path, peers: Peers) -> Recipe:
    folder = copy_of_peers(scratch)
    command = [peers.program("wrangler"), "dev", "--port", "{port}", "--ip", "127.0.0.1", "--local"]
    command += ["--show-interactive-dev-session=false"]
    quiet = {"WRANGLER_SEND_METRICS": "false", "CI": "true", "NO_COLOR": "1", "WRANGLER_LOG_PATH": str(folder / "logs")}
    return Recipe(WRANGLER, command, folder, quiet | {"HOME": str(scratch), "PATH": os.environ["PATH"]})


def copy_of_peers(scratch: Path) -> Path:
    return Path(shutil.copytree(HERE / "peers", scratch / "peers"))

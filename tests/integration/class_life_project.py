"""Projects whose classes change: their program, their settings, and a picture of all that their state holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from durable import config
from durable.emulator import Emulator
from durable.storage.class_life.applying import open_state
from durable.storage.class_life.restoring import snapshots
from durable.storage.index import NamespaceIndex
from durable.storage.layout import StateLayout
from durable.supervisor.spawner import HostSpawner

FAR_MS = 4_000_000_000_000
"""An alarm that no test lives to see: in the year 2096."""

_HEAD = """\
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint

class Object(DurableObject):
    def fill(self, number, alarm_ms):
        self.ctx.storage.put("number", number)
        if alarm_ms:
            self.ctx.storage.set_alarm(alarm_ms)

    async def look(self):
        return [await self.ctx.storage.get("number"), await self.ctx.storage.get_alarm(), str(self.ctx.id)]

    async def alarm(self, info):
        self.ctx.storage.put("rang", type(self).__name__)

    async def rang(self):
        return await self.ctx.storage.get("rang")

    async def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server, tags=["a tag"])
        server.serialize_attachment({"since": type(self).__name__})
        return Response(None, status=101, web_socket=client)

    async def web_socket_message(self, ws, message):
        since = ws.deserialize_attachment()["since"]
        ws.send(f"{since} {type(self).__name__} {await self.ctx.storage.get('number')} {message}")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what, binding, count = request.url.partition("//")[2].split("/")[1:4]
        space = getattr(self.env, binding)
        if what == "fill":
            for number in range(int(count)):
                await space.get_by_name(f"n{number}").fill(number, 4_000_000_000_000 + number if number % 3 == 0 else 0)
            return Response("filled")
        if what == "soon":
            await space.get_by_name("n0").fill(0, int(count))
            return Response("set")
        if what == "rang":
            return Response(str(await space.get_by_name(count).rang()))
        if what == "look":
            return Response.json(await space.get_by_name(count).look())
        return await space.get_by_name(count).fetch(request)

"""


def program(*classes: str) -> str:
    return _HEAD + "".join(f"class {name}(Object):\n    pass\n\n" for name in classes)


def settings(*migrations: str, bound: Sequence[str], name: str = "app") -> str:
    """`bound` classes by the name in capitals; `migrations` are the bodies of entries, tagged v1, v2, …"""
    bindings = "".join(
        f'[[durable_objects.bindings]]\nname = "{each.upper()}"\nclass_name = "{each}"\n' for each in bound
    )
    entries = "".join(f'[[migrations]]\ntag = "v{number}"\n{body}\n' for number, body in enumerate(migrations, start=1))
    return f'name = "{name}"\nmain = "main.py"\n{bindings}{entries}[dev]\nport = 0\n'


def write(root: Path, code: str, toml: str) -> None:
    root.mkdir(exist_ok=True)
    (root / "main.py").write_text(code)
    (root / "durable.toml").write_text(toml)


def state_of(root: Path) -> Path:
    return root / ".durable" / "state"


def emulator_of(root: Path) -> Emulator:
    return Emulator(config.load(root / "durable.toml"), HostSpawner(state_of(root), root), watch=False)


def picture(root: Path) -> dict[str, Any]:
    """All that the state holds, as its next user finds it: objects by class with what they stored, and what is kept."""
    layout = StateLayout(state_of(root))
    if not layout.state_file.exists():
        return {}
    with open_state(layout) as state:
        assert state.unfinished_moves() == []
        assert state.unfinished_runs() == []
        classes = {
            f"{row.class_name}, {'sqlite' if row.sqlite else 'kv'}": _objects(layout.namespace_folder(row.key))
            for row in state.namespaces(None)
        }
        tags = state.applied_tags(None)
        kept = {each.class_name: _objects(layout.deleted_folder / each.name) for each in snapshots(state, layout, None)}
    return {"classes": classes, "tags": tags, "kept": {name: objects for name, objects in kept.items() if objects}}


def _objects(folder: Path) -> dict[str, Any]:
    """`{"<64 hex>": {"name": "n0", "alarm": 4000000000000, "stored": […]}}`"""
    if not (folder / "index.sqlite").exists():
        return {}
    index = NamespaceIndex(folder / "index.sqlite")
    try:
        rows = index.list(limit=1000)
    finally:
        index.close()
    found: dict[str, Any] = {}
    for row in rows:
        with closing(sqlite3.connect(folder / row.id[:2] / f"{row.id}.sqlite")) as reader:
            tables = [name for (name,) in reader.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            stored = {name: reader.execute(f'SELECT * FROM "{name}"').fetchall() for name in sorted(tables)}
        found[row.id] = {
            "name": row.name,
            "alarm": row.alarm_ms,
            "stored": json.loads(json.dumps(stored, default=repr)),
        }
    files = {file.stem for file in folder.glob("??/*.sqlite")}
    assert files == set(found), "an object without an entry, or an entry without an object"
    return found

"""How ids are derived: byte for byte as on the platform, from what identifies the namespace."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

from tests.conformance.stage import Facts, Stage
from tests.integration.conftest import KEY

FACTS = Facts()

VECTORS = {
    "a": "c951f356ee2aa69c46aa8e1140bd62d65e4581f3e4cd40ec8773b99ac0fa9e5b",
    "hello": "8d161f16c7ebdd6174151302999a4dc8e8ffcc5989e3df3a4e598fefabbbeb17",
    "": "77cd791765fa16162b5c4efeb8f438e208b53d54aaa2a177404928d2c94b97a0",
}
"""Name → the id that workerd gives it in the namespace `probe-P`."""


def derived(namespace: str, name: str) -> str:
    secret = hashlib.sha256(namespace.encode()).digest()
    base = hmac.digest(secret, name.encode(), "sha256")[:16]
    return (base + hmac.digest(secret, base, "sha256")[:16]).hex()


@FACTS.both("2.2 an id is HMAC-SHA256 of the name, then of that, under the hash of what identifies the namespace")
def derivation(thing: Any, platform: Any) -> None:
    assert {name: derived("probe-P", name) for name in VECTORS} == VECTORS
    space = thing.env.THINGS
    for name in ("a", "", "é", "x" * 5000):
        assert space.idFromName(name).toString() == derived(KEY, name)


@FACTS.both("2.2 the second half of an id proves that it belongs to the namespace")
def proof(thing: Any, platform: Any) -> None:
    for made in (thing.env.THINGS.newUniqueId(), thing.env.THINGS.idFromName("a")):
        base = bytes.fromhex(str(made))[:16]
        secret = hashlib.sha256(KEY.encode()).digest()
        assert str(made)[32:] == hmac.digest(secret, base, "sha256")[:16].hex()


@FACTS.both_driven("2.2 an object's file is named after its id")
async def file(stage: Stage, platform: Any) -> None:
    await stage.run(lambda thing: thing.ctx.storage.put("k", 1), name="room")
    files: list[Path] = list((stage.gateway.folder / "state" / KEY).rglob("?" * 64 + ".sqlite"))
    assert [path.stem for path in files] == [derived(KEY, "room")]

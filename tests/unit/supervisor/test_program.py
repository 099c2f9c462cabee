"""What a host is told to load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from durable.config import Config
from durable.supervisor.program import Program
from durable.wire.codec import FrameReader, FrameWriter
from durable.wire.messages import FromGateway, Load, NamespaceInfo

ROOM = NamespaceInfo("Room-0123456789ab", "Room", True)


def over_the_wire(load: Load) -> Load:
    writer = FrameWriter()
    writer.append(load)
    reader: FrameReader[Load] = FrameReader(FromGateway)
    return reader.feed(bytes(writer.take()))[0]


def test_a_host_is_told_where_the_program_is_and_which_shard_it_has(configured: Callable[..., Config], tmp_path: Path):
    program = Program(configured('[dev]\nidle_seconds = 3\ndurability = "relaxed"\n'), [ROOM], tmp_path / "state")

    load = over_the_wire(program.load_message(host_number=7, shard=1, shards=2, preimport=["json"]))

    assert (load.root, load.main) == (str(tmp_path), str(tmp_path / "main.py"))
    assert load.state == str(tmp_path / "state")
    assert load.pitr_days == 30
    assert load.portability == "off"
    assert (load.host_number, load.shard, load.shards, load.preimport) == (7, 1, 2, ["json"])
    assert (load.idle_seconds, load.durability, load.compatibility_date) == (3.0, "relaxed", "2026-11-01")
    assert load.namespaces == [ROOM]
    assert load.bindings == {"ROOMS": "Room"}


def test_a_host_is_told_what_to_do_about_code_that_is_not_portable(configured: Callable[..., Config], tmp_path: Path):
    program = Program(configured('[dev]\nportability = "warn"\n'), [ROOM], tmp_path)

    assert over_the_wire(program.load_message(host_number=1, shard=0, shards=1)).portability == "warn"


def test_variables_and_secrets_arrive_as_the_values_they_are(configured: Callable[..., Config], tmp_path: Path):
    config = configured(
        '[vars]\nWORD = "plain"\nLIMITS = { rooms = 3, open = [true, 1.5] }\n', secrets='KEY="s3cret"\n'
    )

    load = over_the_wire(Program(config, [ROOM], tmp_path).load_message(host_number=1, shard=0, shards=1))

    assert load.vars == {
        "WORD": "plain",
        "LIMITS": {"rooms": 3, "open": [True, 1.5]},
        "KEY": "s3cret",
    }


def test_a_secret_is_not_in_what_a_crash_report_shows(configured: Callable[..., Config], tmp_path: Path):
    assert "s3cret" not in repr(Program(configured(secrets='KEY="s3cret"\n'), [ROOM], tmp_path))

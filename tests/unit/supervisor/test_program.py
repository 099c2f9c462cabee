"""What a host is told to load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from durable.config import Config
from durable.gateway.neighbours import Surroundings
from durable.supervisor.program import Program, asset_folders, config_files
from durable.wire.codec import FrameReader, FrameWriter
from durable.wire.messages import AssetsInfo, FromGateway, Load, NamespaceInfo, NeighbourClass, ServiceInfo

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
    assert load.portability == "auto"
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


def test_a_host_is_told_of_assets_that_the_code_can_ask_for_and_of_products_that_are_not_here(
    configured: Callable[..., Config], tmp_path: Path
):
    text = '[[kv_namespaces]]\nbinding = "CACHE"\n[assets]\ndirectory = "public"\n'
    config = replace(configured(text), compatibility_flags=("python_workers",))
    program = Program(config, [], tmp_path / "data" / "state")
    load = over_the_wire(program.load_message(host_number=1, shard=0, shards=1))
    assert load.assets is not None
    assert load.assets.binding == ""
    assert list(load.unserved) == ["CACHE"]
    assert load.compatibility_flags == ["python_workers"]

    bound = Program(configured(text + 'binding = "ASSETS"\n'), [], tmp_path / "data" / "state")
    load = over_the_wire(bound.load_message(host_number=1, shard=0, shards=1))
    data = tmp_path / "data"
    assert load.assets == AssetsInfo(
        "ASSETS",
        str(tmp_path / "public"),
        "auto-trailing-slash",
        "none",
        [str(tmp_path / "durable.toml"), str(data / "state"), str(data / "run"), str(data / "deleted")],
        False,
    )


def test_files_of_assets_are_not_the_programs_unless_the_program_lies_among_them(
    configured: Callable[..., Config], tmp_path: Path
):
    assert asset_folders(configured("")) == []
    assert asset_folders(configured('[assets]\ndirectory = "public"\n')) == [tmp_path / "public"]
    assert asset_folders(configured('[assets]\ndirectory = "."\n')) == []


def test_every_file_that_secrets_can_come_from_is_watched(configured: Callable[..., Config], tmp_path: Path):
    assert config_files(configured("")) == [
        tmp_path / name for name in ("durable.toml", ".dev.vars", ".env", ".env.local")
    ]


def test_a_host_is_told_what_its_program_finds_of_other_workers(configured: Callable[..., Config], tmp_path: Path):
    service = ServiceInfo("AUTH", "auth", "Admin", b"props")
    hall = NeighbourClass("HALL", "auth", "Hall", "Hall-0123456789ab")
    around = Surroundings((service,), (hall,), {"MAIL": "start mail as well"})

    load = over_the_wire(Program(configured(), [ROOM], tmp_path, around).load_message(host_number=1, shard=0, shards=1))

    assert (load.script, load.services, load.neighbours) == ("app", [service], [hall])
    assert load.unserved == {"MAIL": "start mail as well"}


def test_another_workers_new_class_is_a_reason_to_load_anew(configured: Callable[..., Config], tmp_path: Path):
    alone = Program(configured(), [ROOM], tmp_path)
    hall = NeighbourClass("HALL", "auth", "Hall", "Hall-0123456789ab")

    assert alone.loads_like(Program(configured(), [ROOM], tmp_path))
    assert not alone.loads_like(Program(configured(), [ROOM], tmp_path, Surroundings((), (hall,))))

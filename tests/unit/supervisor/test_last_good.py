"""What is kept of the code that serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from durable import config as configuration
from durable.config import Config
from durable.supervisor import last_good
from durable.supervisor.last_good import LastGood, sources_of
from durable.supervisor.program import Program
from durable.supervisor.watcher import sha256_of
from durable.wire.messages import NamespaceInfo


def written(folder: Path, **files: str) -> dict[str, str]:
    found = {}
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.write_text(text)
        found[str(path)] = sha256_of(path) or ""
    return found


def test_what_was_loaded_is_kept_byte_for_byte(tmp_path: Path):
    files = written(tmp_path, main="x = 1", part="y = 2")

    assert sources_of([files, dict(list(files.items())[:1])]) == {
        str(tmp_path / "main.py"): b"x = 1",
        str(tmp_path / "part.py"): b"y = 2",
    }


def test_what_the_disk_does_not_hold_any_more_was_not_loaded_from_it(tmp_path: Path):
    files = written(tmp_path, main="x = 1", part="y = 2")

    (tmp_path / "part.py").write_text("y = 3")
    assert sources_of([files]) is None
    (tmp_path / "part.py").unlink()
    assert sources_of([files]) is None


def test_hosts_that_loaded_different_things_loaded_nothing_that_can_serve(tmp_path: Path):
    first = written(tmp_path, main="x = 1")
    second = written(tmp_path, main="x = 2")

    assert sources_of([first, second]) is None
    assert sources_of([second, second]) is not None


def test_of_a_program_that_is_too_large_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(last_good, "SOURCES_KEPT_BYTES_MAX", 10)
    files = written(tmp_path, main="x = 1", part="y = 2345")

    assert sources_of([files]) == {}
    assert sources_of([written(tmp_path, main="x = 1", part="y = 2")]) != {}


def test_sources_are_needed_while_the_disk_holds_something_else(configured: Callable[..., Config], tmp_path: Path):
    program = Program(configured(), [], tmp_path)
    files = written(tmp_path, main="class Room: ...")
    sources = sources_of([files])
    assert sources
    good = LastGood(program, files, sources, ["Room"])

    assert good.missing_on_disk() == {}
    (tmp_path / "main.py").write_text("broken(")
    assert good.missing_on_disk() == sources
    (tmp_path / "main.py").write_text("class Room: ...")
    assert good.missing_on_disk() == {}


@pytest.mark.parametrize(
    ("edit", "fits"),
    [
        ("# a comment\n", True),
        ("[dev]\ndrain_seconds = 1\n", True),
        ("[dev]\nport = 9999\n", True),
        ("[dev]\nmemory_mb = 500\n", False),
        ("[dev]\nidle_seconds = 1\n", False),
        ("[vars]\nWORD = 'hello'\n", False),
        ("[[durable_objects.bindings]]\nname = 'HALLS'\nclass_name = 'Hall'\n", False),
        ("[[migrations]]\ntag = 'v2'\nnew_sqlite_classes = ['Hall']\n", False),
    ],
)
def test_code_fits_a_configuration_that_changes_nothing_for_its_hosts(
    configured: Callable[..., Config], tmp_path: Path, edit: str, fits: bool
):
    spaces = [NamespaceInfo("Room-1", "Room")]
    program = Program(configured(), spaces, tmp_path)
    good = LastGood(program, {}, {}, ["Room"])
    edited = configured(edit)

    assert good.fits(Program(edited, spaces, tmp_path)) is fits


def test_a_secret_is_a_setting_that_hosts_have_to_know(configured: Callable[..., Config], tmp_path: Path):
    program = Program(configured(secrets="TOKEN=a\n"), [], tmp_path)

    assert not program.loads_like(Program(configured(secrets="TOKEN=b\n"), [], tmp_path))
    assert program.loads_like(replace(program, config=configuration.load(tmp_path / "durable.toml"))) is False
    assert program.loads_like(program)

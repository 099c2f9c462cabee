"""Importing the user's program: from source, with hashes, and without mistaking packages for the project."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.host.loader import Project, preimport


@pytest.fixture(autouse=True)
def untouched_imports() -> Iterator[None]:
    path, finders, modules = list(sys.path), list(sys.meta_path), set(sys.modules)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return str(folder / "program.py")


def test_every_project_file_that_was_read_is_known_by_its_hash(tmp_path: Path) -> None:
    main = write(tmp_path, program="import part_of_it", part_of_it="x = 1")
    project = Project(str(tmp_path), main)
    project.load()
    assert {Path(file).name for file in project.hashes} == {"program.py", "part_of_it.py"}
    assert project.hashes[main] == hashlib.sha256(b"import part_of_it").hexdigest()


def test_an_edit_of_the_same_size_within_the_same_second_is_seen(tmp_path: Path) -> None:
    main = write(tmp_path, program="import changing\nvalue = changing.x", changing="x = 1")
    first = Project(str(tmp_path), main)
    first.load()
    stamp = os.stat(tmp_path / "changing.py")
    (tmp_path / "changing.py").write_text("x = 2")
    os.utime(tmp_path / "changing.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    del sys.modules["changing"]
    second = Project(str(tmp_path), main)
    second.load()
    assert vars(second.module)["value"] == 2


def test_a_file_that_does_not_compile_is_still_known(tmp_path: Path) -> None:
    main = write(tmp_path, program="def broken(:")
    project = Project(str(tmp_path), main)
    with pytest.raises(SyntaxError):
        project.load()
    assert list(project.hashes) == [main]


def test_classes_are_those_of_the_main_module_by_their_own_names(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        program=(
            "from durable import DurableObject, WorkerEntrypoint\n"
            "class Room(DurableObject): ...\n"
            "class Default(WorkerEntrypoint): ...\n"
            "class _Hidden(DurableObject): ...\n"
            "class Other: ...\n"
            "Alias = Room\n"
        ),
    )
    project = Project(str(tmp_path), main)
    project.load()
    assert sorted(project.classes()) == ["Default", "Room"]


@pytest.mark.parametrize(
    ("file", "owned"),
    [
        ("main.py", True),
        ("package/part.py", True),
        (".venv/lib/python3.11/site-packages/x.py", False),
        ("vendor/site-packages/x.py", False),
        ("../elsewhere.py", False),
    ],
)
def test_packages_inside_the_project_folder_are_not_the_users_own(tmp_path: Path, file: str, owned: bool) -> None:
    project = Project(str(tmp_path), str(tmp_path / "main.py"))
    assert project.owns(os.path.normpath(tmp_path / file)) is owned


def test_a_package_that_cannot_be_preimported_is_left_to_the_program(tmp_path: Path) -> None:
    write(tmp_path, exits_at_import="raise SystemExit(3)")
    sys.path.insert(0, str(tmp_path))
    preimport(["exits_at_import", "no_such_module_at_all", "colorsys"])
    assert "colorsys" in sys.modules

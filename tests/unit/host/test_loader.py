"""Importing the user's program: from source, with hashes, and without mistaking packages for the project."""

import hashlib
import importlib.util
import linecache
import os
import sys
import threading
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


def test_what_a_standby_imported_ahead_of_time_still_counts_as_used(tmp_path: Path) -> None:
    main = write(tmp_path, program="import colorsys, json")
    warm = preimport(["colorsys"])
    project = Project(str(tmp_path), main, warm=["colorsys", *warm])
    project.load()
    assert "colorsys" in project.third_party_modules()


def test_only_libraries_are_imported_ahead_of_time(tmp_path: Path) -> None:
    app, shared, site = tmp_path / "app", tmp_path / "shared", tmp_path / "site-packages"
    for folder in (app, shared, site):
        folder.mkdir()
    write(shared, in_progress="x = 1")
    write(site, installed="x = 1")
    sys.path[:0] = [str(shared), str(site)]
    main = write(app, program="import in_progress, installed")
    project = Project(str(app), main)
    project.load()
    assert "installed" in project.third_party_modules()
    assert "in_progress" not in project.third_party_modules()
    # But it is watched, wherever it is.
    assert set(project.hashes) == {main, str(shared / "in_progress.py")}


def test_a_module_that_another_finder_found_is_watched_too(tmp_path: Path) -> None:
    app, elsewhere = tmp_path / "app", tmp_path / "elsewhere"
    app.mkdir()
    elsewhere.mkdir()
    write(elsewhere, editable="x = 1")

    class EditableFinder:
        @staticmethod
        def find_spec(name: str, path: object, target: object = None) -> object:
            if name == "editable":
                return importlib.util.spec_from_file_location(name, elsewhere / "editable.py")
            return None

    sys.meta_path.append(EditableFinder)  # type: ignore[arg-type]
    main = write(app, program="import editable")
    project = Project(str(app), main)
    project.load()
    assert set(project.hashes) == {main, str(elsewhere / "editable.py")}


def test_a_package_whose_import_starts_a_thread_is_left_to_the_program(tmp_path: Path) -> None:
    app, site = tmp_path / "app", tmp_path / "site-packages"
    (site / "busy").mkdir(parents=True)
    app.mkdir()
    (site / "busy" / "__init__.py").write_text("from busy import worker")
    (site / "busy" / "worker.py").write_text(
        "import threading\nthread = threading.Thread(target=lambda: None)\nthread.start()\nthread.join()"
    )
    write(site, needs_busy="import busy", quiet="x = 1")
    sys.path.insert(0, str(site))
    main = write(app, program="import needs_busy, quiet")
    start = threading.Thread.start
    project = Project(str(app), main)
    project.load()
    third_party = project.third_party_modules()
    assert "quiet" in third_party
    assert {"busy", "busy.worker", "needs_busy"}.isdisjoint(third_party)
    assert threading.Thread.start is start


def test_sources_that_are_handed_in_are_loaded_in_place_of_what_the_disk_holds(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    main = write(tmp_path, program="broken(", words="WORD = 'new'")
    sources = {
        main: b"from parts.one import X\nfrom words import WORD\nvalue = (X, WORD)",
        str(tmp_path / "parts" / "__init__.py"): b"",
        str(tmp_path / "parts" / "one.py"): b"X = 1",  # not on the disk any more
        str(tmp_path / "words.py"): b"WORD = 'old'",
    }
    project = Project(str(tmp_path), main, sources=sources)
    project.load()
    assert vars(project.module)["value"] == (1, "old")
    assert project.hashes == {file: hashlib.sha256(source).hexdigest() for file, source in sources.items()}


def test_the_lines_that_are_quoted_are_those_that_ran(tmp_path: Path) -> None:
    main = write(tmp_path, program="value = 1\nother = 2\n")
    Project(str(tmp_path), main).load()
    (tmp_path / "program.py").write_text("# a line that was saved later\nvalue = 1\n")
    linecache.checkcache(main)
    assert linecache.getline(main, 2) == "other = 2\n"


def test_an_alias_is_no_module_that_a_standby_could_import(tmp_path: Path) -> None:
    main = write(tmp_path, program="import sys, colorsys\nsys.modules['another_name'] = colorsys")
    sys.modules.pop("colorsys", None)
    project = Project(str(tmp_path), main)
    project.load()

    assert "colorsys" in project.third_party_modules()
    assert "another_name" not in project.third_party_modules()


@pytest.mark.parametrize("folder", ["python_modules", ".venv-workers/lib"])
def test_packages_that_the_platforms_tools_put_into_the_project_are_not_its_own(tmp_path: Path, folder: str) -> None:
    project = Project(str(tmp_path), str(tmp_path / "entry.py"))

    assert not project.owns(str(tmp_path / folder / "package.py"))
    assert project.own_file(str(tmp_path / folder / "package.py")) is None
    assert project.own_file(str(tmp_path / "rooms" / "chat.py")) == os.path.join("rooms", "chat.py")


def test_the_sources_of_a_project_are_those_that_were_compiled(tmp_path: Path) -> None:
    main = write(tmp_path, program="import part_of_it\n", part_of_it="x = 1\n", unused="y = 2\n")
    project = Project(str(tmp_path), main)
    project.load()
    (tmp_path / "part_of_it.py").write_text("x = 2\n")

    assert dict(project.own_sources()) == {main: "import part_of_it\n", str(tmp_path / "part_of_it.py"): "x = 1\n"}

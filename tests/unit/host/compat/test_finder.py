"""Where `import workers` leads, and where it does not."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.host.compat import finder
from durable.host.loader import Project


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    path, finders, modules = list(sys.path), list(sys.meta_path), dict(sys.modules)
    yield
    finder.remove()
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - set(modules):
        if name.partition(".")[0] in {"main", "entry", "workers", "js", "asgi"}:
            del sys.modules[name]


def load(folder: Path, program: str, **modules: str) -> Project:
    """A project with this main module and these others, in their folders."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "main.py").write_text(program)
    project = Project(str(folder), str(folder / "main.py"))
    finder.install()
    project.load()
    return project


def installed(folder: Path, name: str) -> str:
    """A package of this name as an installer would leave it, in front of everything."""
    packages = folder / "lib" / "site-packages"
    (packages / name).mkdir(parents=True)
    (packages / name / "__init__.py").write_text("ORIGIN = 'installed'\n")
    sys.path.insert(0, str(packages))
    importlib.invalidate_caches()
    return str(packages)


@pytest.mark.parametrize("name", sorted(finder.NAMES))
def test_every_name_is_an_alias_of_the_module_itself(name: str) -> None:
    finder.install()
    assert importlib.import_module(name) is importlib.import_module(f"durable.host.compat.{finder.NAMES[name]}")


@pytest.mark.parametrize("statement", ["import workers", "import js", "import pyodide.ffi", "import asgi"])
def test_without_the_finder_there_is_none_of_them(statement: str) -> None:
    finder.remove()
    with pytest.raises(ModuleNotFoundError):
        exec(statement)


def test_a_gateway_the_command_and_importing_durable_know_no_such_modules() -> None:
    code = (
        "import importlib.util, durable, durable.emulator, durable.gateway.server, durable_cli.main\n"
        "print([name for name in ('workers', 'js', 'pyodide', 'asgi') if importlib.util.find_spec(name)])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_a_submodule_is_found_from_its_package_and_by_its_name() -> None:
    finder.install()
    names: dict[str, object] = {}
    exec("from workers import asgi, wsgi\nimport workers.asgi\nfrom pyodide import ffi\nimport pyodide.ffi", names)
    assert names["asgi"] is sys.modules["workers.asgi"]
    assert names["ffi"] is sys.modules["pyodide.ffi"]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("workers.nothing")


def test_the_projects_own_module_wins_over_ours(tmp_path: Path) -> None:
    project = load(tmp_path, "import js\nORIGIN = js.ORIGIN\n", js="ORIGIN = 'project'\n")
    assert project.module is not None
    assert project.module.ORIGIN == "project"
    assert not finder.is_used()


def test_a_folder_of_that_name_is_no_module_of_the_projects(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "page.js").write_text("// for browsers")
    project = load(tmp_path, "import js\nnow = js.Date.now()\n")
    assert project.module is not None
    assert isinstance(project.module.now, int)


def test_below_a_package_of_the_projects_there_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "__init__.py").write_text("")
    load(tmp_path, "import workers\n")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("workers.asgi")


def test_ours_wins_over_what_is_installed(tmp_path: Path) -> None:
    installed(tmp_path, "workers")
    (tmp_path / "project").mkdir()
    load(tmp_path / "project", "from workers import DurableObject\n")
    assert finder.is_used()


def test_without_the_finder_it_is_the_installed_one(tmp_path: Path) -> None:
    installed(tmp_path, "workers")
    finder.remove()
    assert importlib.import_module("workers").ORIGIN == "installed"
    assert not finder.is_used()


@pytest.mark.parametrize(
    ("program", "used"),
    [
        ("import workers", True),
        ("from js import Date", True),
        ("from pyodide.ffi import to_js", True),
        ("import asgi", False),
        ("import durable", False),
    ],
)
def test_a_program_is_the_platforms_when_it_imports_the_platforms_modules(
    tmp_path: Path, program: str, used: bool
) -> None:
    load(tmp_path, program)
    assert finder.is_used() is used


def test_installing_anew_forgets_what_the_last_program_imported(tmp_path: Path) -> None:
    load(tmp_path, "import workers")
    finder.install()
    assert not finder.is_used()
    assert sum(isinstance(each, finder.CompatFinder) for each in sys.meta_path) == 1


STANDBY = """
import sys
from durable.host.compat import finder
from durable.host.loader import Project, preimport

project = Project({folder!r}, {folder!r} + "/main.py")
finder.install()
project.load()
wanted = project.third_party_modules()
assert finder.is_used()
finder.remove()
preimport(wanted)
print(finder.is_used(), sorted(set(wanted) & set(finder.NAMES)), "durable.host.compat.workers" in wanted)
"""


def test_a_standby_imports_the_modules_by_their_own_names_only(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import workers, asgi, pyodide.ffi\n")
    code = STANDBY.format(folder=str(tmp_path))
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False [] True"

"""docs/cloudflare.md is true: its project runs as it stands there, and each row and point has a test that shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from durable.testing import run
from tests.acceptance.cloudflare_project import PROJECTS as FOLDERS
from tests.acceptance.cloudflare_project import ask, dial
from tests.acceptance.running_dev import WAIT_SECONDS, Dev, rows, typed
from tests.settings import settings

REPO = Path(__file__).parents[2]
DOCUMENT = (REPO / "docs" / "cloudflare.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))
CLAIMS = [
    match[1].strip()
    for match in re.finditer(r"^(?:\| (.+?) \|(?: .*)\|$|\* \*\*(.+?)\*\*)", DOCUMENT, re.MULTILINE)
    if match[1]
] + re.findall(r"^\* \*\*(.+?)\*\*", DOCUMENT, re.MULTILINE)
HEADINGS = {"file", "of the platform"}

PROJECTS, COMPANY, HANDBOOK = (
    f"tests/acceptance/test_cloudflare_{name}.py" for name in ("projects", "company", "handbook")
)
HERE = "tests/acceptance/test_docs_cloudflare.py"
SHOWN_BY = {
    "`durable.toml`": (HERE, "test_a_durable_toml_comes_before_the_files_of_wrangler"),
    "`wrangler.jsonc`, `wrangler.json`, `wrangler.toml`": (PROJECTS, "test_an_environment_of_wrangler_toml_is_chosen"),
    "`pyproject.toml`": (HERE, "test_a_package_that_is_missing_is_named_with_the_command"),
    "`.dev.vars`, `.env`": (HERE, "test_secrets_come_from_files_and_the_command_line_comes_before_them"),
    "`.durable/`": (HERE, "test_the_project_of_the_page_runs_as_it_stands_there"),
    "`from workers import …`": ("tests/conformance/facts_1_1.py", "1.1 workers.__all__ is what it is there"),
    "`Default`, named entrypoints, handlers": (HANDBOOK, "test_a_worker_from_before_classes_serves_by_its_global"),
    "Durable Objects": (PROJECTS, "test_classes_inherit_over_several_levels_and_modules"),
    "RPC": ("tests/conformance/facts_10_3.py", "10.3 methods of an RpcTarget are called on one object, and pipelined"),
    "HTTP": (HANDBOOK, "test_forms_are_read_and_made"),
    "`from js import …`": ("tests/conformance/facts_1_1.py", "1.1 classes of JavaScript are in js"),
    "`from pyodide.ffi import …`": ("tests/conformance/facts_1_1.py", "1.1 the modules beside it are there"),
    "FastAPI, Starlette and other ASGI apps": (COMPANY, "test_a_fastapi_app_serves_inside_an_object"),
    "Flask and other WSGI apps": (COMPANY, "test_a_flask_app_asks_objects_from_its_synchronous_views"),
    "service bindings, classes of another worker": (COMPANY, "test_an_object_of_another_worker_is_the_same_object"),
    "[static assets](assets.md)": (COMPANY, "test_a_single_page_application_and_its_api_share_a_port"),
    "cron triggers": (HANDBOOK, "test_work_goes_on_behind_an_answer_and_a_cron_trigger_runs"),
    "There is no JavaScript.": ("tests/conformance/facts_1_4.py", "1.4 an auto-response that was not set is jsnull"),
    "Values keep their Python meaning.": (HERE, "test_the_configuration_can_make_portability_an_error"),
    "What arrives is more.": ("tests/conformance/facts_1_5.py", "1.5 bytes arrive as bytes that have what a buffer"),
    "Exceptions keep their type.": ("tests/conformance/facts_1_7.py", "1.7 what the callee raises is raised here as"),
    "A constructor that fails runs again": ("tests/conformance/facts_1_3.py", "1.3 a constructor that fails runs"),
    "There is one place.": (HERE, "test_hints_about_places_are_accepted"),
    "More is allowed.": (HERE, "test_the_configuration_can_make_portability_an_error"),
    "KV, R2, D1, Queues, Workers AI, Vectorize, Hyperdrive and the other products with a binding": (
        COMPANY,
        "test_a_product_that_is_not_here_is_told_once_at_start_and_at_use",
    ),
    "Workflows": ("tests/conformance/facts_1_2.py", "1.2 a workflow can be defined, and is told"),
    "other names of `js`: `caches`, `HTMLRewriter`, `AbortController` …": (
        "tests/conformance/facts_1_1.py",
        "1.1 names of js that are not here say what to write instead",
    ),
    "`_headers` and `_redirects` of static assets": (HERE, "test_rules_for_assets_are_told_not_to_be_applied"),
    "facets, containers": ("tests/conformance/facts_1_4.py", "1.4 ctx has no container, empty props, and no name that"),
    "`routes`, `observability`, `limits`, `placement` and other keys about deploying": (
        HERE,
        "test_keys_about_deploying_are_listed_once",
    ),
}
"""The first words of each row and point → the file and the words in it that name the test or the fact."""

Starter = Callable[..., Dev]
TOML = settings("Page", "PAGES")


def write_page(folder: Path, **changes: object) -> Path:
    """The project of the page, with other keys in its configuration."""
    keys = json.loads(FILES["wrangler.jsonc"]) | changes
    (folder / "src").mkdir(exist_ok=True)
    (folder / "wrangler.jsonc").write_text(json.dumps(keys))
    (folder / "src" / "entry.py").write_text(FILES["src/entry.py"])
    return folder


def write(folder: Path, code: str, **changes: object) -> Path:
    """The page's project, but with a worker that answers with what `code`, the body of an async method, returns."""
    program = (
        "import workers\nfrom workers import DurableObject, Response, WorkerEntrypoint\n\n\n"
        "class Page(DurableObject):\n    pass\n\n\nclass Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request):\n        return Response.json(await self.answer(request))\n\n"
        "    async def answer(self, request):\n" + textwrap.indent(textwrap.dedent(code).strip(), " " * 8) + "\n"
    )
    write_page(folder, **changes)
    (folder / "src" / "entry.py").write_text(program)
    return folder


def test_every_row_and_point_of_the_page_names_what_shows_it() -> None:
    assert sorted(set(CLAIMS) - HEADINGS) == sorted(SHOWN_BY)


@pytest.mark.parametrize("claim", SHOWN_BY)
def test_what_shows_it_is_there(claim: str) -> None:
    file, words = SHOWN_BY[claim]

    assert words in (REPO / file).read_text("utf-8")


def test_the_project_of_the_page_runs_as_it_stands_there(tmp_path: Path, start_dev: Starter) -> None:
    assert set(FILES) == {"wrangler.jsonc", "src/entry.py"}
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    dev = start_dev(tmp_path, "--no-reload").wait_ready()

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", dev.url)
    assert ask(dev, "/ann").json == {"visitor": 1}
    with dial(dev, "/") as watcher:
        assert ask(dev, "/bob").json == {"visitor": 2}
        assert watcher.recv(timeout=WAIT_SECONDS) == "bob is visitor 2; you came as a watcher"
    assert [row["who"] for row in rows(typed(tmp_path, "sql", "Page", "home", "SELECT * FROM visits", "--json"))] == [
        "ann",
        "bob",
    ]
    assert len(list((tmp_path / ".durable" / "state").rglob("*/*/*.sqlite"))) == 1


def test_the_project_of_the_page_runs_inside_a_test(tmp_path: Path) -> None:
    write_page(tmp_path)

    for _ in range(2):
        with run(tmp_path / "wrangler.jsonc") as app:
            assert json.loads(app.get("/ann").body) == {"visitor": 1}


def test_the_clock_of_such_a_test_can_be_moved(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDERS / "handbook", tmp_path / "handbook")

    with run(folder / "wrangler.jsonc") as app:
        app.post("/batch", data="one")
        assert json.loads(app.get("/batches").body) == []
        app.advance(timedelta(seconds=10))
        assert json.loads(app.get("/batches").body) == [["one"]]


def test_a_durable_toml_comes_before_the_files_of_wrangler(tmp_path: Path, start_dev: Starter) -> None:
    write_page(tmp_path)
    (tmp_path / "durable.toml").write_text(TOML)
    (tmp_path / "main.py").write_text(FILES["src/entry.py"].replace('"visitor"', '"guest"'))

    assert ask(start_dev(tmp_path, "--no-reload").wait_ready(), "/ann").json == {"guest": 1}


def test_a_package_that_is_missing_is_named_with_the_command(tmp_path: Path, start_dev: Starter) -> None:
    write(tmp_path, "return 1")
    entry = tmp_path / "src" / "entry.py"
    entry.write_text("import nowhere_to_be_found\n" + entry.read_text())
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "own"\ndependencies = ["nowhere-to-be-found"]\n')

    dev = start_dev(tmp_path, "--no-reload")

    dev.wait_told("nowhere-to-be-found")
    dev.wait_told("pip install")


def test_secrets_come_from_files_and_the_command_line_comes_before_them(tmp_path: Path, start_dev: Starter) -> None:
    write(tmp_path, "return [self.env.A, self.env.B, self.env.C, workers.env.A]", vars={"A": "file", "B": "file"})
    (tmp_path / ".dev.vars").write_text("B=secret\nC=secret\n")

    assert ask(start_dev(tmp_path, "--var", "C=typed").wait_ready(), "/").json == ["file", "secret", "typed", "file"]


def test_a_module_of_the_project_comes_before_ours_of_that_name(tmp_path: Path, start_dev: Starter) -> None:
    write(tmp_path, "import js\nreturn js.mine")
    (tmp_path / "src" / "js.py").write_text("mine = 'the own one'\n")

    assert ask(start_dev(tmp_path, "--no-reload").wait_ready(), "/").json == "the own one"


@pytest.mark.parametrize("name", ["workers", "js", "pyodide.ffi", "asgi"])
def test_the_names_of_the_platform_are_importable_in_the_program_only(name: str) -> None:
    code = f"import durable, durable_cli.main, durable.emulator, durable.host.compat\nimport {name}"

    outside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert outside.stderr.splitlines()[-1].startswith("ModuleNotFoundError: No module named ")


def test_the_configuration_can_make_portability_an_error(tmp_path: Path, start_dev: Starter) -> None:
    code = """
    import threading
    started = threading.Thread(target=print)
    started.start()
    started.join()
    return "a thread"
    """
    dev = start_dev(write(tmp_path, code), "--no-reload").wait_ready()
    assert ask(dev, "/").json == "a thread"
    assert "docs/portability.md#" in dev.wait_told("thread")
    assert dev.end() == 0

    refused = ask(start_dev(write(tmp_path, code, dev={"portability": "error"}), "--no-reload").wait_ready(), "/")

    assert refused.status == 500
    assert "PortabilityError" in refused.text


def test_hints_about_places_are_accepted(tmp_path: Path, start_dev: Starter) -> None:
    code = """
    pages = self.env.PAGES
    hinted = pages.get(pages.idFromName("a"), locationHint="enam")
    european = pages.jurisdiction("eu").getByName("a")
    unique = str(pages.newUniqueId(jurisdiction="eu"))
    return [hinted.id.equals(pages.idFromName("a")), european.name, len(unique), request.cf.city]
    """

    assert ask(start_dev(write(tmp_path, code), "--no-reload").wait_ready(), "/").json == [True, "a", 64, None]


def test_rules_for_assets_are_told_not_to_be_applied(tmp_path: Path, start_dev: Starter) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text("page")
    (tmp_path / "public" / "_headers").write_text("/*\n  x-own: 1\n")

    dev = start_dev(write(tmp_path, "return 1", assets={"directory": "public"}), "--no-reload").wait_ready()

    assert "_headers" in dev.wait_told("_headers")
    answer = ask(dev, "/")
    assert (answer.text, "x-own" in answer.headers) == ("page", False)


def test_keys_about_deploying_are_listed_once(tmp_path: Path, start_dev: Starter) -> None:
    keys = {"routes": ["example.com/*"], "observability": {"enabled": True}, "limits": {"cpu_ms": 50}}

    dev = start_dev(write(tmp_path, "return 1", **keys, placement={"mode": "smart"}), "--no-reload").wait_ready()

    (told,) = [line for line in dev.err if "observability" in line]
    assert "without effect here" in told
    assert [key for key in (*keys, "placement") if key not in told] == []

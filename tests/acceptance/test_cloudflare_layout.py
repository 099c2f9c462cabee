"""A project in the layout that Cloudflare documents, started with `durable dev` and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.running_dev import Dev, typed

ENTRY = """\
from greetings import greeting
from workers import DurableObject, Response, WorkerEntrypoint, env


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS hits(n INTEGER)")

    async def hit(self):
        self.sql.exec("INSERT INTO hits VALUES (1)")
        return self.sql.exec("SELECT count(*) AS n FROM hits").one()["n"]


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        values = {name: getattr(self.env, name, None) for name in ("MODE", "LIMITS", "TOKEN", "FLAG", "LOCAL")}
        stub = self.env.COUNTER.getByName("a")
        return Response.json({**values, "greeting": greeting(), "hits": await stub.hit()})
"""

TOML = """\
#:schema node_modules/wrangler/config-schema.json
name = "layout"
main = "src/entry.py"
compatibility_date = "2026-01-01"
compatibility_flags = ["python_workers"]
workers_dev = true
upload_source_maps = true

[observability]
enabled = true

[vars]
MODE = "development"
LIMITS = { rooms = 3, names = ["a", "b"] }

[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]

[env.staging]
vars = { MODE = "staging" }
durable_objects.bindings = [{ name = "COUNTER", class_name = "Counter" }]
"""

JSONC = """\
{
  "$schema": "node_modules/wrangler/config-schema.json",
  "name": "layout",
  "main": "src/entry.py",
  "compatibility_date": "2026-01-01",
  "compatibility_flags": ["python_workers"],
  "workers_dev": true,
  "upload_source_maps": true,
  "observability": { "enabled": true },
  "vars": { "MODE": "development", "LIMITS": { "rooms": 3, "names": ["a", "b"] } },
  "durable_objects": { "bindings": [{ "name": "COUNTER", "class_name": "Counter" }] },
  "migrations": [{ "tag": "v1", "new_sqlite_classes": ["Counter"] }],
  "env": {
    "staging": {
      "vars": { "MODE": "staging" },
      "durable_objects": { "bindings": [{ "name": "COUNTER", "class_name": "Counter" }] },
    },
  },
}
"""

PYPROJECT = '[project]\nname = "layout"\nversion = "0.1.0"\nrequires-python = ">=3.11"\ndependencies = []\n'


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "entry.py").write_text(ENTRY)
    (tmp_path / "src" / "greetings.py").write_text('def greeting():\n    return "hello"\n')
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    return tmp_path


def values_of(dev: Dev) -> dict[str, object]:
    status, text = dev.get("/")
    assert status == 200, text
    return json.loads(text)


@pytest.mark.parametrize(
    ("file", "text"), [("wrangler.toml", TOML), ("wrangler.jsonc", JSONC), ("wrangler.json", JSONC)]
)
def test_it_starts_unchanged(file: str, text: str, layout: Path, start_dev: Callable[..., Dev]) -> None:
    (layout / file).write_text(text)
    (layout / ".dev.vars").write_text('TOKEN="hunter2"\nFLAG=secret\n')
    dev = start_dev(layout, "--var", "FLAG=typed", "--var", "LOCAL=1").wait_ready()

    assert values_of(dev) == {
        "MODE": "development",
        "LIMITS": {"rooms": 3, "names": ["a", "b"]},
        "TOKEN": "hunter2",
        "FLAG": "typed",
        "LOCAL": "1",
        "greeting": "hello",
        "hits": 1,
    }
    assert values_of(dev)["hits"] == 2
    assert "hunter2" not in dev.told
    assert f"note: {file}:" in dev.told
    for key in ("workers_dev", "upload_source_maps", "observability"):
        assert dev.told.count(key) == 1
    assert "warning" not in dev.told


def test_an_environment_has_values_and_secrets_of_its_own(layout: Path, start_dev: Callable[..., Dev]) -> None:
    (layout / "wrangler.toml").write_text(TOML)
    (layout / ".env").write_text("TOKEN=general\nLOCAL=no\n")
    (layout / ".env.local").write_text("LOCAL=yes\n")
    (layout / ".env.staging").write_text("TOKEN=staging\n")
    dev = start_dev(layout, "--env", "staging").wait_ready()
    values = values_of(dev)
    assert (values["MODE"], values["LIMITS"], values["TOKEN"], values["LOCAL"]) == ("staging", None, "staging", "yes")
    assert "layout-staging [staging]" in dev.told


def test_a_secret_that_is_saved_reloads_the_code(layout: Path, start_dev: Callable[..., Dev]) -> None:
    (layout / "wrangler.toml").write_text(TOML)
    dev = start_dev(layout).wait_ready()
    assert values_of(dev)["TOKEN"] is None
    (layout / ".env.local").write_text("TOKEN=new\n")
    dev.wait_told("reloaded")
    assert values_of(dev)["TOKEN"] == "new"


def test_other_commands_do_not_repeat_what_has_no_effect(layout: Path) -> None:
    (layout / "wrangler.toml").write_text(TOML)
    result = typed(layout, "migrate", "status")
    assert result.returncode == 0
    assert "observability" not in result.stdout + result.stderr


def test_code_for_another_language_is_refused_with_the_place(layout: Path) -> None:
    (layout / "wrangler.toml").write_text(TOML.replace("src/entry.py", "src/index.ts"))
    result = typed(layout, "dev")
    assert result.returncode == 2
    assert "wrangler.toml:3:8" in result.stderr
    assert 'expected "main" to be the path of a Python file, got "src/index.ts" (a string)' in result.stderr


def test_a_dependency_that_is_not_installed_is_named_with_what_to_type(layout: Path) -> None:
    """In an environment of the project's own, as `uv` and `python -m venv` make it."""
    (layout / "wrangler.toml").write_text(TOML)
    (layout / "pyproject.toml").write_text(PYPROJECT.replace("[]", '["never-heard-of-it>=3", "pytest"]'))
    (layout / "src" / "entry.py").write_text("import never_heard_of_it\n" + ENTRY)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", layout / ".venv"], check=True
    )
    site = next((layout / ".venv" / "lib").glob("python3.*/site-packages"))
    # The engine and pytest are those of the environment that runs this test; pip is hidden.
    (site / "engine.pth").write_text("\n".join(path for path in sys.path if path))
    python = layout / ".venv" / "bin" / "python"
    result = typed(layout, "dev", "--no-reload", "--port", "0")
    assert result.returncode == 5
    told = "never-heard-of-it is among the dependencies in pyproject.toml, and not installed for"
    line = next(line for line in result.stderr.splitlines() if told in line)
    assert f"{told} {python}. Type: " in line
    assert line.endswith("'never-heard-of-it>=3'")

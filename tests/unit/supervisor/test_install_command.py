"""What to type depends on who made the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.supervisor.install_command import install_command


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        (None, "{python} -m pip install durable==1.0"),
        ("home = /usr/bin\nversion = 3.12\n", "{python} -m pip install durable==1.0"),
        ("home = /usr/bin\nuv = 0.9.1\n", "uv pip install --python {python} durable==1.0"),
    ],
)
def test_an_environment_of_uv_has_no_pip(settings: str | None, command: str, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    if settings is not None:
        (tmp_path / ".venv" / "pyvenv.cfg").write_text(settings)
    assert install_command(str(python), "durable==1.0") == command.format(python=python)


def test_a_folder_with_spaces_is_quoted(tmp_path: Path) -> None:
    python = tmp_path / "my env" / "bin" / "python"
    assert install_command(str(python), "durable==1.0") == f"'{python}' -m pip install durable==1.0"

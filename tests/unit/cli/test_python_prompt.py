"""Which Python prompt is opened; the standard one on a terminal: tests/acceptance."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from durable.errors import DurableError, UserInputError
from durable_cli.python_prompt import prompt


class Recorded:
    """Stands in for the packages, and notes what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def module(self, name: str) -> ModuleType:
        module: Any = ModuleType(name)
        module.embed = lambda **options: self.asked.append(("ptpython", options))
        module.InteractiveShellEmbed = lambda **options: Shell(self, options)
        return module


class Shell:
    """What is used of IPython's."""

    def __init__(self, recorded: Recorded, options: dict[str, Any]) -> None:
        self._recorded = recorded
        self._options = options
        self._tell: Any = None

    def set_custom_exc(self, kinds: tuple[type[BaseException], ...], tell: Any) -> None:
        assert kinds == (DurableError,)
        self._tell = tell

    def __call__(self) -> None:
        self._recorded.asked.append(("IPython", self._options))
        error = UserInputError("told as commands do", fix="something else")
        self._tell(self, UserInputError, error, None, tb_offset=1)


@pytest.mark.parametrize(
    ("installed", "opened"),
    [({"ptpython", "IPython"}, "ptpython"), ({"IPython"}, "IPython"), (set(), "standard")],
)
def test_the_best_prompt_that_is_installed_is_opened_with_the_names(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    installed: set[str],
    opened: str,
) -> None:
    recorded = Recorded()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(importlib, "import_module", recorded.module)
    monkeypatch.setattr(
        prompt, "_standard", lambda names, label, history: recorded.asked.append(("standard", {"ns": names}))
    )
    names = {"obj": 1}

    prompt.run_prompt(names, label='Room "a"', banner="hello", run_folder=tmp_path)

    [(which, options)] = recorded.asked
    assert which == opened
    assert names in options.values()
    assert ("error: told as commands do\n  fix: something else\n" in capsys.readouterr().err) == (opened == "IPython")

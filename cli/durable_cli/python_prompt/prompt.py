"""The Python prompt itself: ptpython or IPython where they are installed, else the one of the standard library.

Must not know what the names at the prompt are.
"""

from __future__ import annotations

import code
import importlib
import importlib.util
import rlcompleter
import sys
from pathlib import Path
from typing import Any, Final

from durable.errors import DurableError
from durable_cli import console, report
from durable_cli.objects.calling import CallFailedError
from durable_cli.sql.shell.editing import editing

HISTORY_FILE: Final = "shell_history"


def run_prompt(names: dict[str, Any], *, label: str, banner: str, run_folder: Path) -> None:
    """Read, run and show until Ctrl+D; `label` stands in the prompt, history is kept in `run_folder`."""
    console.say(banner)
    if importlib.util.find_spec("ptpython") is not None:
        _ptpython(names, label)
    elif importlib.util.find_spec("IPython") is not None:
        _ipython(names, label)
    else:
        _standard(names, label, run_folder / HISTORY_FILE)


def _ptpython(names: dict[str, Any], label: str) -> None:
    repl: Any = importlib.import_module("ptpython.repl")
    repl.embed(globals=names, title=label)


def _ipython(names: dict[str, Any], label: str) -> None:
    embed: Any = importlib.import_module("IPython.terminal.embed")
    shell: Any = embed.InteractiveShellEmbed(user_ns=names, banner1="", exit_msg=label)
    shell.set_custom_exc((DurableError,), _tell_in_ipython)
    shell()


def _tell_in_ipython(
    _shell: object, _kind: object, error: DurableError, _traceback: object, tb_offset: object = None
) -> None:
    tell(error)


def _standard(names: dict[str, Any], label: str, history: Path) -> None:
    prompt = Prompt(names)
    sys.ps1, sys.ps2 = f"{label}>>> ", "... "
    try:
        with editing(history, rlcompleter.Completer(names).complete):
            prompt.interact(banner="", exitmsg="")
    finally:
        del sys.ps1, sys.ps2


class Prompt(code.InteractiveConsole):
    """The standard prompt, which tells errors as the commands tell them."""

    def showtraceback(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, DurableError):
            tell(error)
        else:
            super().showtraceback()


def tell(error: DurableError) -> None:
    """A failure of the program, or of what was asked, without our own frames."""
    if isinstance(error, CallFailedError):
        console.say(report.render_failure(error.report, console.stderr_ink(), width=console.terminal_width()))
    else:
        console.say(report.render(report.explain(error), console.stderr_ink()))

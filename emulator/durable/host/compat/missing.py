"""Names of the platform that are not here: the error that says what to write instead."""

from __future__ import annotations

import dis
import sys

_FRAMES_TO_THE_IMPORT = 2


def missing(module: str, name: str, instead: str) -> Exception:
    """For a module's `__getattr__`, which raises it: an ImportError for `from module import name`."""
    if name.startswith("__"):
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    text = f"`{module}.{name}` of the platform is not here. {instead}"
    # Python replaces what an AttributeError says by its own sentence there, which names neither reason nor remedy.
    frame = sys._getframe(_FRAMES_TO_THE_IMPORT)  # pyright: ignore[reportPrivateUsage]
    instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return ImportError(text, name=module) if instruction == "IMPORT_FROM" else AttributeError(text)

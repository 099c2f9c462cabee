"""What user code printed, as it is shown: colours stay, everything else that a terminal would act on is escaped.

A line may hold what a stranger sent. Colours, bold and the like end with the line, so they can pose as nothing; what
moves the cursor, hides text, sets a title or asks the terminal a question does not get through.
"""

from __future__ import annotations

import re
from typing import Final

from durable_cli.console import printable

_STYLE: Final = r"(?:0?[0-4]|2[2-4]|[34][0-79]|9[0-7]|10[0-7]|[34]8;5;\d{1,3}|[34]8;2;\d{1,3};\d{1,3};\d{1,3})?"
_COLOURING: Final = re.compile(rf"(\x1b\[{_STYLE}(?:;{_STYLE}){{0,8}}m)")
"""SGR of ECMA-48, without what blinks, is reversed or is concealed."""
_RESET: Final = "\x1b[0m"


def shown_output(text: str, *, colour: bool) -> str:
    """One line of a program's output; without `colour` its own colours are left out."""
    if text.isprintable():
        return text
    plain_and_colours = _COLOURING.split(text)
    if len(plain_and_colours) == 1:
        return printable(text, keep="\t")
    shown = [
        (part if colour else "") if at % 2 else printable(part, keep="\t") for at, part in enumerate(plain_and_colours)
    ]
    return "".join([*shown, _RESET]) if colour else "".join(shown)


def grouped(number: int) -> str:
    """`12 000`"""
    return f"{number:,}".replace(",", " ")

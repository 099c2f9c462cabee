"""`durable shell`: a Python prompt with one object at hand."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from durable_cli.commands.object_words import ClassArgument, IdentityOption, NameArgument, target_of
from durable_cli.options import Place, with_place

BANNER: Final = """\
obj.METHOD(…)         call a method of the object; this wakes it
sql("SELECT …", …)    rows as dicts{write}
kv["key"], dict(kv)   stored keys and values, read-only
alarms                its alarm: alarms.get(), alarms.fire()
Ctrl+D leaves."""


@with_place
def shell(
    place: Place,
    class_word: ClassArgument,
    name: NameArgument = None,
    identity: IdentityOption = None,
    write: Annotated[bool, typer.Option("--write", help="Let sql(…) change the object.")] = False,
) -> None:
    """Open a Python prompt with an object of the running emulator at hand.

    `obj` is the object: its methods are called as they are typed, which wakes it and runs your code, as alarms.fire()
    does. `sql`, `kv` and `alarms` look at what it stores, and wake nobody. Uses ptpython or IPython when they are
    installed beside durable. Needs a terminal and a running emulator. Put -- before names that begin with a dash.

    Example: durable shell Counter home
    """
    from durable.errors import UserInputError
    from durable_cli import console

    target = target_of(class_word, name, identity, "durable shell CLASS NAME")
    if not console.interactive():
        raise UserInputError("a prompt needs a terminal", fix="durable call CLASS NAME METHOD calls one method")
    project = place.open()
    # Imported here: readline touches the terminal.
    from durable_cli.python_prompt.at_hand import names_at_hand
    from durable_cli.python_prompt.prompt import run_prompt

    names = names_at_hand(project, target, write=write)
    banner = BANNER.format(write="" if write else "; start with --write to change something")
    run_prompt(names, label=str(target), banner=banner, run_folder=project.run)

"""`durable doctor`: look the state over, and mend what is safe."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from durable_cli.options import JsonOption, Place, with_place


@with_place
def doctor(
    place: Place,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended without losing anything; with the emulator stopped.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Look over every file that is stored, and say what is wrong and how to mend it.

    Looks at the contents of every object, the index of every class, leftovers and permissions, and changes nothing
    without --fix. With the emulator running only the contents of the objects are looked at, through it; nobody is
    woken. Exits with 2 when problems are left.

    Example: durable doctor --fix
    """
    from durable_cli import console, exit_codes
    from durable_cli.doctor import check, report_text, summary_text
    from durable_cli.progress_bar import ProgressBar

    project = place.open()
    bar = ProgressBar()
    try:
        report = check(project, fix=fix, on_progress=lambda done, total: bar.show("checking", done, total, 0))
    finally:
        bar.end()
    if json:
        console.put_json(report.to_json())
    elif report.findings:
        console.put_data(report_text(report, console.stdout_ink(), console.terminal_width(sys.stdout)))
    console.say(summary_text(report))
    if report.problems:
        raise typer.Exit(exit_codes.USAGE)

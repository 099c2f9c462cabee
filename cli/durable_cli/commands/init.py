"""`durable init`: a new project from a template."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from durable_cli.scaffold import Copied, Template


def init(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", show_default=False, help="The project's folder. Default: this one.")
    ] = ".",
    template: Annotated[
        str | None,
        typer.Option(
            "--template", "-t", metavar="NAME", show_default=False,
            help="Which template. Default: counter; on a terminal you are asked.",
        ),
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the templates and exit.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there already.")] = False,
) -> None:  # fmt: skip
    """Make a new project from a template.

    The folder is created when it is missing. Files that are there already are never overwritten without --force.
    """
    # Imported here, like in every command: no command pays for another's imports.
    from durable_cli import console, scaffold

    folder = scaffold.templates_folder()
    if list_only:
        console.put_data(_listing(scaffold.list_templates(folder)))
        return
    if template is None:
        template = scaffold.DEFAULT_TEMPLATE
        if console.interactive():
            template = _ask(scaffold.list_templates(folder), template)
    copied = scaffold.copy_template(scaffold.find_template(folder, template), directory, force=force)
    console.say(_next_steps(copied, template))


def _listing(templates: list[Template]) -> str:
    width = max((len(template.name) for template in templates), default=0)
    return "\n".join(f"{template.name:<{width}}  {template.summary}".rstrip() for template in templates)


def _ask(templates: list[Template], default: str) -> str:
    """The template that the human chose, by its number or its name; an empty answer takes the default."""
    from durable_cli import console

    console.say("Templates:")
    for number, template in enumerate(templates, 1):
        console.say(f"  {number}. {template.name}  {template.summary}".rstrip())
    answer = str(typer.prompt("Which one", default=default, err=True)).strip()
    if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(templates):
        return templates[int(answer) - 1].name
    return answer


def _next_steps(copied: Copied, template: str) -> str:
    from durable_cli import console

    lines = [
        f"Created {console.printable(str(copied.target))} from the template {template}: {len(copied.files)} files."
    ]
    lines += ["", "Next:"]
    if copied.target != Path.cwd():
        lines.append(f"  cd {shlex.quote(_as_typed(copied.target))}")
    lines.append("  durable dev")
    return "\n".join(lines)


def _as_typed(target: Path) -> str:
    try:
        return str(target.relative_to(Path.cwd()))
    except ValueError:
        return str(target)

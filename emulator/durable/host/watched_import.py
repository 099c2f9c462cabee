"""Imports the program while what is not portable is watched, and says then what its source shows to be so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable.actor.portability import Portability
from durable.host.loader import Project
from durable.host.starts import watch_starts


def import_watched(
    project: Project,
    portability: Portability,
    loop: asyncio.AbstractEventLoop,
    *,
    is_for_platform: Callable[[], bool],
    is_first: bool,
) -> None:
    """Raises what the import raises, and PortabilityError where the settings make that of what is found.

    `is_for_platform` is asked when the program is imported. Of several hosts only the first says what all of them read.
    """
    portability.begin(lambda: watch_starts(loop))
    project.load()
    portability.settle(is_for_platform=is_for_platform())
    if portability.refuses or (portability.is_watching and is_first):
        _look_at_sources(project, portability)


def _look_at_sources(project: Project, portability: Portability) -> None:
    from durable.host.portable_source import findings  # loaded here: with its parser it is of use to few programs

    for finding in findings(dict(project.own_sources())):
        place = project.own_file(finding.file) or finding.file, finding.line
        try:
            portability.differs_at(place, finding.kind, finding.what)
        except Exception as error:
            # Raised at the line that it is about, as if that had been refused when it ran: reports show where it is.
            exec(compile("\n" * (finding.line - 1) + "raise error", finding.file, "exec"), {"error": error})

"""Follows a running emulator: event by event, in the words of `durable dev`. Must not know how they get here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlencode

import msgspec

from durable.errors import UserInputError
from durable.gateway.event_lines import LEFT_OUT, STOPPED, TAILING, EventLine, decode_line, event_of
from durable_cli.console import Ink, printable
from durable_cli.project import Project, with_state
from durable_cli.text.events import JsonFormatter, PrettyFormatter

if TYPE_CHECKING:
    from durable.storage.layout import StateLayout

TAIL_PATH: Final = "/__durable/tail"

Say = Callable[[str], None]


def follow(project: Project, question: dict[str, str]) -> Iterator[bytes]:
    """The lines of the emulator that runs here. Raises UserInputError when none does, NotFoundError for no class."""
    if not project.state.is_dir():  # taking the lock would make it
        _nobody_runs(project)

    def on_files(_layout: StateLayout) -> NoReturn:
        _nobody_runs(project)

    query = f"?{urlencode(question)}" if question else ""
    return with_state(
        project, "durable tail", on_files=on_files, on_emulator=lambda client: client.follow(TAIL_PATH + query)
    )


def _nobody_runs(project: Project) -> NoReturn:
    raise UserInputError(
        f"no emulator runs here: nothing uses {project.state}",
        fix="durable dev, in another terminal; or name the state of a running one with --persist-to DIR",
    )


class TailText:
    """Lines as they come → text for standard output, and a word or two about the stream for the human."""

    def __init__(self, ink: Ink, *, json: bool, verbose: bool, say: Say) -> None:
        self._at_ms = 0
        self._clock = (0, False)
        self._say = say
        self._formatter: JsonFormatter | PrettyFormatter
        if json:
            self._formatter = JsonFormatter(verbose=verbose, wall_seconds=lambda: self._at_ms / 1000)
        else:
            self._formatter = PrettyFormatter(ink, verbose=verbose)
        self._formatter.clock = lambda: self._clock

    def of(self, lines: Iterable[bytes], what: str) -> Iterator[str]:
        """What to show of each line; `what` is followed. Ends with the emulator."""
        for data in lines:
            try:
                line = decode_line(data)
            except msgspec.DecodeError:
                continue  # cut off by the emulator's end
            self._at_ms, self._clock = line.at_ms, line.clock
            if line.event == TAILING:
                self._say(f"tailing {what}; Ctrl+C ends it")
            elif line.event == STOPPED:
                self._say("the emulator has stopped")
                return
            else:
                text = self._text(line)
                if text is not None:
                    yield text
        self._say("the emulator is gone: it ended without a word")

    def _text(self, line: EventLine) -> str | None:
        if line.event == LEFT_OUT:
            return self._formatter.left_out(Counter(line.fields))
        event = event_of(line)
        if event is None:
            return printable(f"{line.event}: another version of durable runs here")
        return self._formatter.text(event) if self._formatter.wanted(event) else None

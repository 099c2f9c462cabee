"""Calls one method of one object: through the running emulator, or one that is started for this call alone.

Must not know how anything is shown.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from msgspec.structs import replace

from durable.errors import DurableError, UserCodeError, UserInputError
from durable_cli import console
from durable_cli.objects.finding import Target, known_names, namespace_key, no_such_object, object_file, require_state
from durable_cli.project import Project, with_state

if TYPE_CHECKING:
    from durable.gateway.events import Event
    from durable.storage.layout import StateLayout
    from durable.wire.messages import ErrorReport

PATH: Final = "/__durable/call"


@dataclass(frozen=True)
class Arguments:
    """`Arguments(["hello", 3], {"loud": True})`"""

    args: list[Any] = field(default_factory=list[Any])
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])


class CallFailedError(UserCodeError):
    """The method raised, or the program cannot be loaded; `facts` are those that a failed HTTP request answers with."""

    def __init__(self, report: ErrorReport, facts: object = None) -> None:
        super().__init__(f"{report.type}: {report.message}")
        self.report = report
        self.facts = facts


def parse_arguments(words: Sequence[str]) -> Arguments:
    """`["3", '"text"', 'loud=true']`: each is JSON, alone or behind `name=`. Raises UserInputError for what is not."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        is_named = bool(equals) and name.isidentifier()
        parsed = _json(value if is_named else word)
        if not is_named and kwargs:
            raise UserInputError(f"{word} follows a named argument", fix="put what has no name first")
        if is_named and name in kwargs:
            raise UserInputError(f"{name} is given twice", fix="leave one of them out")
        if is_named:
            kwargs[name] = parsed
        else:
            args.append(parsed)
    return Arguments(args, kwargs)


def _json(text: str) -> Any:
    try:
        value = json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # refuses lone surrogates, which no value holds
    except (ValueError, RecursionError):
        quoted = json.dumps(text, ensure_ascii=False)
        raise UserInputError(f"not JSON: {text}", fix=f"text stands in double quotes: '{quoted}'") from None
    return value


def _integer(text: str) -> Any:
    """Readers of JSON elsewhere make a float of what does not fit into 64 bits."""
    value = int(text)
    return value if -(2**63) <= value < 2**63 else {"$int": hex(value)}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def call(project: Project, target: Target, method: str, arguments: Arguments, *, create: bool) -> Any:
    """What the method returned, as `durable.values.json_form` writes it.

    Raises CallFailedError for what the method raised, NotFoundError for an object that is not there, unless `create`.
    """
    question: dict[str, object] = {
        "class": target.class_word, "name": target.name, "id": target.id, "method": method, "args": arguments.args,
        "kwargs": arguments.kwargs, "create": create,
    }  # fmt: skip
    if not create:
        require_state(project)

    def on_files(layout: StateLayout) -> NoReturn:
        if not create:
            _require_object(project, layout, target)
        # The lock goes back first: the emulator takes it for itself and its hosts.
        raise _NothingRunsError

    try:
        answer = with_state(
            project, "durable call", on_files=on_files, on_emulator=lambda client: client.post(PATH, question)
        )
    except _NothingRunsError:
        answer = _through_own_emulator(project, question)
    return result_of(answer)


def result_of(answer: dict[str, object]) -> Any:
    """The result in an answer of the emulator. Raises CallFailedError."""
    if "failure" not in answer:
        return answer["result"]
    # Imported here: most calls do not fail.
    import msgspec

    from durable.wire.messages import ErrorReport

    raise CallFailedError(msgspec.convert(answer["report"], ErrorReport), answer["failure"])


def _require_object(project: Project, layout: StateLayout, target: Target) -> None:
    """So that no program is started for a name that was typed wrong."""
    from durable.storage.transaction import has_file

    key = namespace_key(project, layout, target.class_word)
    if not has_file(object_file(layout, key, target)):
        raise no_such_object(target, known_names(layout, key))


class _NothingRunsError(Exception):
    """The lock was free: nobody serves this state."""


def _through_own_emulator(project: Project, question: dict[str, object]) -> dict[str, object]:
    """Start the program on a free port of this machine, call, and end it again: what it stored is on disk then."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_with_own_emulator(project, question))


async def _with_own_emulator(project: Project, question: dict[str, object]) -> dict[str, object]:
    from durable.emulator import Emulator
    from durable.supervisor.spawner import HostSpawner
    from durable_cli.client import Client
    from durable_cli.emulator_address import RunningEmulator
    from durable_cli.interpreter import choose_interpreter

    config = replace(project.config, dev=replace(project.config.dev, ip="127.0.0.1", port=0, hosts=1))
    spawner = HostSpawner(
        project.state, config.root, python=choose_interpreter(None, config.root).path, what="durable call"
    )
    failures: list[DurableError] = []
    emulator = Emulator(
        config, spawner, on_event=lambda event: _hear(event, failures), reread=lambda: config, watch=False
    )
    async with emulator:
        if failures:
            raise failures[0]
        client = Client(RunningEmulator(os.getpid(), emulator.url, emulator.token))
        try:
            # In a thread: the emulator that answers lives in this one.
            return await asyncio.to_thread(client.post, PATH, question)
        finally:
            emulator.read_output()


def _hear(event: Event, failures: list[DurableError]) -> None:
    """What the program prints goes to standard error, where it is not taken for the result."""
    from durable.gateway.events import GatewayFault, HostLog, Output
    from durable.supervisor.events import ConfigRejected, HostDied, ReloadFailed

    match event:
        case ReloadFailed(report=report):
            failures.append(CallFailedError(report))
        case ConfigRejected(errors=errors):
            failures.extend(errors)
        case Output(text=text):
            console.say(console.printable(text, keep="\t"))
        case HostLog(level="warning" | "error", text=text):
            console.say(console.printable(text, keep="\n\t"))
        case HostDied(pid=pid, cause=cause):
            console.say(console.printable(f"the host (pid {pid}) {cause}"))
        case GatewayFault(traceback=traceback):
            console.say(console.printable(traceback, keep="\n\t"))
        case _:
            pass

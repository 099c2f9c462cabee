"""`durable objects`: what is stored, object by object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from durable_cli.options import ConfigOption, EnvironmentOption, JsonOption, PersistOption

if TYPE_CHECKING:
    from durable_cli.objects import Target

NameArgument = Annotated[str | None, typer.Argument(metavar="NAME", show_default=False, help="The object's name.")]
ClassArgument = Annotated[str, typer.Argument(metavar="CLASS", help="A class name or a binding name.")]
AnyClassArgument = Annotated[
    str | None, typer.Argument(metavar="CLASS", show_default=False, help="A class name or a binding name.")
]
IdentityOption = Annotated[
    str | None,
    typer.Option("--id", metavar="HEX", show_default=False, help="The object's 64 hex digits, instead of NAME."),
]

app = typer.Typer(help="Work on whole objects.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def objects() -> None:
    """Work on whole objects."""


@app.command()
def show(
    class_word: ClassArgument,
    name: NameArgument = None,
    identity: IdentityOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    env: EnvironmentOption = None,
    persist_to: PersistOption = None,
) -> None:
    """Show what is known of an object, and what keeps it in memory.

    Works with the emulator running and stopped, and wakes nobody. Put -- before names that begin with a dash.
    """
    import json as encoder

    from durable_cli import console
    from durable_cli.project import open_project
    from durable_cli.showing import show as look

    target = target_of(class_word, name, identity, "durable objects show CLASS NAME")
    project = open_project(config, env, persist_to)
    answer = look(project, target)
    console.put_data(encoder.dumps(answer) if json else _shown_text(answer))


@app.command()
def events(
    class_word: AnyClassArgument = None,
    name: NameArgument = None,
    identity: IdentityOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many of the last.")] = 200,
    json: JsonOption = False,
    config: ConfigOption = None,
    env: EnvironmentOption = None,
    persist_to: PersistOption = None,
) -> None:
    """Show what happened to an object lately: requests, calls, SQL, sockets, alarms, and how long each took.

    For a running emulator, which keeps that in memory. Without NAME: the objects of CLASS, or all. Wakes nobody.
    """
    import json as encoder

    from durable_cli import console
    from durable_cli.objects import Target
    from durable_cli.project import open_project
    from durable_cli.showing import recent_events
    from durable_cli.timeline_text import timeline_text

    target = None
    if name is not None or identity is not None:
        target = target_of(class_word or "", name, identity, "durable objects events CLASS NAME")
    elif class_word is not None:
        target = Target(class_word)
    answer = recent_events(open_project(config, env, persist_to), target, limit)
    is_one = name is not None or identity is not None
    console.put_data(encoder.dumps(answer) if json else timeline_text(answer, console.stdout_ink(), of_one=is_one))


@app.command()
def evict(
    class_word: AnyClassArgument = None,
    name: NameArgument = None,
    identity: IdentityOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every object, or every one of CLASS.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    env: EnvironmentOption = None,
    persist_to: PersistOption = None,
) -> None:
    """Have an object, or every object, leave memory now, as it does after idle_seconds without events.

    For a running emulator. Nothing of your code runs for it, and hibernatable web sockets stay connected; what pins the
    object is told instead. Put -- before names that begin with a dash.
    """
    import json as encoder

    from durable.errors import UserInputError
    from durable_cli import console
    from durable_cli.eviction_text import evicted_text
    from durable_cli.project import open_project
    from durable_cli.showing import evict as let_go
    from durable_cli.showing import evict_all

    usage = "durable objects evict CLASS NAME, or durable objects evict --all"
    if everything:
        if name is not None or identity is not None:
            raise UserInputError("either one object is evicted, or all of them are", fix=usage)
        answer = evict_all(open_project(config, env, persist_to), class_word)
        if json:
            console.put_data(encoder.dumps(answer))
        else:
            console.say(evicted_text(answer))
        return
    if class_word is None:
        raise UserInputError("which object? Its CLASS and its NAME are missing", fix=usage)
    target = target_of(class_word, name, identity, usage)
    project = open_project(config, env, persist_to)
    answer = let_go(project, target)
    if json:
        console.put_data(encoder.dumps(answer))
    elif answer["evicted"]:
        sockets = answer["sockets"]
        stay = "1 web socket stays" if sockets == 1 else f"{sockets} web sockets stay"
        console.say(f"{target} has left memory" + (f"; {stay} connected" if sockets else ""))
    else:
        console.say(f"{target} was not in memory: it is {answer['state']}")


@app.command()
def restore(
    class_word: ClassArgument,
    name: NameArgument = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME|BOOKMARK", show_default=False,
            help="To when: -10m, '2 hours ago', 2026-01-31T12:00:00, milliseconds, or a bookmark."
            " Without it: what can be restored.",
        ),
    ] = None,
    identity: IdentityOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
    env: EnvironmentOption = None,
    persist_to: PersistOption = None,
) -> None:  # fmt: skip
    """Bring an object back to an earlier state.

    Works with the emulator running and stopped. Nothing is lost by it: the bookmark that undoes the restore is shown.
    Put -- before names that begin with a dash.
    """
    import json as encoder

    from durable_cli import console
    from durable_cli.moments import parse_at
    from durable_cli.project import open_project
    from durable_cli.restoring import restore as bring_back

    target = target_of(class_word, name, identity, "durable objects restore CLASS NAME --at TIME")
    moment = parse_at(at) if at is not None else None
    project = open_project(config, env, persist_to)
    answer = bring_back(project, target, moment)
    if json:
        console.put_data(encoder.dumps(answer))
    elif moment is None:
        console.put_data(_reach_text(answer))
    else:
        console.say(_restored_text(answer, target))


def target_of(class_word: str, name: str | None, identity: str | None, usage: str) -> Target:
    """Raises UserInputError, with `usage`, for none or two ways of naming an object."""
    from durable.errors import UserInputError
    from durable_cli.objects import Target

    if name is None and identity is None:
        raise UserInputError("which object? Its NAME is missing", fix=f"{usage}, or --id HEX instead of NAME")
    if name is not None and identity is not None:
        raise UserInputError("an object is named by either NAME or --id", fix=usage)
    return Target(class_word, name=name, id=identity)


_STATES = {
    "active": "active: events are running",
    "pinned": "in memory, and pinned",
    "hibernated": "hibernated: not in memory, its web sockets are connected",
    "inactive": "not in memory",
    "stopped": "not in memory: no emulator runs",
}


def _shown_text(answer: dict[str, Any]) -> str:
    from durable_cli.console import printable
    from durable_cli.moments import shown_moment

    rows = [("class", answer["class"]), ("name", answer["name"] or "-"), ("id", answer["id"])]
    if answer["created_ms"] is not None:
        rows.append(("created", shown_moment(answer["created_ms"])))
    if answer["alarm_ms"] is not None:
        rows.append(("alarm", shown_moment(answer["alarm_ms"])))
    rows.append(("state", _state_text(answer)))
    rows += [("pinned by" if at == 0 else "", pin["text"]) for at, pin in enumerate(answer["pins"])]
    if answer["sockets"]:
        rows.append(("sockets", f"{answer['sockets']}, {answer['hibernatable_sockets']} hibernatable"))
    return "\n".join(printable(f"{label:<11}{value}") for label, value in rows)


def _state_text(answer: dict[str, Any]) -> str:
    if answer["state"] == "failing":
        failure = answer["failure"]
        again = (
            f"not tried again for {failure['seconds']:.1f} s" if failure["seconds"] else "the next event tries again"
        )
        times = f"{failure['times']} time{'s' * (failure['times'] != 1)}"
        return f"cannot be constructed ({times}, {again}): {failure['type']}: {failure['message']}"
    if answer["state"] == "idle":
        left = max(0.0, answer["evicted_after"] - answer["idle_seconds"])
        return f"in memory, idle for {answer['idle_seconds']:.0f} s; evicted in {left:.0f} s"
    return _STATES[answer["state"]]


def _reach_text(answer: dict[str, object]) -> str:
    from durable_cli.moments import shown_bytes, shown_moment

    segments = answer["segments"]
    rows = [
        ("oldest", shown_moment(answer["oldest_ms"])),
        ("newest", shown_moment(answer["newest_ms"])),
        ("bookmark", str(answer["bookmark"])),
        ("history", f"{shown_bytes(answer['bytes'])} in {segments} segment{'s' * (segments != 1)}"),
    ]
    return "\n".join(f"{label:<10}{value}" for label, value in rows)


def _restored_text(answer: dict[str, object], target: Target) -> str:
    from durable_cli.moments import shown_bytes, shown_moment

    return (
        f"{target} is as it was at {shown_moment(answer['moment_ms'])} ({shown_bytes(answer['bytes'])}),"
        f" bookmark {answer['restored']}\n"
        f"to undo this: {target.command('durable objects restore', '--at', str(answer['undo']))}"
    )

"""`durable alarms`: what is due, and the emulator's clock in the developer's hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from durable_cli.commands.object_words import ClassArgument, IdentityOption, NameArgument
from durable_cli.options import JsonOption, Place, with_place

if TYPE_CHECKING:
    from durable_cli.alarms import Setting

LimitOption = Annotated[
    int, typer.Option("--limit", metavar="N", help="How many are shown at most, the nearest; up to 10000.")
]

app = typer.Typer(help="See what is due, and move the clock.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
@with_place
def alarms(
    place: Place,
    context: typer.Context,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """See what is due, and move the clock. Without a word: list."""
    if context.invoked_subcommand is None:
        _list(place, limit, json=json)
    elif limit != 100 or json or place != Place():
        from durable.errors import UserInputError

        word = context.invoked_subcommand
        raise UserInputError(f"options go after the word: {word}", fix=f"durable alarms {word} --help")


@app.command(name="list")
@with_place
def list_(
    place: Place,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """Show every alarm that is set, the next one first.

    Works with the emulator running and stopped, and wakes nobody.
    """
    _list(place, limit, json=json)


def _list(place: Place, limit: int, *, json: bool) -> None:
    from durable_cli import console
    from durable_cli.alarms import listed

    answer = listed(place.open(), limit)
    if json:
        console.put_json(answer)
        return
    _tell_clock(answer)
    if answer["alarms"]:
        console.put_data(_table(answer))
    else:
        console.say("No alarm is set.")
    if answer["truncated"]:
        console.say(f"There are more than {limit}: --limit N shows more.")


@app.command()
@with_place
def fire(
    place: Place,
    class_word: ClassArgument,
    name: NameArgument = None,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Run an object's alarm now, whether it is due or not.

    For a running emulator. The clock stays where it is. Put -- before names that begin with a dash.
    """
    from durable_cli import console
    from durable_cli.alarms import check_fired
    from durable_cli.alarms import fire as run_now
    from durable_cli.commands.object_words import target_of

    target = target_of(class_word, name, identity, "durable alarms fire CLASS NAME")
    answer = run_now(place.open(), target)
    if json:
        console.put_json(answer)
    check_fired(answer, target)
    if not json and answer["outcome"] == "running":
        console.say(f"alarm() of {target} is still running; the emulator's own output will say how it ends")
    elif not json:
        console.say(f"alarm() of {target} ran")


@app.command()
@with_place
def advance(
    place: Place,
    duration: Annotated[
        str, typer.Argument(metavar="DURATION", show_default=False, help="How far: 2h30m, 14d, 90s, 250ms.")
    ],
    json: JsonOption = False,
) -> None:
    """Move the clock on, and run what falls due on the way.

    For a running emulator. Alarms run in their order, each at its own time, and so do those that they set and the
    retries of those that fail. Ctrl+C leaves the clock where it has got to.
    """
    from durable_cli import console
    from durable_cli.alarms import advance as move_on
    from durable_cli.durations import parse_duration_ms, shown_offset
    from durable_cli.moments import shown_moment

    duration_ms = parse_duration_ms(duration, "durable alarms advance DURATION")

    def tell_progress(answer: dict[str, Any]) -> None:
        console.say(f"at {shown_moment(answer['now_ms'])}, {_alarms_ran(answer['alarms'])}")

    answer = move_on(place.open(), duration_ms, tell_progress)
    if json:
        console.put_json(answer)
        return
    offset = shown_offset(answer["offset_ms"], is_frozen=answer["frozen"])
    console.say(f"it is {shown_moment(answer['now_ms'])} ({offset}), {_alarms_ran(answer['alarms'])}")


@app.command()
@with_place
def freeze(
    place: Place,
    json: JsonOption = False,
) -> None:
    """Have the clock stand still, so that no alarm comes due by itself.

    Works with the emulator running and stopped. advance still moves the clock.
    """
    _set("freeze", place, json=json)


@app.command()
@with_place
def resume(
    place: Place,
    json: JsonOption = False,
) -> None:
    """Have the clock go on from where it stands.

    Works with the emulator running and stopped. It also ends an advance that is under way.
    """
    _set("resume", place, json=json)


@app.command()
@with_place
def reset(
    place: Place,
    json: JsonOption = False,
) -> None:
    """Set the clock back to the machine's time.

    Works with the emulator running and stopped. Alarms keep the moments that they were set for.
    """
    _set("reset", place, json=json)


def _set(setting: Setting, place: Place, *, json: bool) -> None:
    from durable_cli import console
    from durable_cli.alarms import set_clock

    answer = set_clock(place.open(), setting)
    if json:
        console.put_json(answer)
    else:
        console.say(_clock_text(answer))


def _clock_text(answer: dict[str, Any]) -> str:
    from durable_cli.durations import shown_offset
    from durable_cli.moments import shown_moment

    offset = shown_offset(answer["offset_ms"], is_frozen=answer["frozen"])
    return f"it is {shown_moment(answer['now_ms'])}, " + (f"{offset}" if offset else "the machine's time")


def _tell_clock(answer: dict[str, Any]) -> None:
    from durable_cli import console

    if answer["offset_ms"] or answer["frozen"]:
        console.say(f"{_clock_text(answer)}; durable alarms reset")


def _alarms_ran(count: int) -> str:
    return "1 alarm ran" if count == 1 else f"{count} alarms ran"


def _table(answer: dict[str, Any]) -> str:
    from durable_cli.console import printable
    from durable_cli.durations import shown_duration
    from durable_cli.moments import shown_moment

    def wait(due_ms: int) -> str:
        return shown_duration(due_ms - answer["now_ms"]) if due_ms > answer["now_ms"] else "now"

    rows = [("due", "in", "class", "name", "retries")]
    for alarm in answer["alarms"]:
        state = {"running": ", running", "retrying": ", waits for the next"}.get(alarm["state"], "")
        rows.append(
            (
                shown_moment(alarm["due_ms"]),
                wait(alarm["due_ms"]),
                printable(alarm["class"]),
                printable(alarm["name"] if alarm["name"] is not None else f"--id {alarm['id']}"),
                f"{alarm['retry_count']}{state}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

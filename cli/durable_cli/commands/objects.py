"""`durable objects`: what is stored, object by object."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from durable_cli.commands import object_data
from durable_cli.commands.object_words import (
    AnyClassArgument,
    ClassArgument,
    IdentityOption,
    NameArgument,
    optional_target,
    target_of,
)
from durable_cli.options import JsonOption, Place, with_place

app = typer.Typer(help="Work on whole objects.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def objects() -> None:
    """Work on whole objects."""


@app.command(name="list")
@with_place
def list_(
    place: Place,
    class_word: AnyClassArgument = None,
    name_glob: Annotated[
        str | None, typer.Option("--name", metavar="GLOB", show_default=False, help="Only names like this: 'room-*'.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort", metavar="KEY",
            help="By name, size, used, created or alarm: names from a to z, the next alarm first, else the largest"
            " or latest.",
        ),
    ] = "name",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Only objects that are in memory.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="How many on a page; up to 10000.")] = 100,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="PLACE", show_default=False, help="The next page, as the one before names it."),
    ] = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """List objects, with their sizes, times, alarms and states.

    Works with the emulator running and stopped, and wakes nobody. Without CLASS: the objects of all classes.

    Example: durable objects list ChatRoom --sort size --limit 20
    """
    import time

    from durable_cli import console
    from durable_cli.data.listing_types import ListQuery, checked_sort
    from durable_cli.objects.listing import listed, page_document
    from durable_cli.text.listings import page_end_text, page_text

    query = ListQuery(class_word, name_glob, checked_sort(sort), reverse, live, limit, after)
    page = listed(place.open(), query)
    if json:
        console.put_json(page_document(page))
        return
    if page.objects:
        width, now_ms = console.terminal_width(sys.stdout), int(time.time() * 1000)
        console.put_data(page_text(page, query, console.stdout_ink(), width=width, now_ms=now_ms))
    if end := page_end_text(page, query):
        console.say(end)


@app.command()
@with_place
def show(
    place: Place,
    class_word: ClassArgument,
    name: NameArgument = None,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is known of an object, and what keeps it in memory.

    Works with the emulator running and stopped, and wakes nobody. Put -- before names that begin with a dash.

    Example: durable objects show ChatRoom general
    """
    from durable_cli import console
    from durable_cli.objects.showing import show as look
    from durable_cli.text.objects import shown_text

    target = target_of(class_word, name, identity, "durable objects show CLASS NAME")
    project = place.open()
    answer = look(project, target)
    if json:
        console.put_json(answer)
    else:
        console.put_data(shown_text(answer))


@app.command()
@with_place
def events(
    place: Place,
    class_word: AnyClassArgument = None,
    name: NameArgument = None,
    identity: IdentityOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="How many of the last.")] = 200,
    json: JsonOption = False,
) -> None:
    """Show what happened to an object lately: requests, calls, SQL, sockets, alarms, and how long each took.

    For a running emulator, which keeps that in memory. Without NAME: the objects of CLASS, or all. Wakes nobody.

    Example: durable objects events ChatRoom general --limit 20
    """
    from durable_cli import console
    from durable_cli.objects.finding import Target
    from durable_cli.objects.showing import recent_events
    from durable_cli.text.timelines import timeline_text

    target = None
    if name is not None or identity is not None:
        target = target_of(class_word or "", name, identity, "durable objects events CLASS NAME")
    elif class_word is not None:
        target = Target(class_word)
    answer = recent_events(place.open(), target, limit)
    is_one = name is not None or identity is not None
    if json:
        console.put_json(answer)
    else:
        console.put_data(timeline_text(answer, console.stdout_ink(), of_one=is_one))


@app.command()
@with_place
def evict(
    place: Place,
    class_word: AnyClassArgument = None,
    name: NameArgument = None,
    identity: IdentityOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every object, or every one of CLASS.")] = False,
    json: JsonOption = False,
) -> None:
    """Have an object, or every object, leave memory now, as it does after idle_seconds without events.

    For a running emulator. Nothing of your code runs for it, and hibernatable web sockets stay connected; what pins the
    object is told instead. Put -- before names that begin with a dash.

    Example: durable objects evict ChatRoom general
    """
    from durable.errors import UserInputError
    from durable_cli import console
    from durable_cli.objects.showing import evict as let_go
    from durable_cli.objects.showing import evict_all
    from durable_cli.text.evictions import evicted_text
    from durable_cli.text.objects import one_evicted_text

    usage = "durable objects evict CLASS NAME, or durable objects evict --all"
    if everything:
        if name is not None or identity is not None:
            raise UserInputError("either one object is evicted, or all of them are", fix=usage)
        answer = evict_all(place.open(), class_word)
        if json:
            console.put_json(answer)
        else:
            console.say(evicted_text(answer))
        return
    if class_word is None:
        raise UserInputError("which object? Its CLASS and its NAME are missing", fix=usage)
    target = target_of(class_word, name, identity, usage)
    project = place.open()
    answer = let_go(project, target)
    if json:
        console.put_json(answer)
    else:
        console.say(one_evicted_text(answer, target))


@app.command()
@with_place
def restore(
    place: Place,
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
    snapshot: Annotated[
        str | None,
        typer.Option(
            "--snapshot", metavar="L", show_default=False,
            help="To what the snapshot of that label holds; without NAME every object of it.",
        ),
    ] = None,
    identity: IdentityOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Bring an object back to an earlier state, or to a snapshot.

    Works with the emulator running and stopped, and wakes nobody. Nothing is lost by it: what undoes the restore is
    shown. Put -- before names that begin with a dash.

    Example: durable objects restore Counter home --at -10m
    """
    from durable.errors import UserInputError
    from durable_cli import console
    from durable_cli.moments import parse_at
    from durable_cli.objects.restoring import restore as bring_back
    from durable_cli.text.objects import reach_text, restored_text

    if snapshot is not None:
        from durable_cli.data.snapshot_restoring import restore_snapshot

        usage = "durable objects restore CLASS [NAME] --snapshot L"
        if at is not None:
            raise UserInputError("either to a moment or to a snapshot", fix=usage)
        whole = optional_target(class_word, name, identity, usage)
        restore_snapshot(place.open(), class_word, whole, snapshot, as_json=json)
        return
    target = target_of(class_word, name, identity, "durable objects restore CLASS NAME --at TIME")
    moment = parse_at(at) if at is not None else None
    answer = bring_back(place.open(), target, moment)
    if json:
        console.put_json(answer)
    elif moment is None:
        console.put_data(reach_text(answer))
    else:
        console.say(restored_text(answer, target))


object_data.add_to(app)

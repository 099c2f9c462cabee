"""Who waits for whom when a critical section does not end: in words, for the developer; callers get the platform's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.actor.pins import SECTION
from durable.limits import CRITICAL_SECTION_SECONDS

if TYPE_CHECKING:
    from durable.actor.actor import Actor


def endless_section(actor: Actor) -> str:
    """What is known of a section that was open for too long: its line, and the circle that it is part of."""
    places = [pin.place for pin in actor.pins() if pin.kind == SECTION and pin.place]
    text = f"its critical section did not end within {CRITICAL_SECTION_SECONDS:g} s"
    if places:
        text += f", at {places[-1]}"
    circle = circle_of(actor)
    return f"{text}: {circle}" if circle else text


def circle_of(actor: Actor) -> str:
    """`Room "a" waits for poke of Room "b", which waits for back of Room "a"`; empty when there is no circle.

    Known are calls between objects of one process.
    """
    # Who waits for the actor's gate, and, from each of them, who waits for what that is running.
    found = [
        (event.caller, [f"{event.label} of {actor.label}"])
        for event, _ in actor.delivered_events()
        if event.task is None and event.caller is not None
    ]
    seen = {actor}
    while found:
        waiting, path = found.pop()
        if waiting is actor:
            return f"{actor.label} waits for " + ", which waits for ".join(reversed(path))
        if waiting not in seen:
            seen.add(waiting)
            found += [
                (event.caller, [*path, f"{event.label} of {waiting.label}"])
                for event, _ in waiting.delivered_events()
                if event.caller is not None
            ]
    return ""

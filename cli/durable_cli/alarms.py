"""Lists alarms, fires one and moves the clock: through the running emulator, or on the files under the lock.

Must not know how anything is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from durable.errors import UserCodeError, UserInputError
from durable.limits import ALARM_MS_MAX, ALARMS_LISTED_MAX
from durable_cli.objects.finding import Target, require_state
from durable_cli.project import Project, with_state

if TYPE_CHECKING:
    from durable.clock import SystemClock
    from durable.storage.layout import StateLayout
    from durable_cli.client import Client

Answer = dict[str, Any]
Setting = Literal["freeze", "resume", "reset"]


def listed(project: Project, limit: int) -> Answer:
    """`{"now_ms": …, "offset_ms": 0, "frozen": false, "alarms": [{"class": "Trial", …}], "truncated": false}`

    Raises UserInputError for a limit out of range.
    """
    if not 1 <= limit <= ALARMS_LISTED_MAX:
        raise UserInputError(f"--limit {limit}: between 1 and {ALARMS_LISTED_MAX}", fix="--limit 100")
    require_state(project)
    return with_state(
        project,
        "durable alarms list",
        on_files=lambda layout: _listed_on_files(project, layout, limit),
        on_emulator=lambda client: client.post("/__durable/alarms/list", {"limit": limit}),
    )


def fire(project: Project, target: Target) -> Answer:
    """`{"class": "Trial", "name": "a", "id": "…", "due_ms": …, "outcome": "done"}`"""
    require_state(project)
    question = {"class": target.class_word, "name": target.name, "id": target.id}
    return with_state(
        project,
        "durable alarms fire",
        on_files=_needs_emulator("no alarm can run"),
        on_emulator=lambda client: client.post("/__durable/alarms/fire", question),
    )


def check_fired(answer: Answer, target: Target) -> None:
    """Raises what kept a fired alarm from being done."""
    match answer["outcome"]:
        case "failed":
            raise UserCodeError(f"alarm() of {target} failed; the emulator's own output says why. It stays set")
        case "missing":
            raise UserCodeError(f"{target} has no alarm() method: its alarm was dropped")
        case "interrupted":
            raise UserCodeError(f"the host of {target} ended while alarm() ran; it is tried again")
        case "stale":
            raise UserInputError(f"the alarm of {target} was just moved or removed", fix="durable alarms list")
        case _:
            return


def advance(project: Project, duration_ms: int, on_progress: Callable[[Answer], None]) -> Answer:
    """`{"from_ms": …, "to_ms": …, "now_ms": …, "alarms": 3, "ended": true, "failure": "", "offset_ms": …, …}`

    `on_progress` gets the same about once a second. Ctrl+C leaves the clock where it has got to.
    """
    require_state(project)

    def on_emulator(client: Client) -> Answer:
        answer: Answer = client.post("/__durable/alarms/advance", {"duration_ms": duration_ms})
        try:
            while not answer["ended"]:
                on_progress(answer)
                answer = client.post("/__durable/alarms/progress", {})
        except KeyboardInterrupt:
            on_progress(client.post("/__durable/alarms/stop", {}))
            raise
        if answer["failure"]:
            raise UserInputError(
                f"the clock did not get to its end: {answer['failure']}",
                fix="see the emulator's own output, then advance again",
            )
        return answer

    return with_state(
        project,
        "durable alarms advance",
        on_files=_needs_emulator("what falls due on the way could not run"),
        on_emulator=on_emulator,
    )


def set_clock(project: Project, setting: Setting) -> Answer:
    """`{"now_ms": …, "offset_ms": 0, "frozen": false}`"""
    require_state(project)
    return with_state(
        project,
        f"durable alarms {setting}",
        on_files=lambda layout: _set_on_files(layout, setting),
        on_emulator=lambda client: client.post(f"/__durable/alarms/{setting}", {}),
    )


def _needs_emulator(why: str) -> Callable[[StateLayout], NoReturn]:
    def refuse(_layout: StateLayout) -> NoReturn:
        raise UserInputError(f"no emulator runs here, so {why}", fix="durable dev, and the same again beside it")

    return refuse


def _set_on_files(layout: StateLayout, setting: Setting) -> Answer:
    from durable.clock import ClockSetting, SystemClock
    from durable.storage.class_life.applying import open_state

    clock = SystemClock()
    with open_state(layout) as state:
        clock.set(state.clock)
        match setting:
            case "freeze":
                clock.stand_at(clock.wall_ms())
            case "resume":
                clock.run_on()
            case "reset":
                clock.set(ClockSetting())
        state.set_clock(clock.setting)
    return _clock_answer(clock)


def _clock_answer(clock: SystemClock) -> Answer:
    return {"now_ms": clock.wall_ms(), "offset_ms": clock.offset_ms, "frozen": clock.is_frozen}


def _listed_on_files(project: Project, layout: StateLayout, limit: int) -> Answer:
    from durable.clock import SystemClock
    from durable.storage.class_life.applying import open_state
    from durable.storage.index import NamespaceIndex

    clock = SystemClock()
    with open_state(layout) as state:
        clock.set(state.clock)
        spaces = state.namespaces(project.config.environment)
    alarms: list[Answer] = []
    for space in spaces:
        if not layout.index_file(space.key).is_file():  # opening it would make one
            continue
        index = NamespaceIndex(layout.index_file(space.key))
        try:
            alarms += [
                {
                    "class": space.class_name, "name": row.name, "id": row.id, "due_ms": row.alarm_ms,
                    "state": "stopped", "retry_count": 0,
                }
                for row in index.due(ALARM_MS_MAX + 1, limit + 1)
            ]  # fmt: skip
        finally:
            index.close()
    alarms.sort(key=lambda alarm: (alarm["due_ms"], alarm["id"]))
    return _clock_answer(clock) | {"alarms": alarms[:limit], "truncated": len(alarms) > limit}

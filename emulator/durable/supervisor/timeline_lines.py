"""What the supervisor's events say in the timeline of an object."""

from __future__ import annotations

from typing import Final

from durable.gateway.timeline import Line, Lines
from durable.supervisor import events

HOST_LINES: Final[Lines] = {
    events.Reloaded: lambda event: Line("reload", ", ".join(event.changed), "ok", event.duration_ms),
    events.ReloadFailed: lambda event: Line("reload", ", ".join(event.changed), event.report.type),
    events.ConfigRejected: lambda _event: Line("reload", "configuration", "refused"),
    events.HostDied: lambda event: Line("host", f"pid {event.pid}", event.cause),
    events.HostBlocked: lambda event: Line(
        "host", f"pid {event.pid} has not answered for {event.seconds:g} s", "blocked"
    ),
    events.HostRestarted: lambda event: Line("host", f"pid {event.pid} serves", "ok", event.duration_ms),
}

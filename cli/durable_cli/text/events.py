"""The lines of `durable dev`: an event as lines for people, or as one JSON object. Pure; knows no terminal.

What an event holds may come from the network or from user code, so all of it is escaped.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from durable.errors import UserInputError
from durable.gateway import events as gateway
from durable.supervisor import events as supervisor
from durable.wire.messages import ErrorReport, Frame
from durable_cli.console import Ink, printable
from durable_cli.durations import shown_offset
from durable_cli.moments import shown_moment
from durable_cli.report import FailureTeller, explain, render, render_failure, report_address
from durable_cli.text.host_faults import host_fault_lines
from durable_cli.text.output import grouped, shown_output

PATH_CHARACTERS_MAX: Final = 200
NAME_CHARACTERS_MAX: Final = 80
TEXT_CHARACTERS_MAX: Final = 4000
LATE_MS_MIN: Final = 100
"""An alarm is late when somebody could notice; later than that its line says by how much."""
OBJECTS_NAMED_MAX: Final = 3
"""Objects named by one line about their sockets; a reload may concern thousands."""
CHANGED_FILES_MAX: Final = 3
"""Files named by a reload line; a branch switch changes hundreds."""

_ROUTINE: Final = (gateway.RequestServed, gateway.SocketOpened, gateway.SocketGone, gateway.AlarmFired, gateway.CronRan)
"""Nothing went wrong: left out by --quiet."""
_VERBOSE: Final = (gateway.SocketOpened, gateway.SocketGone, gateway.ObjectWoke, gateway.ObjectEvicted)
"""Told by --verbose only."""
_PLURALS: Final = {"RequestServed": "requests", "UserCodeFailed": "errors", "Output": "lines of output"}


class _Formatter:
    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._left_out_types = (*_ROUTINE, *_VERBOSE) if quiet else () if verbose else _VERBOSE

    clock: Callable[[], tuple[int, bool]] = staticmethod(lambda: (0, False))
    """How far the emulator's clock is ahead, and whether it stands still: marked on every line while it is moved."""
    worker = ""
    """The worker whose events these are, where several log to one terminal: in front of every line."""

    def wanted(self, event: object) -> bool:
        return not isinstance(event, self._left_out_types)

    def is_bounded(self, event: object) -> bool:
        return type(event) is gateway.Output


class PrettyFormatter(_Formatter):
    """Lines for people: `GET /room/a 200 3 ms ChatRoom "a"`."""

    def __init__(self, ink: Ink, *, quiet: bool = False, verbose: bool = False, watching: bool = True) -> None:
        super().__init__(quiet=quiet, verbose=verbose)
        self._watching = watching
        self._ink = ink
        self._verbose = verbose
        self.failures = FailureTeller(ink, verbose=verbose)

    width: Callable[[], int] = staticmethod(lambda: 0)
    """Columns of the terminal, 0 for lines of any length: what quotes code is cut to it."""

    def text(self, event: object) -> str:
        mark = self._mark()
        return self.marked(f"{mark} {self._text(event)}" if mark else self._text(event))

    def marked(self, text: str) -> str:
        """`[auth] GET /login 200 3 ms` where there are several workers."""
        return f"{self._ink.paint(f'[{self.worker}]', 'magenta')} {text}" if self.worker else text

    def _mark(self) -> str:
        offset_ms, is_frozen = self.clock()
        return (
            self._ink.paint(f"[{shown_offset(offset_ms, is_frozen=is_frozen)}]", "dim")
            if offset_ms or is_frozen
            else ""
        )

    def _text(self, event: object) -> str:
        ink = self._ink
        match event:
            case gateway.RequestServed():
                return _request_line(event, ink)
            case gateway.Output():
                return _output_line(event, ink)
            case gateway.UserCodeFailed(report=report, method=method, path=path):
                return self.failures.text(report, f"{method} {path}".strip(), self.width())
            case supervisor.Reloaded():
                self.failures.forget()
                return _reloaded_lines(event, ink)
            case supervisor.HostBlocked() | supervisor.BlockedLoop() | supervisor.HostDied():
                return host_fault_lines(event, ink)
            case supervisor.ReloadFailed(report=report, serving=serving):
                text = render_failure(report, ink, verbose=self._verbose, width=self.width())
                return text + "\n" + self._still_serving(serving)
            case supervisor.ConfigRejected(errors=errors, serving=serving):
                return "\n".join([*(render(explain(error), ink) for error in errors), self._still_serving(serving)])
            case gateway.GatewayFault(traceback=traceback):
                return _fault_lines(traceback, ink)
            case gateway.HostLog(level=level, text=text, label=label):
                colour = {"error": "red", "warning": "yellow"}.get(level, "dim")
                shown = printable(f"{label}: {text}" if label else text, keep="\n", length_max=TEXT_CHARACTERS_MAX)
                return ink.paint(shown, colour)
            case _:
                colour, text = _other_line(event)
                return ink.paint(text, colour)

    def _still_serving(self, serving: int) -> str:
        text = "nothing serves"
        if serving:
            text = "the last good code goes on serving"
        elif self._watching:
            text = "nothing serves yet; mend it and save"
        return "  " + self._ink.paint(text, "yellow")

    def left_out(self, counts: Counter[str]) -> str:
        return "\n".join(
            self.marked(self._ink.paint(f"… {count} more {_PLURALS.get(name, 'lines')}", "dim"))
            for name, count in counts.items()
        )


class JsonFormatter(_Formatter):
    """One JSON object per event: `{"time": "2026-01-31T12:00:00.000Z", "event": "request_served", …}`."""

    def __init__(
        self, *, quiet: bool = False, verbose: bool = False, wall_seconds: Callable[[], float] = time.time
    ) -> None:
        super().__init__(quiet=quiet, verbose=verbose)
        self._wall_seconds = wall_seconds

    def text(self, event: object) -> str:
        fields = msgspec.structs.asdict(cast("gateway.Event", event))
        return self.line(_snake_case(type(event).__name__), **fields)

    def left_out(self, counts: Counter[str]) -> str:
        return self.line("left_out", counts={_snake_case(name): count for name, count in counts.items()})

    def line(self, event: str, **fields: object) -> str:
        now = self._wall_seconds()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03}Z"
        offset_ms, is_frozen = self.clock()
        if offset_ms or is_frozen:
            fields = {"clock_offset_ms": offset_ms, "clock_frozen": is_frozen} | fields
        if self.worker:
            fields = {"worker": self.worker} | fields
        # ASCII only: no control character and no direction mark reaches a terminal that shows the file.
        return json.dumps({"time": stamp, "event": event, **fields}, default=_json_value)


def _json_value(value: Any) -> object:
    match value:
        case ErrorReport():
            # Imported here: only failures need it.
            from durable.gateway.error_page import facts

            return {**facts(value), "frames": [_json_value(frame) for frame in value.frames]}
        case Frame():
            return {"file": value.file, "line": value.line, "function": value.function, "user": value.user}
        case UserInputError():
            return {"message": str(value), "fix": value.fix}
        case _:
            return str(value)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def named(class_name: str, object_name: str | None) -> str:
    """`ChatRoom "general"`; the class alone when the object has no name."""
    if object_name is None:
        return class_name
    return f'{class_name} "{printable(object_name, length_max=NAME_CHARACTERS_MAX)}"'


def duration(milliseconds: float) -> str:
    """`0.4 ms`, `12 ms`, `1.3 s`"""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 1 else f"{milliseconds:.1f} ms"


def _request_line(event: gateway.RequestServed, ink: Ink) -> str:
    status = event.status
    colour = "red" if status >= 500 else "yellow" if status >= 400 else "cyan" if status >= 300 else "green"
    method = printable(event.method, length_max=NAME_CHARACTERS_MAX)
    path = printable(event.path, length_max=PATH_CHARACTERS_MAX)
    line = f"{method} {path} {ink.paint(str(status), colour)} {ink.paint(duration(event.duration_ms), 'dim')}"
    if event.class_name is not None:
        line += " " + ink.paint(named(event.class_name, event.object_name), "cyan")
    return line


def _alarm_line(event: gateway.AlarmFired) -> str:
    """`alarm failed Trial "ada", retry 2`, `alarm done Trial "ada", 3.2 s late`"""
    line = f"alarm {event.outcome} {named(event.class_name, event.object_name)}"
    if event.retry:
        return f"{line}, retry {event.retry}"
    return f"{line}, {duration(event.late_ms)} late" if event.late_ms >= LATE_MS_MIN else line


def _output_line(event: gateway.Output, ink: Ink) -> str:
    """`ChatRoom "general" │ text`; what no object printed has the bar alone, so it can pose as nothing else."""
    label = f"{_printer(event)} │ ".lstrip()
    return ink.paint(label, "dim") + shown_output(event.text, colour=ink.colour)


def _printer(event: gateway.Output | gateway.OutputLeftOut) -> str:
    if event.class_name is None:
        return ""
    if event.object_name is None and event.object_id is not None:
        return printable(f"{event.class_name} {event.object_id[:8]}")
    return named(printable(event.class_name), event.object_name)


def _more_output(event: gateway.OutputLeftOut) -> str:
    lines = f"{grouped(event.lines)} more {'line' if event.lines == 1 else 'lines'}"
    printer = f"{event.others} other object{'s' * (event.others != 1)}" if event.others else _printer(event)
    return f"… {lines} of {printer}" if printer else f"… {lines}"


def _reloaded_lines(event: supervisor.Reloaded, ink: Ink) -> str:
    line = f"reloaded in {duration(event.duration_ms)}"
    if event.changed:
        more = f" and {len(event.changed) - CHANGED_FILES_MAX} more" if len(event.changed) > CHANGED_FILES_MAX else ""
        line += f" ({printable(', '.join(event.changed[:CHANGED_FILES_MAX]))}{more})"
    warnings = [ink.paint("warning: ", "yellow", "bold") + printable(text, keep="\n") for text in event.warnings]
    return "\n".join([ink.paint(line, "green"), *warnings])


def _fault_lines(traceback: str, ink: Ink) -> str:
    """A bug of ours that one request met."""
    heading = ink.paint("error:", "red", "bold") + " bug in durable: a request met it and was answered 500"
    return "\n".join([
        ink.paint(printable(traceback.rstrip(), keep="\n"), "dim"),
        heading,
        f"  {ink.paint('fix:', 'bold')} please report it with the lines above: {report_address()}",
    ])  # fmt: skip


def _other_line(event: object) -> tuple[str, str]:
    """The colour and the text of an event that is one plain line."""
    match event:
        case gateway.OutputLeftOut():
            return "dim", _more_output(event)
        case gateway.SocketOpened(class_name=class_name, object_name=name):
            return "dim", f"socket opened {named(class_name, name)}"
        case gateway.SocketGone(class_name=class_name, object_name=name, code=code):
            return "dim", f"socket closed {code} {named(class_name, name)}"
        case gateway.ObjectWoke(class_name=class_name, object_name=name):
            return "dim", f"woke {named(class_name, name)}"
        case gateway.ObjectEvicted(class_name=class_name, object_name=name, cause=""):
            return "dim", f"evicted {named(class_name, name)}"
        case gateway.ObjectEvicted(class_name=class_name, object_name=name, cause=cause):
            return "yellow", f"reset {named(class_name, name)}: {printable(cause, length_max=TEXT_CHARACTERS_MAX)}"
        case gateway.AlarmFired():
            return "red" if event.outcome == "failed" else "dim", _alarm_line(event)
        case gateway.CronRan(cron=cron, outcome=outcome):
            return "red" if outcome == "failed" else "dim", f"cron {outcome} {cron}"
        case gateway.ClockMoved(now_ms=now_ms, offset_ms=offset_ms, is_frozen=is_frozen):
            moved = shown_offset(offset_ms, is_frozen=is_frozen)
            back = f"{moved}; durable alarms reset goes back" if moved else "the machine's time"
            return "yellow" if moved else "green", f"the clock says {shown_moment(now_ms)}, {back}"
        case gateway.SocketEventsLost(count=count):
            return "red", f"{count} socket events were running when their host died; they are not delivered again"
        case gateway.AcceptedSocketsClosed() | gateway.SocketsRebound() | gateway.SocketsDropped():
            return _end_of_sockets(event)
        case gateway.RequestRefused(reason=reason, host=host, origin=origin, unreported=unreported):
            return "yellow", _refusal(reason, host, origin) + _more(unreported)
        case gateway.MalformedRequest(text=text, unreported=unreported):
            shown = printable(text, length_max=PATH_CHARACTERS_MAX)
            return "yellow", f"not an HTTP request: {shown}{_more(unreported)}"
        case gateway.ObjectOverloaded(class_name=class_name, object_name=name, unreported=unreported):
            who = named(class_name or "an object", name)
            return "yellow", f"{who} is overloaded: a request was answered 503{_more(unreported)}"
        case gateway.BoundBeyondLoopback(ip=ip, port=port):
            return "yellow", (
                f"listening on {ip}:{port}: other machines may reach this emulator, "
                "under the names in allowed_hosts in [dev]"
            )
        case supervisor.RestartNeeded(settings=settings):
            return "yellow", f"changed, and takes effect at the next start: {printable(', '.join(settings))}"
        case supervisor.ConstructionFailing(label=label, type=kind, message=message, count=count, seconds=seconds):
            shown = printable(f"{label}: {kind}: {message}", length_max=TEXT_CHARACTERS_MAX)
            return (
                "red",
                f"{count} more event{'s' * (count != 1)} met a constructor that fails, in {seconds:g} s: {shown}",
            )
        case supervisor.HostRestarted(pid=pid, duration_ms=duration_ms, last_good=last_good):
            what = " the last good code, not what is on the disk" if last_good else ""
            return "green", f"a new host (pid {pid}) serves{what}, after {duration(duration_ms)}"
        case supervisor.DebuggerStopped():
            return "yellow", _stop_line(event)
        case supervisor.DebuggerContinued(died=died):
            return "dim", "the debugger is gone with its host" if died else "the debugger was left"
        case supervisor.ConfigApplied(changed=changed):
            return "green", f"read again, and nothing to reload for: {printable(', '.join(changed))}"
        case _:
            return "dim", printable(str(event), length_max=TEXT_CHARACTERS_MAX)


def _end_of_sockets(
    event: gateway.AcceptedSocketsClosed | gateway.SocketsRebound | gateway.SocketsDropped,
) -> tuple[str, str]:
    match event:
        case gateway.AcceptedSocketsClosed(objects=objects):
            shown = ", ".join(f"{count} of {named(kind, name)}" for kind, name, count in objects[:OBJECTS_NAMED_MAX])
            more = f" and {len(objects) - OBJECTS_NAMED_MAX} more objects" if len(objects) > OBJECTS_NAMED_MAX else ""
            total = sum(count for *_, count in objects)
            return "yellow", f"closed with 1012: {_accepted(total)} ({shown}{more}); dev --keep-accepted keeps them"
        case gateway.SocketsRebound(rebound=rebound, closed=0):
            return "green", f"{_accepted(rebound)} {_were(rebound)} rebound to the new code"
        case gateway.SocketsRebound(rebound=rebound, closed=closed):
            return "yellow", (
                f"{_accepted(rebound)} {_were(rebound)} rebound to the new code, "
                f"{closed} {_were(closed)} not taken by it and closed with 1012"
            )
        case gateway.SocketsDropped(sockets=sockets, messages=messages):
            lost = f", and {messages} of their messages with them" if messages else ""
            return "yellow", f"--drop-sockets: {sockets} {'socket' if sockets == 1 else 'sockets'} dropped{lost}"


def _accepted(count: int) -> str:
    return f"{count} accepted {'socket' if count == 1 else 'sockets'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _stop_line(event: supervisor.DebuggerStopped) -> str:
    where = f"at {printable(event.file, length_max=PATH_CHARACTERS_MAX)}:{event.line}"
    function = printable(event.function, length_max=NAME_CHARACTERS_MAX)
    who = f"{printable(event.label)} stopped in {function}" if event.label else f"{function} stopped"
    return f"{who} {where}; c continues, q ends what runs there with an error"


def _more(unreported: int) -> str:
    return f" (and {unreported} more since the last one that was reported)" if unreported else ""


def _refusal(reason: str, host: str, origin: str | None) -> str:
    host = printable(host, length_max=NAME_CHARACTERS_MAX)
    if reason == "token":
        return "refused a request to /__durable: the token of the running emulator is missing or wrong"
    if reason == "origin":
        where = printable(origin or "", length_max=NAME_CHARACTERS_MAX)
        return f"refused a request from the page {where}: add its host to allowed_hosts in [dev] if you trust it"
    return f'refused a request for the host "{host}": add it to allowed_hosts in [dev] if it is meant to reach you'

"""What went wrong in a host and what is worth a line, as others are told: whose code it was, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.actor.actor import Actor
from durable.actor.failure import report_error
from durable.host.rpc_scope import Scope
from durable.wire.messages import ErrorReport, Log

if TYPE_CHECKING:
    from durable.host.host import Host


class Reports:
    """Of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def report(self, error: BaseException, label: str, method: str) -> ErrorReport:
        self._host.memory.met(error)
        return self._report(error, label, method, remote=False)

    def report_to_caller(self, actor: Actor | Scope, error: BaseException, method: str) -> ErrorReport:
        self._host.memory.met(error)
        if actor.constructing and actor.broken is error:
            activation = actor.activation
            activation.report = activation.report or self.report(error, actor.label, "__init__")
            return activation.report
        # What never was raised comes from us: the actor was too busy, or was reset.
        is_theirs = actor.broken is None and error.__traceback__ is not None
        return self._report(error, actor.label, method, remote=is_theirs)

    def log(self, level: str, text: str, label: str) -> None:
        self._host.send(Log(level, text, label))

    def log_once(self, once: str, text: str, label: str) -> None:
        """A warning that the gateway shows once, whichever host says it."""
        self._host.send(Log("warning", text, label, once=once))

    def log_failure(self, error: BaseException, label: str, method: str) -> None:
        report = self.report(error, label, method)
        self._host.send(Log("error", f"{report.type}: {report.message}", label, report))

    def _report(self, error: BaseException, label: str, method: str, *, remote: bool) -> ErrorReport:
        project = self._host.project
        owns = project.owns if project else _nothing_owned
        return report_error(
            error, is_user_file=owns, label=label, method=method, remote=remote, redaction=self._host.redaction
        )


def _nothing_owned(file: str) -> bool:
    return False

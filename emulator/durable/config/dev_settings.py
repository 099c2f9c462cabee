"""The `[dev]` table → `DevSettings`: types, ranges and spellings."""

from __future__ import annotations

import ipaddress
import re
import sys
from typing import TypeVar, cast, get_args

from durable import limits
from durable.config import keys
from durable.config.document import dotted
from durable.config.fields import Table, describe_value
from durable.config.schema import ConfigWarning, DevSettings, Durability, Portability, Reload

__all__ = ["read_dev"]

DAY_SECONDS = 86_400.0
IDLE_SECONDS_MIN = 0.01
"""Shorter, and an actor would be evicted between two requests of one page."""
DRAIN_SECONDS_MAX = 60.0
WATCHDOG_SECONDS_MAX = 3_600.0
MEMORY_MB_MIN = 64
"""A host that has imported nothing holds 40 MB of what is counted."""
MEMORY_MB_MAX = 1_048_576
PITR_DAYS_MAX = 365
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_IP_WORDS = {"localhost": "127.0.0.1", "*": "0.0.0.0"}
"""Words that wrangler takes for an address."""


def read_dev(owner: Table, warnings: list[ConfigWarning]) -> DevSettings:
    """The settings of the top level, with defaults for what is missing; appends to `warnings`."""
    table = owner.table("dev")
    warnings += table.unknown_keys(keys.DEV, keys.DEV_SILENT)
    usual = DevSettings()
    return DevSettings(
        ip=_or(_ip(table), usual.ip),
        port=_or(table.whole_number("port", 0, 65_535), usual.port),
        hosts=_or(table.whole_number("hosts", 1, limits.HOSTS_MAX), usual.hosts),
        idle_seconds=_or(table.seconds("idle_seconds", IDLE_SECONDS_MIN, DAY_SECONDS), usual.idle_seconds),
        durability=_or(cast("Durability | None", table.choice("durability", get_args(Durability))), usual.durability),
        drain_seconds=_or(table.seconds("drain_seconds", 0, DRAIN_SECONDS_MAX), usual.drain_seconds),
        watch=_watch(table),
        reload=_or(cast("Reload | None", table.choice("reload", get_args(Reload))), usual.reload),
        allowed_hosts=_allowed_hosts(table),
        watchdog_seconds=_or(table.seconds("watchdog_seconds", 0, WATCHDOG_SECONDS_MAX), usual.watchdog_seconds),
        memory_mb=_or(_memory_mb(table, warnings), usual.memory_mb),
        pitr_days=_or(table.whole_number("pitr_days", 0, PITR_DAYS_MAX), usual.pitr_days),
        portability=_or(
            cast("Portability | None", table.choice("portability", get_args(Portability))), usual.portability
        ),
    )


_T = TypeVar("_T")


def _or(value: _T | None, usual: _T) -> _T:
    return usual if value is None else value


def _ip(table: Table) -> str | None:
    text = table.text("ip")
    if text is None or text in _IP_WORDS:
        return text if text is None else _IP_WORDS[text]
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise table.wrong("ip", 'an IP address such as "127.0.0.1"') from None
    return text


def _memory_mb(table: Table, warnings: list[ConfigWarning]) -> int | None:
    megabytes = table.whole_number("memory_mb", 0, MEMORY_MB_MAX)
    if megabytes and megabytes < MEMORY_MB_MIN:
        raise table.wrong("memory_mb", f"0 for no limit, or at least {MEMORY_MB_MIN}")
    if megabytes and sys.platform != "linux":
        message = "memory_mb is not enforced here: only Linux limits what a process holds"
        warnings.append(table.warning("memory_mb", message))
    return megabytes


def _watch(table: Table) -> tuple[str, ...]:
    paths = table.texts("watch")
    for index, path in enumerate(paths):
        if not path or "\0" in path:
            where = (*table.path, "watch", index)
            raise table.document.error(where, f'expected "{dotted(where)}" to be a file or folder')
    return paths


def _allowed_hosts(table: Table) -> tuple[str, ...]:
    hosts = table.texts("allowed_hosts")
    for index, host in enumerate(hosts):
        if not _HOST_NAME.fullmatch(host.removeprefix("*.")) and not _is_ip(host):
            where = (*table.path, "allowed_hosts", index)
            raise table.document.error(
                where,
                f'expected "{dotted(where)}" to be a host name without scheme, port or path, '
                f"got {describe_value(host)}",
                fix='allowed_hosts = ["host.docker.internal"]',
            )
    return tuple(host.lower() for host in hosts)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

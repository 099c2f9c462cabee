"""Time zones that a stored or sent datetime keeps: none, a fixed offset, or a name of the IANA database.

Any other tzinfo object carries code, and code does not travel.
"""

from __future__ import annotations

from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

MICROSECOND = timedelta(microseconds=1)


def travels(zone: tzinfo | None) -> bool:
    """Whether `zone` means the same on the other side; a ZoneInfo that was read from a file has no name to send."""
    return zone is None or type(zone) is timezone or (type(zone) is ZoneInfo and bool(zone.key))


def zone_to_plain(zone: tzinfo | None) -> int | str | None:
    """None, microseconds east of UTC, or a name like "Europe/Berlin"; the name given to a fixed offset is not kept."""
    if type(zone) is ZoneInfo:
        return zone.key
    if type(zone) is timezone:
        return zone.utcoffset(None) // MICROSECOND
    return None


def zone_from_plain(plain: int | str | None) -> tzinfo | None:
    """The opposite of `zone_to_plain`; raises ValueError or KeyError for what it never wrote."""
    if plain is None:
        return None
    return ZoneInfo(plain) if isinstance(plain, str) else timezone(timedelta(microseconds=plain))

"""How many file descriptors this process may have, and what that means for object files. Knows no file."""

from __future__ import annotations

import resource

from durable.limits import (
    DESCRIPTORS_MAX,
    DESCRIPTORS_PER_FILE,
    DESCRIPTORS_RESERVED,
    OPEN_FILES_MAX,
    OPEN_FILES_MIN,
)

_DARWIN_OPEN_MAX = 10_240
"""What macOS grants at most whatever the hard limit says (getrlimit(2), COMPATIBILITY)."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one, as far as the system lets us, and return what it is now. Never fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, DESCRIPTORS_MAX, _DARWIN_OPEN_MAX):
        if wanted == resource.RLIM_INFINITY or wanted > DESCRIPTORS_MAX:
            continue
        if soft != resource.RLIM_INFINITY and soft >= wanted:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            continue
        break
    return descriptor_limit()


def descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DESCRIPTORS_MAX if soft == resource.RLIM_INFINITY else soft


def open_files_max(limit: int) -> int:
    """Object files that a process with `limit` descriptors may keep open."""
    return max(OPEN_FILES_MIN, min(OPEN_FILES_MAX, (limit - DESCRIPTORS_RESERVED) // DESCRIPTORS_PER_FILE))

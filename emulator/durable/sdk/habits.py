"""What a program written for the platform's own SDK sees otherwise than one written for `durable`. The host decides."""

from __future__ import annotations

from durable.sdk.buffers import JsBuffer

platform: bool = False
"""Whether the program imports `workers`: bytes of a body arrive as `JsBuffer`, and an absent header is None."""


def adopt(like_the_platform: bool) -> None:
    """For the host, when it has loaded a program."""
    global platform
    platform = like_the_platform


def arrived(data: bytes) -> bytes:
    """Bytes of a body as the program may hold them."""
    return JsBuffer(data) if platform else data

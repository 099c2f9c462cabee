"""What changes in a host whose program is written for the platform: in what types values and errors arrive."""

from __future__ import annotations

from durable import values
from durable.sdk import habits
from durable.sdk.buffers import JsBuffer
from durable.sdk.js_values import TRAVELS_AS
from durable.values import Row


def adopt(platform: bool) -> None:
    """For a host, when it has imported a program; `platform` says that the program imported `workers`."""
    for kind, like in TRAVELS_AS.items():
        values.register(kind, like)
    values.arrive_as(Row if platform else dict, JsBuffer if platform else bytes)
    habits.adopt(platform)

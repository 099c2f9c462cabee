"""Which classes of a program are served, and by what name."""

from __future__ import annotations

from typing import Any

from durable.wire import messages as wire
from tests.conformance.stage import Facts, Stage

FACTS = Facts()

CLASSES = """
class Thing(_Base, platform.DurableObject):
    pass

class _Hidden(platform.DurableObject):
    pass

Alias = type("Real", (platform.DurableObject,), {})
DurableObject = platform.DurableObject
WorkerEntrypoint = platform.WorkerEntrypoint

class Default(platform.WorkerEntrypoint):
    def fetch(self, request):
        return platform.Response("from " + type(self).__name__)

class Plain:
    pass
"""


@FACTS.both_driven(
    "1.2 served are the proper subclasses that the main module has under names without underscore, as cls.__name__",
    program=CLASSES,
)
async def served(stage: Stage, platform: Any) -> None:
    ready = stage.gateway.of(wire.Ready)[0]
    assert ready.classes == ["Default", "Real", "Thing"]
    assert ready.actors == ["Real", "Thing"]


@FACTS.both_driven("1.2 or those that __all__ names", program=CLASSES + '\n__all__ = ["Thing", "_Hidden"]\n')
async def listed(stage: Stage, platform: Any) -> None:
    assert stage.gateway.of(wire.Ready)[0].classes == ["Thing", "_Hidden"]


@FACTS.both_driven("1.2 class Default(WorkerEntrypoint) answers requests", program=CLASSES)
async def default(stage: Stage, platform: Any) -> None:
    assert (await stage.gateway.fetch("/")).body == b"from Default"


HANDLERS = """
from workers import Response, handler

class Thing(_Base, platform.DurableObject):
    async def on_fetch(self, request):
        return Response("of the object")

@handler
async def on_fetch(request, env):
    return Response(env.COLOUR + " " + request.method)
"""


@FACTS.cloudflare_driven(
    "1.2 before 2025-08-14 functions are handlers, and on_fetch is one of an object",
    program=HANDLERS, compatibility_date="2025-08-13",
)  # fmt: skip
async def functions(stage: Stage, platform: Any) -> None:
    assert (await stage.gateway.fetch("/")).body == b"blue GET"
    assert (await stage.gateway.fetch("/", name="a")).body == b"of the object"
    assert [m.text for m in stage.gateway.of(wire.Log)] == []


@FACTS.cloudflare_driven("1.2 since 2025-08-14 they are not, which is told", program=HANDLERS)
async def no_functions(stage: Stage, platform: Any) -> None:
    assert stage.gateway.of(wire.Ready)[0].classes == ["Thing"]
    assert (await stage.gateway.fetch("/")).status == 500
    (told,) = [m.text for m in stage.gateway.of(wire.Log) if "on_fetch()" in m.text]
    assert "will not be called: since compatibility date 2025-08-14" in told


WORKFLOW = """
from workers import WorkflowEntrypoint
from workers.workflows import NonRetryableError

class Thing(_Base, platform.DurableObject):
    pass

class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        raise NonRetryableError("never")
"""


@FACTS.cloudflare_driven("1.2 a workflow can be defined, and is told to be none that runs here", program=WORKFLOW)
async def workflow(stage: Stage, platform: Any) -> None:
    assert stage.gateway.of(wire.Ready)[0].classes == ["Thing"]
    (told,) = [m.text for m in stage.gateway.of(wire.Log) if "workflow" in m.text]
    assert told.startswith("class Order is a workflow, and workflows do not run here")

"""The public names, and what importing them costs."""

import subprocess
import sys

import durable


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(durable.__all__) == [
        "ActorError", "ActorResetError", "AlarmInfo", "Blob", "DataCloneError", "DurableError", "DurableObject",
        "DurableObjectAbort", "DurableObjectId", "DurableObjectNamespace", "DurableObjectState", "DurableObjectStorage",
        "DurableObjectStub", "ExecutionContext", "File", "FormData", "Headers", "HostGoneError", "OverloadedError",
        "Request", "Response", "RpcStub", "RpcTarget", "ScheduledEvent", "SqlCursor", "SqlError", "SqlStorage",
        "StorageError", "WebSocket", "WebSocketPair", "WebSocketRequestResponsePair", "WorkerEntrypoint", "fetch",
        "now",
    ]  # fmt: skip
    for name in durable.__all__:
        assert getattr(durable, name) is not None


def test_importing_durable_loads_the_standard_library_only_and_little_of_it() -> None:
    foreign = ("apsw", "aiohttp", "asyncio", "msgspec", "uvloop", "typer")
    code = f"import sys, durable; print([name for name in {foreign} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"

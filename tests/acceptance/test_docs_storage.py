"""docs/storage.md is true: every example runs in a real actor, with the results that are printed beside it.

A block that begins with a class is one more class of the program. Any other is the inside of a method of an object of
its own: `x  # → y` compares the repr of x, `x  # raises E: text` wants that error with the text in its message.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.testing import App, Reply, run

REPO = Path(__file__).parents[2]
DOCUMENT = (REPO / "docs" / "storage.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
CLASSES = {match[1]: block for block in BLOCKS if (match := re.match(r"class (\w+)\(DurableObject\)", block))}
SNIPPETS = [block for block in BLOCKS if block not in CLASSES.values()]
DURABLE = str(Path(sys.executable).with_name("durable"))
WAIT_SECONDS_MAX = 20.0

PROGRAM = """
import asyncio
import json
from datetime import date, timedelta

from durable import DurableObject, Response, WorkerEntrypoint


def check(source, got, wanted):
    if repr(got) != wanted:
        raise AssertionError(f"{source} gives {got!r}, not {wanted}")


class refused:
    def __init__(self, source, kind, text):
        self.source, self.kind, self.text = source, kind, text

    def __enter__(self):
        pass

    def __exit__(self, kind, error, traceback):
        if error is None:
            raise AssertionError(f"{self.source} raises nothing")
        if kind.__name__ != self.kind or self.text not in str(error):
            raise AssertionError(f"{self.source} raises {kind.__name__}: {error}")
        return True


class Examples(DurableObject):
    async def alarm(self):
        pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        class_name, name, method, arguments = json.loads(await request.text())
        stub = getattr(self.env, class_name).get_by_name(name)
        try:
            return Response.json({"result": await getattr(stub, method)(*arguments)})
        except Exception as error:
            return Response.json({"error": type(error).__name__, "message": str(error)})
"""


def method(number: int, block: str) -> str:
    """An example as a method of `Examples`, its comments turned into checks."""
    lines = [
        f"\n    async def example_{number}(self):",
        "        storage, sql = self.ctx.storage, self.ctx.storage.sql",
    ]
    for line in block.splitlines():
        indent, code, comment = re.fullmatch(r"(\s*)(.*?)(?:  # (→ .*|raises .*))?", line).groups()  # type: ignore[union-attr]
        if not comment:
            lines.append(f"        {line}")
        elif comment.startswith("→"):
            lines.append(f"        {indent}check({code!r}, ({code}), {comment[2:]!r})")
        else:
            kind, _, text = comment.removeprefix("raises ").partition(": ")
            lines.append(f"        {indent}with refused({code!r}, {kind!r}, {text!r}): {code}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("storage")
    examples = "".join(method(number, block) for number, block in enumerate(SNIPPETS))
    before, after = PROGRAM.split("\nclass Default")
    classes = "\n\n".join(CLASSES.values())
    (folder / "main.py").write_text(f"{before}{examples}\n\n{classes}\n\nclass Default{after}", "utf-8")
    names = ["Examples", *CLASSES]
    bindings = "".join(f'[[durable_objects.bindings]]\nname = "{name}"\nclass_name = "{name}"\n' for name in names)
    migration = f'[[migrations]]\ntag = "v1"\nnew_sqlite_classes = {names}\n'.replace("'", '"')
    settings = 'name = "storage"\nmain = "main.py"\ncompatibility_date = "2026-03-01"\n'
    (folder / "durable.toml").write_text(settings + bindings + migration, "utf-8")
    return folder


@pytest.fixture(scope="module")
def app(project: Path) -> Iterator[App]:
    with run(project / "durable.toml", state=project / "state") as running:
        yield running


def ask(app: App, class_name: str, name: str, method_name: str, *arguments: Any) -> dict[str, Any]:
    reply: Reply = app.post("/", json=[class_name, name, method_name, list(arguments)])
    answer: dict[str, Any] = reply.json()
    return answer


def result(app: App, class_name: str, method_name: str, *arguments: Any) -> Any:
    """What one call to the example's object gives; fails the test when it raises."""
    answer = ask(app, class_name, "home", method_name, *arguments)
    assert "error" not in answer, answer
    return answer["result"]


@pytest.mark.parametrize("number", range(len(SNIPPETS)), ids=lambda number: SNIPPETS[number].splitlines()[0][:60])
def test_an_example_gives_what_is_printed_beside_it(app: App, number: int) -> None:
    assert ask(app, "Examples", str(number), f"example_{number}") == {"result": None}


def test_an_example_that_prints_something_untrue_fails(tmp_path: Path) -> None:
    lines = method(0, 'await storage.get("k")  # → 5\nsql.exec("BEGIN")  # raises SqlError: no\n')

    assert """check('await storage.get("k")', (await storage.get("k")), '5')""" in lines
    assert "with refused(" in lines
    scope: dict[str, Any] = {}
    exec(
        PROGRAM.split("\nclass Examples")[0].replace("from durable import", "from durable import DurableObject as D,"),
        scope,
    )
    with pytest.raises(AssertionError, match="gives 4, not 5"):
        scope["check"]("2 + 2", 4, "5")
    with pytest.raises(AssertionError, match="raises nothing"), scope["refused"]("f()", "SqlError", "no"):
        pass
    with pytest.raises(AssertionError, match="raises ValueError: yes"), scope["refused"]("f()", "SqlError", "no"):
        raise ValueError("yes")


# --- classes --------------------------------------------------------------------------------------------------------
def test_every_class_of_the_document_is_tried_here() -> None:
    source = Path(__file__).read_text("utf-8")

    assert [name for name in CLASSES if f'(app, "{name}"' not in source] == []


def test_a_room_finds_its_members_again_after_a_reload(app: App) -> None:
    assert result(app, "Room", "join", "ada") == 1
    app.reload()

    assert result(app, "Room", "join", "grace") == 2


def test_a_turn_that_raises_keeps_what_it_wrote_and_a_transaction_does_not(app: App) -> None:
    careful = ask(app, "Till", "home", "move", "shop", "tips", 900)
    after_careful = result(app, "Till", "total")
    careless = ask(app, "Till", "home", "move_carelessly", "shop", "tips", 900)

    assert careful["error"] == careless["error"] == "SqlError"
    assert after_careful == 500
    assert result(app, "Till", "total") == 1400


def test_an_order_is_marked_before_the_other_side_hears_of_it(app: App, project: Path) -> None:
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(100))
            heard.append(app_state())
            connection.sendall(b"done\n")

    def app_state() -> bytes:
        # Not through the emulator, which would wait for the order's turn: what the log on disk says by now.
        logs = list((project / "state").glob("Order-*/*/*.sqlite-wal"))
        return b"paying" if logs and b"paying" in logs[0].read_bytes() else b"nothing"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        answer = result(app, "Order", "pay", *listener.getsockname())
        server.join()

    assert answer == "done\n"
    assert heard == [b"charge 500\n", b"paying"]


def test_an_alarm_runs_with_what_was_stored_beside_it(app: App) -> None:
    result(app, "Reminder", "remind", "tea", time.time() * 1000)

    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while result(app, "Reminder", "reminded") is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    assert result(app, "Reminder", "reminded") == "tea"


def write_twice(app: App) -> tuple[str, int]:
    """Bookmark and milliseconds of the page when it was "first"; it is "second" now."""
    result(app, "Page", "write", "first")
    first, at_first = result(app, "Page", "bookmark"), time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= at_first:
        pass  # two commits in one millisecond are one moment
    result(app, "Page", "write", "second")
    return first, at_first


def test_a_page_goes_back_to_its_bookmark_and_forward_again(app: App) -> None:
    first, at_first = write_twice(app)

    undo = result(app, "Page", "restore", first)
    assert result(app, "Page", "read") == "second"
    assert ask(app, "Page", "home", "restart") == {"error": "ActorResetError", "message": "restored"}
    assert result(app, "Page", "read") == "first"
    result(app, "Page", "restore", undo)
    ask(app, "Page", "home", "restart")

    assert result(app, "Page", "read") == "second"
    assert result(app, "Page", "bookmark_at", at_first) == first


def test_the_commands_of_the_document_restore_a_page(project: Path, tmp_path: Path) -> None:
    commands = re.findall(r"^(durable .*)$", DOCUMENT, re.MULTILINE)
    assert len(commands) == 2
    with run(project / "durable.toml", state=tmp_path / "state") as stopped_soon:
        _, at_first = write_twice(stopped_soon)

    printed = []
    for command in commands:
        words = command.replace("-10m", str(at_first)).split()[1:]
        done = subprocess.run(
            [DURABLE, *words, "--persist-to", str(tmp_path)], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout + done.stderr)

    assert "oldest" in printed[0]
    assert "to undo this: durable objects restore Page home --at " in printed[1]
    with run(project / "durable.toml", state=tmp_path / "state") as again:
        assert result(again, "Page", "read") == "first"


# --- tables ---------------------------------------------------------------------------------------------------------
def test_the_bytes_of_the_encoded_values_are_those_that_are_printed() -> None:
    from datetime import date, timedelta

    from durable.values import decode, encode

    rows = re.findall(r"^\| `(.+?)` \| `((?:[0-9a-f]{2} ?)+)` \|$", DOCUMENT, re.MULTILINE)
    assert len(rows) == 6
    for source, printed in rows:
        value = eval(source, {"date": date, "timedelta": timedelta})
        assert encode(value).hex(" ") == printed, source
        assert decode(bytes.fromhex(printed)) == value


def test_every_extension_of_the_encoding_stands_in_the_table() -> None:
    from durable.values import codec

    rows = re.findall(r"^\| (\d+) \| .+ \| .+ \|$", DOCUMENT, re.MULTILINE)

    assert [int(number) for number in rows] == sorted(codec._UNPACKERS)


def test_every_pragma_that_is_allowed_stands_in_the_document() -> None:
    from durable.storage.sql import authorizer

    allowed = (
        authorizer.PRAGMAS_PLAIN
        | authorizer.PRAGMAS_SWITCH
        | authorizer.PRAGMAS_NAMED
        | authorizer.PRAGMAS_NUMBERED
        | {"table_list"}
    )
    named = DOCUMENT.split("\nPragmas: ")[1].split("\n\n")[0]

    assert set(re.findall(r"`(\w+)`", named)) == allowed
    assert {f"`{module}`" for module in authorizer.MODULES} <= set(re.findall(r"`\w+`", DOCUMENT))

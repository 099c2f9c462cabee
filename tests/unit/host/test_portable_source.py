"""What the source of a program shows: randomness at import, and names that the platform does not know."""

from __future__ import annotations

import textwrap

import pytest

from durable.actor.portability import KINDS
from durable.host.portable_source import HANDLERS, MEMBERS, OPTIONS, findings
from durable.sdk.aliases import SNAKE_TO_CAMEL


def found(source: str, **others: str) -> list[tuple[int, str]]:
    """Line and text for a module of a project that has these `others`, too."""
    sources = {"entry.py": textwrap.dedent(source), **{f"{name}.py": text for name, text in others.items()}}
    everything = findings(sources)
    assert all(finding.kind in KINDS for finding in everything)
    return [(finding.line, finding.what) for finding in everything if finding.file == "entry.py"]


# --- randomness ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("import random\nSEED = random.random()", "random.random()"),
        ("import random as rnd\nrnd.seed(1)", "random.seed()"),
        ("from random import choice\nWORD = choice(WORDS)", "random.choice()"),
        ("import random\nRANDOM = random.Random()", "random.Random()"),
        ("import secrets\nTOKEN = 'a' + secrets.token_hex()", "secrets.token_hex()"),
        ("import uuid\nRUN = str(uuid.uuid4())", "uuid.uuid4()"),
        ("from uuid import uuid4 as new\nRUN = new()", "uuid.uuid4()"),
        ("import os\nKEY = os.urandom(16)", "os.urandom()"),
        ("import numpy as np\nNOISE = np.random.rand(3)", "numpy.random.rand()"),
        ("import numpy as np\nRNG = np.random.default_rng()", "numpy.random.default_rng()"),
    ],
)
def test_randomness_at_import_is_found(source: str, asked: str) -> None:
    assert found(source) == [(2, f"{asked} is called while the module is imported")]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import random\nclass Room:\n    number = random.random()", 3),
        ("import random\ndef pick(first=random.random()): ...", 2),
        ("import random\nasync def pick(*, first=random.random()): ...", 2),
        ("import random\n@register(random.random())\ndef pick(): ...", 2),
        ("import random\nif DEBUG:\n    for _ in range(3):\n        random.random()", 4),
        ("import random\nALL = [random.random() for _ in range(3)]", 2),
        ("import random\ndef token():\n    return random.random()\nTOKEN = token()", 4),
        ("import random\ndef a():\n    return b()\ndef b():\n    return random.random()\nTOKEN = a()", 6),
        ("import random\nclass Ids:\n    def __init__(self):\n        self.next = random.random()\nIDS = Ids()", 5),
    ],
)
def test_whatever_runs_at_import_is_looked_at(source: str, line: int) -> None:
    assert found(source) == [(line, "random.random() is called while the module is imported")]


@pytest.mark.parametrize(
    "source",
    [
        "import random\ndef pick():\n    return random.random()",
        "import random\npick = lambda: random.random()",
        "import random\nclass Room:\n    def __init__(self):\n        self.number = random.random()",
        "import random\nRANDOM = random.Random(7)\nFIRST = RANDOM.random()",
        "import random\nRANDOM = random.SystemRandom()",
        "import numpy as np\nRNG = np.random.default_rng(7)",
        "import uuid\nSPACE = uuid.uuid5(uuid.NAMESPACE_URL, 'a')",
        "import secrets\nSAME = secrets.compare_digest('a', 'a')",
        "import random\nif __name__ == '__main__':\n    random.random()",
        "from mine import random\nX = random.random()",
        "import random\nasync def pick():\n    return random.random()\nPICKS = [pick]",
        "def random():\n    return 4\nX = random()",
        "import random\nx = (",
    ],
)
def test_randomness_in_a_handler_or_with_a_seed_is_not_found(source: str) -> None:
    assert found(source) == []


# --- names -----------------------------------------------------------------------------------------------------------
def test_handlers_members_and_options_in_snake_case_are_found_in_a_module_that_imports_the_sdk() -> None:
    source = """\
        from workers import DurableObject

        class Room(DurableObject):
            async def fetch(self, request):
                room = self.env.ROOMS.get_by_name("a")
                await self.ctx.storage.list(start_after="a")
                return await (
                    self.ctx
                    .storage.set_alarm(5)
                )

            async def web_socket_message(self, ws, message):
                ws.send(message)
    """

    assert found(source) == [
        (5, ".get_by_name is used, and not .getByName"),
        (6, "start_after= is given, and not startAfter="),
        (9, ".set_alarm is used, and not .setAlarm"),
        (12, "Room defines web_socket_message, and not webSocketMessage"),
    ]


@pytest.mark.parametrize("line", ["from js import Date", "import workers", "from pyodide.ffi import to_js"])
def test_every_module_of_the_sdk_makes_a_module_one_for_the_platform(line: str) -> None:
    assert found(f"{line}\nx.get_by_name('a')") == [(2, ".get_by_name is used, and not .getByName")]


@pytest.mark.parametrize(
    "source",
    [
        "from durable import DurableObject\nx.get_by_name('a')",
        "from workers import Response\nx.getByName('a')",
        "import workers\nworkers.wait_until(work())",
        "from workers import wait_until\nwait_until(work())",
        "from workers import Response\nr = Response('', web_socket=client)\nr.status_text\nr.form_data()",
        "from workers import DurableObject\nclass Clock(DurableObject):\n"
        "    def set_alarm(self): ...\nclass Default:\n    def fetch(self):\n        return stub.set_alarm()",
        "from workers import DurableObject\nself.scheduled_time = 1\nprint(self.scheduled_time)",
        "# from workers import Response\nx.get_by_name('a')",
    ],
)
def test_names_of_the_project_and_those_of_the_sdk_itself_are_not_found(source: str) -> None:
    assert found(source) == []


def test_a_method_of_another_module_of_the_project_is_its_own_name() -> None:
    source = "from workers import Response\nawait_me = stub.set_alarm(1)"

    assert found(source, clock="class Clock:\n    def set_alarm(self, at): ...") == []
    assert found(source, clock="def set_clock(): ...") == [(2, ".set_alarm is used, and not .setAlarm")]


@pytest.mark.parametrize("name", sorted(HANDLERS | MEMBERS | OPTIONS))
def test_every_name_that_is_looked_for_has_another_spelling(name: str) -> None:
    assert SNAKE_TO_CAMEL[name] != name

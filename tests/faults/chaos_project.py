"""The project of the chaos campaign, and the ways in which somebody who edits it can break it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.faults import chat
from tests.faults.increments import INCREMENTS

WATCHDOG_SECONDS = 5
"""Also how long an import may take, which on a busy machine is no matter of milliseconds."""

SETTINGS = f"""\
name = "app"
main = "main.py"
compatibility_date = "2026-11-01"

[[durable_objects.bindings]]
name = "ROOMS"
class_name = "Room"

[[durable_objects.bindings]]
name = "LEDGERS"
class_name = "Ledger"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Room", "Ledger"]

[dev]
drain_seconds = 1
watchdog_seconds = {WATCHDOG_SECONDS}

[vars]
EDITION = 0
"""

LEDGER = (
    INCREMENTS
    + """
    def loop(self):
        while True:
            pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what, *words = urlsplit(request.url).path.strip("/").split("/")
        if what == "increment":
            return Response(str(await self.env.LEDGERS.get_by_name(words[0]).increment(words[1])))
        if what == "tokens":
            return Response.json(await self.env.LEDGERS.get_by_name(words[0]).tokens())
        if what == "loop":
            await self.env.LEDGERS.get_by_name(words[0]).loop()
        if what == "sleep":
            await asyncio.sleep(float(words[0]))
        if what in ("version", "sleep"):
            return Response(f"{VERSION} {self.env.EDITION}")
        return await self.env.ROOMS.get_by_name(what).fetch(request)
"""
)

PROGRAM = (
    chat.PROGRAM.replace("VERSION = 0", "from words import VERSION").partition("class Default(")[0].rstrip()
    + "\n\n\n"
    + LEDGER
)
"""Rooms and ledgers. `words.py` beside it holds the version, so that a save may concern either file."""

SWALLOWING = PROGRAM.replace(
    "    def increment(self, token):\n",
    "    def increment(self, token):\n        if token.endswith('7'):\n            return 1 + len(self.tokens())\n",
)
"""A program that acknowledges increments which it does not make."""

BROKEN = {
    "a syntax error": PROGRAM + "\ndef broken(:\n",
    "a missing module": "import nothing_here\n" + PROGRAM,
    "an exception": PROGRAM + "\n1 / 0\n",
    "a missing class": PROGRAM.replace("class Ledger(", "class Register("),
    "an empty file": "",
    "sys.exit": "raise SystemExit(3)\n",
    "os._exit": "import os\nos._exit(3)\n",
    "bytes that are no text": "\x00" + PROGRAM,
}
BROKEN_SETTINGS = {
    "half a line": SETTINGS.replace('name = "app"', 'name = "ap'),
    "a wrong type": SETTINGS.replace("drain_seconds = 1", 'drain_seconds = "soon"'),
    "a class that is not there": SETTINGS.replace('class_name = "Room"', 'class_name = "Hall"'),
    "an empty file": "",
}


class Project:
    """Files that are edited as editors do it."""

    def __init__(self, folder: Path, choice: random.Random, program: str = PROGRAM) -> None:
        self.folder = folder
        self.main, self.words, self.config = folder / "main.py", folder / "words.py", folder / "durable.toml"
        self.version = 0
        self.edition = 0
        self._choice = choice
        self._program = program
        self.mend()

    def mend(self) -> str:
        """Make everything good, and another version; returns what `/version` then says."""
        self.version += 1
        self.edition += self._choice.randrange(2)
        self.config.write_text(SETTINGS.replace("EDITION = 0", f"EDITION = {self.edition}"))
        self.save_words()
        self.replace(self.main, self._program + f"# {self.version}\n")
        return f"{self.version} {self.edition}"

    def save_words(self) -> None:
        # Of the same size as the one before, as long as there are fewer than a hundred thousand.
        self.words.write_text(f"VERSION = {self.version} # {self.version:05}\n")

    def replace(self, file: Path, text: str) -> None:
        """The new file takes the old one's name."""
        new = file.with_suffix(".tmp")
        new.write_text(text)
        new.replace(file)

    async def save_good(self) -> None:
        self.version += 1
        if self._choice.random() < 0.5:
            self.save_words()
        else:
            self.replace(self.main, self._program + f"# {self.version}\n")

    async def save_twice(self) -> None:
        """An editor, and right behind it a formatter."""
        self.version += 1
        self.main.write_text(self._program + f"#{self.version}\n")
        await asyncio.sleep(self._choice.uniform(0, 0.05))
        self.main.write_text(self._program + f"# {self.version}\n")

    async def save_broken(self) -> None:
        self.main.write_text(self._choice.choice(list(BROKEN.values())))

    async def save_in_halves(self) -> None:
        self.version += 1
        text = self._program + f"# {self.version}\n"
        with self.main.open("w") as file:
            file.write(text[: self._choice.randrange(len(text))])
            file.flush()
            await asyncio.sleep(self._choice.uniform(0, 0.3))
            file.seek(0)
            file.write(text)

    async def save_storm(self) -> None:
        for _ in range(30):
            self.version += 1
            self.save_words()
            await asyncio.sleep(0.01)

    async def delete(self) -> None:
        self._choice.choice([self.main, self.words]).unlink(missing_ok=True)

    async def rename(self) -> None:
        if self.words.exists():
            self.words.rename(self.folder / "other_words.py")

    async def break_config(self) -> None:
        self.config.write_text(self._choice.choice(list(BROKEN_SETTINGS.values())))

    async def edit_config(self) -> None:
        self.edition += 1
        self.config.write_text(SETTINGS.replace("EDITION = 0", f"EDITION = {self.edition}"))

    async def write_beside(self) -> None:
        """What is no part of the program."""
        for folder in (".venv", "__pycache__", ".git", "notes"):
            (self.folder / folder).mkdir(exist_ok=True)
            (self.folder / folder / f"{self._choice.randrange(10)}.txt").write_text("x")

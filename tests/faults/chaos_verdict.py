"""What clients were told against what is stored, and what processes hold: everything a campaign promises, judged.

Pure: it knows no process and no network, and each way of breaking a promise has a test of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CAUSES = frozenset({"reloading", "host_crashed", "overloaded", "exception", "object_reset"})
"""What an error may say of its cause; a fault of the gateway's own is none of them."""
MIB = 1024 * 1024
GROWTH_BYTES_MAX = 24 * MIB
"""Between two moments of rest: Python does not give back what a flood of requests took at its height."""


@dataclass(frozen=True)
class Answer:
    """What one request came to: `status` 0 and `text` for one that never was answered."""

    path: str
    status: int
    code: str = ""
    message: str = ""

    def __str__(self) -> str:
        return f"{self.path} {self.status} {self.code}: {self.message}"[:300]


@dataclass
class History:
    """What the clients saw. A token is used once."""

    acknowledged: dict[str, dict[str, int]] = field(default_factory=dict)
    """Ledger → token → the number it got."""
    uncertain: dict[str, set[str]] = field(default_factory=dict)
    """Ledger → tokens whose requests failed: they may be stored."""
    answers: Counter[int] = field(default_factory=Counter)
    errors: list[Answer] = field(default_factory=list)

    def take(self, answer: Answer, ledger: str = "", token: str = "", number: str = "") -> None:
        self.answers[answer.status] += 1
        good = 200 <= answer.status < 300
        if not good:
            self.errors.append(answer)
        if token and good:
            self.acknowledged.setdefault(ledger, {})[token] = int(number)
        elif token:
            self.uncertain.setdefault(ledger, set()).add(token)


@dataclass(frozen=True)
class Rest:
    """What the processes of an emulator hold while nothing happens."""

    gateway_bytes: int
    descriptors: int
    processes: int
    zombies: int


def faults_of_answers(history: History) -> list[str]:
    """Requests without an answer, and errors that do not name their cause."""
    faults = [f"not answered: {answer}" for answer in history.errors if answer.status == 0]
    for answer in history.errors:
        if answer.status and (answer.status not in (500, 503) or answer.code not in CAUSES or not answer.message):
            faults.append(f"names no cause: {answer}")
    return faults


def faults_of_ledgers(history: History, stored: Mapping[str, Sequence[str]]) -> list[str]:
    """Increments that were acknowledged and lost, that are there twice, or that nobody asked for."""
    faults: list[str] = []
    for ledger in history.acknowledged.keys() | stored.keys():
        acknowledged, rows = history.acknowledged.get(ledger, {}), stored.get(ledger, [])
        for token, number in acknowledged.items():
            if number > len(rows) or rows[number - 1] != token:
                faults.append(f"{ledger}: {token} was acknowledged as number {number} and is not there")
        faults += [f"{ledger}: {token} is there {count} times" for token, count in Counter(rows).items() if count > 1]
        strangers = set(rows) - acknowledged.keys() - history.uncertain.get(ledger, set())
        faults += [f"{ledger}: {token} is there and was never asked for" for token in strangers]
    return faults


def faults_of_rest(before: Rest, after: Rest) -> list[str]:
    """What a campaign leaves behind."""
    faults: list[str] = []
    if after.gateway_bytes - before.gateway_bytes > GROWTH_BYTES_MAX:
        faults.append(f"memory grew from {before.gateway_bytes / MIB:.1f} to {after.gateway_bytes / MIB:.1f} MiB")
    if after.descriptors > before.descriptors:
        faults.append(f"open files grew from {before.descriptors} to {after.descriptors}")
    if after.processes != before.processes:
        faults.append(f"there were {before.processes} processes, now there are {after.processes}")
    if after.zombies:
        faults.append(f"{after.zombies} processes were not reaped")
    return faults

"""The power goes, at any moment: what the gateway let out is on the disk, and nothing else is there by half.

A real host runs on a disk that logs instead of syncing; where the gateway lets an answer out, the length of the log is
noted. From the log come hundreds of disks as a power cut may have left them, each opened by the normal start-up code.

pytest tests/faults/test_power_cut.py -m slow                            a thousand disks
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from durable.clock import ManualClock
from durable.errors import ActorResetError, StorageError
from durable.gateway.link import Reply
from durable.gateway.withheld import Withheld
from durable.storage.actor_store import ActorStore
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout
from durable.storage.sync_pool import SystemDisk
from durable.storage.vfs import VFS_VARIABLE
from tests.faults.crash_image import CrashImages
from tests.faults.disk_log import VFS_NAME, DiskLog, LoggedCalls, LoggedVfs
from tests.faults.in_process import NAMESPACE, InProcess, in_process, key_of
from tests.faults.ledger import ALONE, Ledger, Operation, State, answered, operations, read_state, states_after

IMAGES = 400
IMAGES_OF_A_CAMPAIGN = 1_000
IMAGES_OF_A_TWIN = 150
OBJECTS = ("a", "b", "c", "d")
OPERATIONS = 48
"""Of each object."""
BOOKMARK_AT, GO_BACK_AT = 20, 36
"""Operations before which each object notes where it is, and later goes back to there."""
CLIENTS = 3
"""Of each object: so many operations of it are under way at once."""
CHECKPOINT_FRAMES = 24
"""Instead of thousands: a log is copied into its file every few operations."""
SEED = 20_261_121
OBJECT_FILES = r"[0-9a-f]{64}\.sqlite"
INDEX_FILES = r"index\.sqlite"


@dataclass
class History:
    """One object: the states it went through, and when each was promised."""

    states: list[State] = field(default_factory=lambda: [State()])
    ends: dict[int, int] = field(default_factory=dict)
    """Number of an operation → index of the state it ends in."""
    promised: list[tuple[int, int]] = field(default_factory=list)
    """(length of the log, index of the state that is on the disk from then on)."""
    bookmark: str = ""
    """Of the state before operation `BOOKMARK_AT`."""
    _begun: list[tuple[int, int]] = field(default_factory=list)
    """(length of the log, states that may exist from then on)."""

    def perform(self, operation: Operation, length: int) -> None:
        self.states += states_after(self.states[-1], operation)
        self.ends[operation[1]] = len(self.states) - 1
        self.begins(length)

    def begins(self, length: int) -> None:
        self._begun.append((length, len(self.states)))

    def possible_at(self, cut: int) -> list[State]:
        """What a disk of that moment may hold: nothing older than what was promised, nothing that had not begun."""
        begun = max((states for length, states in self._begun if length <= cut), default=1)
        return self.states[self.promised_at(cut) : begun]

    def promised_at(self, cut: int) -> int:
        return max((state for length, state in self.promised if length <= cut), default=0)


class Recording:
    """A run of all objects on a logged disk."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir(parents=True)
        self.log = DiskLog(folder)
        self.histories = {name: History() for name in OBJECTS}
        self.replies: list[tuple[str, int, State]] = []
        self.checkpoints = 0
        self.keeps_history = False
        self.restored = 0
        """Objects that were brought back to their bookmark on images."""
        self.complaints: list[str] = []
        self._choice = random.Random(seed)
        self._folder = folder

    async def run(self, monkeypatch: pytest.MonkeyPatch, swallowed: str, pitr_days: int) -> None:
        self.keeps_history = bool(pitr_days)
        vfs = LoggedVfs(self.log, lambda path: not swallowed or not re.search(swallowed, path))
        try:
            with monkeypatch.context() as replaced:
                replaced.setenv(VFS_VARIABLE, VFS_NAME)
                replaced.setattr(Ledger, "synced", staticmethod(self._synced))
                self._checkpoint_often(replaced)
                LoggedCalls(self.log).install(replaced)
                async with in_process(self._folder, disk=SystemDisk(), pitr_days=pitr_days) as running:
                    running.link.on_answer = partial(self._answered, running)
                    await asyncio.gather(*(self._perform(running, name, pitr_days) for name in OBJECTS))
                self.complaints += [each.text for each in running.logged if each.level == "error"]
        finally:
            vfs.unregister()

    def _checkpoint_often(self, replaced: pytest.MonkeyPatch) -> None:
        for module in ("durable.limits", "durable.storage.actor_store"):
            replaced.setattr(f"{module}.CHECKPOINT_LOG_FRAMES", CHECKPOINT_FRAMES)
        replaced.setattr("durable.storage.actor_store.CHECKPOINT_RETRY_FRAMES", CHECKPOINT_FRAMES)
        checkpoint = ActorStore.checkpoint

        def counted(store: ActorStore, **options: bool) -> bool:
            done = checkpoint(store, **options)
            self.checkpoints += done
            return done

        replaced.setattr(ActorStore, "checkpoint", counted)

    def cuts(self, choice: random.Random, count: int) -> list[int]:
        """Half of them anywhere, half of them right after something was promised."""
        promises = [length for history in self.histories.values() for length, _ in history.promised]
        anywhere = [choice.randrange(len(self.log.entries) + 1) for _ in range(count - count // 2)]
        return sorted(anywhere + choice.choices(promises, k=count // 2))

    async def _perform(self, running: InProcess, name: str, pitr_days: int) -> None:
        under_way: set[asyncio.Task[None]] = set()
        for operation in operations(self._choice, OPERATIONS):
            alone = operation[0] in ALONE or operation[1] in (BOOKMARK_AT, GO_BACK_AT)
            if under_way and (alone or len(under_way) == CLIENTS):
                await asyncio.wait(under_way, return_when=asyncio.ALL_COMPLETED if alone else asyncio.FIRST_COMPLETED)
                under_way = {task for task in under_way if not task.done()}
            if self._choice.random() < 0.05:
                running.close_idle_files()
            if operation[1] == BOOKMARK_AT and pitr_days:
                bookmark, marked = await running.call(name, "bookmark"), self.histories[name].states[-1]
                self.histories[name].bookmark = bookmark
            elif operation[1] == GO_BACK_AT and pitr_days:
                await self._go_back(running, name, bookmark, marked)
            self.histories[name].perform(operation, len(self.log.entries))
            task = asyncio.ensure_future(self._one(running, name, operation))
            if alone:
                await task
            else:
                under_way.add(task)
        await asyncio.gather(*under_way)

    async def _go_back(self, running: InProcess, name: str, bookmark: str, marked: State) -> None:
        self.histories[name].states.append(marked)
        self.histories[name].begins(len(self.log.entries))
        with pytest.raises(ActorResetError, match="going back"):
            await running.call(name, "go_back", bookmark)
        self.histories[name].perform(("look", 0), len(self.log.entries))
        await self._one(running, name, ("look", 0))

    async def _one(self, running: InProcess, name: str, operation: Operation) -> None:
        self.replies.append((name, operation[1], answered(await running.call(name, "perform", *operation))))

    def _answered(self, running: InProcess, reply: Reply) -> None:
        name, arguments = running.asked[reply.id]
        if len(arguments) != 2:
            return  # no operation: a bookmark, or the end of an activation
        history, number = self.histories[name], arguments[1]
        history.promised.append((len(self.log.entries), history.ends[number]))

    def _synced(self, name: str, number: int) -> None:
        history = self.histories[name]
        history.promised.append((len(self.log.entries), history.ends[number] - 1))


class Verdict:
    """What is wrong with images of a recording."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.wrong: list[str] = []

    def look_at(self, state: Path, cut: int) -> None:
        layout = StateLayout(state)
        indexed = self._indexed(layout, cut)
        for name, history in self._recording.histories.items():
            try:
                found = read_state(layout.object_file(NAMESPACE, key_of(name).id))
            except Exception as error:
                self._complain(cut, f"{name} cannot be read: {error!r}")
                continue
            promised = history.promised_at(cut)
            if found not in history.possible_at(cut):
                earlier = [index for index, state in enumerate(history.states) if state == found]
                self._complain(cut, f"{name} promised state {promised} and holds {earlier or found}")
            self._check_index(cut, name, found, indexed.get(key_of(name).id))

    def go_back(self, state: Path, cut: int) -> int:
        """Restore every object whose bookmark was promised; returns how many are what they were then.

        A power cut may leave a gap in the history, which is said; it never leads to another state.
        """
        right = 0
        for name, history in self._recording.histories.items():
            end = history.ends[BOOKMARK_AT - 1]
            if history.promised_at(cut) <= end:
                continue
            file = StateLayout(state).object_file(NAMESPACE, key_of(name).id)
            store = ActorStore(file, clock=ManualClock(), on_first_write=lambda: None, keep_days=30)
            try:
                _, restore = store.prepare_restore(history.bookmark)
                restore.build()
                restore.decide(ManualClock().wall_ms())
            except StorageError as error:
                if "lies in a gap" not in str(error):
                    self._complain(cut, f"{name} cannot be restored: {error}")
                continue
            finally:
                store.close()
            if (found := read_state(file)) == history.states[end]:
                right += 1
            else:
                self._complain(cut, f"{name} was restored to {found}")
        return right

    def _indexed(self, layout: StateLayout, cut: int) -> dict[str, IndexRow]:
        try:
            if not layout.index_file(NAMESPACE).exists():
                return {}
            index = NamespaceIndex(layout.index_file(NAMESPACE))
            rows = {row.id: row for row in index.list()}
            index.close()
        except Exception as error:
            self._complain(cut, f"the index cannot be read: {error!r}")
            return {}
        return rows

    def _check_index(self, cut: int, name: str, found: State, row: IndexRow | None) -> None:
        if found != State() and row is None:
            self._complain(cut, f"{name} is not in the index")
        elif found.alarm_ms is not None and (row is None or row.alarm_ms is None or row.alarm_ms > found.alarm_ms):
            self._complain(cut, f"{name} has an alarm that the index would miss: {found.alarm_ms}, {row}")

    def _complain(self, cut: int, text: str) -> None:
        self.wrong.append(f"seed {SEED}, cut {cut}: {text}")


def look_at_images(recording: Recording, images: int) -> list[str]:
    choice = random.Random(SEED)
    built = CrashImages(recording.log)
    verdict = Verdict(recording)
    # In memory, where there is such a folder: thousands of files live for a millisecond each.
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    for cut in recording.cuts(choice, images):
        with tempfile.TemporaryDirectory(dir=memory) as image:
            built.build(cut, choice, Path(image))
            verdict.look_at(Path(image) / "state", cut)
            if recording.keeps_history and choice.random() < 0.1:
                recording.restored += verdict.go_back(Path(image) / "state", cut)
    return verdict.wrong


async def record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, swallowed: str = "", pitr_days: int = 30
) -> Recording:
    recording = Recording(tmp_path / "run", SEED)
    await recording.run(monkeypatch, swallowed, pitr_days)
    return recording


@pytest.mark.parametrize(
    ("pitr_days", "images"),
    [
        (30, IMAGES),
        (0, IMAGES // 2),
        pytest.param(30, IMAGES_OF_A_CAMPAIGN, marks=pytest.mark.slow),
    ],
)
async def test_every_answer_that_left_the_gateway_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pitr_days: int, images: int
) -> None:
    recording = await record(tmp_path, monkeypatch, pitr_days=pitr_days)

    # The run was what it should be: every answer told the state that the model has ...
    assert len(recording.replies) == (OPERATIONS + bool(pitr_days)) * len(OBJECTS)
    for name, number, state in recording.replies:
        assert state == recording.histories[name].states[recording.histories[name].ends[number]]
    # ... every object's log was copied into its file several times, and nothing happened behind our log's back.
    assert recording.complaints == []
    assert recording.checkpoints >= 2 * len(OBJECTS)
    whole = tmp_path / "whole"
    whole.mkdir()
    CrashImages(recording.log).build_whole(whole)
    assert contents(whole / "state") == contents(tmp_path / "run" / "state")

    assert look_at_images(recording, images) == []
    assert recording.restored >= images // 20 * recording.keeps_history


# --- twins: each breaks one link of the chain, and must be found out --------------------------------------------------
async def test_answers_that_do_not_wait_for_their_epoch_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Withheld, "hold", lambda withheld, message: False)
    recording = await record(tmp_path, monkeypatch)

    wrong = look_at_images(recording, IMAGES_OF_A_TWIN)

    assert any("promised state" in text for text in wrong)


async def test_a_folder_that_is_not_synced_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskLog, "folder_synced", lambda log, path: None)
    recording = await record(tmp_path, monkeypatch)

    wrong = look_at_images(recording, IMAGES_OF_A_TWIN)

    assert any("promised state" in text for text in wrong)


async def test_a_checkpoint_that_does_not_sync_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = await record(tmp_path, monkeypatch, swallowed=OBJECT_FILES)

    wrong = look_at_images(recording, IMAGES_OF_A_TWIN)

    assert any("promised state" in text or "damaged" in text for text in wrong)


async def test_an_index_that_does_not_sync_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = await record(tmp_path, monkeypatch, swallowed=INDEX_FILES)

    wrong = look_at_images(recording, IMAGES_OF_A_TWIN)

    assert any("is not in the index" in text or "the index would miss" in text for text in wrong)


def contents(state: Path) -> dict[str, bytes]:
    """Every file by its path, without what is never read again after a crash."""
    return {
        str(path.relative_to(state)): path.read_bytes()
        for path in state.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }

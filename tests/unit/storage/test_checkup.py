"""A state directory that is well has no findings; each thing that is done to it is found, and only that."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from durable.clock import ManualClock
from durable.sdk.ids import id_from_name
from durable.storage.actor_store import ActorStore
from durable.storage.checkup import Checkup, Finding
from durable.storage.class_life.applying import open_state
from durable.storage.index import IndexRow, NamespaceIndex
from durable.storage.layout import StateLayout

KEY = "Room-0123456789ab"
START_MS = 1_700_000_000_000
NAMES = ("general", "random", "empty")


class State:
    """Three rooms: two with a message, an alarm and history, and one that stores nothing and is not in the index."""

    def __init__(self, folder: Path) -> None:
        self.layout = StateLayout(folder / "state")
        self.layout.ensure()
        open_state(self.layout).close()
        with contextlib.closing(apsw.Connection(str(self.layout.state_file))) as connection:
            connection.execute("INSERT INTO namespaces VALUES (?, '', 'Room', 1, ?)", (KEY, START_MS))
        self.layout.ensure_namespace(KEY)
        self.clock = ManualClock(START_MS)
        for name in NAMES:
            self.make(name, is_empty=name == "empty")

    def make(self, name: str, *, is_empty: bool = False) -> None:
        store = ActorStore(self.path(name), clock=self.clock, on_first_write=lambda: None, keep_days=30)
        if not is_empty:
            store.kv.put("message", "hello")
            store.alarm.set(START_MS + 60_000)
        else:
            store.kv.put("message", "hello")
            store.commit()
            store.kv.delete("message")
        store.commit()
        store.recovery.note_commit()
        store.close()
        if not is_empty:
            with self.index() as index:
                index.put_many([IndexRow(self.path(name).stem, name, START_MS, START_MS, START_MS + 60_000)])

    def path(self, name: str) -> Path:
        return self.layout.object_file(KEY, id_from_name(KEY, name))

    def index(self) -> contextlib.closing[NamespaceIndex]:
        return contextlib.closing(NamespaceIndex(self.layout.index_file(KEY)))

    def rows(self) -> dict[str | None, int | None]:
        with self.index() as index:
            return {row.name: row.alarm_ms for row in index.list()}

    def look(self) -> list[Finding]:
        return list(Checkup(self.layout).findings())

    def kinds(self) -> list[str]:
        return [finding.kind for finding in self.look()]

    def mend(self) -> None:
        for finding in Checkup(self.layout).findings():
            if finding.mend is not None:
                finding.mend()

    def files(self) -> dict[str, tuple[int, int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in sorted(self.layout.state.rglob("*"))
        }


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path)


def checkpointed(path: Path) -> None:
    """Bring everything from the log into the file, as another program would."""
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_state_that_is_well_has_no_findings_and_is_not_changed_by_the_look(state: State) -> None:
    before = state.files()

    assert state.look() == []

    assert state.files() == before


def test_it_tells_how_far_it_is(state: State) -> None:
    told: list[tuple[int, int]] = []
    checkup = Checkup(state.layout, on_progress=lambda done, total: told.append((done, total)))

    assert list(checkup.findings()) == []

    assert told == [(1, 3), (2, 3), (3, 3)]
    assert (checkup.objects, checkup.classes) == (3, 1)


def damage_a_page(state: State) -> None:
    path = state.path("general")
    checkpointed(path)
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 200] = b"\xff" * 200
    path.write_bytes(content)


def damage_the_header(state: State) -> None:
    path = state.path("general")
    path.write_bytes(b"rubbish" * 1000)


def put_a_foreign_database(state: State) -> None:
    path = state.path("general")
    path.unlink()
    Path(f"{path}-wal").unlink()
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA journal_mode = wal; CREATE TABLE t(a)")
    path.chmod(0o600)


def empty_the_file(state: State) -> None:
    os.truncate(state.path("general"), 0)


def link_the_file(state: State) -> None:
    os.link(state.path("general"), state.layout.state.parent / "second")


def take_the_file_away(state: State) -> None:
    state.path("general").unlink()


def take_it_and_its_log_away(state: State) -> None:
    state.path("general").unlink()
    Path(f"{state.path('general')}-wal").unlink()


def forget_the_row(state: State) -> None:
    with state.index() as index:
        index.remove(state.path("general").stem)


def forget_the_alarm(state: State) -> None:
    with state.index() as index:
        index.put_many([IndexRow(state.path("general").stem, None, START_MS, START_MS, None)])


def put_the_alarm_off(state: State) -> None:
    with state.index() as index:
        index.put_many([IndexRow(state.path("general").stem, None, START_MS, START_MS, START_MS + 90_000)])


def open_it_to_others(state: State) -> None:
    state.path("general").chmod(0o644)


def leave_drafts(state: State) -> None:
    for part in (".new", "-draft", "-draft-wal"):
        draft = Path(f"{state.path('general')}{part}")
        draft.write_bytes(b"half")
        draft.chmod(0o600)


def leave_a_try(state: State) -> None:
    (state.layout.state.parent / "durable-try-abc_1").mkdir()


def put_something_of_ones_own(state: State) -> None:
    (state.path("general").parent / "notes.txt").touch(mode=0o600)


def damage_the_head_of_the_history(state: State) -> None:
    folder = state.path("general").with_suffix(".history")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "head").write_bytes(b"rubbish")
    (folder / "head").chmod(0o600)


def move_it_to_another_folder(state: State) -> None:
    source = state.path("general")
    target = source.parent.with_name("00" if source.parent.name != "00" else "01")
    target.mkdir(mode=0o700)
    for part in ("", "-wal", "-times"):
        os.rename(f"{source}{part}", target / f"{source.name}{part}")
    with state.index() as index:
        index.remove(source.stem)


def damage_the_index(state: State) -> None:
    checkpointed(state.layout.index_file(KEY))
    state.layout.index_file(KEY).write_bytes(b"rubbish" * 1000)


def take_the_index_away(state: State) -> None:
    for part in ("", "-wal", "-shm"):
        Path(f"{state.layout.index_file(KEY)}{part}").unlink(missing_ok=True)


def write_the_index_with_a_newer_version(state: State) -> None:
    with contextlib.closing(apsw.Connection(str(state.layout.index_file(KEY)))) as connection:
        connection.pragma("user_version", 99)


def bring_a_folder_from_elsewhere(state: State) -> None:
    state.layout.ensure_namespace("Other-0123456789ab")


def damage_the_record(state: State) -> None:
    checkpointed(state.layout.state_file)
    state.layout.state_file.write_bytes(b"rubbish" * 1000)


def write_the_record_with_a_newer_version(state: State) -> None:
    with contextlib.closing(apsw.Connection(str(state.layout.state_file))) as connection:
        connection.execute("UPDATE settings SET value = 99 WHERE name = 'format_version'")


DONE_TO_IT: list[tuple[Callable[[State], None], list[str], str, bool]] = [
    (damage_a_page, ["damaged"], "is damaged: ", False),
    (damage_the_header, ["damaged"], "does not begin like a database", False),
    (put_a_foreign_database, ["damaged"], "was not written by durable", False),
    (empty_the_file, ["damaged"], "is empty, although an object was stored in it", False),
    (link_the_file, ["damaged"], "has a second name", False),
    (take_the_file_away, ["missing"], "is missing, although its write-ahead log is there", False),
    (take_it_and_its_log_away, ["missing"], "is missing, although its object was stored in it", False),
    (forget_the_row, ["unlisted"], "is not in the index", True),
    (forget_the_alarm, ["alarm"], "has an alarm that the index does not know", True),
    (put_the_alarm_off, ["alarm"], "has an alarm that the index does not know", True),
    (open_it_to_others, ["permissions"], "has 1 entry that other users may look into", True),
    (leave_drafts, ["leftover"] * 3, "is left of something that was interrupted", True),
    (leave_a_try, ["leftover"], "is left of something that was interrupted", True),
    (put_something_of_ones_own, ["stray"], "is nothing that durable made", False),
    (damage_the_head_of_the_history, ["history"], "is damaged", False),
    (move_it_to_another_folder, ["misplaced"], "is in the wrong folder", False),
    (damage_the_index, ["index"], "is damaged: ", True),
    (take_the_index_away, ["index"], "is missing, although there are files of objects", True),
    (write_the_index_with_a_newer_version, ["newer"], "has format 99", False),
    (bring_a_folder_from_elsewhere, ["unreachable"], "belongs to no class", False),
    (damage_the_record, ["state"], "is damaged: ", False),
    (write_the_record_with_a_newer_version, ["newer"], "has format 99", False),
]


@pytest.mark.parametrize(
    ("do", "kinds", "what", "is_mended"), DONE_TO_IT, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_was_done_to_it_is_found_and_nothing_else(
    state: State, do: Callable[[State], None], kinds: list[str], what: str, is_mended: bool
) -> None:
    do(state)
    before = state.files()

    findings = state.look()

    assert [finding.kind for finding in findings] == kinds
    assert all(what in finding.what for finding in findings)
    assert state.files() == before, "looking changed something"
    state.mend()
    assert state.kinds() == ([] if is_mended else kinds)


@pytest.mark.parametrize("do", [forget_the_alarm, put_the_alarm_off])
def test_the_alarm_of_the_object_is_put_into_the_index(state: State, do: Callable[[State], None]) -> None:
    do(state)

    state.mend()

    assert state.rows() == {"general": START_MS + 60_000, "random": START_MS + 60_000}


def test_an_alarm_that_the_index_has_too_early_is_normal(state: State) -> None:
    with state.index() as index:
        index.put_many([IndexRow(state.path("general").stem, None, START_MS, START_MS, START_MS + 1)])

    assert state.look() == []


def test_a_lost_row_comes_back_with_its_alarm_but_without_its_name(state: State) -> None:
    forget_the_row(state)

    state.mend()

    assert state.rows() == {None: START_MS + 60_000, "random": START_MS + 60_000}


def test_a_damaged_index_is_put_aside_and_names_that_can_be_read_are_kept(state: State) -> None:
    path = state.layout.index_file(KEY)
    checkpointed(path)
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        [root] = (connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'objects_by_alarm'").get,)
        connection.execute("UPDATE objects SET name = 'forged' WHERE name = 'random'")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    path.write_bytes(content)

    state.mend()

    assert state.rows() == {"general": START_MS + 60_000, None: START_MS + 60_000}
    kept = state.layout.state.parent / "lost+found" / KEY / "index.sqlite" / "index.sqlite"
    assert kept.read_bytes() == bytes(content)


def test_a_damaged_object_is_kept_aside_once_with_its_log_and_stays_where_it_is(state: State) -> None:
    damage_the_header(state)
    before = state.files()
    [finding] = state.look()
    assert finding.mend is None
    assert finding.keep is not None

    place = Path(finding.keep())
    again = finding.keep()

    assert again == str(place)
    names = {each.name: each.read_bytes() for each in place.iterdir()}
    path = state.path("general")
    assert names[path.name] == path.read_bytes()
    assert names[f"{path.name}-wal"] == Path(f"{path}-wal").read_bytes()
    assert all(each.stat().st_mode & 0o077 == 0 for each in place.iterdir())
    assert state.files() == before


def test_another_damage_of_the_same_object_does_not_take_the_place_of_the_first(state: State) -> None:
    damage_the_header(state)
    first = [finding.keep() for finding in state.look() if finding.keep is not None]
    state.path("general").write_bytes(b"otherwise" * 1000)

    second = [finding.keep() for finding in state.look() if finding.keep is not None]

    assert len({*first, *second}) == 2


def test_a_restore_that_was_decided_and_interrupted_is_no_problem_and_can_be_finished(state: State) -> None:
    store = ActorStore(state.path("general"), clock=state.clock, on_first_write=lambda: None, keep_days=30)
    state.clock.advance(60)
    store.kv.put("message", "later")
    store.commit()
    store.recovery.note_commit()
    _, restore = store.prepare_restore(START_MS)
    restore.build()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("durable.storage.history.decision.finish_restore", lambda path: None)
        restore.decide(START_MS)
    store.close()

    [finding] = state.look()
    assert (finding.kind, finding.is_problem) == ("unfinished", False)
    state.mend()

    assert state.look() == []
    store = ActorStore(state.path("general"), clock=state.clock, on_first_write=lambda: None, keep_days=30)
    assert store.kv.get("message") == "hello"
    store.close()


def test_others_may_look_into_nothing_after_it_was_mended(state: State) -> None:
    for path in state.layout.state.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)

    state.mend()

    assert {path.stat().st_mode & 0o077 for path in state.layout.state.rglob("*")} == {0}


def test_a_link_in_place_of_a_file_is_damage_and_what_it_leads_to_is_not_touched(state: State) -> None:
    path = state.path("general")
    elsewhere = state.layout.state.parent / "elsewhere"
    os.rename(path, elsewhere)
    elsewhere.chmod(0o644)
    path.symlink_to(elsewhere)

    [finding] = state.look()
    assert finding.what == "is not a regular file"
    assert finding.keep is not None
    kept = finding.keep()
    state.mend()

    assert [each.name for each in Path(kept).iterdir() if each.name == path.name] == []
    assert elsewhere.stat().st_mode & 0o777 == 0o644

"""Keys, the alarm, transactions, rollbacks and aborts in any order, against a model that is a stack of dicts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from durable.clock import ManualClock
from durable.storage import kv as kv_module
from durable.storage.actor_store import ActorStore
from durable.storage.alarm import Alarm
from durable.storage.kv import Kv

ALARM = "the alarm"
KEYS = st.sampled_from(["", "a", "aa", "ab", "b", "é", "\U0001f600", "z" * 40])
VALUES = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.booleans(), max_size=2)
BOUNDS = st.none() | KEYS

State = dict[str, Any]


class StoreMachine(RuleBasedStateMachine):
    """`now` is what the turn sees; open transactions would go back to `before`, a reset to `committed`."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="durable-model-"))
        self.clock = ManualClock()
        self.committed: State = {}
        self.now: State = {}
        self.before: list[State] = []
        self.names: list[str] = []
        self.open()

    def open(self) -> None:
        self.store = ActorStore(self.folder / "ab" / "object.sqlite", clock=self.clock, on_first_write=lambda: None)

    @rule(key=KEYS, value=VALUES)
    def put(self, key: str, value: Any) -> None:
        self.store.kv.put(key, value)
        self.now[key] = value

    @rule(entries=st.dictionaries(KEYS, VALUES, max_size=3))
    def put_several(self, entries: dict[str, Any]) -> None:
        self.store.kv.put_many(entries)
        self.now.update(entries)

    @rule(entries=st.dictionaries(KEYS, VALUES, max_size=2))
    def put_refused(self, entries: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            self.store.kv.put_many({**entries, "bad": object()})

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.store.kv.delete(key) is (key in self.now)
        self.now.pop(key, None)

    @rule(keys=st.lists(KEYS, max_size=4))
    def delete_several(self, keys: list[str]) -> None:
        assert self.store.kv.delete_many(keys) == len({key for key in keys if key in self.now})
        for key in keys:
            self.now.pop(key, None)

    @rule(keys=st.lists(KEYS, max_size=4))
    def get_several(self, keys: list[str]) -> None:
        expected = {key: self.now[key] for key in sorted(set(keys), key=str.encode) if key in self.now}
        assert list(self.store.kv.get_many(keys).items()) == list(expected.items())

    @rule(start=BOUNDS, end=BOUNDS, prefix=BOUNDS, after=st.booleans(), reverse=st.booleans(),
          limit=st.none() | st.integers(1, 4))  # fmt: skip
    def listing(
        self, start: str | None, end: str | None, prefix: str | None, after: bool, reverse: bool, limit: int | None
    ) -> None:
        options: dict[str, Any] = {"start_after" if after else "start": start, "end": end, "prefix": prefix}
        keys = [
            key
            for key in sorted((key for key in self.now if key != ALARM), key=str.encode)
            if (start is None or key.encode() > start.encode() or (key == start and not after))
            and (end is None or key.encode() < end.encode())
            and (prefix is None or key.startswith(prefix))
        ]
        expected = [(key, self.now[key]) for key in (reversed(keys) if reverse else keys)][:limit]
        assert list(self.store.kv.list(reverse=reverse, limit=limit, **options).items()) == expected
        assert list(self.store.kv.iterate(reverse=reverse, limit=limit, **options)) == expected

    @rule(ms=st.integers(2_000_000_000_000, 2_000_000_000_009))
    def set_alarm(self, ms: int) -> None:
        self.store.alarm.set(ms)
        self.now[ALARM] = ms

    @rule()
    def delete_alarm(self) -> None:
        self.store.alarm.delete()
        self.now.pop(ALARM, None)

    @precondition(lambda self: not self.names)
    @rule(keep_alarm=st.booleans())
    def delete_all(self, keep_alarm: bool) -> None:
        self.store.delete_all(keep_alarm=keep_alarm)
        self.now = {ALARM: self.now[ALARM]} if keep_alarm and ALARM in self.now else {}

    # --- transactions -------------------------------------------------------------------------------------------
    @precondition(lambda self: len(self.names) < 4)
    @rule()
    def begin(self) -> None:
        self.names.append(self.store.savepoint())
        self.before.append(dict(self.now))

    @precondition(lambda self: self.names)
    @rule()
    def keep(self) -> None:
        self.store.release(self.names.pop())
        self.before.pop()

    @precondition(lambda self: self.names)
    @rule()
    def undo(self) -> None:
        self.store.rollback_to(self.names.pop())
        self.now = self.before.pop()

    @rule(entries=st.dictionaries(KEYS, VALUES, max_size=2), ms=st.integers(2_000_000_000_000, 2_000_000_000_009))
    def try_in_vain(self, entries: dict[str, Any], ms: int) -> None:
        name = self.store.savepoint()
        self.store.kv.put_many(entries)
        self.store.alarm.set(ms)
        self.store.rollback_to(name)

    @rule(how=st.sampled_from(["commit", "commit", "abort", "crash"]))
    def end_turn(self, how: str) -> None:
        if how == "commit":
            self.store.commit()
            if not self.names:
                self.committed = dict(self.now)
            return
        if how == "abort":
            self.store.rollback()
        else:
            self.store.close()
            self.open()
        self.now = dict(self.committed)
        self.names.clear()
        self.before.clear()

    @invariant()
    def agrees(self) -> None:
        expected = {key: self.now[key] for key in sorted(self.now, key=str.encode) if key != ALARM}
        assert list(self.store.kv.list().items()) == list(expected.items())
        assert self.store.alarm.get() == self.now.get(ALARM)
        assert self.store.alarm_before == self.committed.get(ALARM)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


def play(*phases: Phase) -> None:
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=200, stateful_step_count=30, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck), phases=phases or tuple(Phase),
        ),
    )  # fmt: skip


def test_the_store_agrees_with_the_model() -> None:
    play()


def _forgets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kv, "forget", lambda self: None)


def _keeps_what_was_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActorStore, "rollback_to", ActorStore.release)


def _remembers_an_undone_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    forget = Alarm.forget
    monkeypatch.setattr(Alarm, "forget", lambda self, *, everything: everything and forget(self, everything=True))


def _ends_a_range_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    query = kv_module.list_query

    def wrong(*bounds: Any) -> tuple[str, tuple[Any, ...]]:
        statement, bindings = query(*bounds)
        return statement.replace("key < ?", "key <= ?"), bindings

    monkeypatch.setattr(kv_module, "list_query", wrong)


@pytest.mark.parametrize(
    "bug", [_forgets_nothing, _keeps_what_was_undone, _remembers_an_undone_alarm, _ends_a_range_too_late]
)
def test_a_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: Any) -> None:
    bug(monkeypatch)

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the bug leads to first
        play(Phase.generate)

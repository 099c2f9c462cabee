"""The half of an actor that ends turns: commits what was written, holds what was said until it may leave, in order.

    turn ends ──nothing written──► said, marked with the last epoch that it may reveal
        │ written
        ▼
    the index hears of a new object or an earlier alarm, the gate shut meanwhile ──► COMMIT ──► said, with its epoch
        │ refused
        ▼
    reset: nothing of what the turn said leaves, its callers get the error (workerd `io/io-gate.h`, `actor-sqlite.c++`)

What crosses no channel waits here for its epoch (`when_durable`), everything else waits in the gateway.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from durable.actor.engine import Engine
from durable.actor.events import Event
from durable.actor.input_gate import InputGate
from durable.actor.timeline import record
from durable.errors import ActorResetError, StorageError
from durable.failpoints import failpoint
from durable.storage.actor_store import ActorStore
from durable.storage.database import Database
from durable.wire.messages import ActorKey, IndexPut

T = TypeVar("T")

Output = Callable[[int], None]
"""Lets one thing out, told the epoch it reveals; 0 when all of it is durable already."""


class OutputGate(ABC):
    """What an actor is made of besides its code and its events."""

    __slots__ = (
        "_alarm_epoch", "_unconfirmed", "_written", "broken", "dirty", "engine", "epoch", "gate", "held", "in_turn",
        "indexed_alarm", "key", "label", "letting_out", "outbox", "ring", "storage_operations", "store", "transactions",
        "unsaid",
    )  # fmt: skip

    def __init__(self, key: ActorKey, label: str, engine: Engine, store: ActorStore) -> None:
        self.key = key
        self.label = label
        self.engine = engine
        self.store = store
        self.gate = InputGate(engine.loop)
        self.ring = engine.timeline.open(key.id, key)
        """Where it writes down what happens to it."""
        self.storage_operations = 0
        """Of keys and of the alarm, since an event was written down."""
        self.broken: BaseException | None = None

        self.in_turn = False
        self.dirty = False
        """Whether the turn wrote anything."""
        self.held = False
        """A tool's thread is using the connection."""
        self.transactions = 0
        """Explicit transactions that are open."""
        self.outbox: list[Output] = []
        self.unsaid: list[Event] = []
        """Events whose answers are in the outbox: a failed commit takes them back."""
        self.letting_out = False
        self.epoch = 0
        """The last epoch with a write of this actor that its outputs wait for."""
        self.indexed_alarm: int | None = None
        self._alarm_epoch = 0
        self._unconfirmed: tuple[int, int] | None = None
        """The store's write count after the last write of this turn that nobody has to wait for, if all were such."""
        self._written: Database | None = None
        store.on_critical = self.storage_failed

    @abstractmethod
    def reset(self, error: BaseException) -> None:
        """Throw this activation away: its open turn is rolled back, everyone who waits for it gets `error`."""

    @abstractmethod
    def check_usable(self) -> None:
        """Raises what broke the actor, for code that outlived it, and in a thread other than the actor's."""

    @abstractmethod
    def usable_store(self) -> ActorStore:
        """The store; raises as `check_usable` for a broken actor."""

    def give_up(self) -> None:
        """The actor is broken: nothing of its open turn is kept, nothing of what it said leaves."""
        self.in_turn = False
        self.dirty = False
        self.outbox.clear()
        self.transactions = 0
        self._unconfirmed = None
        if not self.held:
            self.store.rollback()

    # --- turns and commits ------------------------------------------------------------------------------------
    def first_write(self) -> None:
        """The store opened the implicit transaction. Outside a turn (a loop callback) the write gets its own turn."""
        self.dirty = True
        if not self.in_turn:
            self.engine.loop.call_soon(self.end_turn)

    def storage_failed(self) -> None:
        """Storage has lost this turn's writes: its end resets the actor, whatever the actor's code does meanwhile."""
        if self.broken is None:
            self.transactions = 0
            self.first_write()

    def commits_lost(self, reason: str) -> None:
        """The disk refused commits of this actor: nothing of it waits for their epochs any more."""
        self.epoch = 0
        self.reset(_reset_by(reason, StorageError(reason)))

    def unconfirmed(self, write: Callable[[], T]) -> T:
        """Run a write of storage that nobody has to wait for, unless it is committed with others that have to be."""
        store = self.usable_store()
        alone = not store.in_transaction or store.write_count == self._unconfirmed
        result = write()
        if store.in_transaction:
            self._unconfirmed = store.write_count if alone else None
        return result

    def end_turn(self) -> None:
        """Nothing of the actor runs now: commit what it wrote, then let out what it said."""
        self.in_turn = False
        if self.transactions or self.gate.committing:
            return
        if self.dirty:
            self._commit()
        elif self.outbox:
            self._let_out()

    def emit(self, output: Output) -> None:
        """Say something to the outside: after this turn's commit, marked with the epoch it reveals."""
        if self.is_between_turns:
            output(self._revealed())
        else:
            self.outbox.append(output)

    def emit_request(self, output: Output) -> None:
        """Say something the actor waits for. Inside a transaction it leaves at once, or the commit would never come."""
        if self.transactions and not self.gate.committing:
            output(self._revealed())
        else:
            self.emit(output)

    def _commit(self) -> None:
        store = self.store
        try:
            alarm = store.alarm_now
            earlier = alarm is not None and (self.indexed_alarm is None or alarm < self.indexed_alarm)
            if store.is_new or earlier:
                # The index must not sleep past the alarm, nor miss the object, if we die between the two files.
                failpoint("alarm.set")
                self.gate.begin_commit()
                self.engine.index_put(self.key, alarm, partial(self._indexed, alarm))
                return
        except StorageError as error:
            self.reset(_reset_by(str(error), error))
            return
        self._finish_commit(alarm)

    def _indexed(self, alarm: int | None, error: str) -> None:
        if self.broken is not None:
            return
        if error:
            self.reset(_reset_by(f"the index of objects could not be written: {error}", StorageError(error)))
            return
        self.indexed_alarm = alarm
        failpoint("alarm.indexed")
        self._finish_commit(alarm)
        failpoint("alarm.committed")
        if self.broken is None:
            self.gate.end_commit()

    def _finish_commit(self, alarm: int | None) -> None:
        store = self.store
        began = self.engine.clock.monotonic()
        try:
            confirmed = self._unconfirmed is None or store.write_count != self._unconfirmed
            self._unconfirmed = None
            if not store.commit():
                self.dirty = False
                self._let_out()
                return
        except StorageError as error:
            record(self, "commit", began, error=error)
            self.reset(_reset_by(f"Durable Object was reset: {error}", error))
            return
        self.dirty = False
        record(self, "commit", began)
        epoch = self.engine.commit(store)
        if confirmed:
            self.epoch = epoch
        self._written = store.database
        if alarm != self.indexed_alarm:
            failpoint("alarm.later_committed")
            self._alarm_epoch = epoch
            self.when_durable(epoch, partial(self._index_later_alarm, epoch, alarm))
        self._let_out()

    def _index_later_alarm(self, epoch: int, alarm: int | None) -> None:
        # A newer change of the alarm speaks for itself, the next activation's too; an older one must not overwrite it.
        if epoch == self._alarm_epoch and alarm != self.indexed_alarm and self.store.alarm.now == alarm:
            failpoint("alarm.later_durable")
            self.indexed_alarm = alarm
            self.engine.send(IndexPut(0, self.key, alarm))

    def _let_out(self) -> None:
        outbox, self.outbox = self.outbox, []
        self.unsaid.clear()
        epoch = self._revealed()
        # A call that comes back here meanwhile must not speak before the rest of this is said.
        self.letting_out = True
        for output in outbox:
            try:
                output(epoch)
            except Exception as error:
                # A bug of ours in one output must not swallow the others.
                self.engine.log_failure(error, self.label, "output")
        self.letting_out = False

    def _revealed(self) -> int:
        return self.epoch if self.epoch > self.engine.durable_epoch else 0

    @property
    def is_between_turns(self) -> bool:
        """Whether nothing is open: no turn, no transaction, no commit under way."""
        return not (self.in_turn or self.dirty or self.transactions or self.gate.committing)

    def hold(self) -> None:
        """Keep every turn out while a tool's thread uses the actor's connection; only between turns."""
        self.held = True
        self.gate.begin_commit()

    def release(self, epoch: int = 0) -> None:
        """Let turns in again; `epoch` is that of what the tool wrote."""
        self.held = False
        self.epoch = max(self.epoch, epoch)
        if self.broken is None:
            self.gate.end_commit()
            self.end_turn()
        else:
            self.store.rollback()

    def committed_alarm(self) -> int | None:
        """The alarm's row as it stands after a reset."""
        return self.store.alarm.get() if self.store.exists else None

    def when_durable(
        self, epoch: int, then: Callable[[], None], lost: Callable[[BaseException], None] | None = None
    ) -> None:
        """Call `then` once `epoch` is on disk; `lost` instead when the disk refused this actor's part of it."""
        if epoch == 0:
            then()
            return
        written = self._written

        def over() -> None:
            failure = written.sync_error if written is not None else None
            if failure is None:
                then()
            elif lost is not None:
                lost(failure)

        self.engine.when_durable(epoch, over)

    def wait_durable(self) -> Awaitable[None]:
        """A future that is done when everything written so far is on disk; inside a transaction, everything before."""
        self.check_usable()
        future: asyncio.Future[None] = self.engine.loop.create_future()

        def done() -> None:
            if not future.done():
                future.set_result(None)

        def lost(_: BaseException) -> None:
            future.cancel()

        self.emit_request(lambda epoch: self.when_durable(epoch, done, lost))
        return future

    # --- transactions ------------------------------------------------------------------------------------------
    def begin_transaction(self) -> str:
        """Open an explicit transaction; turns end without a commit until it is over."""
        name = self.usable_store().savepoint()
        self.transactions += 1
        return name

    def end_transaction(self, name: str | None, *, keep: bool) -> None:
        """Keep or undo what it wrote; `name` is None when that was undone before."""
        if self.broken is not None:
            return
        if self.transactions:
            self.transactions -= 1
        if name is not None and keep:
            self.store.release(name)
        elif name is not None:
            self.store.rollback_to(name)
        self.dirty = self.store.in_transaction


def _reset_by(text: str, cause: StorageError) -> ActorResetError:
    """Keeps the cause, which says whether the actor's code had a part in it."""
    error = ActorResetError(text)
    error.__cause__ = cause
    return error

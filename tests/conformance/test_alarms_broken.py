"""The facts about alarms find it out when what they promise is taken away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from durable import AlarmInfo
from durable.actor import key_operations
from durable.actor.actor import Actor
from durable.actor.events import AlarmEvent
from durable.actor.transactions import ActorTransaction
from durable.errors import ActorError
from durable.gateway import alarm_scheduler
from durable.gateway.alarm_heap import AlarmHeap
from durable.gateway.alarm_scheduler import AlarmScheduler
from durable.host.host import Host
from durable.storage.alarm import Alarm
from durable.wire.messages import AlarmReply
from tests.conformance import clockwork, facts_6, facts_6_failures, facts_6_faults, facts_11_alarms
from tests.conformance.stage import Stage, play

Breaking = Callable[[pytest.MonkeyPatch], None]


def no_doubling(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(alarm_scheduler, "ALARM_RETRY_DOUBLINGS_MAX", 0)


def much_jitter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AlarmScheduler, "_spread", lambda scheduler, seconds: seconds * 1.5)


def one_more_try(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(alarm_scheduler, "ALARM_RETRIES_MAX", 7)


def every_failure_counts(patch: pytest.MonkeyPatch) -> None:
    def counted(scheduler: Any, alarm: Any) -> None:
        scheduler._heap.retry(alarm, alarm.retry_count + 1, scheduler._clock.monotonic())

    patch.setattr(AlarmScheduler, "_retry_uncounted", counted)


def replies_without(field: str, value: object) -> Breaking:
    def breaking(patch: pytest.MonkeyPatch) -> None:
        settle = AlarmScheduler._settle

        def without(scheduler: Any, alarm: Any, link: Any, reply: Any) -> None:
            if isinstance(reply, AlarmReply):
                reply = AlarmReply(
                    **{name: getattr(reply, name) for name in AlarmReply.__struct_fields__} | {field: value}
                )
            settle(scheduler, alarm, link, reply)

        patch.setattr(AlarmScheduler, "_settle", without)

    return breaking


def touched_for_good(patch: pytest.MonkeyPatch) -> None:
    def rollback(transaction: Any) -> None:
        transaction._rolled_back = True
        transaction._actor.store.rollback_to(transaction._name)

    patch.setattr(ActorTransaction, "rollback", rollback)


def early(patch: pytest.MonkeyPatch) -> None:
    pop_due = AlarmHeap.pop_due
    patch.setattr(AlarmHeap, "pop_due", lambda heap, wall_ms, monotonic: pop_due(heap, wall_ms + 5, monotonic))
    patch.setattr(AlarmEvent, "run", _run_whenever)


async def _run_whenever(event: Any, actor: Any) -> str:
    await actor.instance.alarm(AlarmInfo(0, event.due.scheduled_ms))
    actor.store.alarm.delete()
    return "done"


def two_at_a_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AlarmScheduler, "alarm_indexed", AlarmScheduler._arm)


def commits_before_the_index(patch: pytest.MonkeyPatch) -> None:
    def index_put(host: Any, key: Any, alarm_ms: int | None, done: Any) -> None:
        host.registry.store(key).keep_file()
        done("")

    patch.setattr(Host, "index_put", index_put)


def kept_after_success(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Alarm, "delete", lambda alarm: None)


def nothing_deleted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(key_operations.ActorKeyOperations, "delete_alarm", lambda storage: key_operations.NOTHING)


def seen_by_the_handler(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "alarm_running", property(lambda actor: False, lambda actor, value: None))


def clears_by_constructing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "durable.host.alarm_clearing._clear_asleep", lambda host, key, _: host.registry.give_back(key.id, None)
    )


def cancels_only(patch: pytest.MonkeyPatch) -> None:
    reset = Actor.reset

    def cancel(actor: Any, error: BaseException) -> None:
        if "execution time" not in str(error):
            reset(actor, error)
        for task in list(actor._tasks) if "execution time" in str(error) else ():
            task.cancel()

    patch.setattr(Actor, "reset", cancel)


def naive_is_utc(patch: pytest.MonkeyPatch) -> None:
    alarm_ms = key_operations._alarm_ms

    def as_utc(moment: Any) -> int:
        return alarm_ms(moment.replace(tzinfo=UTC) if isinstance(moment, datetime) else moment)

    patch.setattr(key_operations, "_alarm_ms", as_utc)


def any_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("durable.actor.key_operations._alarm_ms", lambda moment: 5_000_000_000_000)


BROKEN: list[tuple[ModuleType, str, Breaking]] = [
    (facts_6, "6 a datetime without a zone is local time", naive_is_utc),
    (facts_6, "6 set_alarm refuses NaN", any_time),
    (facts_6, "6 an alarm never starts before its time", early),
    (facts_6, "6 get_alarm is None while the handler runs", seen_by_the_handler),
    (facts_6, "6 an alarm that succeeded is gone", kept_after_success),
    (facts_6, "6 one run at a time", two_at_a_time),
    (facts_6, "6 an earlier alarm reaches the scheduler before its commit", commits_before_the_index),
    (facts_6_failures, "6 a handler that raises runs seven times", no_doubling),
    (facts_6_failures, "6 a handler that raises runs seven times", much_jitter),
    (facts_6_failures, "6 a handler that raises runs seven times", one_more_try),
    (facts_6_failures, "6 set_alarm in a handler that fails", replies_without("replaced", False)),
    (facts_6_failures, "6 delete_alarm in a handler that fails", nothing_deleted),
    (facts_6_failures, "6 abort with retry_alarm=False", replies_without("retried", True)),
    (facts_6_failures, "6 a transaction that is rolled back in the handler", touched_for_good),
    (facts_6_faults, "6 a constructor that fails", clears_by_constructing),
    (facts_6_faults, "6 a lost host is no try", every_failure_counts),
    (facts_6_faults, "6 a handler that takes 15 minutes", cancels_only),
    (facts_11_alarms, "11.12", no_doubling),
    (facts_11_alarms, "11.13", nothing_deleted),
    (facts_11_alarms, "11.14", replies_without("replaced", False)),
    (facts_11_alarms, "11.15", seen_by_the_handler),
]


@pytest.mark.parametrize(
    ("facts", "name", "breaking"), BROKEN, ids=[f"{name}-{number}" for number, (_, name, _) in enumerate(BROKEN)]
)
async def test_a_broken_promise_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, facts: ModuleType, name: str, breaking: Breaking
) -> None:
    (fact,) = (fact for fact in facts.FACTS if fact.id.startswith(name))
    breaking(monkeypatch)
    monkeypatch.setattr(clockwork, "WAIT_SECONDS", 2.0)
    # What fails inside an actor arrives as its error, and what never comes is waited for.
    with pytest.raises((AssertionError, ActorError, LookupError, TimeoutError)):
        await play(fact, Stage(gateway, monkeypatch))

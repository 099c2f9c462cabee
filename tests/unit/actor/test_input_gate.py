"""The input gate: who passes, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable.actor.input_gate import InputGate


async def test_everyone_passes_an_open_gate_in_order() -> None:
    gate = InputGate(asyncio.get_running_loop())
    seen: list[str] = []
    gate.when_admitted(None, lambda: seen.append("a"))
    gate.when_admitted(None, lambda: seen.append("b"))
    assert seen == ["a", "b"]


async def test_a_critical_section_lets_only_its_own_code_in_and_the_queue_keeps_its_order() -> None:
    gate = InputGate(asyncio.get_running_loop())
    seen: list[str] = []
    section = gate.enter(None)
    gate.when_admitted(None, lambda: seen.append("first"))
    gate.when_admitted(section, lambda: seen.append("inside"))
    gate.when_admitted(None, lambda: seen.append("second"))
    assert seen == ["inside"]
    gate.leave(section)
    assert seen == ["inside", "first", "second"]
    assert gate.waiting == 0


async def test_a_nested_section_goes_before_its_parent() -> None:
    gate = InputGate(asyncio.get_running_loop())
    outer = gate.enter(None)
    inner = gate.enter(outer)
    assert not gate.admits(outer)
    gate.leave(inner)
    assert gate.admits(outer)
    assert not gate.admits(None)
    gate.leave(outer)
    assert gate.admits(None)


async def test_code_a_closed_section_left_behind_belongs_to_the_nearest_open_one() -> None:
    gate = InputGate(asyncio.get_running_loop())
    outer = gate.enter(None)
    inner = gate.enter(outer)
    gate.leave(inner)
    assert gate.admits(inner)
    gate.leave(outer)
    other = gate.enter(None)
    assert not gate.admits(inner)
    gate.leave(other)
    assert gate.admits(inner)


async def test_a_pending_commit_shuts_everyone_out() -> None:
    gate = InputGate(asyncio.get_running_loop())
    section = gate.enter(None)
    gate.begin_commit()
    assert not gate.admits(section)
    gate.end_commit()
    assert gate.admits(section)


async def test_what_a_start_adds_waits_behind_those_who_waited_before() -> None:
    gate = InputGate(asyncio.get_running_loop())
    seen: list[str] = []
    section = gate.enter(None)

    def first() -> None:
        seen.append("a")
        gate.when_admitted(None, lambda: seen.append("c"))

    gate.when_admitted(None, first)
    gate.when_admitted(None, lambda: seen.append("b"))
    gate.leave(section)
    assert seen == ["a", "b", "c"]


async def test_a_start_that_shuts_the_gate_again_leaves_the_rest_waiting() -> None:
    gate = InputGate(asyncio.get_running_loop())
    seen: list[str] = []
    section = gate.enter(None)
    entered = []
    gate.when_admitted(None, lambda: entered.append(gate.enter(None)))
    gate.when_admitted(None, lambda: seen.append("later"))
    gate.leave(section)
    assert seen == []
    gate.leave(entered[0])
    assert seen == ["later"]


async def test_a_section_goes_before_the_events_that_wait() -> None:
    gate = InputGate(asyncio.get_running_loop())
    seen: list[str] = []
    section = gate.enter(None)
    gate.when_admitted(None, lambda: seen.append("event"))
    gate.when_alone(None, lambda: seen.append("section"))
    assert seen == []
    gate.leave(section)
    assert seen == ["section", "event"]


async def test_those_who_wait_are_let_in_one_by_one_each_after_the_step_of_the_one_before() -> None:
    gate = InputGate(asyncio.get_running_loop())
    section = gate.enter(None)
    crowd = [object(), object(), object()]
    waits = [gate.wait_admission(None, who) for who in crowd]
    gate.leave(section)
    assert [wait.done() for wait in waits] == [True, False, False]
    assert gate.wait_admission(None, crowd[0]) is None
    await asyncio.sleep(0)
    assert [wait.done() for wait in waits] == [True, True, False]


async def test_who_comes_now_waits_behind_those_who_waited_before() -> None:
    gate = InputGate(asyncio.get_running_loop())
    section = gate.enter(None)
    first = gate.wait_admission(None, "first")
    gate.leave(section)
    assert gate.busy
    late = gate.wait_admission(None, "late")
    assert (first.done(), late.done()) == (True, False)
    assert gate.wait_admission(None, "first") is None
    await asyncio.sleep(0)
    assert late.done()
    assert gate.wait_admission(None, "late") is None
    assert (gate.busy, gate.waiting) == (False, 0)


async def test_who_was_let_in_and_finds_the_gate_shut_again_stays_first() -> None:
    gate = InputGate(asyncio.get_running_loop())
    section = gate.enter(None)
    gate.wait_admission(None, "first")
    second = gate.wait_admission(None, "second")
    gate.leave(section)
    section = gate.enter(None)
    first = gate.wait_admission(None, "first")
    gate.leave(section)
    assert (first.done(), second.done()) == (True, False)


async def test_an_event_that_starts_a_task_goes_before_the_next_one() -> None:
    gate = InputGate(asyncio.get_running_loop())
    seen: list[str] = []

    def start(who: str) -> Callable[[], object]:
        def begin() -> object:
            seen.append(who)
            return who

        return begin

    section = gate.enter(None)
    gate.when_admitted(None, start("a"))
    gate.when_admitted(None, start("b"))
    gate.leave(section)
    assert seen == ["a"]
    assert gate.wait_admission(None, "a") is None
    await asyncio.sleep(0)
    assert seen == ["a", "b"]


async def test_who_gave_up_keeps_nobody_waiting() -> None:
    gate = InputGate(asyncio.get_running_loop())
    section = gate.enter(None)
    gone, there = gate.wait_admission(None, "gone"), gate.wait_admission(None, "there")
    gone.cancel()
    gate.leave(section)
    assert there.done()


async def test_what_waits_in_a_section_that_closes_goes_before_those_outside() -> None:
    gate = InputGate(asyncio.get_running_loop())
    outer = gate.enter(None)
    outside = gate.wait_admission(None, "outside")
    inner = gate.enter(outer)
    inside = gate.wait_admission(outer, "inside")
    gate.leave(outer)
    assert not inside.done()
    gate.leave(inner)
    assert (inside.done(), outside.done()) == (True, False)


async def test_a_gate_that_is_open_for_good_lets_everyone_in_at_once() -> None:
    gate = InputGate(asyncio.get_running_loop())
    seen: list[str] = []
    outer = gate.enter(None)
    gate.when_admitted(None, lambda: seen.append("event"))
    inner = gate.enter(outer)
    gate.when_alone(outer, lambda: seen.append("section"))
    gate.begin_commit()
    gate.open_for_good()
    assert seen == ["section", "event"]
    assert gate.wait_admission(inner, "anyone") is None
    assert (gate.waiting, gate.busy) == (0, False)

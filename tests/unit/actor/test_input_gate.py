"""The input gate: who passes, in which order."""

import asyncio

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

"""The judge of the chaos campaign, judged: each promise that is broken is noticed, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.chaos_verdict import (
    GROWTH_BYTES_MAX,
    Answer,
    History,
    Rest,
    faults_of_answers,
    faults_of_ledgers,
    faults_of_rest,
)

REST = Rest(gateway_bytes=50_000_000, descriptors=30, processes=3, zombies=0)


def history() -> History:
    """Two increments that were acknowledged, and one whose answer was lost with its host."""
    made = History()
    made.take(Answer("/increment/a/t1", 200), "a", "t1", "1")
    made.take(Answer("/increment/a/t2", 503, "host_crashed", "The process ended."), "a", "t2", "")
    made.take(Answer("/increment/a/t3", 200), "a", "t3", "2")
    return made


@pytest.mark.parametrize("rows", [["t1", "t3"], ["t1", "t3", "t2"]])
def test_what_was_not_acknowledged_may_be_stored_or_not(rows: list[str]):
    assert faults_of_ledgers(history(), {"a": rows}) == []


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (["t1"], "a: t3 was acknowledged as number 2 and is not there"),
        (["t1", "t2", "t3"], "a: t3 was acknowledged as number 2 and is not there"),
        (["t1", "t3", "t1"], "a: t1 is there 2 times"),
        (["t1", "t3", "t2", "t2"], "a: t2 is there 2 times"),
        (["t1", "t3", "t9"], "a: t9 is there and was never asked for"),
    ],
    ids=["lost", "moved", "doubled", "an uncertain one doubled", "a stranger"],
)
def test_increments_that_are_lost_doubled_or_strange_are_noticed(rows: list[str], fault: str):
    assert faults_of_ledgers(history(), {"a": rows}) == [fault]


def test_a_ledger_that_is_gone_as_a_whole_is_noticed():
    assert len(faults_of_ledgers(history(), {})) == 2


def test_errors_that_name_their_cause_are_answers():
    assert faults_of_answers(history()) == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer("/x", 0, "ServerDisconnectedError", "Server disconnected"),
        Answer("/x", 0, "TimeoutError", ""),
        Answer("/x", 503, "reloading", ""),
        Answer("/x", 503, "", "Service Unavailable"),
        Answer("/x", 500, "gateway_fault", "This is a bug in the emulator."),
        Answer("/x", 404, "exception", "Not found"),
    ],
)
def test_a_request_without_an_answer_or_an_error_without_a_cause_is_noticed(answer: Answer):
    made = history()
    made.take(answer)

    (fault,) = faults_of_answers(made)

    assert "/x" in fault


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        (REST, None),
        (replace(REST, gateway_bytes=REST.gateway_bytes + GROWTH_BYTES_MAX // 2), None),
        (replace(REST, gateway_bytes=REST.gateway_bytes + 2 * GROWTH_BYTES_MAX), "memory grew"),
        (replace(REST, descriptors=31), "open files grew from 30 to 31"),
        (replace(REST, processes=4), "there were 3 processes, now there are 4"),
        (replace(REST, zombies=1), "1 processes were not reaped"),
    ],
)
def test_what_a_campaign_leaves_behind_is_noticed(after: Rest, fault: str | None):
    faults = faults_of_rest(REST, after)

    assert len(faults) == (fault is not None)
    assert fault is None or faults[0].startswith(fault)

"""The facts about sockets find it out when what they are about is broken, each in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from durable.actor import actor as actor_module
from durable.actor import socket_delivery, sockets
from durable.actor.actor import Actor
from durable.actor.failure import RemoteError
from durable.actor.handlers import call_relaxed, maybe_await
from durable.actor.sockets import SocketTable
from durable.gateway.auto_responses import AutoResponses
from durable.sdk.websocket import WebSocket
from tests.conformance import wired
from tests.conformance.stage import Stage, play
from tests.conformance.test_facts import TABLE

FOUND_OUT = (AssertionError, TimeoutError, ValueError, RemoteError, ConnectionClosed)
"""A fact's own assertion, also one inside an object, or a client that sees another end than it should."""

Break = Callable[[pytest.MonkeyPatch], None]


def reset_keeps_sockets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(actor_module, "drop_sockets", sockets.leave_sockets)


def eviction_drops_sockets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(actor_module, "leave_sockets", sockets.drop_sockets)


def eviction_keeps_settings(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(actor_module, "leave_sockets", lambda actor: actor.engine.sockets.forget_objects(actor.key.id))


def attachments_run_ahead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "_revealed", lambda actor: 0)


def attachments_are_kept_as_they_are(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sockets.ActorSocket, "save_attachment", lambda link, value: setattr(link.record, "attachment", value))
    patch.setattr(sockets.ActorSocket, "load_attachment", lambda link: link.record.attachment)


def lists_are_backwards(patch: pytest.MonkeyPatch) -> None:
    listed = SocketTable.of
    patch.setattr(SocketTable, "of", lambda table, actor_id: listed(table, actor_id)[::-1])


def nobody_answers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(socket_delivery, "_ANSWERS_CLOSE", "9999-01-01")


def always_answered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(socket_delivery, "_ANSWERS_CLOSE", "0001-01-01")


def no_time_limit(patch: pytest.MonkeyPatch) -> None:
    async def call(limit_ms: int, handler: Any, args: tuple[Any, ...]) -> None:
        await maybe_await(call_relaxed(handler, *args))

    patch.setattr(socket_delivery, "_call_within", call)


def the_object_answers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AutoResponses, "answer", lambda *_: False)


def closes_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WebSocket, "restore_closing", lambda socket: None)


BROKEN: list[tuple[str, Break]] = [
    ("3.1 get_web_sockets lists the newest first", lists_are_backwards),
    ("3.1 an auto-response wakes nobody", the_object_answers),
    ("3.1 a pair without sockets ends", eviction_keeps_settings),
    ("3.1 a handler that runs for longer fails", no_time_limit),
    ("3.3 abort drops", reset_keeps_sockets),
    ("3.3 a reset drops hibernated sockets", reset_keeps_sockets),
    ("7.3 from 2026-04-07", nobody_answers),
    ("7.3 before 2026-04-07 nobody answers", always_answered),
    ("7.4 each reading is a copy", attachments_are_kept_as_they_are),
    ("7.4 an attachment leaves the object after", attachments_run_ahead),
    ("7.4 a process that ends", attachments_run_ahead),
    ("7.5 what woke is a new instance", eviction_drops_sockets),
    ("7.5 a socket that its actor closed before it slept", closes_are_forgotten),
    ("11.17", the_object_answers),
    ("11.21", lists_are_backwards),
]


@pytest.mark.parametrize(("fact", "broken"), BROKEN, ids=[f"{fact}: {broken.__name__}" for fact, broken in BROKEN])
async def test_what_is_broken_is_found_out(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, fact: str, broken: Break
) -> None:
    (found,) = (each for each in TABLE if each.id.startswith(fact))
    broken(monkeypatch)
    monkeypatch.setattr(wired, "WAIT_SECONDS", 0.5)
    # What never comes shows as a wait that ends; a fact that is true takes a fraction of this.
    with pytest.raises(FOUND_OUT):
        async with asyncio.timeout(2):
            await play(found, Stage(gateway, monkeypatch))

"""`workers.env` and `patch_env`."""

from __future__ import annotations

import asyncio

import pytest

from durable.host.compat.environment import ProgramEnv, env, patch_env
from durable.host.env import Env


def test_it_has_what_the_hosts_env_has() -> None:
    top = ProgramEnv()
    top.bind(Env({"COLOUR": "blue"}))
    assert (top.COLOUR, top["COLOUR"], list(top), "COLOUR" in top, "SIZE" in top) == (
        "blue", "blue", ["COLOUR"], True, False,
    )  # fmt: skip
    assert repr(top) == "env(COLOUR)"
    with pytest.raises(AttributeError, match="env has no 'SIZE'"):
        _ = top.SIZE


def test_without_a_host_that_is_said() -> None:
    with pytest.raises(AttributeError, match="workers.env has no 'COLOUR': no host has loaded a program here"):
        _ = ProgramEnv().COLOUR


async def test_a_patch_is_seen_by_what_the_block_starts_and_by_nobody_else() -> None:
    env.bind(Env({"COLOUR": "blue"}))
    inside, outside = asyncio.Event(), asyncio.Event()

    async def see() -> str:
        await inside.wait()
        colour: str = env.COLOUR
        return colour

    before = asyncio.create_task(see())
    with patch_env(COLOUR="red"):
        within = asyncio.create_task(see())
        inside.set()
        assert await before == "blue"
        outside.set()
    assert (await within, env.COLOUR) == ("red", "blue")


def test_a_patch_ends_with_its_block_also_when_that_fails() -> None:
    env.bind(Env({"COLOUR": "blue"}))
    with pytest.raises(LookupError), patch_env({"COLOUR": "red"}):
        raise LookupError
    assert env.COLOUR == "blue"

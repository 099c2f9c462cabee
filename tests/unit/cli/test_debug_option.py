"""`--debug [PORT]` on the command line."""

from __future__ import annotations

import pytest

from durable_cli.commands.dev import DEBUG_PORT, with_debug_port

USUAL = str(DEBUG_PORT)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["dev", "--debug"], ["dev", "--debug", USUAL]),
        (["dev", "--debug", "6000"], ["dev", "--debug", "6000"]),
        (["dev", "--debug=6000"], ["dev", "--debug=6000"]),
        (["dev", "--debug", "-v"], ["dev", "--debug", USUAL, "-v"]),
        (["dev", "--port", "1", "--debug", "--hosts", "2"], ["dev", "--port", "1", "--debug", USUAL, "--hosts", "2"]),
        (["sql", "--debug"], ["sql", "--debug"]),
        ([], []),
    ],
)
def test_the_port_may_be_left_out(typed: list[str], meant: list[str]) -> None:
    assert with_debug_port(typed) == meant

"""The gateway leaves out aiohttp's client, whose import makes TLS contexts: nobody waits for what nobody uses."""

from __future__ import annotations

import subprocess
import sys

_GATEWAY = """
import importlib, pkgutil, sys
from durable.gateway import deferred_client
deferred_client.defer_client()
import durable.emulator, durable.gateway
for module in pkgutil.iter_modules(durable.gateway.__path__, "durable.gateway."):
    importlib.import_module(module.name)
from aiohttp import web
"""
_SAY = "print('aiohttp.client' in sys.modules)"


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_no_module_of_the_gateway_brings_in_the_client() -> None:
    assert _run(_GATEWAY + _SAY) == "False"


def test_whoever_asks_for_the_client_gets_it() -> None:
    assert _run(_GATEWAY + "from aiohttp import ClientSession\n" + _SAY) == "True"

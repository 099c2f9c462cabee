"""The gateway leaves out aiohttp's client, which makes TLS contexts, and its router: nobody waits for either."""

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
"""
_SAY = "print(*({'aiohttp.client', 'aiohttp.web_app'} & sys.modules.keys()))"


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def test_no_module_of_the_gateway_brings_in_the_client_or_the_router() -> None:
    assert _run(_GATEWAY + _SAY) == ""


def test_whoever_asks_for_the_client_gets_it() -> None:
    assert _run(_GATEWAY + "from aiohttp import ClientSession\n" + _SAY) == "aiohttp.client"


def test_whoever_asks_for_the_router_gets_it() -> None:
    assert _run(_GATEWAY + "from aiohttp import web\nweb.Application\n" + _SAY) == "aiohttp.web_app"

"""`/__durable/*` of a running emulator against pages and programs that have no business there, and where it listens."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from durable.gateway.admin import Admin
from durable.gateway.events import BoundBeyondLoopback, RequestRefused
from tests.acceptance.running_dev import Dev
from tests.integration.raw_http import ask
from tests.integration.running_emulator import PROGRAM, SETTINGS, Running, running

WRONG = "x" * 43
ENDLESS = frozenset({"/__durable/tail"})
"""What goes on for as long as the asker listens."""


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, watch=False) as run:
        yield run


def port_of(run: Running) -> int:
    return urlsplit(run.emulator.url).port or 0


async def paths(run: Running) -> list[str]:
    """What there is, from the answer to whoever may know."""
    answer = await ask(
        port_of(run), request(run, "GET", "/__durable/none", f"Authorization: Bearer {run.emulator.token}")
    )
    found = [word.strip(",") for word in json.loads(answer.body)["error"]["fix"].split() if word.startswith("/__")]
    assert {"/__durable/sql", "/__durable/reload", "/__durable/migrate"} <= set(found)
    return found


def request(run: Running, method: str, target: str, *fields: str, body: str = "") -> str:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port_of(run)}", *fields, *length, "", body])


def attempts(run: Running, path: str) -> Iterator[tuple[str, int, str]]:
    """What a page can make a browser send, or a program try: what it is, the status it gets, the request."""
    token, body = (
        run.emulator.token,
        json.dumps({"class": "Counter", "name": "a", "sql": "DROP TABLE counter", "write": True}),
    )
    form = "Content-Type: application/x-www-form-urlencoded"
    yield "an image", 401, request(run, "GET", path, "Sec-Fetch-Mode: no-cors")
    yield "a link with the token", 401, request(run, "GET", f"{path}?token={token}&authorization={token}")
    yield "a form", 401, request(run, "POST", path, form, body=f"token={token}&sql=DROP")
    yield "a form of plain text", 401, request(run, "POST", path, "Content-Type: text/plain", body=body)
    yield "a beacon", 401, request(run, "POST", path, "Content-Type: text/plain", body=body)
    yield "a cookie", 401, request(run, "POST", path, f"Cookie: token={token}; Authorization={token}", body=body)
    yield "a login", 401, request(run, "POST", path, "Authorization: Basic dTpw", body=body)
    yield "a wrong token", 403, request(run, "POST", path, f"Authorization: Bearer {WRONG}", body=body)
    yield "half a token", 403, request(run, "POST", path, f"Authorization: Bearer {token[:20]}", body=body)
    yield "no token", 401, request(run, "POST", path, body=body)
    yield "a question before asking", 401, request(
        run, "OPTIONS", path, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"
    )  # fmt: skip
    for origin in ("null", "https://evil.example", "http://localhost:3000", f"https://127.0.0.1:{port_of(run)}"):
        for fields in ([f"Authorization: Bearer {token}"], []):
            yield f"a page of {origin}", 403, request(run, "POST", path, f"Origin: {origin}", *fields, body=body)
            yield f"a preflight of {origin}", 403, request(
                run, "OPTIONS", path, f"Origin: {origin}", "Access-Control-Request-Method: POST", *fields
            )  # fmt: skip


async def let_in(run: Running, *, without: frozenset[str] = frozenset()) -> list[str]:
    """Attempts that were answered otherwise than they should."""
    wrong: list[str] = []
    for path in set(await paths(run)) - without:
        for what, status, sent in attempts(run, path):
            answer = await ask(port_of(run), sent)
            if answer.status != status or any(name.startswith("access-control-") for name in answer.headers):
                wrong.append(f"{what} at {path}: {answer.status}")
    return wrong


async def state_of(run: Running) -> tuple[Any, ...]:
    statistics = run.statistics()
    return run.pids, statistics.reloads, statistics.generation, await run.get("/count/other")


async def test_nobody_without_the_token_and_no_page_of_elsewhere_is_let_in(run: Running) -> None:
    assert await run.get("/count/a") == (200, "1")
    before = run.pids, run.statistics().reloads, run.statistics().generation

    assert await let_in(run) == []

    assert (run.pids, run.statistics().reloads, run.statistics().generation) == before
    assert await run.get("/count/a") == (200, "2")
    refusals = run.told(RequestRefused)
    assert {event.reason for event in refusals} == {"token", "origin"}
    assert len(refusals) < 20
    assert run.emulator.token not in str(run.events)


async def test_without_the_look_at_tokens_the_same_attempts_are_let_in(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Admin, "_authorize", lambda self, request: None)

    assert "an image at /__durable/status: 200" in await let_in(run, without=ENDLESS)


async def test_a_get_changes_nothing_even_with_the_token(run: Running) -> None:
    await run.get("/count/a")
    before = run.pids, run.statistics().reloads
    for path in set(await paths(run)) - ENDLESS:
        for method in ("GET", "HEAD"):
            answer = await ask(
                port_of(run),
                request(run, method, path, f"Authorization: Bearer {run.emulator.token}", "Connection: close"),
            )
            assert answer.status in (200, 400, 404, 405), path

    assert (run.pids, run.statistics().reloads) == before
    assert await run.get("/count/a") == (200, "2")


async def test_the_programs_own_answers_are_the_programs_own(tmp_path: Path) -> None:
    program = PROGRAM.replace(
        "return Response(VERSION)", 'return Response("x", headers={"Access-Control-Allow-Origin": "*"})'
    )
    async with running(tmp_path, program, watch=False) as run:
        answer = await ask(port_of(run), request(run, "GET", "/", "Origin: https://evil.example"))

        assert answer.headers["access-control-allow-origin"] == "*"
        assert (
            "access-control-allow-origin"
            not in (await ask(port_of(run), request(run, "GET", "/__durable/status"))).headers
        )


# --- where it listens -------------------------------------------------------------------------------------------------
def listening(pids: set[int]) -> set[str]:
    """Addresses on which any of these processes accepts TCP connections, as the kernel knows them."""
    inodes: set[str] = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address = fields[1].partition(":")[0]
                words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
                found.add(str(ipaddress.ip_address(b"".join(words))))
    return found


@contextlib.contextmanager
def dev(folder: Path, *words: str) -> Iterator[Dev]:
    (folder / "main.py").write_text(PROGRAM)
    (folder / "durable.toml").write_text(SETTINGS)
    process = Dev(folder, *words)
    try:
        yield process.wait_ready()
        assert process.end() == 0
    finally:
        process.discard()


def test_unless_told_otherwise_only_this_machine_can_connect(tmp_path: Path) -> None:
    with dev(tmp_path) as process:
        addresses = listening(process.processes())

    assert "127.0.0.1" in addresses
    assert addresses <= {"127.0.0.1", "::1"}
    assert "other machines" not in process.told


def test_an_address_for_everybody_comes_with_a_warning_and_its_tools_with_a_token(tmp_path: Path) -> None:
    with dev(tmp_path, "--ip", "0.0.0.0") as process:
        process.wait_told("other machines may reach this emulator")
        assert listening(process.processes()) == {"0.0.0.0"}

        assert process.get("/count/a") == (200, "1")
        assert process.get("/__durable/status")[0] == 401
        assert process.get("/count/a", Host="0.0.0.0")[0] == 403


async def test_the_address_it_was_told_to_listen_on_is_one_of_its_names(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; asks which address of ours would
        except OSError:
            pytest.skip("this machine has no address but its own")
        ip = probe.getsockname()[0]
    async with running(tmp_path, settings=SETTINGS + f'ip = "{ip}"\n', watch=False) as run:
        assert run.told(BoundBeyondLoopback)
        assert await run.get("/count/a") == (200, "1")
        assert (await run.get("/", headers={"Host": "192.0.2.77"}))[0] == 403

"""The Autobahn testsuite against `durable dev`: how the field judges a WebSocket server.

`make autobahn` fetches the suite, which is not ours to ship, and runs this; without it this is skipped.
"""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.running_dev import Dev
from tests.settings import settings

REPO = Path(__file__).parents[2]
SUITE = Path(os.environ.get("AUTOBAHN", REPO / ".autobahn"))
FINE = {"OK", "INFORMATIONAL"}
NON_STRICT = {"6.4.3", "6.4.4"}
"""They would like a text frame refused before it is complete; we look at whole frames, as the suite allows."""
SETTINGS = settings("Echo", "ECHO")
PROGRAM = """\
from durable import DurableObject, Response, WebSocketPair, WorkerEntrypoint


class Echo(DurableObject):
    def fetch(self, request):
        client, server = WebSocketPair()
        self.ctx.accept_web_socket(server)
        return Response(None, status=101, web_socket=client)

    def web_socket_message(self, ws, message):
        ws.send(message)

    def web_socket_close(self, ws, code, reason, was_clean):
        ws.close(1000 if code == 1005 else code)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.ECHO.get_by_name("echo").fetch(request)
"""
pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not (SUITE / "site").is_dir(), reason="no Autobahn testsuite here; `make autobahn` fetches it"),
]


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("echo")
    (folder / "durable.toml").write_text(SETTINGS)
    (folder / "main.py").write_text(PROGRAM)
    dev = Dev(folder, "--persist-to", str(folder / "state"))
    try:
        yield dev.wait_ready().url.replace("http", "ws")
    finally:
        dev.end()
        dev.discard()


def played(url: str, *cases: str, messages: int | None = None) -> dict[str, list[str]]:
    command = [sys.executable, "-m", "tests.conformance.autobahn_client", str(SUITE), url, "--cases", *cases]
    command += [] if messages is None else ["--messages", str(messages)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False, timeout=280)
    assert not done.returncode, done.stderr[-3000:]
    results: dict[str, list[str]] = json.loads(done.stdout)
    return results


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("cases", "count", "messages"),
    [
        pytest.param(["1.*", "2.*", "3.*", "4.*", "5.*"], 64, None, id="1 to 5: frames, pings, fragments"),
        pytest.param(["6.*"], 145, None, id="6: UTF-8"),
        pytest.param(["7.*", "10.*"], 38, None, id="7 and 10: closing, fragments by the library"),
        pytest.param(["9.1.*", "9.2.*", "9.3.*"], 21, None, id="9.1 to 9.3: up to 16 MiB"),
        pytest.param(["12.1.*", "12.2.4", "12.3.11", "12.4.18", "12.5.5"], 22, 50, id="12: deflate, payloads"),
        pytest.param(["13.*.1", "13.*.10", "13.*.15"], 21, 50, id="13: deflate, parameters"),
    ],
)
def test_the_suite_finds_no_failure(
    echo: str, cases: list[str], count: int, messages: int | None, capsys: pytest.CaptureFixture[str]
):
    results = played(echo, *cases, messages=messages)

    with capsys.disabled():
        found = collections.Counter(behavior for behavior, _, _ in results.values())
        print(f"\nAutobahn {' '.join(cases)}: {dict(found)}", end=" ")
    assert len(results) == count
    bad = {
        case: told
        for case, told in results.items()
        if not FINE.issuperset(told[:2]) and not (case in NON_STRICT and told[:2] == ["NON-STRICT", "OK"])
    }
    assert not bad

"""A folder of files beside the worker, as browsers and programs see it: real process, real sockets, raw requests."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.running_dev import Dev

CONFIG = """{
  // The layout that Cloudflare documents, keys of its other products included.
  "$schema": "node_modules/wrangler/config-schema.json",
  "name": "site",
  "main": "src/entry.py",
  "compatibility_date": "2026-01-01",
  "compatibility_flags": ["python_workers"],
  "observability": { "enabled": true },
  "routes": ["example.com/*"],
  "kv_namespaces": [{ "binding": "CACHE", "id": "0" }],
  "assets": {
    "directory": "./public",
    "binding": "ASSETS",
    "not_found_handling": "single-page-application",
  },
}
"""

PROGRAM = """\
from durable import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = "/" + request.url.split("/", 3)[3]
        if path == "/api/kv":
            return Response(await self.env.CACHE.get("x"))
        if path.startswith("/api/asset"):
            answer = await self.env.ASSETS.fetch("http://assets" + path.removeprefix("/api/asset"))
            return Response.json(
                {
                    "status": answer.status,
                    "type": answer.headers.get("content-type"),
                    "url": answer.url,
                    "redirected": answer.redirected,
                    "text": (await answer.text())[:20],
                }
            )
        if path.startswith("/api/pass"):
            return await self.env.ASSETS.fetch(request.url.replace("/api/pass", ""), method=request.method)
        return Response(f"the worker has {path}")
"""

LARGE = b"0123456789abcdef" * 40_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "wrangler.jsonc").write_text(CONFIG)
    (folder / "src").mkdir()
    (folder / "src" / "entry.py").write_text(PROGRAM)
    public = folder / "public"
    (public / "docs").mkdir(parents=True)
    (public / "index.html").write_text("<h1>the page</h1>")
    (public / "about.html").write_text("about")
    (public / "docs" / "index.html").write_text("the docs")
    (public / "app.js").write_text("run()")
    (public / "app.js.map").write_text("{}")
    (public / ".assetsignore").write_text("*.map\n")
    (public / ".env").write_text("SECRET=1")
    (public / "large.bin").write_bytes(LARGE)
    (public / "out").symlink_to(folder / "wrangler.jsonc")
    dev = Dev(folder).wait_ready()
    yield dev
    dev.discard()


def asked(
    dev: Dev, target: str, method: str = "GET", body: bytes | None = None, **fields: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, fields and body of one request whose target is sent as it stands here."""
    connection = http.client.HTTPConnection(urlsplit(dev.url).netloc, timeout=30)
    try:
        names = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, target, body=body, headers=names)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def test_files_are_served_without_the_worker(site: Dev) -> None:
    status, headers, body = asked(site, "/")
    assert (status, body, headers["content-type"]) == (200, b"<h1>the page</h1>", "text/html; charset=utf-8")
    assert asked(site, "/app.js")[2] == b"run()"
    assert asked(site, "/docs/")[2] == b"the docs"
    assert asked(site, "/about?x=1")[2] == b"about"


def test_addresses_that_are_not_the_pages_own_lead_there(site: Dev) -> None:
    for target, location in [("/about.html?x=1", "/about?x=1"), ("/docs", "/docs/"), ("/index.html", "/")]:
        status, headers, _ = asked(site, target)
        assert (status, headers["location"]) == (307, location)


def test_what_is_no_file_is_the_workers(site: Dev) -> None:
    assert asked(site, "/nowhere")[2] == b"the worker has /nowhere"
    assert asked(site, "/nowhere", "POST", b"x" * 9)[2] == b"the worker has /nowhere"


def test_a_browser_that_goes_to_a_page_of_the_application_gets_it_without_the_worker(site: Dev) -> None:
    status, _, body = asked(site, "/nowhere", sec_fetch_mode="navigate")
    assert (status, body) == (200, b"<h1>the page</h1>")
    assert asked(site, "/nowhere", sec_fetch_mode="cors")[2] == b"the worker has /nowhere"


def test_a_client_that_has_the_file_is_told_so_and_keeps_its_connection(site: Dev) -> None:
    connection = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=30)
    connection.request("GET", "/app.js")
    first = connection.getresponse()
    first.read()
    kept = connection.sock
    connection.request("GET", "/app.js", headers={"If-None-Match": first.headers["ETag"]})
    second = connection.getresponse()
    assert (second.status, second.read(), second.headers["ETag"]) == (304, b"", first.headers["ETag"])
    connection.request("HEAD", "/app.js")
    third = connection.getresponse()
    assert (third.status, third.read(), third.headers["Content-Length"]) == (200, b"", "5")
    assert connection.sock is kept
    connection.close()


def test_a_large_file_comes_whole_and_in_parts(site: Dev) -> None:
    status, headers, body = asked(site, "/large.bin")
    assert (status, headers["content-length"], body == LARGE) == (200, str(len(LARGE)), True)
    status, headers, body = asked(site, "/large.bin", range="bytes=5-600004")
    assert (status, headers["content-range"]) == (206, f"bytes 5-600004/{len(LARGE)}")
    assert body == LARGE[5:600005]
    assert asked(site, "/large.bin", "HEAD")[2] == b""
    assert asked(site, "/large.bin", range="bytes=999999999-")[0] == 416


@pytest.mark.parametrize(
    "target",
    [
        "/../wrangler.jsonc",
        "/docs/../../wrangler.jsonc",
        "/%2e%2e/wrangler.jsonc",
        "/%2e%2e%2fwrangler.jsonc",
        "/..%2fwrangler.jsonc",
        "/docs/%2e%2e/%2e%2e/wrangler.jsonc",
        "/.env",
        "/%2eenv",
        "/docs/..%2f.env",
        "/.assetsignore",
        "/app.js.map",
        "/out",
        "/.durable/state/state.sqlite",
        "/../.durable/state/state.sqlite",
        "/app.js%00.html",
    ],
)
def test_nothing_but_the_files_of_the_folder_is_served(target: str, site: Dev) -> None:
    assert asked(site, target)[2].startswith(b"the worker has ")


def test_other_methods_are_refused_and_the_next_request_is_understood(site: Dev) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(site.url).port or 0)) as client:
        host = urlsplit(site.url).netloc
        client.sendall(f"POST /app.js HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc".encode())
        client.sendall(f"GET /app.js HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while piece := client.recv(65536):
            received += piece
    assert received.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert received.endswith(b"\r\n\r\nrun()")


def test_the_code_can_ask_for_files(site: Dev) -> None:
    def told(path: str) -> dict[str, object]:
        return json.loads(asked(site, f"/api/asset{path}")[2])

    assert told("/app.js") == {
        "status": 200,
        "type": "text/javascript; charset=utf-8",
        "url": "http://assets/app.js",
        "redirected": False,
        "text": "run()",
    }
    assert told("/large.bin")["text"] == LARGE[:20].decode()
    assert told("/.env")["text"] == told("/nowhere")["text"] == "<h1>the page</h1>"
    moved = told("/about.html")
    assert (moved["url"], moved["redirected"], moved["text"]) == ("http://assets/about", True, "about")


def test_an_answer_of_the_assets_can_be_handed_on(site: Dev) -> None:
    status, headers, body = asked(site, "/api/pass/large.bin")
    assert (status, headers["content-length"], body == LARGE) == (200, str(len(LARGE)), True)
    status, headers, body = asked(site, "/api/pass/app.js", "HEAD")
    assert (status, headers["content-length"], body) == (200, "5", b"")
    assert asked(site, "/api/pass/app.js", "POST")[0] == 405


def test_a_product_that_is_not_here_says_so_when_it_is_used(site: Dev) -> None:
    status, _, body = asked(site, "/api/kv", accept="text/plain")
    assert status == 500
    assert b'env.CACHE is Workers KV ("kv_namespaces" in wrangler.jsonc), which is not served here.' in body


def test_keys_without_effect_are_listed_once_with_what_that_means(site: Dev) -> None:
    assert site.told.count('"kv_namespaces": env.CACHE fails when used: Workers KV is not served here.') == 1
    assert site.told.count("observability (the log is in this terminal)") == 1
    assert "routes (everything is served at the address that is printed)" in site.told
    assert "$schema" not in site.told


def test_a_file_that_is_saved_is_served_at_once_and_reloads_no_code(site: Dev) -> None:
    page = Path(site.folder) / "public" / "docs" / "index.html"
    etag = asked(site, "/docs/")[1]["etag"]
    page.write_text("the new docs")
    status, _, body = asked(site, "/docs/", if_none_match=etag)
    assert (status, body) == (200, b"the new docs")
    entry = Path(site.folder) / "src" / "entry.py"
    entry.write_text(entry.read_text().replace("the worker has", "the new worker has"))
    site.wait_told("reloaded")
    assert site.told.count("reloaded") == 1
    assert asked(site, "/nowhere")[2] == b"the new worker has /nowhere"


def test_paths_that_are_the_workers_first_never_reach_the_files_and_no_others_reach_the_worker(
    start_dev: Callable[..., Dev], tmp_path: Path
) -> None:
    (tmp_path / "durable.toml").write_text(
        'name = "x"\nmain = "main.py"\n[assets]\ndirectory = "public"\nnot_found_handling = "single-page-application"\n'
        'run_worker_first = ["/api/*", "!/api/schema.json"]\n'
    )
    (tmp_path / "main.py").write_text(PROGRAM)
    (tmp_path / "public" / "api").mkdir(parents=True)
    for name in ("index.html", "api/hidden.json", "api/schema.json"):
        (tmp_path / "public" / name).write_text(name)
    dev = start_dev(tmp_path).wait_ready()
    assert asked(dev, "/api/hidden.json")[2] == b"the worker has /api/hidden.json"
    assert asked(dev, "/api/x", sec_fetch_mode="navigate")[2] == b"the worker has /api/x"
    assert asked(dev, "/api/schema.json")[2] == b"api/schema.json"
    assert asked(dev, "/nowhere")[::2] == (200, b"index.html")
    assert asked(dev, "//api/hidden.json")[1]["location"] == "/api/hidden.json"


def test_the_folder_can_be_changed_while_it_runs(start_dev: Callable[..., Dev], tmp_path: Path) -> None:
    config = 'name = "x"\nmain = "main.py"\n[assets]\ndirectory = "old"\n'
    (tmp_path / "durable.toml").write_text(config)
    (tmp_path / "main.py").write_text(PROGRAM)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(name)
    dev = start_dev(tmp_path).wait_ready()
    assert asked(dev, "/")[2] == b"old"
    (tmp_path / "durable.toml").write_text(config.replace("old", "new"))
    dev.wait_told("reloaded")
    assert asked(dev, "/")[2] == b"new"
    (tmp_path / "durable.toml").write_text(config.partition("[assets]")[0])
    dev.wait_for(lambda: dev.told.count("reloaded") == 2, "second reload")
    assert asked(dev, "/")[2] == b"the worker has /"


def test_assets_are_served_while_the_code_is_broken(start_dev: Callable[..., Dev], tmp_path: Path) -> None:
    (tmp_path / "durable.toml").write_text('name = "x"\nmain = "main.py"\n[assets]\ndirectory = "public"\n')
    (tmp_path / "main.py").write_text("import no_such_package_anywhere\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = ["no-such-package-anywhere>=2"]\n')
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text("still here")
    port = free_port()
    dev = start_dev(tmp_path, "--port", str(port))
    told = dev.wait_told("no-such-package-anywhere is among the dependencies in pyproject.toml")
    assert f"and not installed for {sys.executable}. Type: " in told
    dev.wait_for(lambda: accepts(port), "open port")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"still here"
    connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_another_worker_meets_the_files_before_the_code(start_dev: Callable[..., Dev], tmp_path: Path) -> None:
    """As on the platform, where a service binding leads to the worker with its assets."""
    (tmp_path / "front").mkdir()
    (tmp_path / "front" / "durable.toml").write_text(
        'name = "front"\nmain = "main.py"\nservices = [{ binding = "SITE", service = "site" }, '
        '{ binding = "BARE", service = "site", entrypoint = "Bare" }]\n'
    )
    (tmp_path / "front" / "main.py").write_text(
        "from durable import WorkerEntrypoint\n\n\nclass Default(WorkerEntrypoint):\n"
        "    async def fetch(self, request):\n"
        '        bare = "/bare/" in request.url\n'
        "        return await (self.env.BARE if bare else self.env.SITE).fetch(request)\n"
    )
    site = tmp_path / "site"
    (site / "public").mkdir(parents=True)
    (site / "durable.toml").write_text('name = "site"\nmain = "main.py"\n[assets]\ndirectory = "public"\n')
    (site / "main.py").write_text(PROGRAM + "\n\nclass Bare(Default):\n    pass\n")
    (site / "public" / "index.html").write_text("the page")
    (site / "public" / "large.bin").write_bytes(LARGE)
    dev = start_dev(tmp_path, "-c", "front/durable.toml", "-c", "site/durable.toml").wait_ready()

    assert asked(dev, "/")[::2] == (200, b"the page")
    assert asked(dev, "/index.html")[1]["location"] == "/"
    assert asked(dev, "/large.bin")[2] == LARGE
    assert asked(dev, "/", "POST", b"x" * 400_000)[0] == 405
    assert asked(dev, "/other")[2] == b"the worker has /other"
    assert asked(dev, "/bare/")[2] == b"the worker has /bare/"

"""Status, fields and bytes of the answer to a request for an asset."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable.assets import Answer, AssetBody, AssetFolder, AssetServer
from durable.assets.answers import content_type


@pytest.fixture
def public(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<h1>hello</h1>")
    (tmp_path / "about.html").write_text("about")
    (tmp_path / "404.html").write_text("not here")
    (tmp_path / "digits.txt").write_text("0123456789")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "mit leer.txt").write_text("x")
    return tmp_path


def asked(
    public: Path, target: str, *, method: str = "GET", not_found: str = "none", or_not_found: bool = True, **fields: str
) -> Answer | None:
    server = AssetServer(AssetFolder(public), "auto-trailing-slash", not_found)
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return server.answer(method, target, given.get, or_not_found=or_not_found)


def answered(public: Path, target: str, **more: str) -> tuple[int, dict[str, str], bytes]:
    answer = asked(public, target, **more)  # type: ignore[arg-type]
    assert answer is not None
    names = [name for name, _ in answer.headers]
    assert len(names) == len(set(names))
    return answer.status, dict(answer.headers), AssetBody(answer).read_nowait() if answer.file else b""


def test_a_file_comes_with_its_type_length_and_etag(public: Path) -> None:
    status, headers, body = answered(public, "/?v=1")
    assert (status, body) == (200, b"<h1>hello</h1>")
    assert headers.pop("ETag").startswith('"')
    assert headers == {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": "14",
        "Cache-Control": "public, max-age=0, must-revalidate",
        "Accept-Ranges": "bytes",
    }


def test_what_is_nowhere_is_nobodys_answer(public: Path) -> None:
    assert asked(public, "/missing") is None
    assert asked(public, "/missing", method="POST") is None


def test_a_redirect_keeps_the_query_and_never_leaves_this_host(public: Path) -> None:
    assert answered(public, "/about.html?a=b&c")[:2] == (307, {"Location": "/about?a=b&c", "Content-Length": "0"})
    status, headers, _ = answered(public, "//about.html")
    assert (status, headers["Location"]) == (307, "/about")


def test_a_path_that_is_written_differently_leads_to_the_one_way_to_write_it(public: Path) -> None:
    assert answered(public, "/mit%20leer.txt")[0] == 200
    assert answered(public, "/mit leer.txt")[1]["Location"] == "/mit%20leer.txt"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_an_asset_can_only_be_read(method: str, public: Path) -> None:
    assert answered(public, "/", method=method)[:2] == (405, {"Allow": "GET, HEAD", "Content-Length": "0"})


def test_a_missing_page_is_answered_with_the_page_for_it_only_where_that_is_asked_for(public: Path) -> None:
    status, headers, body = answered(public, "/x/y", not_found="404-page")
    assert (status, body) == (404, b"not here")
    assert "Accept-Ranges" not in headers
    status, _, body = answered(public, "/x/y", not_found="single-page-application")
    assert (status, body) == (200, b"<h1>hello</h1>")
    assert asked(public, "/x/y", not_found="404-page", or_not_found=False) is None


# --- conditions -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", ["{}", "W/{}", '"other", {}', "*"])
def test_a_client_that_has_the_file_is_told_so(shape: str, public: Path) -> None:
    etag = answered(public, "/")[1]["ETag"]
    status, headers, body = answered(public, "/", if_none_match=shape.format(etag))
    assert (status, headers["ETag"], body) == (304, etag, b"")
    assert "Content-Length" not in headers


def test_a_client_that_has_an_older_file_gets_the_new_one(public: Path) -> None:
    assert answered(public, "/", if_none_match='"other"')[0] == 200


def test_the_page_for_missing_paths_is_never_not_modified(public: Path) -> None:
    etag = answered(public, "/x", not_found="404-page")[1]["ETag"]
    assert answered(public, "/x", not_found="404-page", if_none_match=etag)[0] == 404


def test_a_shared_cache_keeps_nothing_of_a_request_with_credentials(public: Path) -> None:
    assert "Cache-Control" not in answered(public, "/", authorization="Bearer x")[1]


# --- ranges -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "part", "body"),
    [
        ("bytes=0-3", "bytes 0-3/10", b"0123"),
        ("bytes=4-", "bytes 4-9/10", b"456789"),
        ("bytes=-3", "bytes 7-9/10", b"789"),
        ("bytes=-99", "bytes 0-9/10", b"0123456789"),
        ("bytes=8-99", "bytes 8-9/10", b"89"),
        ("bytes=9-9", "bytes 9-9/10", b"9"),
    ],
)
def test_a_part_of_a_file_can_be_asked_for(text: str, part: str, body: bytes, public: Path) -> None:
    status, headers, got = answered(public, "/digits.txt", range=text)
    assert (status, headers["Content-Range"], headers["Content-Length"], got) == (206, part, str(len(body)), body)


@pytest.mark.parametrize(
    "text", ["bytes=0-1,3-4", "lines=0-1", "bytes=-", "bytes=3-1", "bytes=x-y", "bytes=" + "9" * 99]
)
def test_what_is_no_single_range_is_answered_with_everything(text: str, public: Path) -> None:
    status, headers, body = answered(public, "/digits.txt", range=text)
    assert (status, body) == (200, b"0123456789")
    assert "Content-Range" not in headers


@pytest.mark.parametrize(
    ("file", "text", "size"), [("digits", "bytes=10-", 10), ("digits", "bytes=-0", 10), ("empty", "bytes=0-0", 0)]
)
def test_a_range_behind_the_end_is_refused(file: str, text: str, size: int, public: Path) -> None:
    status, headers, _ = answered(public, f"/{file}.txt", range=text)
    assert (status, headers) == (416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})


def test_a_range_of_another_version_is_answered_with_everything(public: Path) -> None:
    etag = answered(public, "/digits.txt")[1]["ETag"]
    assert answered(public, "/digits.txt", range="bytes=0-1", if_range=etag)[0] == 206
    assert answered(public, "/digits.txt", range="bytes=0-1", if_range='"other"')[0] == 200


# --- types and bytes --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.map", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.js.gz", "application/gzip"),
        ("a.unheard-of", ""),
        ("LICENSE", ""),
    ],
)
def test_the_type_comes_from_the_name_alone(name: str, kind: str) -> None:
    assert content_type(name) == kind


async def test_a_body_is_read_piece_by_piece(public: Path) -> None:
    (public / "large.bin").write_bytes(b"x" * 300_000)
    answer = asked(public, "/large.bin", range="bytes=5-")
    assert answer is not None
    body = AssetBody(answer)
    sizes: list[int] = []
    while piece := await body.read():
        sizes.append(len(piece))
    body.close()
    assert sum(sizes) == 299_995
    assert len(sizes) == 3


async def test_a_file_that_became_shorter_is_no_complete_body(public: Path) -> None:
    answer = asked(public, "/digits.txt")
    assert answer is not None
    (public / "digits.txt").write_text("0")
    with pytest.raises(OSError, match=r"digits\.txt became shorter while it was read"):
        AssetBody(answer).read_nowait()
    (public / "digits.txt").unlink()
    with pytest.raises(FileNotFoundError):
        await AssetBody(answer).read()

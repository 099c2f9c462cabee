"""`fetch` to a server that we did not write the client for: redirects, forms, and answers that break off."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from durable import FormData, Request, Response
from durable.errors import AbortError
from durable.host.outgoing import close_client, fetch_outside
from durable.sdk.blobs import File
from durable.sdk.http import request_of

Fetch = Callable[..., Awaitable[Response]]


async def there(request: web.Request) -> web.Response:
    raise web.HTTPFound("/here")


async def here(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.method} {request.headers.get('x-a', '')}", headers={"Set-Cookie": "a=1"})


async def form(request: web.Request) -> web.Response:
    fields = await request.post()
    file = fields["file"]
    assert isinstance(file, web.FileField)
    return web.json_response([fields["text"], file.filename, file.content_type, file.file.read().decode()])


async def broken(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "100"})
    await response.prepare(request)
    await response.write(b"only this")
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.fixture
async def fetch() -> AsyncIterator[Fetch]:
    app = web.Application()
    app.add_routes([web.get("/there", there), web.route("*", "/here", here), web.post("/form", form)])
    app.add_routes([web.get("/broken", broken)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    async def fetch(path: str, **options: object) -> Response:
        request: Request = request_of(f"http://127.0.0.1:{port}{path}", None, options)
        return await fetch_outside(request, request.take_content())

    yield fetch
    await close_client()
    await runner.cleanup()


async def test_a_redirect_is_followed_shown_or_refused(fetch: Fetch) -> None:
    followed = await fetch("/there")
    assert (followed.status, followed.redirected, followed.url.rpartition("/")[2]) == (200, True, "here")
    assert await followed.text() == "GET "
    shown = await fetch("/there", redirect="manual")
    assert (shown.status, shown.redirected, shown.headers["location"]) == (302, False, "/here")
    await shown.text()
    with pytest.raises(AbortError, match='redirects to /here, and redirect is "error"'):
        await fetch("/there", redirect="error")


async def test_what_is_asked_arrives(fetch: Fetch) -> None:
    answer = await fetch("/here", method="put", headers=[("X-A", "b")], body="text")
    assert await answer.text() == "PUT b"
    assert answer.headers.get_set_cookie() == ["a=1"]


async def test_a_form_arrives_with_its_file(fetch: Fetch) -> None:
    fields = FormData({"text": "é"})
    fields.append("file", File("inside", "naïve.txt", "text/plain"))
    answer = await fetch("/form", method="POST", body=fields)
    assert await answer.json() == ["é", "naïve.txt", "text/plain", "inside"]


async def test_an_answer_that_breaks_off_is_an_abort_error(fetch: Fetch) -> None:
    answer = await fetch("/broken")
    with pytest.raises(AbortError, match="the body of .* broke off"):
        await answer.text()


async def test_nobody_there_is_an_abort_error_and_an_os_error() -> None:
    # Port 1 of this machine: nobody may listen there.
    with pytest.raises(OSError, match=r"fetch GET http://127\.0\.0\.1:1/ failed") as raised:
        await fetch_outside(Request("http://127.0.0.1:1/"), None)
    assert isinstance(raised.value, AbortError)
    await close_client()
    await asyncio.sleep(0)

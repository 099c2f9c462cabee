"""HTTP requests of user code to the outside. aiohttp is loaded at the first one; most hosts never need it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from durable.errors import AbortError
from durable.host.bodies import chunks_of
from durable.limits import CONNECT_SECONDS_MAX
from durable.sdk.http import REDIRECT_STATUSES, Request, Response

if TYPE_CHECKING:
    from aiohttp import ClientSession

_sessions: dict[bool, ClientSession] = {}
"""Whether it is for WebSockets → the session."""


async def fetch_outside(request: Request, content: Any) -> Response:
    """Send the request with `content`, its body. Raises AbortError when no answer comes; a status of 500 is one."""
    from aiohttp import ClientError  # loaded here: 150 ms that most hosts never need

    session = client()
    try:
        answer = await session.request(
            str(request.method),
            request.url,
            headers=request.headers.items(),
            data=content if content is None or isinstance(content, bytes) else chunks_of(content),
            allow_redirects=request.redirect == "follow",
        )
    except ClientError as error:
        raise AbortError(f"fetch {request.method} {request.url} failed: {error}") from error
    if request.redirect == "error" and answer.status in REDIRECT_STATUSES:
        answer.release()
        raise AbortError(f'{request.url} redirects to {answer.headers.get("location")}, and redirect is "error"')
    # The body arrives decoded, so what described its encoded form would mislead whoever passes it on.
    headers = [pair for pair in answer.headers.items() if pair[0].lower() not in ("content-encoding", "content-length")]
    response = Response(None, answer.status, answer.reason or "", headers)
    response.url = str(answer.url)
    response.redirected = bool(answer.history)
    response.replace_content(_body(answer))
    return response


async def _body(answer: Any) -> AsyncIterator[bytes]:
    from aiohttp import ClientError

    try:
        async for data in answer.content.iter_any():
            yield data
    except ClientError as error:
        raise AbortError(f"the body of {answer.url} broke off: {error}") from error
    finally:
        answer.release()


def client(*, sockets: bool = False) -> ClientSession:
    """The process has one for requests and one for WebSockets, each made when it is first wanted."""
    session = _sessions.get(sockets)
    if session is None or session.closed:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

        # No limit on the whole: a streamed answer may go on for as long as its reader likes.
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS_MAX)
        # aiohttp lets a hundred connections be open and everybody else wait: right for requests, which end, and wrong
        # for sockets, whose number has a bound of its own.
        connector = TCPConnector(limit=0) if sockets else None
        session = _sessions[sockets] = ClientSession(
            cookie_jar=DummyCookieJar(), auto_decompress=True, timeout=timeout, connector=connector
        )
    return session


async def close_client() -> None:
    """Give back the connections, at the end of the host."""
    sessions = list(_sessions.values())
    _sessions.clear()
    for session in sessions:
        await session.close()

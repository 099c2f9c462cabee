"""Request bodies from a client to a host: whole when they are small, streamed with credit when they are not.

Knows aiohttp's request and a body stream. A body that is too large, too slow or broken ends as a `Problem`.
"""

from __future__ import annotations

import asyncio

from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest
from msgspec import Struct

from durable.gateway.streams import BodyWriter
from durable.limits import BODY_STALL_SECONDS_MAX, HTTP_BODY_BYTES_MAX, INLINE_BODY_BYTES_MAX, MIB


class Problem(Struct, frozen=True):
    """A request that the gateway answers itself, and why."""

    status: int
    code: str
    message: str
    closes: bool = False
    """Whether the connection ends here: nobody can be sure where the next request on it would begin."""


class BodyProblemError(Exception):
    """The client's body cannot be taken."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


TOO_LARGE = Problem(413, "body_too_large", f"The request body is larger than {HTTP_BODY_BYTES_MAX // MIB} MiB.")
STALLED = Problem(408, "body_stalled", f"Nothing of the request body came for {BODY_STALL_SECONDS_MAX:g} seconds.")
BROKEN = Problem(400, "body_broken", "The request body broke off or is not what its headers say.")
UNKNOWN_EXPECTATION = Problem(417, "unknown_expectation", "The only expectation known here is 100-continue.")
UNKNOWN_VERSION = Problem(505, "unknown_version", "HTTP/1.1 is spoken here, and HTTP/1.0.", closes=True)
UNKNOWN_CODING = Problem(501, "unknown_coding", "The only transfer coding known here is chunked.", closes=True)
CODED_1_0 = Problem(400, "ambiguous_body", "HTTP/1.0 has no transfer codings.", closes=True)


def is_inline(request: BaseRequest) -> bool:
    """Whether the whole body fits into the request's own frame: a body of known small size, or one already here."""
    stated = request.content_length
    if stated is not None:
        return stated <= INLINE_BODY_BYTES_MAX
    content = request.content
    return content.is_eof() and content.total_bytes <= INLINE_BODY_BYTES_MAX


async def welcome(request: BaseRequest) -> None:
    """Before a body is read: refuse what is announced as too large, and say 100 Continue to who waits for that."""
    check_framing(request)
    stated = request.content_length
    if stated is not None and stated > HTTP_BODY_BYTES_MAX:
        raise BodyProblemError(TOO_LARGE)
    expectation = request.headers.get("Expect")
    if expectation is None or request.version < (1, 1):
        return
    if expectation.lower() != "100-continue":
        raise BodyProblemError(UNKNOWN_EXPECTATION)
    if not request.content.total_bytes:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # aiohttp takes written bytes for a response that has begun; an interim response is none.
        request.writer.output_size = 0


def check_framing(request: BaseRequest) -> None:
    """Raise `BodyProblemError` for a body of which two servers might see different ends (RFC 9112, 6.1).

    The parser refuses two lengths, and a length beside a coding, but takes any list of codings that ends in `chunked`.
    """
    coding = request.headers.get("Transfer-Encoding")
    if coding is None:
        return
    if request.version < (1, 1):
        raise BodyProblemError(CODED_1_0)
    if coding.strip(" \t").lower() != "chunked":
        raise BodyProblemError(UNKNOWN_CODING)


async def read_whole(request: BaseRequest) -> bytes:
    """The body of a request for which `is_inline` holds."""
    content = request.content
    if content.is_eof():
        return content.read_nowait(-1)
    pieces: list[bytes] = []
    while piece := await _next_piece(request):
        pieces.append(piece)
    return b"".join(pieces)


async def stream_to(writer: BodyWriter, request: BaseRequest) -> None:
    """Carry the body piece by piece; raises `BodyProblemError`, after the host was told as well."""
    size = 0
    try:
        while piece := await _next_piece(request):
            size += len(piece)
            if size > HTTP_BODY_BYTES_MAX:
                raise BodyProblemError(TOO_LARGE)
            await writer.write(piece)
            if writer.refused:
                return
        writer.end()
    except BodyProblemError as error:
        writer.end(error.problem.message)
        raise
    finally:
        writer.end("the client went away")


async def _next_piece(request: BaseRequest) -> bytes:
    content = request.content
    if content.is_eof():
        return content.read_nowait(-1)
    try:
        async with asyncio.timeout(BODY_STALL_SECONDS_MAX):
            return await content.readany()
    except TimeoutError:
        raise BodyProblemError(STALLED) from None
    except (RequestPayloadError, HttpProcessingError, OSError):
        raise BodyProblemError(BROKEN) from None

"""Assets on a client's connection: small files in one write, large ones piece by piece."""

from __future__ import annotations

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse

from durable.assets import Answer, AssetBody
from durable.gateway import uploads
from durable.gateway.responses import Responses
from durable.gateway.streams import BodyBrokenError
from durable.gateway.uploads import BodyProblemError, Problem
from durable.limits import INLINE_BODY_BYTES_MAX
from durable.wire.messages import HttpReply


async def send_asset(responses: Responses, request: BaseRequest, answer: Answer) -> StreamResponse:
    """Write the answer. Raises `ConnectionError` when the client is gone, `BodyProblemError` when the file is."""
    if request.body_exists:
        uploads.check_framing(request)
    reply = HttpReply(0, 0, answer.status, "", answer.headers)
    if answer.file is None or request.method == "HEAD":
        return await responses.send(request, reply)
    body = AssetBody(answer)
    try:
        if answer.length <= INLINE_BODY_BYTES_MAX:
            whole = HttpReply(0, 0, answer.status, "", answer.headers, body.read_nowait())
            return await responses.send(request, whole)
        first = await body.read()
    except OSError as error:
        body.close()
        raise BodyProblemError(Problem(503, "asset_changed", f"The file changed while it was read: {error}.")) from None
    return await responses.stream(request, reply, _Pieces(first, body))


class _Pieces:
    """The body of a file, as `Responses` reads bodies."""

    def __init__(self, first: bytes, body: AssetBody) -> None:
        self._first = first
        self._body = body

    async def read(self) -> bytes:
        first, self._first = self._first, b""
        if first:
            return first
        try:
            return await self._body.read()
        except OSError as error:
            raise BodyBrokenError(str(error)) from error

    def took(self, data: bytes) -> None:
        """A file needs no credit."""

    def cancel(self) -> None:
        self._body.close()

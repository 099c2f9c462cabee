"""The client's end of a socket on its way out of the code that made it: under a number, whoever takes it at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable.errors import JsTypeError
from durable.host.held_sockets import pass_on
from durable.sdk.http import Headers, Response
from durable.sdk.websocket import WebSocket

if TYPE_CHECKING:
    from durable.host.host import Host


def client_number(host: Host, response: Response) -> int:
    """The number of the socket whose client's end the response hands over; 0 when it hands over none.

    Raises TypeError for an end that is in use (workerd `api/web-socket.c++`, couple).
    """
    client = response.web_socket
    if client is None:
        return 0
    if client.url is not None:
        raise JsTypeError("Can't return WebSocket in a Response if it was created with `new WebSocket()`")
    if client.handed_over:
        raise JsTypeError("Can't return WebSocket that was already used in a response.")
    if client.link is not None:
        call = "accept_web_socket()" if client.link.hibernatable else "accept()"
        raise JsTypeError(f"Can't return WebSocket in a Response after calling {call}.")
    client.handed_over = True
    if client.outside is not None:
        return pass_on(host, client.outside)
    if not client.other_socket:
        raise JsTypeError(
            "nobody accepted the server's end of this WebSocket: "
            "call ctx.accept_web_socket(server) before returning the client's"
        )
    return client.other_socket


def far_end(number: int, headers: Headers) -> WebSocket:
    """An end for whoever gets the response with these headers: to accept, or to return to somebody else."""
    client = WebSocket.unaccepted()
    client.remote_socket = number
    client.protocol = headers.get("sec-websocket-protocol") or ""
    return client


def handed_on(host: Host, given: Response, response: Response) -> Response:
    """`response`, which is about to leave its actor in the place of `given`, with an end of its own."""
    number = client_number(host, given)
    response.web_socket = far_end(number, response.headers) if number else None
    return response

"""HTTP from clients to the user's worker and back. Knows requests, replies and failures; not placement, not gates.

The handler of aiohttp's low-level server. Every request passes the rules of `access` before anything else looks at it;
a small one is then one frame to a host and one back.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import quote

from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.web_exceptions import HTTPException
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from msgspec import Struct

from durable.clock import Clock, SystemClock
from durable.errors import ActorError, HostGoneError, OverloadedError, ProgramBrokenError, ReloadingError
from durable.gateway import error_page, uploads
from durable.gateway.access import Access, split_target
from durable.gateway.asset_front import AssetFront
from durable.gateway.events import (
    GatewayFault,
    ObjectOverloaded,
    OnEvent,
    RequestRefused,
    RequestServed,
    UserCodeFailed,
)
from durable.gateway.headers import HeaderPairs, InvalidHeaderError, RequestHeaders
from durable.gateway.link import HostLink, Reply
from durable.gateway.refusals import RefusalReports, excerpt
from durable.gateway.responses import CLOSE, Responses, check_status
from durable.gateway.router import Router
from durable.gateway.scheduled_route import SCHEDULED_PATHS, Fire, answer_scheduled
from durable.gateway.upgrade import UPGRADE_REQUEST, UpgradeRequest
from durable.gateway.uploads import BodyProblemError, Problem
from durable.wire.messages import ActorKey, ErrorReport, Failed, HttpReply, HttpRequest

ADMIN_PATH = "/__durable"
OUR_PATHS = (ADMIN_PATH, "/cdn-cgi/")
"""Beginnings of paths that are not the worker's, or may not be."""

ConnectSocket = Callable[[BaseRequest, HttpReply, HostLink], Awaitable[StreamResponse]]
Admin = Callable[[BaseRequest], Awaitable[StreamResponse]]

_ASCII = "".join(map(chr, range(128)))
_CLIENT_GONE = 499
"""Reported for a request whose client did not wait; nginx's number."""
_LISTED = "names other than localhost are listed in [dev] allowed_hosts."
_REFUSALS = {
    "host": f"This Host is not served here; {_LISTED}",
    "authority": "The request target names another host than the Host header.",
    "origin": f"Pages of this Origin may not connect here; {_LISTED}",
}


class HttpStatistics(Struct, frozen=True):
    """Since the start: every answered request, those that an exception of the program ended, those kept out."""

    served: int
    failed: int
    refused: int


class HttpFront:
    """Answers every HTTP request that reaches the gateway."""

    def __init__(
        self,
        router: Router,
        access: Access,
        *,
        connect_socket: ConnectSocket,
        admin: Admin,
        on_event: OnEvent,
        class_names: Mapping[str, str],
        redact: Callable[[ErrorReport], ErrorReport] | None = None,
        clock: Clock | None = None,
        fire_cron: Fire | None = None,
        assets: AssetFront | None = None,
    ) -> None:
        """`class_names` maps namespace keys to class names, for reports; it may change while we run.

        `redact` takes the secrets out of a report that is about to be shown.
        """
        self._router = router
        self._access = access
        self._connect_socket = connect_socket
        self._admin = admin
        self._fire_cron = fire_cron
        self._assets = assets or AssetFront()
        self._on_event = on_event
        self._class_names = class_names
        self._redact = redact or _as_it_is
        self._now = (clock or SystemClock()).monotonic
        self._reports = RefusalReports(on_event, clock or SystemClock())
        self._request_headers = RequestHeaders()
        self._responses = Responses()
        self._served_count = self._failed_count = self._refused_count = 0

    async def __call__(self, request: BaseRequest) -> StreamResponse:
        """Serve one request, whatever comes from either side; raises `HTTPException` only for a refused handshake."""
        started = self._now()
        try:
            target = request.raw_path
            host = request.headers.get("Host")
            refusal = self._access.allowed(host, target, None)
            if refusal is not None or host is None:
                return await self._refuse(request, refusal or "host")
            version = request.version
            if version is not HttpVersion11 and version not in (HttpVersion11, HttpVersion10):
                raise BodyProblemError(uploads.UNKNOWN_VERSION)
            path = target if target[0] == "/" else split_target(target)[1]
            if path.startswith(OUR_PATHS):
                if path.startswith(ADMIN_PATH) and path[len(ADMIN_PATH) :][:1] in ("", "/", "?"):
                    return await self._serve_admin(request, host)
                if self._fire_cron is not None and path.partition("?")[0] in SCHEDULED_PATHS:
                    return await self._serve_scheduled(request, host, self._fire_cron)
            asset = self._assets.answer(request, path) if self._assets.is_on else None
            if asset is not None:
                response = await self._assets.send(self._responses, request, asset)
                self._served(request, asset.status, started, None)
                return response
            return await self._serve(request, host, path, started)
        except ConnectionError:
            return CLOSE
        except BodyProblemError as error:
            return await self._answer_problem(request, error.problem, started)
        except HTTPException:
            raise
        except Exception:
            self._on_event(GatewayFault(traceback.format_exc()))
            if request.writer.output_size:
                return CLOSE
            fault = Problem(500, "gateway_fault", "This is a bug in the emulator; its log has the traceback.")
            return await self._answer_problem(request, fault, started)

    def statistics(self) -> HttpStatistics:
        return HttpStatistics(self._served_count, self._failed_count, self._refused_count)

    # --- our own tools ------------------------------------------------------------------------------------------------
    async def _serve_admin(self, request: BaseRequest, host: str) -> StreamResponse:
        if not self._access.same_origin(host, request.headers.get("Origin")):
            return await self._refuse(request, "origin")
        if request.body_exists:
            uploads.check_framing(request)
        response = await self._admin(request)
        if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            self._report_refusal(request, "token")
        return response

    async def _serve_scheduled(self, request: BaseRequest, host: str, fire: Fire) -> StreamResponse:
        if not self._access.same_origin(host, request.headers.get("Origin")):
            return await self._refuse(request, "origin")
        if request.body_exists:
            uploads.check_framing(request)
        return await answer_scheduled(request, fire)

    # --- the worker ---------------------------------------------------------------------------------------------------
    async def _serve(self, request: BaseRequest, host: str, path: str, started: float) -> StreamResponse:
        upgrade = "Upgrade" in request.headers and _asks_for_socket(request)
        if upgrade:
            # A browser lets any page open a WebSocket to anywhere and only tells from where: see access.
            refusal = self._access.allowed(host, request.raw_path, request.headers.get("Origin"))
            if refusal is not None:
                return await self._refuse(request, refusal)
        if not path.isascii():
            # Bytes that are no UTF-8 are surrogates here; as a URL they are percent-encoded, like any other byte.
            path = quote(path.encode("utf-8", "surrogateescape"), safe=_ASCII)
        method, url = request.method, f"{request.scheme}://{host}{path}"
        headers = self._request_headers.translate(request.raw_headers, request.remote or "", upgrade=upgrade)
        if upgrade:
            request[UPGRADE_REQUEST] = UpgradeRequest(method, url, headers)
        reply: Reply | None = None
        try:
            if method == "CONNECT":
                raise BodyProblemError(Problem(405, "method_not_allowed", "CONNECT is for proxies; this is none."))
            body = b""
            if request.body_exists:
                await uploads.welcome(request)
                if not uploads.is_inline(request):
                    return await self._serve_upload(request, method, url, headers, started)
                body = await uploads.read_whole(request)
            link = self._router.link_for_nowait(None) or await self._router.link_for(None)

            def question(identity: int) -> HttpRequest:
                return HttpRequest(identity, None, method, url, headers, body, 0, upgrade)

            try:
                reply = await link.request(question)
            except HostGoneError as error:
                link, reply = await self._router.ask_again(question, error)
            return await self._answer(request, link, reply, started, upgrade)
        except BodyProblemError as error:
            return await self._answer_problem(request, error.problem, started)
        except ProgramBrokenError as error:
            return await self._answer_broken(request, error, started)
        except ActorError as error:
            return await self._answer_problem(request, _problem_of(error), started)
        except asyncio.CancelledError:
            if not (isinstance(reply, HttpReply) and reply.socket):
                self._served(request, _CLIENT_GONE, started, None)
            raise

    async def _serve_upload(
        self, request: BaseRequest, method: str, url: str, headers: HeaderPairs, started: float
    ) -> StreamResponse:
        """A request whose body streams; the host may answer before it is over."""
        link = self._router.link_for_nowait(None) or await self._router.link_for(None)
        body = link.bodies.open()
        asking = asyncio.ensure_future(
            link.request(lambda identity: HttpRequest(identity, None, method, url, headers, b"", body.stream))
        )
        # Made after the other task, so its first piece follows the request that announces it.
        uploading = asyncio.ensure_future(uploads.stream_to(body, request))
        try:
            await asyncio.wait({asking, uploading}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                uploading.result()  # complete, or raises what is wrong with it
            return await self._answer(request, link, await asking, started, upgrade=False)
        finally:
            asking.cancel()
            uploading.cancel()
            await asyncio.gather(asking, uploading, return_exceptions=True)

    # --- the answer ---------------------------------------------------------------------------------------------------
    async def _answer(
        self, request: BaseRequest, link: HostLink, reply: Reply, started: float, upgrade: bool
    ) -> StreamResponse:
        if isinstance(reply, Failed):
            return await self._answer_failure(request, reply, started)
        if not isinstance(reply, HttpReply):
            raise TypeError(f"a host answered an HTTP request with {type(reply).__name__}")
        try:
            if reply.status == 101 or not 200 <= reply.status <= 599:
                check_status(reply, upgrade=upgrade)
                # The request is over with the handshake; what follows may last for days. A failing one fails now.
                report = asyncio.get_running_loop().call_soon(self._served, request, 101, started, reply.served_by)
                try:
                    return await self._connect_socket(request, reply, link)
                except (InvalidHeaderError, HTTPException):
                    report.cancel()
                    raise
            if reply.stream:
                response = await self._responses.stream(request, reply, link.reply_body(reply))
            else:
                response = await self._responses.send(request, reply)
        except InvalidHeaderError as error:
            link.discard(reply)
            return await self._answer_failure(request, _invalid(reply, str(error)), started)
        self._served(request, reply.status, started, reply.served_by)
        return response

    async def _answer_failure(self, request: BaseRequest, failed: Failed, started: float) -> StreamResponse:
        if failed.error.type == "OverloadedError" and "overloaded" in failed.error.flags:
            # Ten thousand of these are one piece of news, and none of them an error in the program.
            class_name, name, identity = self._named(failed.served_by)
            self._reports.report(
                "overloaded", lambda unreported: ObjectOverloaded(class_name or "", name, unreported, identity)
            )
        else:
            self._failed_count += 1
            who = self._named(failed.served_by)
            self._on_event(UserCodeFailed(failed.error, request.method, _path_of(request), *who))
        form = error_page.form_for(request.headers.get("Accept"))
        status = failed.status if 400 <= failed.status <= 599 else 500
        page = error_page.failure(form, self._redact(failed.error), f"{request.method} {_path_of(request)}")
        response = await self._responses.send_page(request, status, error_page.CONTENT_TYPES[form], page)
        self._served(request, status, started, failed.served_by)
        return response

    async def _answer_broken(self, request: BaseRequest, error: ProgramBrokenError, started: float) -> StreamResponse:
        """Every request shows why nothing runs; the developer's terminal has been told once already."""
        report = self._router.refusal
        if report is None:  # mended between then and now
            return await self._answer_problem(request, Problem(503, "reloading", str(error)), started)
        form = error_page.form_for(request.headers.get("Accept"))
        page = error_page.failure(form, self._redact(report))
        response = await self._responses.send_page(request, 500, error_page.CONTENT_TYPES[form], page)
        self._served(request, 500, started, None)
        return response

    async def _answer_problem(self, request: BaseRequest, problem: Problem, started: float) -> StreamResponse:
        form = error_page.form_for(request.headers.get("Accept"))
        page = error_page.problem(form, problem.code, problem.message)
        response = await self._responses.send_page(
            request, problem.status, error_page.CONTENT_TYPES[form], page, closes=problem.closes
        )
        self._served(request, problem.status, started, None)
        return response

    async def _refuse(self, request: BaseRequest, reason: str) -> StreamResponse:
        self._report_refusal(request, reason)
        page = error_page.problem("text", "forbidden", _REFUSALS[reason])
        # What follows on this connection comes from the same place, and after a body of a framing nobody looked at.
        return await self._responses.send_page(
            request, 403, error_page.CONTENT_TYPES["text"], page, closes=request.body_exists
        )

    def _report_refusal(self, request: BaseRequest, reason: str) -> None:
        self._refused_count += 1
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        origin = None if origin is None else excerpt(origin)
        self._reports.report(reason, lambda unreported: RequestRefused(reason, excerpt(host), origin, unreported))

    def _served(self, request: BaseRequest, status: int, started: float, served_by: ActorKey | None) -> None:
        self._served_count += 1
        class_name, object_name, object_id = self._named(served_by)
        elapsed_ms = (self._now() - started) * 1000
        path = _path_of(request)
        self._on_event(RequestServed(request.method, path, status, elapsed_ms, class_name, object_name, object_id))

    def _named(self, served_by: ActorKey | None) -> tuple[str | None, str | None, str | None]:
        """Class, name and id of an object, as the developer knows them."""
        if served_by is None:
            return None, None, None
        return self._class_names.get(served_by.namespace, served_by.namespace), served_by.name, served_by.id


def _as_it_is(report: ErrorReport) -> ErrorReport:
    return report


def _path_of(request: BaseRequest) -> str:
    return request.raw_path.partition("?")[0]


def _asks_for_socket(request: BaseRequest) -> bool:
    headers = request.headers
    if request.method != "GET" or headers["Upgrade"].lower() != "websocket":
        return False
    return any(token.strip() == "upgrade" for token in headers.get("Connection", "").lower().split(","))


def _invalid(reply: HttpReply, message: str) -> Failed:
    report = ErrorReport(type="InvalidResponse", message=message, module="durable.errors", qualname="UserCodeError")
    return Failed(reply.id, 0, report, 500, reply.served_by)


def _problem_of(error: ActorError) -> Problem:
    if isinstance(error, ReloadingError):
        return Problem(503, "reloading", str(error))
    return Problem(503, "overloaded" if isinstance(error, OverloadedError) else "host_crashed", str(error))

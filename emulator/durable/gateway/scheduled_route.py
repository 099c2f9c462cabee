"""`/cdn-cgi/handler/scheduled`: one run of `scheduled` by hand, as the platform's own tools offer it.

    curl "http://localhost:8787/cdn-cgi/handler/scheduled?cron=*+*+*+*+*&time=1745856238000&format=json"

platform: developers.cloudflare.com/workers/configuration/cron-triggers, "Test Cron Triggers locally".
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse

from durable.cron import Cron, MalformedCron
from durable.gateway.cron_triggers import CronOutcome
from durable.limits import ALARM_MS_MAX

SCHEDULED_PATHS = frozenset({"/cdn-cgi/handler/scheduled", "/cdn-cgi/local/scheduled"})
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Fire = Callable[[str, int | None], Awaitable[CronOutcome]]


async def answer_scheduled(request: BaseRequest, fire: Fire) -> StreamResponse:
    """`?cron=` is the expression to tell the handler, `?time=` its milliseconds, `?format=json` asks for JSON."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        # It is a GET, as on the platform, so any page could make a browser send it.
        return _text(403, "a page of another site may not run this")
    query = {key: found[-1] for key, found in parse_qs(request.raw_path.partition("?")[2]).items()}
    cron, time = query.get("cron", ""), query.get("time")
    try:
        if cron:
            Cron.trigger(cron)
        if time is not None and not (time.isascii() and time.isdigit() and int(time[:20]) <= ALARM_MS_MAX):
            return _text(400, f'"time" is in milliseconds since the epoch, got {time[:40]!r}')
    except MalformedCron as problem:
        return _text(400, f"cron: {problem}")
    outcome = await fire(cron, None if time is None else int(time))
    status, word = (200, "ok") if outcome.ok else (500, "exception")
    if query.get("format") == "json":
        body = json.dumps({"outcome": word, "noRetry": not outcome.retries})
        return Response(status=status, text=body, content_type="application/json", headers=_HEADERS)
    return _text(status, word)


def _text(status: int, text: str) -> Response:
    return Response(status=status, text=text, headers=_HEADERS)

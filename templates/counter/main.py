"""Page views. One `Counter` object holds the counts of a whole site in its own SQLite database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from durable import DurableObject, DurableObjectState, DurableObjectStub, Request, Response, WorkerEntrypoint

PAGE = (Path(__file__).parent / "static" / "counter.html").read_text("utf-8")
HIT_PATH = re.compile(r"/hit/([a-z0-9][a-z0-9-]{0,63})")


class Counter(DurableObject):
    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS hits(page TEXT PRIMARY KEY, views INTEGER NOT NULL)")

    # Every public method can be called from outside. No lock is needed: one object, one event at a time.
    def increment(self, page: str) -> int:
        """Count one view, and return how many there are now."""
        row = self.sql.exec(
            "INSERT INTO hits VALUES(?, 1) ON CONFLICT(page) DO UPDATE SET views = views + 1 RETURNING views", page
        ).one()
        return int(row["views"])

    def counts(self) -> list[dict[str, Any]]:
        """The hundred most viewed pages: `[{"page": "home", "views": 12}]`."""
        return [dict(row) for row in self.sql.exec("SELECT * FROM hits ORDER BY views DESC, page LIMIT 100")]


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        # The name decides which object answers. Another name is another counter with another database.
        counter: DurableObjectStub = self.env.COUNTER.get_by_name("site")
        path = urlsplit(request.url).path
        if path == "/":
            return Response(PAGE, headers={"Content-Type": "text/html; charset=utf-8"})
        if path == "/counts":
            return Response.json(await counter.counts(), headers=FRESH)
        if match := HIT_PATH.fullmatch(path):
            return Response.json({"page": match[1], "views": await counter.increment(match[1])}, headers=FRESH)
        return Response("Not found. Try /, /counts or /hit/<page>: small letters, digits and dashes.\n", status=404)


FRESH = {"Cache-Control": "no-store"}

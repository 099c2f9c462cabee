"""A fleet run through a running emulator: a page of objects per question, looked at first, then migrated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from durable.errors import MigrationError, NotFoundError
from durable_cli.migrating.fleet import ClassVersions, FleetOptions, FleetOutcome

if TYPE_CHECKING:
    from durable.schema import ClassSchema
    from durable_cli.client import Client

Show = Callable[[str, int, int, int], None]
_NAMED_MAX = 5
_MATCH = "run the code that made them, or put the files back as they were"


def run_live(
    client: Client, schemas: dict[str, ClassSchema], options: FleetOptions, show: Show, snapshots: Path
) -> FleetOutcome:
    """As on the files. Raises MigrationError, with nothing written, when an object is refused."""
    began = time.monotonic()
    looked = list(_ask(client, schemas, options, "look", show, ""))
    if options.only is not None and not looked:
        raise NotFoundError(f'no class with migrations has an object named "{options.only}"', fix="durable sql CLASS")
    objects, snapshot = looked, None
    if options.word != "status":
        _refuse(looked, "refused", "do not go together with the files", _MATCH)
    if options.word == "migrate" and not options.continue_on_error:
        _refuse(looked, "failed", "cannot be read", "put that right, or leave them out: --continue-on-error")
    if options.word != "status" and any(each["state"] == "pending" for each in looked):
        snapshot = snapshots if options.snapshot and options.word == "migrate" else None
        done = list(_ask(client, schemas, options, options.word, show, str(snapshot or "")))
        # What was never begun after a failure keeps the state in which it was seen.
        settled = {(each["class"], each["id"]): each for each in done}
        objects = [settled.get((each["class"], each["id"]), each) for each in looked]
    counts: dict[str, int] = {}
    versions: dict[str, dict[int, int]] = {name: {} for name in schemas}
    for each in objects:
        counts[each["state"]] = counts.get(each["state"], 0) + 1
        histogram = versions[each["class"]]
        histogram[each["after"]] = histogram.get(each["after"], 0) + 1
    return FleetOutcome(
        options.word,
        [ClassVersions(name, schema.version, versions[name]) for name, schema in schemas.items()],
        counts,
        [] if options.word == "status" else [each for each in objects if each["state"] != "current"],
        time.monotonic() - began,
        snapshot=snapshot,
    )


def _ask(
    client: Client, schemas: dict[str, ClassSchema], options: FleetOptions, todo: str, show: Show, snapshot: str
) -> Iterator[dict[str, Any]]:
    done = failed = 0
    for class_name in schemas:
        after: object = None
        before = done
        folder = f"{snapshot}/{class_name}" if snapshot else ""
        while True:
            answer = client.post(
                "/__durable/schema",
                {
                    "class": class_name, "todo": todo, "after": after, "only": options.only, "snapshot": folder,
                    "continue_on_error": options.continue_on_error or todo != "migrate",
                },
            )  # fmt: skip
            page = cast("list[dict[str, Any]]", answer["objects"])
            done += len(page)
            failed += sum(each["state"] == "failed" for each in page)
            show(todo, done, max(done, before + cast("int", answer["total"])), failed)
            for each in page:
                rows = {"before": each.pop("rows_before"), "after": each.pop("rows_after")}
                yield {"class": class_name, **each, "rows": rows if rows["before"] else None}
            after = answer["next"]
            if after is None:
                break
            if failed and todo == "migrate" and not options.continue_on_error:
                return


def _refuse(looked: list[dict[str, Any]], state: str, what: str, fix: str) -> None:
    refused = [each for each in looked if each["state"] == state]
    if not refused:
        return
    shown = "\n".join(
        f"    {each['class']} {each['name'] or each['id']}: {each['error']}" for each in refused[:_NAMED_MAX]
    )
    more = f"\n    and {len(refused) - _NAMED_MAX} more" if len(refused) > _NAMED_MAX else ""
    raise MigrationError(f"{len(refused)} objects {what}; nothing was written:\n{shown}{more}", fix=fix)

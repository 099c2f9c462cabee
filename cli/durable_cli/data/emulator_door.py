"""The data door into a running emulator: each call is one question; paths are of this machine, which is also its."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from durable.errors import UserInputError
from durable_cli.client import Client
from durable_cli.data.door import Answer, FoundObject, Names
from durable_cli.emulator_address import NotRunningError
from durable_cli.objects.finding import Target

if TYPE_CHECKING:
    from durable_cli.data.listing_types import ListPage, ListQuery


class EmulatorDoor:
    """For one command. An emulator that goes away in the middle of it ends the command: not everything may be done."""

    is_running = True

    def __init__(self, client: Client) -> None:
        self._client = client

    def find(self, target: Target) -> FoundObject:
        answer = self._ask("objects/find", target)
        name = answer["name"]
        return FoundObject(
            str(answer["class"]), str(answer["namespace"]), str(answer["id"]), None if name is None else str(name),
            bool(answer["known"]),
        )  # fmt: skip

    def copy(self, target: Target, path: Path, *, sync: bool = True) -> int:
        return int(str(self._ask("objects/copy", target, target=_absolute(path), sync=sync)["bytes"]))

    def replace(self, target: Target, image: Path, *, create: bool) -> Answer:
        return self._ask("objects/replace", target, image=_absolute(image), create=create)

    def delete(self, target: Target) -> Answer:
        return self._ask("objects/delete", target)

    def list(self, query: ListQuery) -> ListPage:
        from durable_cli.objects.listing import list_emulator

        try:
            return list_emulator(self._client, query)
        except NotRunningError as error:
            raise _gone(error) from error

    def class_names(self) -> Names:
        return [str(name) for name in cast("Names", self._post("/__durable/objects/classes", {})["classes"])]

    def _ask(self, path: str, of: Target, **more: object) -> Answer:
        return self._post(f"/__durable/{path}", {"class": of.class_word, "name": of.name, "id": of.id, **more})

    def _post(self, path: str, body: Mapping[str, object]) -> Answer:
        try:
            return self._client.post(path, body)
        except NotRunningError as error:
            raise _gone(error) from error


def _absolute(path: Path) -> str:
    return os.path.abspath(path)


def _gone(error: NotRunningError) -> UserInputError:
    # It answered when the command began. Going on with the files could do what is done already once more.
    return UserInputError(f"the emulator went away: {error}", fix="look what was done, before you type it again")

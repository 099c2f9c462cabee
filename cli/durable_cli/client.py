"""Speaks with a running emulator through `/__durable/*`: asks, and turns refusals into our exceptions.

Standard library only, no aiohttp: a tool that reads three rows must not wait for it. Must not know what is asked.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Generator, Mapping
from typing import Final, cast
from urllib.parse import urlsplit

from durable.errors import (
    DurableError,
    MigrationError,
    NotFoundError,
    SqlError,
    StorageError,
    UserCodeError,
    UserInputError,
)
from durable_cli.console import printable
from durable_cli.emulator_address import NotRunningError, RunningEmulator

ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
"""Largest answer that is read; rows are bounded long before by what asks for them."""
TIMEOUT_SECONDS: Final = 60.0
"""Longest silence of an emulator that was asked; its own limits on SQL are shorter."""

_LOOPBACK_FOR: Final[Mapping[str, str]] = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Client:
    """One emulator, asked over HTTP; a connection per question."""

    def __init__(self, emulator: RunningEmulator, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._emulator = emulator
        self._timeout_seconds = timeout_seconds

    def get(self, path: str) -> dict[str, object]:
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, object]:
        """`post("/__durable/reload", {})`. Raises what the emulator refused with, or NotRunningError."""
        return self._ask("POST", path, json.dumps(body).encode())

    def follow(self, path: str, body: Mapping[str, object] | None = None) -> Generator[bytes]:
        """The lines of an answer that lasts; they end when the emulator ends it, or is gone. Raises as `get`.

        With a `body` it is posted.
        """
        connection = self._connect()
        try:
            if body is None:
                connection.request("GET", path, headers=self._headers())
            else:
                headers = {**self._headers(), "Content-Type": "application/json"}
                connection.request("POST", path, json.dumps(body).encode(), headers)
            socket = connection.sock
            response = connection.getresponse()
            if response.status != http.client.OK:
                _answer(response.status, response.read(ANSWER_BYTES_MAX + 1), self._emulator)
            socket.settimeout(None)  # nothing happens for as long as nothing happens
        except (OSError, http.client.HTTPException) as error:
            raise self._gone() from error
        return _lines(connection, response)

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, object]:
        headers = self._headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            status, content = response.status, response.read(ANSWER_BYTES_MAX + 1)
        except TimeoutError as error:
            raise UserInputError(
                f"the emulator at {self._emulator.url} (pid {self._emulator.pid}) did not answer"
                f" within {self._timeout_seconds:g} s",
                fix="see what it is doing where it runs, or stop it and try again",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            # Not the same as "not running": asking again could do a thing twice.
            raise self._gone() from error
        finally:
            connection.close()
        return _answer(status, content, self._emulator)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._emulator.token}", "Accept": "application/json"}

    def _connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self._emulator.url)
        host = address.hostname or "127.0.0.1"
        # http.client knows no proxies, which is right: a proxy from the environment must not see the token.
        connection = http.client.HTTPConnection(
            _LOOPBACK_FOR.get(host, host), address.port or 80, timeout=self._timeout_seconds
        )
        try:
            connection.connect()
        except OSError as error:
            raise NotRunningError(f"no emulator answers at {self._emulator.url}: {error}") from error
        return connection

    def _gone(self) -> UserInputError:
        return UserInputError(
            f"the emulator at {self._emulator.url} (pid {self._emulator.pid}) went away before it answered",
            fix="look whether what you asked for was done, before you ask again",
        )


def _lines(connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> Generator[bytes]:
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        while line := response.readline():
            yield line


def _answer(status: int, content: bytes, emulator: RunningEmulator) -> dict[str, object]:
    if len(content) > ANSWER_BYTES_MAX:
        raise UserInputError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes", fix="ask for fewer rows: LIMIT")
    try:
        answer: object = json.loads(content)
    except ValueError:
        answer = None
    if status == http.client.OK and isinstance(answer, dict):
        return cast("dict[str, object]", answer)
    error = cast("dict[str, object]", answer).get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        raise NotRunningError(f"what answers at {emulator.url} is not an emulator of durable (HTTP {status})")
    facts = {key: str(value) for key, value in cast("dict[str, object]", error).items()}
    raise _refusal(status, facts.get("code", ""), facts.get("message", ""), facts.get("fix", ""))


def _refusal(status: int, code: str, message: str, fix: str) -> DurableError:
    match code:
        case "no_such_path" | "method_not_allowed" | "bad_request":
            return UserInputError(
                f"the running emulator did not understand: {message}",
                fix="is it another version? Stop it, and start it with this one",
            )
        case "sql_error":
            return SqlError(message)
        case "migration_error":
            return MigrationError(message, fix=fix)
        case "storage_error" | "inspection_failed":
            return StorageError(message)
        case "user_code_failed":
            return UserCodeError(message)
        case _ if status == http.client.NOT_FOUND:
            # These quote names of objects, and a line break in one must not pose as another line of ours.
            return NotFoundError(printable(message), fix=printable(fix))
        case _:
            return UserInputError(message, fix=fix)

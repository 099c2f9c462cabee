"""`[exports]`: what it may say, and the platform's sentences about what it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable.errors import ConfigError

Load = Callable[..., Any]
Refusal = Callable[..., ConfigError]

MAIN = 'main = "main.py"\n[exports]\n'


def test_classes_are_read_with_their_state_and_their_place(load_text: Load) -> None:
    config = load_text(
        MAIN + 'Room = { type = "durable-object", storage = "sqlite" }\n'
        'Old = { type = "durable-object", state = "renamed", renamed_to = "Room" }\n'
        'main = { type = "worker" }\n'
    )
    assert [(each.name, each.state, each.storage, each.other) for each in config.exports] == [
        ("Room", "created", "sqlite", ""),
        ("Old", "renamed", None, "Room"),
    ]
    assert str(config.exports[1].location) == "durable.toml:4:1"


def test_exports_of_other_kinds_leave_the_classes_to_migrations(load_text: Load) -> None:
    config = load_text(
        'main = "main.py"\n[exports]\nflow = { type = "workflow" }\n',
    )
    assert config.exports is None


def test_json_says_the_same(load_text: Load) -> None:
    text = '{"main": "main.py", "exports": {"Room": {"type": "durable-object", "storage": "legacy-kv"}}}'
    (room,) = load_text(text, file="wrangler.jsonc").exports
    assert (room.name, room.storage) == ("Room", "legacy-kv")


def test_an_environment_inherits_exports_and_may_have_its_own(load_text: Load) -> None:
    top = MAIN + 'Room = { type = "durable-object", storage = "sqlite" }\n[env.staging]\nvars = {}\n'
    assert [each.name for each in load_text(top, environment="staging").exports] == ["Room"]
    own = top + '[env.staging.exports]\nHall = { type = "durable-object", storage = "sqlite" }\n'
    assert [each.name for each in load_text(own, environment="staging").exports] == ["Hall"]


def test_migrations_and_exports_exclude_each_other(refused: Refusal) -> None:
    error = refused(
        MAIN + 'Room = { type = "durable-object", storage = "sqlite" }\n'
        '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Room"]\n'
    )
    assert error.message == (
        "`migrations` and `exports` are mutually exclusive. Choose one or the other to declare your Durable Object "
        "lifecycle, but not both."
    )
    assert (error.line, error.source_line) == (2, "[exports]")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('"" = { type = "durable-object" }', '"exports" keys cannot be the empty string'),
        ("Room = {}", '"exports.Room.type" is missing: durable-object or worker or workflow'),
        (
            'Room = { type = "durable-object" }',
            '"exports.Room.storage" is required for state "created" and must be one of "sqlite" or "legacy-kv", '
            "but got nothing",
        ),
        (
            'Room = { type = "durable-object", storage = "kv" }',
            '"exports.Room.storage" is required for state "created" and must be one of "sqlite" or "legacy-kv", '
            'but got "kv" (a string)',
        ),
        (
            'Room = { type = "durable-object", state = "renamed" }',
            '"exports.Room.renamed_to" is required for state "renamed" and must be a non-empty string.',
        ),
        (
            'Room = { type = "durable-object", state = "renamed", renamed_to = "a-b" }',
            '"exports.Room.renamed_to" must be the name of a Python class (got "a-b").',
        ),
        (
            'Room = { type = "durable-object", state = "renamed", renamed_to = "Room" }',
            '"exports.Room.renamed_to" cannot equal the source class name "Room".',
        ),
        (
            'Room = { type = "durable-object", state = "transferred" }',
            '"exports.Room.transferred_to" is required for state "transferred" and must be a non-empty string.',
        ),
        (
            'Room = { type = "durable-object", state = "expecting-transfer", storage = "sqlite" }',
            '"exports.Room.transfer_from" is required for state "expecting-transfer" and must be a non-empty string.',
        ),
        (
            'Room = { type = "durable-object", state = "gone" }',
            '"exports.Room.state" must be one of "created", "deleted", "renamed", "transferred", or '
            '"expecting-transfer" but got "gone" (a string)',
        ),
        (
            'Room = { type = "durable-object", state = "deleted", storage = "sqlite" }',
            '"exports.Room.storage" is forbidden on state "deleted". Allowed properties are: type, state.',
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_the_platforms_words_at_its_place(
    entry: str, message: str, refused: Refusal
) -> None:
    error = refused(MAIN + entry + "\n")
    assert error.message == message
    assert error.line in (2, 3)

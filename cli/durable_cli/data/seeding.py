"""Objects from a seed file: what they are to hold, written by hand. JSON Lines, or TOML with `[[objects]]`.

    {"class": "ChatRoom", "name": "general", "kv": {"topic": "tea"}, "sql": ["CREATE TABLE …"], "alarm": "in 10m"}

Values of keys are as in `durable.values.json_form`; TOML's dates and times are Python's. SQL runs as the object's own
would. An alarm is `in 10m`, a moment (`2026-01-31T12:00:00Z`) or milliseconds since 1970.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

from durable.errors import DataCloneError, StorageError, UserInputError
from durable.limits import SEED_BYTES_MAX
from durable.values.json_form import from_json
from durable_cli.data.door import DataDoor
from durable_cli.data.image_draft import ImageDraft
from durable_cli.data.importing import Imported, Incoming, give_each
from durable_cli.data.progress import Progress
from durable_cli.objects.finding import Target
from durable_cli.report import shown_path

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_IN: Final = re.compile(r"in (\d+(?:\.\d+)?) ?([smhd])")
_FACTS: Final = frozenset({"class", "name", "kv", "sql", "alarm"})
_EXAMPLE: Final = '{"class": "ChatRoom", "name": "general", "kv": {"topic": "tea"}, "sql": ["…"], "alarm": "in 10m"}'


@dataclass(frozen=True, slots=True)
class Seed:
    """One object; `place` says where in the file it stands."""

    place: str
    class_word: str
    name: str
    keys: dict[str, Any] = field(default_factory=dict[str, Any])
    statements: tuple[str, ...] = ()
    alarm: object = None


def seed_objects(door: DataDoor, path: Path, work: Path, now_ms: int, *, replace: bool, told: Progress) -> Imported:
    """Raises UserInputError, before anything is done, for what is no seed and for what exists unless `replace`."""
    seeds = read_seeds(path)
    for seed in seeds:
        if door.find(Target(seed.class_word, name=seed.name)).is_known and not replace:
            raise UserInputError(
                f'{seed.place}: {seed.class_word} "{seed.name}" exists, and nothing was changed',
                fix="--replace gives objects that exist the state of the seed",
            )
    images = [_image(seed, work / f"{number}.sqlite", now_ms) for number, seed in enumerate(seeds)]
    places = (
        (Target(seed.class_word, name=seed.name), Incoming(image)) for seed, image in zip(seeds, images, strict=True)
    )
    return give_each(door, places, work, lambda done: told(done, len(seeds)))


def read_seeds(path: Path) -> list[Seed]:
    """Raises UserInputError, with the line, for what cannot be one."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(SEED_BYTES_MAX + 1)
    except OSError as error:
        raise UserInputError(f"{shown_path(path)} cannot be read: {error.strerror}") from error
    if len(content) > SEED_BYTES_MAX:
        raise UserInputError(f"{shown_path(path)} has more than {SEED_BYTES_MAX} bytes", fix="durable objects import")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserInputError(f"{shown_path(path)} is not UTF-8: byte {error.start}") from error
    documents = _toml(path, text) if path.suffix.lower() == ".toml" else _json_lines(path, text)
    seeds = [_seed(place, document) for place, document in documents]
    seen: set[tuple[str, str]] = set()
    for seed in seeds:
        if (seed.class_word, seed.name) in seen:
            raise UserInputError(f'{seed.place}: {seed.class_word} "{seed.name}" stands there twice')
        seen.add((seed.class_word, seed.name))
    return seeds


def _toml(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserInputError(f"{shown_path(path)}: {error}") from error
    objects = document.get("objects")
    if not isinstance(objects, list) or set(document) != {"objects"}:
        raise UserInputError(f"{shown_path(path)}: expected [[objects]] and nothing else")
    for number, each in enumerate(cast("list[object]", objects), start=1):
        yield f"{shown_path(path)}: object {number}", each


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines: text in JSON may hold line separators of Unicode.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{shown_path(path)}:{number}"
        try:
            document = json.loads(line)
            if isinstance(document, dict) and isinstance(keys := cast("dict[str, Any]", document).get("kv"), dict):
                document["kv"] = {key: from_json(value) for key, value in cast("dict[str, Any]", keys).items()}
        except (ValueError, RecursionError) as error:
            raise UserInputError(f"{place}: {error}", fix=_EXAMPLE) from error
        yield place, document


def _seed(place: str, document: object) -> Seed:
    if isinstance(document, dict):
        facts = cast("dict[str, Any]", document)
        class_word, name, keys, sql = facts.get("class"), facts.get("name"), facts.get("kv", {}), facts.get("sql", [])
        statements = cast("list[object]", [sql] if isinstance(sql, str) else sql)
        are_texts = isinstance(statements, list) and all(isinstance(each, str) for each in statements)
        if isinstance(class_word, str) and isinstance(name, str) and isinstance(keys, dict) and are_texts:
            unknown = [fact for fact in facts if fact not in _FACTS]
            if not unknown:
                texts = tuple(str(each) for each in statements)
                return Seed(place, class_word, name, cast("dict[str, Any]", keys), texts, facts.get("alarm"))
            raise UserInputError(f'{place}: "{unknown[0][:80]}" means nothing here', fix=_EXAMPLE)
    raise UserInputError(f"{place}: not an object of a seed", fix=_EXAMPLE)


def _image(seed: Seed, path: Path, now_ms: int) -> Path:
    try:
        with ImageDraft(path) as draft:
            for statement in seed.statements:
                draft.run(statement)
            for key, value in seed.keys.items():
                draft.put(key, value)
            if seed.alarm is not None:
                draft.set_alarm(_alarm_ms(seed.alarm, now_ms))
            return draft.finish()
    except (StorageError, UserInputError, DataCloneError, TypeError) as error:
        raise UserInputError(
            f"{seed.place}: {error}", fix="nothing was changed; mend the file and try again"
        ) from error


def _alarm_ms(alarm: object, now_ms: int) -> int:
    match alarm:
        case bool():
            pass
        case int():
            return alarm
        case datetime():
            return round(alarm.timestamp() * 1000)
        case str() if (ahead := _IN.fullmatch(alarm)) is not None:
            return now_ms + round(float(ahead[1]) * _SECONDS[ahead[2]] * 1000)
        case str():
            try:
                return round(datetime.fromisoformat(alarm).timestamp() * 1000)
            except (ValueError, OverflowError):
                pass
        case _:
            pass
    raise UserInputError(
        f"the alarm {str(alarm)[:80]!r} is no moment",
        fix='"in 10m", "2026-01-31T12:00:00Z", or milliseconds since 1970',
    )

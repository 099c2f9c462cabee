"""Differences from the platform: told once per place, within a bound, held until it is known who reads, or refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from durable.actor import portability as module
from durable.actor.portability import KINDS, Portability
from durable.errors import PortabilityError
from durable.sdk import portability as seam

Line = tuple[str, str, str]


@pytest.fixture(autouse=True)
def unwatched() -> Iterator[None]:
    yield
    seam.watch = None


def never(once: str, text: str, label: str) -> None:
    pytest.fail(f"nothing is to be logged, got {text}")


def in_file(file: str, source: str, **names: Any) -> Callable[..., Any]:
    """The function `run` of a source that is compiled as if it lay in `file`."""
    exec(compile(source, file, "exec"), names)
    run: Callable[..., Any] = names["run"]
    return run


# --- once per place -----------------------------------------------------------------------------------------------
def test_a_place_is_told_once_for_each_kind() -> None:
    told: list[Line] = []
    portability = Portability(lambda *line: told.append(line))
    for _ in range(3):
        for kind in ("sql-int", "sql-bool"):
            portability.differs(kind, f"a {kind}")

    assert [(once.split()[1], label) for once, _, label in told] == [("sql-int", ""), ("sql-bool", "")]
    assert all(text.startswith(f"{once.split()[0]} ") for once, text, _ in told)
    assert [text.split(": ", 1)[1].split(";")[0] for _, text, _ in told] == ["a sql-int", "a sql-bool"]
    assert all(text.startswith(f"{__file__}:") for _, text, _ in told)


def test_a_message_says_what_the_platform_does_and_ends_with_its_place_in_the_document() -> None:
    told: list[str] = []
    Portability(lambda once, text, label: told.append(text)).differs("sql-bool", "binding 1 is the bool True")

    assert told[0].endswith(
        ": binding 1 is the bool True; the platform binds the TEXT 'true' or 'false'. Bind 1.0 or 0.0."
        " docs/portability.md#sql-bool"
    )


def test_places_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PORTABILITY_PLACES_MAX", 1)
    told: list[str] = []
    portability = Portability(lambda once, text, label: told.append(text))
    portability.differs("sql-int", "first")
    portability.differs("sql-int", "second")

    assert len(told) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_an_error_that_names_it(kind: str) -> None:
    portability = Portability(never, setting="error")

    with pytest.raises(PortabilityError) as caught:
        portability.differs_at(("entry.py", 3), kind, "this")
    assert caught.value.kind == kind
    assert str(caught.value) == (
        f'this; {KINDS[kind]}. This is an error because of portability = "error" in [dev]: docs/portability.md#{kind}'
    )


# --- which place ----------------------------------------------------------------------------------------------------
def test_the_innermost_line_of_the_project_is_the_place_whatever_it_went_through() -> None:
    told: list[str] = []
    portability = Portability(
        lambda once, text, label: told.append(text), own_file=lambda file: file[4:] if file[:4] == "/me/" else None
    )
    library = in_file("/lib/site-packages/orm.py", "def run(work): return work()")
    project = in_file("/me/rooms/chat.py", "\n\ndef run(work): return library(work)", library=library)
    outer = in_file("/me/entry.py", "def run(work): return project(work)", project=project)

    outer(lambda: portability.differs("sql-int", "an int"))

    assert told[0].startswith("rooms/chat.py:3: an int; ")


def test_the_line_of_a_library_is_the_place_where_the_project_has_none() -> None:
    told: list[str] = []
    portability = Portability(lambda once, text, label: told.append(text))
    python = in_file(f"{module._STANDARD_LIBRARY}asyncio/events.py", "def run(work): work('sql-int', 'an int')")
    library = in_file("/lib/site-packages/orm.py", "\ndef run(work): python(work)", python=python)
    library(portability.differs)

    assert told[0].startswith("/lib/site-packages/orm.py:2: an int; ")


def test_what_a_function_returned_is_told_at_the_function() -> None:
    told: list[str] = []
    portability = Portability(lambda once, text, label: told.append(text), own_file=lambda file: Path(file).name)
    method = in_file("/me/entry.py", "\n\n\ndef run(): return (1, 2)")
    assert isinstance(method, FunctionType)

    portability.differs("value-tuple", "the result of run() is a tuple", method.__code__)

    assert told[0].startswith("entry.py:4: the result of run() is a tuple; ")


def test_a_thread_that_nobody_of_the_project_started_is_not_its_own() -> None:
    portability = Portability(never, own_file=lambda file: None)

    portability.differs("thread", "the thread 'x' is started")


@pytest.mark.parametrize("between", [None, f"{module._PACKAGE}host/compat/asgi.py"])
def test_a_thread_is_the_projects_own_unless_the_engine_lies_between(between: str | None) -> None:
    told: list[str] = []
    portability = Portability(
        lambda once, text, label: told.append(text),
        own_file=lambda file: "entry.py" if file == "/me/entry.py" else None,
    )
    library = in_file(threading.__file__, "def run(work): return work()")
    middle = library if between is None else in_file(between, "def run(work): return library(work)", library=library)
    project = in_file("/me/entry.py", "def run(work): return middle(work)", middle=middle)

    project(lambda: portability.differs("thread", "a thread"))

    assert [text.split(":")[0] for text in told] == (["entry.py"] if between is None else [])


# --- settings --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("setting", "watches"), [("off", False), ("auto", True), ("warn", True), ("error", True)])
def test_nothing_is_watched_where_nobody_wants_it(setting: str, watches: bool) -> None:
    portability = Portability(never, setting=setting)
    portability.begin()

    assert (seam.watch is not None) is watches is portability.is_watching
    portability.end()
    assert seam.watch is None


@pytest.mark.parametrize("is_for_platform", [True, False])
def test_what_happens_during_the_import_is_told_only_to_programs_for_the_platform(is_for_platform: bool) -> None:
    told: list[str] = []
    portability = Portability(lambda once, text, label: told.append(text), setting="auto")
    portability.begin()
    portability.differs("sql-int", "first")
    assert told == []

    portability.settle(is_for_platform=is_for_platform)

    assert len(told) == is_for_platform
    assert (seam.watch is not None) is is_for_platform is portability.is_watching


def test_the_end_of_a_host_leaves_the_watch_of_another_one_alone() -> None:
    first, second = Portability(never), Portability(never)
    first.begin()
    second.begin()
    first.end()

    assert seam.watch == second.differs


# --- again and again -------------------------------------------------------------------------------------------------
def test_two_calls_in_one_line_are_one_place() -> None:
    told: list[str] = []
    portability = Portability(lambda once, text, label: told.append(text))
    for call in (lambda: portability.differs("sql-int", "first"), lambda: portability.differs("sql-int", "second")):
        call()

    assert len(told) == 1


def test_an_error_is_raised_each_time_the_line_runs() -> None:
    portability = Portability(never, setting="error")
    raised = 0
    for _ in range(3):
        try:
            portability.differs("sql-int", "an int")
        except PortabilityError:
            raised += 1

    assert raised == 3


def test_what_nobody_of_the_project_did_is_told_without_a_place() -> None:
    told: list[str] = []
    portability = Portability(lambda once, text, label: told.append(text), own_file=lambda file: None)
    thread = threading.Thread(target=portability.differs, args=("sql-int", "an int"))
    thread.start()
    thread.join()

    assert [text.split("; ")[0] for text in told] == ["an int"]

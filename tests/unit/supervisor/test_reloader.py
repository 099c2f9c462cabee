"""The order of a reload, with hosts that are told what to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable.config import Config
from durable.errors import UserInputError
from durable.supervisor import reloader
from durable.supervisor.program import Program
from durable.supervisor.reloader import Loaded, Refused
from durable.supervisor.watcher import sha256_of
from durable.wire.messages import Closed, ErrorReport, LoadFailed, Ready


class FakeHost:
    """As much of a host as a switch sees; writes down what it is asked for."""

    def __init__(self, shard: int, answer: Any, diary: list[str], *, closes: bool = True) -> None:
        self.shard = shard
        self.process = type("Process", (), {"number": shard + 1})()
        self.link = f"link {shard}"
        self.alive = True
        self.busy = False
        self.died_loading = False
        self.killed = False
        self._answer = answer
        self._diary = diary
        self._closes = closes

    async def load(self, load: Any, *, seconds_max: float) -> Any:
        self._diary.append(f"load {load.shard}")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def drain(self, seconds: float, *, lingers: bool) -> Closed | None:
        self._diary.append(f"drain {self.shard}")
        return Closed(4, [11, 12]) if self._closes else None

    def attach(self, sockets: Any, auto_responses: Any) -> None:
        self._diary.append(f"attach {self.shard} {sockets}")

    def kill(self) -> None:
        self.killed = True


class FakeGateway:
    """Router and client sockets in one; writes down what they are told."""

    def __init__(self, diary: list[str]) -> None:
        self._diary = diary
        self.busy_links: list[Any] = []

    def busy(self, link: Any) -> bool:
        return link in self.busy_links

    def attach(self, links: Any) -> None:
        self._diary.append(f"route to {links}")

    def release(self) -> None:
        self._diary.append("release")

    def host_closed(self, link: Any, not_begun: Any) -> None:
        self._diary.append(f"{link} closed, not begun {not_begun}")

    def host_lost(self, link: Any) -> None:
        self._diary.append(f"{link} lost")

    def attach_states(self, shard: int, shards: int) -> Any:
        return f"sockets {shard}/{shards}", []


@pytest.fixture
def program(configured: Callable[..., Config], tmp_path: Path) -> Program:
    return Program(configured("[dev]\nhosts = 2\n"), [], tmp_path)


def ready(tmp_path: Path, *, digest: str | None = None, classes: tuple[str, ...] = ("Room",)) -> Ready:
    main = tmp_path / "main.py"
    return Ready(list(classes), {str(main): digest or sha256_of(main) or ""}, ["json"], ["careful"])


FAILED = LoadFailed(ErrorReport("SyntaxError", "invalid syntax"), {})


async def load(program: Program, attempts: list[list[Any]]) -> tuple[Loaded | Refused, list[FakeHost]]:
    """Load with hosts that give these answers, per attempt and shard."""
    made: list[FakeHost] = []

    def take(shard: int) -> Any:
        host = FakeHost(shard, attempts[len(made) // 2][shard], [])
        made.append(host)
        return host

    return await reloader.load_generation(program, take, []), made


async def test_a_generation_is_loaded_when_every_host_is_ready(program: Program, tmp_path: Path):
    loaded, hosts = await load(program, [[ready(tmp_path), ready(tmp_path)]])

    assert isinstance(loaded, Loaded)
    assert [host.shard for host in loaded.hosts] == [0, 1]
    assert (loaded.modules, loaded.warnings) == (("json",), ("careful",))
    assert not any(host.killed for host in hosts)


async def test_one_failure_refuses_all_and_kills_all(program: Program, tmp_path: Path):
    refused, hosts = await load(program, [[ready(tmp_path), FAILED]])

    assert isinstance(refused, Refused)
    assert refused.report == FAILED.error
    assert [host.killed for host in hosts] == [True, True]


async def test_a_class_that_the_configuration_wants_and_the_code_lacks_refuses(program: Program, tmp_path: Path):
    refused, _ = await load(program, [[ready(tmp_path, classes=()), ready(tmp_path)]])

    assert isinstance(refused, Refused)
    assert refused.report.type == "ConfigError"
    assert "main.py defines no class Room, which env.ROOMS is bound to." in refused.report.message
    assert len(refused.errors) == 1


async def test_files_that_changed_while_they_were_imported_are_loaded_again_in_fresh_hosts(
    program: Program, tmp_path: Path
):
    stale = ready(tmp_path, digest="0" * 64)

    loaded, hosts = await load(program, [[ready(tmp_path), stale], [ready(tmp_path), ready(tmp_path)]])

    assert isinstance(loaded, Loaded)
    assert [host.killed for host in hosts] == [True, True, False, False]


async def test_half_a_file_that_does_not_compile_is_loaded_again_when_it_is_whole(program: Program, tmp_path: Path):
    half = LoadFailed(FAILED.error, {str(tmp_path / "main.py"): "0" * 64})

    loaded, _ = await load(program, [[half, half], [ready(tmp_path), ready(tmp_path)]])

    assert isinstance(loaded, Loaded)


async def test_what_was_loaded_is_kept_for_hosts_that_die(program: Program, tmp_path: Path):
    (tmp_path / "main.py").write_text("class Room: ...")

    loaded, _ = await load(program, [[ready(tmp_path), ready(tmp_path)]])

    assert isinstance(loaded, Loaded)
    assert loaded.sources == {str(tmp_path / "main.py"): b"class Room: ..."}


async def test_a_program_that_is_always_stale_is_taken_at_the_third_attempt(program: Program, tmp_path: Path):
    stale = ready(tmp_path, digest="0" * 64)

    loaded, hosts = await load(program, [[stale, stale]] * 3)

    assert isinstance(loaded, Loaded)
    assert len(hosts) == 6


async def test_an_interpreter_that_cannot_be_a_host_is_raised_and_leaves_nothing(program: Program, tmp_path: Path):
    hosts: list[FakeHost] = []

    def take(shard: int) -> Any:
        hosts.append(FakeHost(shard, UserInputError("no durable here") if shard else ready(tmp_path), []))
        return hosts[-1]

    with pytest.raises(UserInputError, match="no durable here"):
        await reloader.load_generation(program, take, [])
    assert [host.killed for host in hosts] == [True, True]


async def test_an_old_host_that_closes_gives_back_what_it_did_not_begin_and_a_lost_one_does_not():
    diary: list[str] = []
    old: Any = [FakeHost(0, None, diary), FakeHost(1, None, diary, closes=False), None]

    await reloader.drain(old, 3.0, FakeGateway(diary))  # type: ignore[arg-type]

    assert sorted(diary) == ["drain 0", "drain 1", "link 0 closed, not begun [11, 12]", "link 1 lost"]


async def test_no_host_is_told_to_close_while_another_may_still_call_its_objects():
    diary: list[str] = []
    idle, busy = FakeHost(0, None, diary), FakeHost(1, None, diary)
    busy.busy = True

    draining = asyncio.ensure_future(reloader.drain([idle, busy], 3.0, FakeGateway(diary)))  # type: ignore[list-item, arg-type]
    for _ in range(5):
        await asyncio.sleep(0)
    told_meanwhile = list(diary)
    busy.busy = False
    await draining

    assert told_meanwhile == []
    assert [line for line in diary if line.startswith("drain")] == ["drain 0", "drain 1"]


async def test_no_host_is_told_to_close_while_another_runs_handlers_of_sockets():
    diary: list[str] = []
    hosts, sockets = [FakeHost(0, None, diary), FakeHost(1, None, diary)], FakeGateway(diary)
    sockets.busy_links = [hosts[1].link]

    draining = asyncio.ensure_future(reloader.drain(hosts, 3.0, sockets))  # type: ignore[arg-type]
    for _ in range(5):
        await asyncio.sleep(0)
    told_meanwhile = list(diary)
    sockets.busy_links = []
    await draining

    assert told_meanwhile == []
    assert [line for line in diary if line.startswith("drain")] == ["drain 0", "drain 1"]


async def test_a_request_that_outlasts_the_drain_holds_nothing_up():
    diary: list[str] = []
    hosts = [FakeHost(0, None, diary), FakeHost(1, None, diary)]
    hosts[1].busy = True

    await reloader.drain(hosts, 0.0, FakeGateway(diary))  # type: ignore[arg-type]

    assert [line for line in diary if line.startswith("drain")] == ["drain 0", "drain 1"]


def test_every_new_host_knows_its_sockets_before_anything_is_routed_to_it():
    diary: list[str] = []
    hosts: Any = [FakeHost(0, None, diary), FakeHost(1, None, diary)]
    gateway: Any = FakeGateway(diary)

    reloader.attach(hosts, gateway, gateway)

    assert diary == [
        "attach 0 sockets 0/2",
        "attach 1 sockets 1/2",
        "route to ['link 0', 'link 1']",
        "release",
        "release",
    ]


def test_a_new_host_that_died_meanwhile_owns_nothing():
    diary: list[str] = []
    hosts: Any = [FakeHost(0, None, diary), FakeHost(1, None, diary)]
    hosts[0].alive = False
    gateway: Any = FakeGateway(diary)

    reloader.attach(hosts, gateway, gateway)

    assert diary[:2] == ["attach 1 sockets 1/2", "route to [None, 'link 1']"]
